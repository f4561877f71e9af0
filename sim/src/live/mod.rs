//! Real processes in the place of the simulated world: the same levers, the same reports.
//!
//! A [`LiveWorld`] runs every node as an operating-system process of its own, kills it with SIGKILL, stops it
//! with SIGSTOP, and leads every link through a proxy that harms whole frames. Nodes report what they do, as in
//! the simulated world, so that the same checks judge it.
//!
//! | file | what |
//! |---|---|
//! | `refuse` | what cannot be done, named before the run |
//! | `processes` | the lives of the nodes |
//! | `words` | what nodes tell the harness, in an order in which it can have happened |
//! | `proxy` | the links |
//! | `redis` | the Redis servers in which nodes keep their logs, if they do |
//! | `gate` | clients that stand still |
//! | `clock` | true time |
//! | `volatile` | disks that lose what was not synced with their process |
//! | `surface` | the nemesis's levers |
//!
//! Invariants:
//! * No process outlives the world, however that ends.
//! * A node that ends without having been told to is a finding: it ends the run.
//!
//! Deliberately absent: disks that are slow, stall or tear, any shaping of clocks, and repeatability. A seed brings back the schedule of
//! faults and what clients draw, not what the machine does.

mod clock;
mod gate;
mod processes;
mod proxy;
mod redis;
mod refuse;
mod surface;
mod volatile;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use stormglass_nodes::ids::NodeId;
use tokio::sync::Notify;

use self::processes::NodeProcess;
use self::proxy::Proxies;
use self::redis::RedisServers;
use self::words::Listener;
use crate::history::{NodeEvent, VirtualTime};
use crate::nemesis::{Process, View};
use crate::plan::{NetworkProfile, StorageSpec};
use crate::rng::Streams;

pub use self::clock::Clock;
pub use self::gate::Gate;
pub use self::processes::{FORGOT, STOP, die_with_parent};
pub use self::proxy::FrameCounts;
pub use self::redis::{RedisHome, RedisProcess, redis_is_wanting, redis_version, serve_under};
pub use self::refuse::{LATENCY_US_MIN, refusals};
pub use self::volatile::{Volatile, VolatileDisk, VolatileFile};
pub use self::words::{Teller, Word};

/// How often it is looked whether a node has ended of its own.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Room in the pipe for what nodes tell, so that they rarely wait for the harness.
const PIPE_BYTES: usize = 1024 * 1024;
/// What is read from it at a time.
const READ_BYTES: usize = 64 * 1024;

/// What a live world is made of.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The root of the draws of all links.
    pub seed: u64,
    /// Number of nodes, spares included; they are 1 to this.
    pub nodes: u64,
    /// So many nodes, the last ones, belong to no cluster at first.
    pub spares: u64,
    /// Number of clients; they are 1 to this.
    pub clients: u64,
    /// Further clients, numbered after the others, at which no fault aims.
    pub operators: u64,
    /// What the proxies make of the links when nothing is wrong.
    pub network: NetworkProfile,
    /// What the nodes keep their logs in.
    pub storage: StorageSpec,
    /// This program: it becomes a Redis server when it is told to.
    pub program: PathBuf,
    /// Where the nodes keep their folders, one for each, and their Redis servers theirs.
    pub folder: PathBuf,
}

/// How a node process is started: the command for a node that is to find the others at these addresses.
pub type Launch = Box<dyn Fn(u64, &BTreeMap<NodeId, SocketAddr>) -> Command + Send + Sync>;

/// Hears of what every node does, in an order in which it can have happened.
pub type LiveObserver = Box<dyn FnMut(VirtualTime, u64, &NodeEvent) + Send>;

/// What happened besides what nodes told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Node processes started.
    pub starts: u64,
    /// Node processes that died.
    pub stops: u64,
    /// Words of nodes heard.
    pub node_events: u64,
    /// Disk syncs that nodes told of.
    pub syncs: u64,
}

/// A handle to a live world. Cheap to clone.
#[derive(Clone)]
pub struct LiveWorld {
    shared: Arc<Shared>,
}

struct Shared {
    config: LiveConfig,
    clock: Clock,
    launch: Launch,
    proxies: Proxies,
    redis: RedisServers,
    processes: Mutex<Processes>,
    /// Locked by who listens to the nodes: whoever holds it writes nothing into the pipe.
    heard: Arc<Mutex<Heard>>,
    gates: BTreeMap<u64, Gate>,
    failure: Mutex<Option<String>>,
    failed: Notify,
}

