//! The seam's simulated side: a world that hosts programs, and does to them what the real one may do.
//!
//! A [`World`] lives inside one madsim runtime and takes from it the executor, the virtual clock and the
//! lives of processes. Network, disks and clocks are its own. Everything that it does depends on the seed
//! alone: entropy comes from labelled streams (see [`crate::rng`]), time from the runtime's clock, and all
//! of it goes into one [`Trace`].
//!
//! | file | what |
//! |---|---|
//! | `kernel` | the queue of events and the pump |
//! | `timers` | sleeps |
//! | `net`, `links` | frames, inboxes; delays, losses, rules |
//! | `disk`, `medium` | operations that take time; what survives what |
//! | `redis` | a small Redis as a process, and streams to it |
//! | `services` | where services are, and their links to nodes |
//! | `clock` | local and true time |
//! | `lifecycle`, `surface` | start, crash, pause; the nemesis's levers |
//! | `view`, `trace`, `statistics` | what is known of a run |
//! | `runner` | a thread and a runtime for each run |
//!
//! Invariants:
//! * A run of a process that is over has no effect on anything, whoever still holds its [`SimEnv`].
//! * A task that panics ends the run with its message, its process and the time.
//! * No process can learn true time, nor another's clock.
//!
//! One world per runtime. Hold no [`World`] beyond the run: it is ended when the run is.

mod clock;
mod core;
mod disk;
mod env;
mod kernel;
mod lifecycle;
mod links;
mod medium;
mod net;
pub(crate) mod random;
pub mod redis;
mod runner;
mod services;
mod statistics;
mod surface;
mod timers;
mod trace;
mod view;

use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use stormglass_nodes::ids::LocalTime;

use self::core::Shared;
use self::timers::{Sleep, Sleeper};
use self::view::{Observers, digest_event};
use crate::history::{NodeEvent, VirtualTime};
use crate::nemesis::{CrashEffect, Process};
use crate::plan::{ClockProfile, DiskProfile, NetworkProfile};

pub use self::clock::{DRIFT_PPM_MAX, DRIFT_PPM_MIN};
pub use self::disk::{DISK_OPERATIONS_MAX, SimDisk, SimFile};
pub use self::env::SimEnv;
pub use self::links::{LINK_BYTES_MAX, LINK_FRAMES_MAX};
pub use self::medium::{DISK_BYTES_MAX, SECTOR_BYTES, UNSYNCED_CHANGES_MAX};
pub use self::net::{INBOX_BYTES_MAX, INBOX_FRAMES_MAX, SimNet};
pub use self::redis::SimStream;
pub use self::runner::run_in_fresh_thread;
pub use self::statistics::{FramesDropped, NearCounts, WorldStatistics};
pub use self::trace::{TRACE_RECORDS_MAX, Trace, TraceHash, TraceKind, TraceRecord, process_name};
pub use self::view::Observer;

/// What a world is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorldConfig {
    /// The root of all entropy of the world.
    pub seed: u64,
    /// Number of nodes, spares included; they are 1 to this.
    pub nodes: u64,
    /// So many nodes, the last ones, belong to no cluster at first.
    pub spares: u64,
    /// Number of clients; they are 1 to this.
    pub clients: u64,
    /// Further client processes, numbered after the others, at which no fault aims.
    pub operators: u64,
    /// Further processes, numbered after those, that take streams: see [`World::service`].
    pub services: u64,
    /// The network, when nothing is wrong.
    pub network: NetworkProfile,
    /// The disks, when nothing is wrong.
    pub disk: DiskProfile,
    /// The clocks, when nothing is wrong.
    pub clocks: ClockProfile,
    /// Whether to keep the trace's records (see [`TRACE_RECORDS_MAX`]) and not only their hash.
    pub keep_trace: bool,
}

/// A handle to a world. Cheap to clone. The nemesis's levers are its [`crate::nemesis::Surface`].
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

