//! The state of a world, and the lock around it.
//!
//! A world runs on one thread, so the lock is never contended; it exists because programs' futures must be
//! `Send`. No code of a program, a waker or madsim's node lifecycle runs while it is held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::TimeHandle;

use super::WorldConfig;
use super::clock::Clock;
use super::disk::Machine;
use super::env::SimEnv;
use super::kernel::Queue;
use super::links::Links;
use super::net::{Inbox, Network};
use super::random::below;
use super::services::{self, Services};
use super::statistics::{NearCounts, WorldStatistics};
use super::timers::Timers;
use super::trace::{Tracer, process_name};
use super::view::Observers;
use crate::history::VirtualTime;
use crate::nemesis::{Process, View};
use crate::rng::{StreamRng, Streams};

/// What a process runs each time that it starts.
pub(super) type Program = Arc<dyn Fn(SimEnv) -> BoxFuture<'static, ()> + Send + Sync>;

/// Origins of clocks are drawn below this: about four months, in microseconds.
const ORIGIN_US_MAX: u64 = 10_000_000_000_000;

/// How a process is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Down,
    Running,
    Paused,
}

/// One process, over all its runs.
pub(super) struct ProcessState {
    pub(super) name: Process,
    pub(super) life: Life,
    /// The number of the present run, or of the last one; 0 before the first.
    pub(super) incarnation: u32,
    pub(super) clock: Clock,
    pub(super) clock_rng: StreamRng,
    pub(super) entropy: StreamRng,
    pub(super) home: NodeHandle,
    pub(super) program: Option<Program>,
    /// The true time at which the process last used the world, and how often it has at that time.
    pub(super) uses: (u64, u32),
}

/// Uses of the world by one process at one instant. Each poll of a task takes virtual time, so that only a
/// task which never yields gets here.
const USES_AT_ONE_INSTANT_MAX: u32 = 1_000_000;

impl ProcessState {
    /// Notes a use of the world (a look at the clock, a frame sent).
    ///
    /// # Panics
    ///
    /// If the process spins: it would keep virtual time, and with it the run, from ever going on.
    pub(super) fn note_use(&mut self, now: u64) {
        let (at, count) = &mut self.uses;
        *count = if *at == now { *count + 1 } else { 1 };
        *at = now;
        assert!(
            *count < USES_AT_ONE_INSTANT_MAX,
            "a task spins: it uses the world again and again without waiting"
        );
    }

    pub(super) fn is_up(&self) -> bool {
        self.life != Life::Down
    }

    pub(super) fn draw_origin_us(&mut self) -> u64 {
        below(&mut self.clock_rng, ORIGIN_US_MAX)
    }
}

/// Everything that changes.
pub(super) struct Core {
    pub(super) nodes: u64,
    pub(super) clients: u64,
    pub(super) operators: u64,
    pub(super) services: Services,
    pub(super) processes: Vec<ProcessState>,
    pub(super) queue: Queue,
    pub(super) timers: Timers,
    pub(super) network: Network,
    /// Of each process, because clients may have files too.
    pub(super) machines: Vec<Machine>,
    pub(super) view: View,
    pub(super) tracer: Tracer,
    pub(super) statistics: WorldStatistics,
    /// What near-caches counted, by node: in the life that began with the start of this number.
    pub(super) near: BTreeMap<u64, (u64, NearCounts)>,
    /// The same of all lives before, together: a long run has many.
    pub(super) near_before: NearCounts,
    /// Tasks that programs spawned so far.
    pub(super) spawned: u64,
    /// The pump's node in madsim.
    pub(super) pump_home: Option<NodeId>,
}

impl Core {
    fn new(config: &WorldConfig, handle: &Handle, time: &TimeHandle, now: VirtualTime) -> Self {
        let streams = Streams::new(config.seed);
        let customers = config.clients + config.operators + config.services;
        let names: Vec<Process> =
            (1..=config.nodes).map(Process::Node).chain((1..=customers).map(Process::Client)).collect();
        let state = |name: &Process| {
            let label = process_name(*name);
            let mut clock_rng = streams.stream(&format!("clock/{label}"));
            let drift = i64::try_from(config.clocks.drift_ppm_max).unwrap_or(i64::MAX / 4);
            let ppm = below(&mut clock_rng, drift as u64 * 2 + 1) as i64 - drift;
            ProcessState {
                name: *name,
                life: Life::Down,
                incarnation: 0,
                clock: Clock::new(now, 0, ppm),
                clock_rng,
                entropy: streams.stream(&format!("entropy/{label}")),
                home: services::place(handle.create_node().name(label), config, *name).build(),
                program: None,
                uses: (0, 0),
            }
        };
        let machine = |name: &Process| {
            Machine::new(streams.stream(&format!("disk/{}", process_name(*name))), config.disk)
        };
        Self {
            nodes: config.nodes,
            clients: config.clients,
            operators: config.operators,
            services: Services::new(config),
            processes: names.iter().map(state).collect(),
            queue: Queue::new(time),
            timers: Timers::default(),
            machines: names.iter().map(machine).collect(),
            network: Network {
                inboxes: names.iter().map(|_| Inbox::default()).collect(),
                links: Links::new(streams, config.network, names),
            },
            view: View::new(config.nodes, config.spares),
            tracer: Tracer::new(config.keep_trace),
            statistics: WorldStatistics::default(),
            near: BTreeMap::new(),
            near_before: NearCounts::default(),
            spawned: 0,
            pump_home: None,
        }
    }

    /// The number of a process, if there is such a one.
    pub(super) fn index(&self, process: Process) -> Option<u32> {
        let index = match process {
            Process::Node(node) if (1..=self.nodes).contains(&node) => node - 1,
            Process::Client(client)
                if (1..=self.clients + self.operators + self.services.count).contains(&client) =>
            {
                self.nodes + client - 1
            }
            _ => return None,
        };
        u32::try_from(index).ok()
    }

    pub(super) fn name(&self, process: u32) -> Process {
        self.processes[process as usize].name
    }

    /// Whether this run of the process is the present one and goes on.
    pub(super) fn is_alive(&self, process: u32, incarnation: u32) -> bool {
        let state = &self.processes[process as usize];
        state.is_up() && state.incarnation == incarnation
    }
}

/// What all handles to one world share.
pub(super) struct Shared {
    core: Mutex<Core>,
    pub(super) observers: Mutex<Observers>,
    pub(super) handle: Handle,
    time: TimeHandle,
}

impl Shared {
    pub(super) fn new(config: &WorldConfig) -> Self {
        let handle = Handle::current();
        let time = TimeHandle::current();
        let now = VirtualTime(time.elapsed().as_nanos() as u64);
        let core = Core::new(config, &handle, &time, now);
        Self { core: Mutex::new(core), observers: Mutex::default(), handle, time }
    }

    /// A panic of a program is the end of the run, but the destructors that then run still need the state.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.time.elapsed().as_nanos() as u64
    }
}
