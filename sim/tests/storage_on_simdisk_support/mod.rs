//! A machine whose disk a suite can take away, and a ledger of what a log was asked and has acknowledged.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rand::{Rng, RngExt};
use stormglass_nodes::env::{Disk, DiskError, Env};
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{
    Entry, HardState, Payload, Recovered, Snapshot, SnapshotMeta, SnapshotWrite, StoreRequest, StoreToken,
};
use stormglass_nodes::storage::conformance::{DiskUnderTest, after};
use stormglass_sim::nemesis::{CrashEffect, Process};
use stormglass_sim::world::{SimDisk, SimFile, World};
use tokio::sync::watch;

/// A simulated machine for the suite, which runs outside of it. Its process does nothing but lend its disk.
pub(crate) struct Machine {
    world: World,
    process: Process,
    lent: Mutex<LentDisk>,
    /// What the power losses of all machines have cost.
    losses: Arc<Mutex<CrashEffect>>,
}

impl Machine {
    pub(crate) fn start(world: &World, process: Process, losses: &Arc<Mutex<CrashEffect>>) -> Self {
        let lent = Mutex::new(lend(world, process));
        Self { world: world.clone(), process, lent, losses: losses.clone() }
    }
}

/// Starts the process. Its disk is there once it runs.
fn lend(world: &World, process: Process) -> LentDisk {
    let (sender, disk) = watch::channel(None);
    world.set_program(process, move |env| {
        sender.send_replace(Some(env.disk().clone()));
        Box::pin(std::future::pending())
    });
    assert!(world.start(process), "it was down");
    LentDisk { disk }
}

impl DiskUnderTest for Machine {
    type Disk = LentDisk;

    fn disk(&self) -> LentDisk {
        self.lent.lock().unwrap().clone()
    }

    fn crash(&self) -> bool {
        let effect = self.world.crash_process(self.process, true);
        assert!(effect.killed, "the process runs");
        let mut losses = self.losses.lock().unwrap();
        losses.unsynced_bytes_lost += effect.unsynced_bytes_lost;
        losses.writes_torn += effect.writes_torn;
        *self.lent.lock().unwrap() = lend(&self.world, self.process);
        true
    }
}

/// The disk of one run of the process, as soon as it runs.
#[derive(Clone)]
pub(crate) struct LentDisk {
    disk: watch::Receiver<Option<SimDisk>>,
}

impl LentDisk {
    async fn now(&self) -> SimDisk {
        let mut receiver = self.disk.clone();
        let disk = receiver.wait_for(Option::is_some).await.expect("the process starts");
        disk.clone().expect("it was waited for")
    }
}

impl Disk for LentDisk {
    type File = SimFile;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        self.now().await.list().await
    }

    async fn open(&self, name: &str, create: bool) -> Result<SimFile, DiskError> {
        self.now().await.open(name, create).await
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.now().await.remove(name).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.now().await.rename(from, to).await
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        self.now().await.sync_names().await
    }
}

/// What a log must hold: all that was acknowledged, and of the request in flight all or nothing.
pub(crate) struct Ledger<R> {
    random: R,
    state: Recovered,
    in_flight: Option<StoreRequest>,
    requests: u64,
    /// Requests that were acknowledged.
    pub(crate) acknowledged_requests: u64,
    /// Requests in flight at a death that were found afterwards.
    pub(crate) survived: u64,
    /// Requests in flight at a death that were not.
    pub(crate) withdrawn: u64,
    /// Times that the log was recovered.
    pub(crate) recoveries: u64,
}

impl<R: Rng> Ledger<R> {
    pub(crate) fn new(random: R) -> Self {
        Self {
            random,
            state: Recovered::default(),
            in_flight: None,
            requests: 0,
            acknowledged_requests: 0,
            survived: 0,
            withdrawn: 0,
            recoveries: 0,
        }
    }

    /// A request is about to be stored.
    pub(crate) fn begins(&mut self, request: StoreRequest) {
        self.in_flight = Some(request);
    }

