//! Every directed link between two processes leads through a proxy of the harness, which drops, doubles and
//! delays whole frames. No privileges are needed.
//!
//! Each process knows of each node only the address of a proxy that is there for this pair alone. Between two
//! nodes there are two connections, each with frames in one direction; a client's connection has both.
//!
//! * The hello that opens a connection is no frame of anybody's: it is passed on as it came, once there is
//!   something to be delivered. A connection into a cut is accepted, and what it carries is dropped.
//! * A process that dies breaks its connections, and the proxy breaks the other half, as the system of its
//!   machine would; through a cut nobody learns of it before the cut is healed.
//! * What a proxy has taken is confirmed to the sender's system: a cut is seen as lost frames, never as a
//!   connection that stalls. That is the bad postal service that the nodes are built for; how TCP itself
//!   behaves in a partition is not put to the test here.
//! * A receiver that does not read makes its sender's proxy wait, and by that the sender.

mod links;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use stormglass_nodes::env::FRAME_BYTES_MAX;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::tokio_env::net::{Broken, FrameReader, HELLO_BYTES_MAX, put_frame};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use self::links::{Direction, Links};
use crate::nemesis::{LinkAction, Process, RuleEffect, RuleId};
use crate::plan::NetworkProfile;
use crate::rng::Streams;

pub use self::links::FrameCounts;

/// How long a connection may take to say who it is, and a node to accept one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames that are read and handed on together, at most.
const FRAMES_PER_TURN: usize = 64;

/// All proxies of a run.
pub(super) struct Proxies {
    shared: Arc<Shared>,
    /// Where each process is to look for each node.
    doors: BTreeMap<(Process, u64), SocketAddr>,
    accepting: Vec<AbortHandle>,
}

struct Shared {
    links: Links,
    /// Where each node that runs accepts connections.
    places: watch::Sender<BTreeMap<u64, SocketAddr>>,
    carriers: AtomicU64,
}

impl Proxies {
    /// Opens a door from each of `processes` to each of `nodes` nodes but itself.
    ///
    /// # Errors
    /// If the system has no ports left.
    pub(super) async fn open(
        processes: &[Process],
        nodes: u64,
        streams: Streams,
        network: NetworkProfile,
    ) -> io::Result<Self> {
        let links = Links::new(streams, network);
        let shared =
            Arc::new(Shared { links, places: watch::Sender::default(), carriers: AtomicU64::new(0) });
        let (mut doors, mut accepting) = (BTreeMap::new(), Vec::new());
        for from in processes {
            for to in (1..=nodes).filter(|to| *from != Process::Node(*to)) {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                doors.insert((*from, to), listener.local_addr()?);
                let accept = accept(shared.clone(), (*from, Process::Node(to)), to, listener);
                accepting.push(Handle::current().spawn(accept).abort_handle());
            }
        }
        Ok(Self { shared, doors, accepting })
    }

    /// The address book of a process.
    #[must_use]
    pub(super) fn book_of(&self, process: Process) -> BTreeMap<NodeId, SocketAddr> {
        let doors = self.doors.iter().filter(|((from, _), _)| *from == process);
        doors.map(|((_, to), door)| (NodeId(*to), *door)).collect()
    }

    /// A node accepts connections there, or, without an address, no more.
    pub(super) fn node_is_at(&self, node: u64, place: Option<SocketAddr>) {
        self.shared.places.send_modify(|places| {
            match place {
                Some(place) => places.insert(node, place),
                None => places.remove(&node),
            };
        });
    }

    /// A process stands still from now on.
    pub(super) fn stands_still(&self, process: Process) {
        self.shared.links.stands_still(process);
    }

    /// It goes on. Says how many frames awaited it.
    pub(super) fn goes_on(&self, process: Process) -> u64 {
        self.shared.links.goes_on(process)
    }

    /// See [`Surface::add_link_rule`](crate::nemesis::Surface::add_link_rule).
    pub(super) fn add_rule(
        &self,
        from: &BTreeSet<Process>,
        to: &BTreeSet<Process>,
        action: LinkAction,
    ) -> RuleId {
        self.shared.links.add_rule(from, to, action)
    }

    /// What the rule did, if it was in force.
    pub(super) fn remove_rule(&self, rule: RuleId) -> Option<RuleEffect> {
        self.shared.links.remove_rule(rule)
    }

    /// The counters now.
    #[must_use]
    pub(super) fn counts(&self) -> FrameCounts {
        self.shared.links.counts()
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.accepting.iter().for_each(AbortHandle::abort);
    }
}