struct Processes {
    running: BTreeMap<u64, NodeProcess>,
    /// Its clones are the nodes' ends; what happens to them is told into this one.
    pipe: Option<PipeWriter>,
    listening: Option<JoinHandle<()>>,
    /// Nodes that refused to start on a Redis which had been emptied.
    refused: BTreeSet<u64>,
    starts: u64,
    stops: u64,
}

struct Heard {
    view: View,
    observer: LiveObserver,
    node_events: u64,
    syncs: u64,
}

impl LiveWorld {
    /// A world in which nothing runs yet: doors are open, and somebody listens. Inside a runtime.
    ///
    /// # Errors
    /// If the system gives no ports, no pipe or no thread.
    pub async fn open(config: LiveConfig, launch: Launch, observer: LiveObserver) -> io::Result<Self> {
        let clients = config.clients + config.operators;
        let everyone: Vec<Process> =
            (1..=config.nodes).map(Process::Node).chain((1..=clients).map(Process::Client)).collect();
        let streams = Streams::new(config.seed);
        let proxies = Proxies::open(&everyone, config.nodes, streams, config.network).await?;
        let redis =
            RedisServers::open(config.program.clone(), &config.folder, config.nodes, &config.storage)?;
        let (reader, writer) = io::pipe()?;
        // A smaller pipe does as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES);
        let view = View::new(config.nodes, config.spares);
        let heard = Arc::new(Mutex::new(Heard { view, observer, node_events: 0, syncs: 0 }));
        let processes = Processes {
            running: BTreeMap::new(),
            pipe: Some(writer),
            listening: None,
            refused: BTreeSet::new(),
            starts: 0,
            stops: 0,
        };
        let gates = (1..=clients).map(|client| (client, Gate::default())).collect();
        let shared = Arc::new(Shared {
            config,
            clock: Clock::start(),
            launch,
            proxies,
            redis,
            processes: Mutex::new(processes),
            heard,
            gates,
            failure: Mutex::default(),
            failed: Notify::new(),
        });
        let world = Self { shared };
        world.listen(reader)?;
        for server in world.shared.redis.numbers() {
            world.shared.redis.start(server)?;
        }
        Ok(world)
    }

    fn listen(&self, reader: PipeReader) -> io::Result<()> {
        // It must not keep the world: the world's end is the end of the pipe.
        let shared = Arc::downgrade(&self.shared);
        let (heard, clock) = (self.shared.heard.clone(), self.shared.clock);
        let place_of = move |node, port: Option<u16>| {
            if let Some(shared) = shared.upgrade() {
                let place = port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
                shared.proxies.node_is_at(node, place);
            }
        };
        let failing = Arc::downgrade(&self.shared);
        let thread = std::thread::Builder::new().name("listener".to_owned()).spawn(move || {
            if let Err(error) = listen(reader, &heard, clock, &place_of)
                && let Some(shared) = failing.upgrade()
            {
                shared.fail(format!("the harness cannot understand its nodes: {error}"));
            }
        })?;
        self.shared.processes().listening = Some(thread);
        Ok(())
    }

    /// Starts a node. False if it runs.
    ///
    /// # Errors
    /// If the system cannot start it.
    pub fn start(&self, node: u64) -> io::Result<bool> {
        self.look();
        let book = self.shared.proxies.book_of(Process::Node(node));
        let mut command = (self.shared.launch)(node, &book);
        if let Some(socket) = self.shared.redis.socket_of(node) {
            command.arg("--redis").arg(socket);
        }
        let mut processes = self.shared.processes();
        if processes.running.contains_key(&node) {
            return Ok(false);
        }
        let pipe = processes.pipe.as_ref().expect("the world has not ended").try_clone()?;
        processes.running.insert(node, NodeProcess::start(command, pipe)?);
        processes.starts += 1;
        Ok(true)
    }

    /// Tells a node to stop by itself.
    pub fn tell_to_stop(&self, node: u64) {
        if let Some(process) = self.shared.processes().running.get_mut(&node) {
            process.tell_to_stop();
        }
    }

    /// The addresses at which a client finds the nodes.
    #[must_use]
    pub fn book_of_client(&self, client: u64) -> BTreeMap<NodeId, SocketAddr> {
        self.shared.proxies.book_of(Process::Client(client))
    }

    /// What makes a client stand still.
    ///
    /// # Panics
    /// If there is no such client.
    #[must_use]
    pub fn gate_of_client(&self, client: u64) -> Gate {
        self.shared.gates[&client].clone()
    }

    /// True time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Where a node keeps its folder.
    #[must_use]
    pub fn folder_of(&self, node: u64) -> PathBuf {
        self.shared.config.folder.join(format!("n{node}"))
    }

