//! Frames over TCP.
//!
//! Every process dials the nodes that it has something to send to, and keeps the connection; what a node
//! sends to a client goes back on the connection that the client opened. Two nodes thus talk over two
//! connections, one in each direction, and none has to be chosen over the other.
//!
//! Nothing here retries a frame or reports a failure: the code above takes the network for a bad postal
//! service and repeats what matters. So whatever cannot be sent is dropped and counted:
//! * queues are bounded in frames and in bytes, and what does not fit is dropped;
//! * while a node cannot be reached, what is meant for it is dropped at each failed attempt, lest it be
//!   flooded with old news when it returns;
//! * a received frame waits for room in the inbox, so that a flood slows its senders down and nobody else's
//!   memory grows.
//!
//! What frames hold is for the code above to judge. The inbox remembers on which connection the latest came, so that one
//! which makes no sense ends that connection, and no other.

mod accept;
mod counts;
mod frame;
mod link;
mod queue;
pub mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use self::counts::Counters;
use self::queue::Outbox;
use self::tls::Security;
use super::tasks::Tasks;
use crate::env::{FRAME_BYTES_MAX, Net};
use crate::ids::{Address, ClientId, NodeId};

pub use self::counts::NetCounts;
pub use self::frame::{Broken, FrameReader, HELLO_BYTES_MAX, PROTOCOL_VERSION, put_frame};

/// The bounds of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetLimits {
    /// A connection on which no hello has come after this time is closed. Default 5 s.
    pub hello_timeout: Duration,
    /// An attempt to connect is given up after this time. Default 2 s.
    pub dial_timeout: Duration,
    /// The pause after a failed attempt or a lost connection; it doubles each time. Default 20 ms.
    pub backoff_min: Duration,
    /// The longest such pause, and how long a connection must last to begin anew. Default 1 s.
    pub backoff_max: Duration,
    /// A connection is given up if what was sent stays unconfirmed for this long: the system by itself
    /// would try for a quarter of an hour. Default 5 s.
    pub unconfirmed_max: Duration,
    /// Accepted connections at a time. Default 4096.
    pub connections_max: usize,
    /// Frames that wait to be sent to one receiver. Default 4096.
    pub outbox_frames_max: usize,
    /// Their bytes. Default 64 MiB.
    pub outbox_bytes_max: usize,
    /// Frames that wait to be received. Default 4096.
    pub inbox_frames_max: usize,
    /// Their bytes; at least [`FRAME_BYTES_MAX`], or the longest frames would never fit. Default 64 MiB.
    pub inbox_bytes_max: usize,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(5),
            dial_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
            unconfirmed_max: Duration::from_secs(5),
            connections_max: 4096,
            outbox_frames_max: 4096,
            outbox_bytes_max: 64 * 1024 * 1024,
            inbox_frames_max: 4096,
            inbox_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// A process's endpoint.
#[derive(Clone)]
pub struct TokioNet {
    shared: Arc<Shared>,
}

/// A frame in the inbox.
struct Delivery {
    from: Address,
    frame: Bytes,
    /// The connection on which it came, if it came on one.
    source: Option<Arc<Source>>,
    /// Its claim to the room that it takes.
    _room: OwnedSemaphorePermit,
}

/// What the receiver of a connection's frames may have against it.
#[derive(Default)]
struct Source {
    refused: OnceLock<&'static str>,
    told: Notify,
}

impl Source {
    fn refuse(&self, reason: &'static str) {
        // The first reason will do.
        if self.refused.set(reason).is_ok() {
            self.told.notify_one();
        }
    }

    /// Returns once there is something against it.
    async fn refused(&self) -> Broken {
        loop {
            if let Some(reason) = self.refused.get() {
                return Broken::Nonsense(reason);
            }
            self.told.notified().await;
        }
    }
}

/// Where frames wait to be received.
struct Inbox {
    frames: mpsc::Receiver<Delivery>,
    /// Where the latest that was received came from.
    latest: Option<Arc<Source>>,
}

struct Shared {
    me: Address,
    limits: NetLimits,
    /// If connections are secure.
    security: Option<Security>,
    listening_on: Option<SocketAddr>,
    book: Arc<watch::Sender<BTreeMap<NodeId, SocketAddr>>>,
    /// To nodes, by dialing. One for each that was ever sent to.
    links: Mutex<BTreeMap<NodeId, Outbox>>,
    /// To clients, on the latest connection of each, which is named by a number.
    clients: Mutex<BTreeMap<ClientId, (u64, Way)>>,
    connections: AtomicU64,
    inbox_sender: mpsc::Sender<Delivery>,
    inbox_room: Arc<Semaphore>,
    inbox: tokio::sync::Mutex<Inbox>,
    counters: Counters,
    tasks: Tasks,
}

/// How a client is reached.
enum Way {
    /// On the connection that it opened.
    Connection(Outbox),
    /// It lives in this process: its own endpoint.
    Neighbour(Weak<Shared>),
}

/// Where the nodes are, as all endpoints of one process know it.
pub(super) type Book = Arc<watch::Sender<BTreeMap<NodeId, SocketAddr>>>;