    /// It is durable.
    pub(crate) fn acknowledged(&mut self) {
        let request = self.in_flight.take().expect("a request was in flight");
        self.state = after(&self.state, &request);
        self.acknowledged_requests += 1;
    }

    /// This was found; from now on it is durable, whatever had been acknowledged of it.
    pub(crate) fn recovered(&mut self, found: Recovered) {
        self.recoveries += 1;
        match self.in_flight.take() {
            Some(request) if found == after(&self.state, &request) => {
                self.survived += 1;
                self.state = found;
            }
            in_flight => {
                let lengths = (self.state.entries.len(), found.entries.len());
                let states = (self.state.hard_state, found.hard_state);
                assert!(found == self.state, "acknowledged and found: {lengths:?} entries, {states:?}");
                self.withdrawn += u64::from(in_flight.is_some());
            }
        }
    }
}

/// A request such as a core may make: at least one of a vote, a truncation, a snapshot, entries of up to some
/// sectors.
pub(crate) fn random_request<R: Rng>(ledger: &mut Ledger<R>) -> StoreRequest {
    ledger.requests += 1;
    let (random, number) = (&mut ledger.random, ledger.requests);
    let covered_to = ledger.state.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.index.0);
    let (last, count) = (ledger.state.last_index().0, number % 5);
    let voted_for = Some(NodeId(random.random_range(1..4))).filter(|_| random.random_range(0..3) > 0);
    let hard_state = (count != 1).then_some(HardState { term: Term(number), voted_for });
    // As with a core, no entry is of a later term than the one stored.
    let term = hard_state.unwrap_or(ledger.state.hard_state).term;
    let mut request = StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(number)) };
    let kept = match random.random_range(0..25) {
        0 => {
            let index = (last + random.random_range(0..20)).saturating_sub(5).max(covered_to + 1);
            let snapshot = random_snapshot(random, index, term, ClusterTime(number * 1_000));
            request.snapshot = Some(Box::new(SnapshotWrite { snapshot, replaces_log: true }));
            index
        }
        1..6 => {
            let kept = last.saturating_sub(random.random_range(0..4)).max(covered_to);
            request.truncate_from = (kept < last).then_some(LogIndex(kept + 1));
            kept
        }
        _ => last,
    };
    let entry = |position: u64| Entry {
        index: LogIndex(kept + position),
        term,
        time: ClusterTime(number * 1_000),
        payload: match random.random_range(0..4) {
            0 => Payload::Noop,
            // Zeros look like free space, and must not be taken for it.
            1 => Payload::Command(Bytes::from(vec![0; random.random_range(0..600)])),
            _ => Payload::Command(Bytes::from(vec![number as u8; random.random_range(0..1_500)])),
        },
    };
    request.append = (1..=count).map(entry).collect();
    let state = after(&ledger.state, &request);
    if request.snapshot.is_none() && !state.entries.is_empty() && random.random_range(0..6) == 0 {
        let last = &state.entries[random.random_range(0..state.entries.len())];
        let snapshot = random_snapshot(random, last.index.0, last.term, last.time);
        request.snapshot = Some(Box::new(SnapshotWrite { snapshot, replaces_log: false }));
    }
    let snapshot = request.snapshot.as_ref().map(|write| &write.snapshot).or(state.snapshot.as_ref());
    if let Some(snapshot) = snapshot.filter(|_| random.random_range(0..5) == 0) {
        let back = random.random_range(0..10);
        request.compact_to = Some(LogIndex(snapshot.meta.index.0.saturating_sub(back)));
    }
    request
}

/// A snapshot up to some entry, of up to some sectors.
fn random_snapshot<R: Rng>(random: &mut R, index: u64, term: Term, time: ClusterTime) -> Snapshot {
    let membership = Membership::new(vec![NodeId(1), NodeId(2), NodeId(3)], vec![]);
    let meta = SnapshotMeta { index: LogIndex(index), term, time, membership, version: 1 };
    let (content, length) = (random.random_range(0..3), random.random_range(0..5_000));
    Snapshot { meta, data: Bytes::from(vec![content; length]) }
}
