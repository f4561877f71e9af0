//! What is learnt of a run while it goes on, from the nodes' events and from what clients do.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::gaps::Reigns;
use super::terms::strayed_ppm_max;
use crate::check::coherence::Coherence;
use crate::check::invariants::InvariantSet;
use crate::check::{Drift, OnlineChecks};
use crate::history::{Listener, NodeEvent, NodeRole, Operation, VirtualTime};
use crate::plan::Schedule;
use crate::workload::Record;

/// What outlives a run that breaks.
#[derive(Clone)]
pub(super) struct Witnesses {
    pub(super) record: Record,
    watch: Arc<Mutex<Watch>>,
    online: Arc<Mutex<OnlineChecks>>,
    pub(super) violated: Arc<Notify>,
    /// Clients that have done their work.
    pub(super) finished: Arc<AtomicU64>,
}

/// What is learnt from the nodes' events as they happen.
pub(super) struct Watch {
    pub(super) invariants: InvariantSet,
    pub(super) coherence: Coherence,
    /// Whether the rules of near-caches are judged.
    judges_lines: bool,
    pub(super) elections: Vec<VirtualTime>,
    pub(super) campaigns: u64,
    pub(super) reigns: Reigns,
    pub(super) latest: VirtualTime,
}

impl Witnesses {
    /// Witnesses of a run of this schedule. The rules of near-caches are judged only where they hold, which they do
    /// not where clocks stray further than nodes trust, and where it is known when things happened. A run that is
    /// expected to show a violation of what clients were answered goes on after it.
    pub(super) fn new(schedule: &Schedule, judges_lines: bool) -> Self {
        let watch = Watch {
            invariants: InvariantSet::new(1..=schedule.cluster.nodes),
            coherence: Coherence::new(Drift { fast_ppm_max: strayed_ppm_max(schedule) }),
            judges_lines,
            elections: Vec::new(),
            campaigns: 0,
            reigns: Reigns::default(),
            latest: VirtualTime::default(),
        };
        Self::of(schedule, Arc::new(Mutex::new(watch)), Arc::default())
    }

    /// Witnesses who learn of the nodes from `watch`, and of the clients by themselves.
    fn of(schedule: &Schedule, watch: Arc<Mutex<Watch>>, violated: Arc<Notify>) -> Self {
        let (record, online) = (Record::default(), Arc::default());
        if schedule.expect.is_none() {
            let (online, violated) = (Arc::clone(&online), Arc::clone(&violated));
            record.tell(Box::new(Following { online, violated }));
        }
        Self { record, watch, online, violated, finished: Arc::default() }
    }

    /// Witnesses of the next round of a long run, of the same nodes: what clients do is recorded anew, and what is
    /// settled is forgotten.
    pub(super) fn next_round(&self, schedule: &Schedule, judges_lines: bool) -> Self {
        let mut watch = self.watch();
        watch.invariants.forget_settled();
        watch.coherence.begin_round(Drift { fast_ppm_max: strayed_ppm_max(schedule) });
        watch.judges_lines = judges_lines;
        watch.elections.clear();
        watch.campaigns = 0;
        watch.reigns.forget_past();
        drop(watch);
        Self::of(schedule, Arc::clone(&self.watch), Arc::clone(&self.violated))
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn online(&self) -> MutexGuard<'_, OnlineChecks> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a node did; tells of it if an invariant is violated.
    pub(super) fn observe(&self, at: VirtualTime, node: u64, event: &NodeEvent) {
        let mut watch = self.watch();
        watch.latest = at;
        watch.reigns.note(at, node, event);
        match event {
            NodeEvent::RoleChanged { role: NodeRole::Leader, .. } => watch.elections.push(at),
            NodeEvent::RoleChanged { role: NodeRole::Candidate, .. } => watch.campaigns += 1,
            _ => {}
        }
        let invariants = watch.invariants.observe(at, node, event);
        let coherence = if watch.judges_lines { watch.coherence.observe(at, node, event) } else { Ok(()) };
        if invariants.and(coherence).is_err() {
            self.violated.notify_one();
        }
    }
}

/// Has what clients do judged as they do it; tells of it if a violation is certain.
struct Following {
    online: Arc<Mutex<OnlineChecks>>,
    violated: Arc<Notify>,
}

impl Following {
    fn follow(&self, step: impl FnOnce(&mut OnlineChecks) -> bool) {
        if step(&mut self.online.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.violated.notify_one();
        }
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

impl Listener for Following {
    fn invoked(&mut self, operation: &Operation) {
        self.follow(|online| online.invoked(operation));
    }

    fn completed(&mut self, operation: &Operation) {
        self.follow(|online| online.completed(operation));
    }
}