impl TokioNet {
    pub(super) async fn start(
        me: Address,
        listen: Option<SocketAddr>,
        book: Book,
        (limits, security): (NetLimits, Option<Security>),
        tasks: Tasks,
    ) -> io::Result<Self> {
        assert!(limits.inbox_bytes_max >= FRAME_BYTES_MAX, "the inbox must have room for the longest frame");
        let listener = match listen {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let listening_on = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let (inbox_sender, inbox) = mpsc::channel(limits.inbox_frames_max);
        let shared = Arc::new(Shared {
            me,
            limits,
            security,
            listening_on,
            book,
            links: Mutex::new(BTreeMap::new()),
            clients: Mutex::new(BTreeMap::new()),
            connections: AtomicU64::new(0),
            inbox_sender,
            inbox_room: Arc::new(Semaphore::new(limits.inbox_bytes_max)),
            inbox: tokio::sync::Mutex::new(Inbox { frames: inbox, latest: None }),
            counters: Counters::default(),
            tasks,
        });
        if let Some(listener) = listener {
            shared.tasks.spawn("net accept", accept::run(shared.clone(), listener));
        }
        Ok(Self { shared })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn listening_on(&self) -> Option<SocketAddr> {
        self.shared.listening_on
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> NetCounts {
        self.shared.counters.read()
    }

    pub(super) fn set_peers(&self, peers: BTreeMap<NodeId, SocketAddr>) {
        self.shared.book.send_replace(peers);
    }

    /// The address book, to be shared with a neighbour.
    pub(super) fn book(&self) -> Book {
        Arc::clone(&self.shared.book)
    }

    /// Its bounds and its certificate, which a neighbour has as well.
    pub(super) fn terms(&self) -> (NetLimits, Option<Security>) {
        (self.shared.limits, self.shared.security.clone())
    }

    /// Whose endpoint it is.
    pub(super) fn me(&self) -> Address {
        self.shared.me
    }

    /// Whatever is sent to `client` from now on goes to its endpoint in this process.
    pub(super) fn attach(&self, client: ClientId, endpoint: &Self) {
        let connection = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        let way = Way::Neighbour(Arc::downgrade(&endpoint.shared));
        lock(&self.shared.clients).insert(client, (connection, way));
    }

    /// Puts a frame into the inbox, as if it had come over a socket; drops and counts it if there is no room.
    pub(super) fn deliver_from(&self, from: Address, frame: Bytes) {
        self.shared.deliver_now(from, frame);
    }
}

impl Net for TokioNet {
    fn send(&self, to: Address, frame: Bytes) {
        let shared = &self.shared;
        if frame.len() > FRAME_BYTES_MAX {
            shared.counters.dropped_oversized.add(1);
        } else if to == shared.me {
            shared.deliver_now(to, frame);
        } else {
            match to {
                Address::Node(node) => Shared::send_to_node(shared, node, frame),
                Address::Client(client) => shared.send_to_client(client, frame),
            }
        }
    }

    async fn receive(&self) -> (Address, Bytes) {
        let mut inbox = self.shared.inbox.lock().await;
        match inbox.frames.recv().await {
            Some(Delivery { from, frame, source, .. }) => {
                inbox.latest = source;
                (from, frame)
            }
            // The endpoint itself holds a sender, so the channel cannot close before it is gone.
            None => std::future::pending().await,
        }
    }

    fn refuse(&self, reason: &'static str) {
        // Whoever receives is the one who judges, so nobody else is at the inbox.
        let Ok(inbox) = self.shared.inbox.try_lock() else { return };
        if let Some(source) = &inbox.latest {
            source.refuse(reason);
        }
    }
}

impl Shared {
    fn send_to_node(self: &Arc<Self>, node: NodeId, frame: Bytes) {
        if !self.book.borrow().contains_key(&node) {
            self.counters.dropped_unreachable.add(1);
            return;
        }
        let mut links = lock(&self.links);
        let outbox = links.entry(node).or_insert_with(|| {
            let (outbox, frames) = queue::bounded(&self.limits);
            self.tasks.spawn("net link", link::run(self.clone(), node, frames));
            outbox
        });
        if !outbox.push(frame) {
            self.counters.dropped_full.add(1);
        }
    }

    fn send_to_client(&self, client: ClientId, frame: Bytes) {
        match lock(&self.clients).get(&client) {
            Some((_, Way::Connection(outbox))) => {
                if !outbox.push(frame) {
                    self.counters.dropped_full.add(1);
                }
            }
            Some((_, Way::Neighbour(endpoint))) => match endpoint.upgrade() {
                Some(endpoint) => endpoint.deliver_now(self.me, frame),
                None => self.counters.dropped_unreachable.add(1),
            },
            None => self.counters.dropped_unreachable.add(1),
        }
    }

    fn deliver_now(&self, from: Address, frame: Bytes) {
        let room = self.inbox_room.clone().try_acquire_many_owned(room_for(&frame));
        let fits = room.is_ok_and(|room| {
            let delivery = Delivery { from, frame, source: None, _room: room };
            self.inbox_sender.try_send(delivery).is_ok()
        });
        if !fits {
            self.counters.dropped_full.add(1);
        }
    }

    /// Waits for room in the inbox and puts a frame there.
    async fn deliver(&self, from: Address, frame: Bytes, source: &Arc<Source>) {
        let room = self.inbox_room.clone().acquire_many_owned(room_for(&frame)).await;
        let room = room.expect("the inbox's semaphore is never closed");
        let source = Some(Arc::clone(source));
        if self.inbox_sender.send(Delivery { from, frame, source, _room: room }).await.is_ok() {
            self.counters.frames_received.add(1);
        }
    }
}

fn room_for(frame: &Bytes) -> u32 {
    u32::try_from(frame.len()).expect("a frame is at most FRAME_BYTES_MAX long")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets a connection up: no waiting for more to send, and no waiting for ever.
fn tune(stream: &TcpStream, limits: &NetLimits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(limits.unconfirmed_max))?;
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(limits.unconfirmed_max))
}