impl World {
    /// A world in which nothing runs yet.
    ///
    /// # Panics
    ///
    /// Outside [`run_in_fresh_thread`].
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let shared = Arc::new(Shared::new(&config));
        let home = shared.handle.create_node().name("world").build();
        home.spawn(kernel::pump(shared.clone()));
        shared.lock().pump_home = Some(home.id());
        runner::register(&shared);
        Self { shared }
    }

    /// Says what a process is to run, at its next start and every later one.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn set_program(
        &self,
        process: Process,
        program: impl Fn(SimEnv) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        let mut core = self.shared.lock();
        let index = core.expect_index(process);
        let before = core.processes[index as usize].program.replace(Arc::new(program));
        drop(core);
        drop(before);
    }

    /// Starts a process. False if it was up. When its program comes to an end, so does the process.
    ///
    /// # Panics
    ///
    /// If there is no such process, or no program was set for it.
    pub fn start(&self, process: Process) -> bool {
        self.shared.start(process)
    }

    /// Kills any process, as [`crate::nemesis::Surface::crash`] does a node.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn crash_process(&self, process: Process, power_loss: bool) -> CrashEffect {
        self.shared.crash(process, power_loss)
    }

    /// True time.
    #[must_use]
    pub fn now(&self) -> VirtualTime {
        VirtualTime(self.shared.now_ns())
    }

    /// Returns once [`World::now`] has reached `deadline`. For supervisors and nemeses, not for programs.
    pub async fn sleep_until(&self, deadline: VirtualTime) {
        Sleep::new(self.shared.clone(), Sleeper::Supervisor, deadline.0).await;
    }

    /// What a process's clock shows now.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    #[must_use]
    pub fn local_time(&self, process: Process) -> LocalTime {
        let now = self.now();
        let core = self.shared.lock();
        core.processes[core.expect_index(process) as usize].clock.local(now)
    }

    /// The earliest true time at which a process's clock showed, or at its present rate will show,
    /// `local`. It holds for the present run of the process, or for the last one if it is down.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    #[must_use]
    pub fn true_time_of(&self, process: Process, local: LocalTime) -> VirtualTime {
        let core = self.shared.lock();
        core.processes[core.expect_index(process) as usize].clock.true_time(local)
    }

    /// Reports what a node does, at the moment that it does it: into the trace, the roles and counters,
    /// and then to the observer.
    pub fn record_event(&self, node: u64, event: NodeEvent) {
        self.shared.record_event(node, event);
    }

    /// Lets `observer` hear of every event of every node, from now on, in order. It may use the world; what
    /// it causes by that is reported to it afterwards. It replaces the one before.
    pub fn set_observer(&self, observer: Observer) {
        let before = self.shared.observers().observer.replace(observer);
        drop(before);
    }

    /// The counters now.
    #[must_use]
    pub fn statistics(&self) -> WorldStatistics {
        let core = self.shared.lock();
        let near = core.near.values().fold(core.near_before, |all, (_, one)| all.plus(*one));
        WorldStatistics { near, ..core.statistics }
    }

    /// What the near-cache of node `node` has counted in the life that began with the start of this number. Has no
    /// effect on anything, so it is no part of the trace.
    pub fn note_near(&self, node: u64, start: u64, counts: NearCounts) {
        let mut core = self.shared.lock();
        if let Some((before, last)) = core.near.insert(node, (start, counts))
            && before != start
        {
            core.near_before = core.near_before.plus(last);
        }
    }

    /// The trace so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.shared.lock().tracer.snapshot()
    }

    /// The hash of the trace so far.
    #[must_use]
    pub fn trace_hash(&self) -> TraceHash {
        self.shared.lock().tracer.hash()
    }
}

impl Shared {
    fn observers(&self) -> MutexGuard<'_, Observers> {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_event(&self, node: u64, event: NodeEvent) {
        let now = self.now_ns();
        {
            let mut core = self.lock();
            core.statistics.node_events += 1;
            core.statistics.entries_applied += u64::from(matches!(event, NodeEvent::Applied { .. }));
            core.tracer.record_of(now, TraceKind::Node, Process::Node(node), digest_event(&event));
            core.view.note(node, &event);
        }
        let mut observers = self.observers();
        if observers.busy {
            observers.waiting.push_back((VirtualTime(now), node, event));
            return;
        }
        let Some(mut observer) = observers.observer.take() else { return };
        observers.busy = true;
        drop(observers);
        observer(VirtualTime(now), node, &event);
        loop {
            let mut observers = self.observers();
            let Some((at, node, event)) = observers.waiting.pop_front() else {
                observers.busy = false;
                observers.observer.get_or_insert(observer);
                return;
            };
            drop(observers);
            observer(at, node, &event);
        }
    }
}

#[cfg(test)]
mod bounds_tests;