async fn accept(shared: Arc<Shared>, direction: Direction, node: u64, listener: TcpListener) {
    // Out of file descriptors, say: whoever dials will dial again.
    while let Ok((stream, _)) = listener.accept().await {
        let serving = shared.clone();
        Handle::current().spawn(async move {
            // However a connection ends, both of its halves do.
            drop(serve(&serving, direction, node, stream).await);
        });
    }
}

/// Carries one connection, to its end.
async fn serve(shared: &Shared, forth: Direction, node: u64, stream: TcpStream) -> Result<(), Broken> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut reader = FrameReader::new(reader);
    let hello =
        timeout(CONNECT_TIMEOUT, reader.next(HELLO_BYTES_MAX)).await.map_err(|_| Broken::Closed)??;
    let mut forwards = Carrier::new(shared, forth);
    let first = forwards.next(&mut reader).await?;
    let place = shared.places.borrow().get(&node).copied();
    let Some(upstream) = dial(place).await else {
        shared.links.lost(first.len() as u64);
        return Err(Broken::Closed);
    };
    let (up_reader, mut up_writer) = upstream.into_split();
    let mut opening = BytesMut::new();
    put_frame(&mut opening, &hello);
    up_writer.write_all(&opening).await?;
    let mut back = Carrier::new(shared, (forth.1, forth.0));
    let mut up_reader = FrameReader::new(up_reader);
    let carry_forth = forwards.carry(first, &mut reader, up_writer);
    let carry_back = back.carry(Vec::new(), &mut up_reader, writer);
    let (mut carry_forth, mut carry_back) = (std::pin::pin!(carry_forth), std::pin::pin!(carry_back));
    // The halves are dropped, and the connections with them, when this function returns, not before.
    tokio::select! {
        biased;
        () = &mut carry_forth => {}
        () = &mut carry_back => {}
    }
    shared.links.whole(forth).await;
    Ok(())
}

async fn dial(place: Option<SocketAddr>) -> Option<TcpStream> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(place?)).await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// One direction of one connection.
struct Carrier<'a> {
    links: &'a Links,
    direction: Direction,
    number: u64,
}

impl<'a> Carrier<'a> {
    fn new(shared: &'a Shared, direction: Direction) -> Self {
        let number = shared.carriers.fetch_add(1, Ordering::Relaxed);
        Self { links: &shared.links, direction, number }
    }

    /// Takes frames until some are due, and returns those.
    async fn next(&self, reader: &mut FrameReader<OwnedReadHalf>) -> Result<Vec<Bytes>, Broken> {
        loop {
            let due = self.links.next_due(self.direction, self.number);
            tokio::select! {
                biased;
                () = until(due) => return Ok(self.due()),
                frame = reader.next(FRAME_BYTES_MAX) => {
                    let mut frames = vec![frame?];
                    while frames.len() < FRAMES_PER_TURN {
                        // The end of the stream, or what is wrong with it, will be met again.
                        let Some(Ok(frame)) = reader.next(FRAME_BYTES_MAX).now_or_never() else { break };
                        frames.push(frame);
                    }
                    let at_once = self.links.pass(self.direction, self.number, frames, Instant::now());
                    if !at_once.is_empty() {
                        return Ok(at_once);
                    }
                }
            }
        }
    }

    fn due(&self) -> Vec<Bytes> {
        self.links.due(self.direction, self.number, Instant::now())
    }

    /// Hands frames on until either end is gone; what the sender's end had sent still arrives.
    async fn carry(
        &mut self,
        first: Vec<Bytes>,
        reader: &mut FrameReader<OwnedReadHalf>,
        mut writer: impl AsyncWrite + Unpin,
    ) {
        let mut frames = first;
        loop {
            if !self.hand_on(&frames, &mut writer).await {
                return;
            }
            match self.next(reader).await {
                Ok(due) => frames = due,
                Err(_) => break,
            }
        }
        while let Some(due) = self.links.next_due(self.direction, self.number) {
            sleep_until(due).await;
            if !self.hand_on(&self.due(), &mut writer).await {
                return;
            }
        }
    }

    /// Whether the receiver was there to take them.
    async fn hand_on(&self, frames: &[Bytes], writer: &mut (impl AsyncWrite + Unpin)) -> bool {
        if frames.is_empty() {
            return true;
        }
        let mut buffer = BytesMut::with_capacity(frames.iter().map(|frame| frame.len() + 4).sum());
        frames.iter().for_each(|frame| put_frame(&mut buffer, frame));
        let is_taken = writer.write_all(&buffer).await.is_ok();
        if is_taken {
            self.links.delivered(self.direction, frames.len() as u64);
        } else {
            self.links.lost(frames.len() as u64);
        }
        is_taken
    }
}

impl Drop for Carrier<'_> {
    fn drop(&mut self) {
        self.links.forget(self.direction, self.number);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