    /// The frames that passed the proxies.
    #[must_use]
    pub fn frames(&self) -> FrameCounts {
        self.shared.proxies.counts()
    }

    /// The other counters.
    #[must_use]
    pub fn counts(&self) -> LiveCounts {
        let (starts, stops) = {
            let processes = self.shared.processes();
            (processes.starts, processes.stops)
        };
        let heard = self.shared.heard();
        LiveCounts { starts, stops, node_events: heard.node_events, syncs: heard.syncs }
    }

    /// Looks, for ever, whether a node has ended without having been told to; returns what is known of it.
    pub async fn failure(&self) -> String {
        loop {
            self.look();
            if let Some(failure) = self.shared.failure().clone() {
                return failure;
            }
            // A failure that comes between looks is found at the next.
            drop(tokio::time::timeout(LOOK_EVERY, self.shared.failed.notified()).await);
        }
    }

    /// Takes the ended processes out.
    fn look(&self) {
        let mut ended = Vec::new();
        {
            let mut processes = self.shared.processes();
            for (node, process) in &mut processes.running {
                match process.ended() {
                    Ok(None) => {}
                    Ok(Some((status, was_told))) => {
                        // It must: this is what an emptied Redis is for.
                        let refuses =
                            status.code() == Some(i32::from(FORGOT)) && self.shared.redis.was_emptied(*node);
                        ended.push((*node, status.to_string(), was_told && status.success(), refuses));
                    }
                    Err(error) => ended.push((*node, error.to_string(), false, false)),
                }
            }
            for (node, .., refuses) in &ended {
                if *refuses {
                    processes.refused.insert(*node);
                }
                processes.bury(*node, &self.shared.proxies);
            }
        }
        for (server, status) in self.shared.redis.ended() {
            self.shared.fail(format!("redis {server} ended of its own: {status}"));
        }
        for (node, status, is_right, refuses) in ended {
            if !is_right && !refuses {
                self.shared.fail(format!("node {node} ended of its own: {status}"));
            }
        }
    }

    /// Kills all nodes and their servers, and hears the nodes' last words.
    pub fn end(&self) {
        for node in 1..=self.shared.config.nodes {
            self.shared.kill(node);
        }
        for server in self.shared.redis.numbers() {
            self.shared.redis.kill(server);
        }
        let listening = {
            let mut processes = self.shared.processes();
            processes.pipe = None;
            processes.listening.take()
        };
        if let Some(thread) = listening
            && thread.join().is_err()
        {
            self.shared.fail("the listener of the harness panicked".to_owned());
        }
    }

    /// The failure, if there was one.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.shared.failure().clone()
    }
}

impl Processes {
    /// Takes note that a node's process is dead: nothing of it can come any more.
    fn bury(&mut self, node: u64, proxies: &Proxies) -> bool {
        let Some(mut process) = self.running.remove(&node) else { return false };
        process.kill();
        self.stops += 1;
        proxies.node_is_at(node, None);
        let pipe = self.pipe.as_ref().map(PipeWriter::try_clone);
        if let Some(Ok(pipe)) = pipe {
            // The listener is there for as long as this end of the pipe is.
            drop(Teller::new(node, pipe).tell(&Word::Did(NodeEvent::Stopped)));
        }
        true
    }
}

impl Shared {
    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, what: String) {
        self.failure().get_or_insert(what);
        self.failed.notify_one();
    }

    /// Whether a process was killed: false if there was none.
    fn kill(&self, node: u64) -> bool {
        self.processes().bury(node, &self.proxies)
    }
}

/// Hears the nodes to the end of the pipe.
fn listen(
    mut pipe: PipeReader,
    heard: &Mutex<Heard>,
    clock: Clock,
    place_of: &dyn Fn(u64, Option<u16>),
) -> Result<(), Box<dyn std::error::Error>> {
    let mut listener = Listener::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = pipe.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        for (node, word) in listener.hear(&buffer[..read])? {
            match word {
                Word::Listens(port) => place_of(node, Some(port)),
                Word::Did(event) => {
                    if event == NodeEvent::Stopped {
                        listener.forget(node);
                    }
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.note(clock.now(), node, &event);
                }
            }
        }
    }
}

impl Heard {
    fn note(&mut self, at: VirtualTime, node: u64, event: &NodeEvent) {
        self.node_events += 1;
        self.syncs += u64::from(matches!(event, NodeEvent::Durable { .. }));
        self.view.note(node, event);
        (self.observer)(at, node, event);
    }
}
