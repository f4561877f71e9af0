//! The log under power loss at every moment, on a hostile disk in memory.

#[path = "storage_support/mod.rs"]
mod support;

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, Term};
use stormglass_nodes::marks;
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{
    Entry, HardState, Payload, Recovered, Snapshot, SnapshotMeta, SnapshotWrite, StoreRequest, StoreToken,
};
use stormglass_nodes::storage::conformance::{DiskUnderTest, after, run_suite};
use stormglass_nodes::storage::{Identity, LogStore, StorageError, Wal, WalConfig};
use support::MemoryDisk;

const IDENTITY: Identity = Identity { cluster: 1, node: NodeId(2) };

impl DiskUnderTest for MemoryDisk {
    type Disk = Self;

    fn disk(&self) -> Self {
        self.clone()
    }

    fn crash(&self) -> bool {
        self.lose_power();
        true
    }
}

/// The disk in memory never waits, so that its futures need no runtime.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the disk in memory never waits")
}

#[tokio::test]
async fn the_log_conforms_on_a_hostile_disk() {
    for seed in 0..8 {
        let report = run_suite(|| MemoryDisk::new(seed)).await.unwrap();
        assert_eq!(report.skipped, Vec::<&str>::new());
        assert_eq!(report.passed.len(), 44);
    }
    for mark in [
        "torn_tail_cut",
        "damage_before_the_end",
        "unused_segment_removed",
        "segment_rolled",
        "segment_removed",
        "returned_segment_removed",
        "snapshot_superseded",
        "nameless_snapshot_removed",
        "interrupted_file_removed",
    ] {
        assert!(marks::count(&format!("wal.{mark}")) > 0, "the suite never reached {mark}");
    }
}

/// What a request does, before it is known where the log ends.
#[derive(Clone, Debug)]
struct Step {
    vote: Option<u64>,
    truncate: u64,
    snapshot: Option<SnapshotStep>,
    payloads: Vec<Vec<u8>>,
    /// How far before the end of the snapshot the entries end that may be forgotten.
    forget: Option<u64>,
    /// The power fails at this operation of the request, if it has so many.
    fuse: Option<u64>,
    /// And at these operations of the recoveries that follow.
    recovery_fuses: Vec<u64>,
}

/// A snapshot, by its distance from the end of the log.
#[derive(Clone, Debug)]
enum SnapshotStep {
    Keep { back: u64, data: Vec<u8> },
    Replace { ahead: u64, data: Vec<u8> },
}

fn snapshots() -> impl Strategy<Value = SnapshotStep> {
    let data = || prop::collection::vec(any::<u8>(), 0..120);
    prop_oneof![
        (0..6_u64, data()).prop_map(|(back, data)| SnapshotStep::Keep { back, data }),
        (0..9_u64, data()).prop_map(|(ahead, data)| SnapshotStep::Replace { ahead, data }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        (0..200_usize).prop_map(|length| vec![0; length]),
    ];
    let step = (
        prop::option::of(0..5_u64),
        prop_oneof![3 => Just(0), 1 => 0..6_u64],
        prop_oneof![3 => Just(None), 1 => snapshots().prop_map(Some)],
        prop::collection::vec(payload, 0..5),
        prop_oneof![2 => Just(None), 1 => (0..5_u64).prop_map(Some)],
        prop_oneof![2 => Just(None), 1 => (0..30_u64).prop_map(Some)],
        prop::collection::vec(0..40_u64, 0..3),
    )
        .prop_map(|(vote, truncate, snapshot, payloads, forget, fuse, recovery_fuses)| Step {
            vote,
            truncate,
            snapshot,
            payloads,
            forget,
            fuse,
            recovery_fuses,
        });
    prop::collection::vec(step, 1..40)
}

fn request_of(step: &Step, number: u64, state: &Recovered) -> StoreRequest {
    let hard_state =
        step.vote.map(|vote| HardState { term: Term(number), voted_for: (vote > 0).then_some(NodeId(vote)) });
    // As with a core, no entry is of a later term than the one stored.
    let term = hard_state.unwrap_or(state.hard_state).term;
    let covered_to = state.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.index.0);
    let last = state.last_index().0;
    let replaces = match &step.snapshot {
        Some(SnapshotStep::Replace { ahead, .. }) => {
            Some((last + ahead).saturating_sub(3).max(covered_to + 1))
        }
        _ => None,
    };
    let kept = replaces.unwrap_or_else(|| last.saturating_sub(step.truncate).max(covered_to));
    let entry = |(position, payload): (usize, &Vec<u8>)| Entry {
        index: LogIndex(kept + 1 + position as u64),
        term,
        time: ClusterTime(term.0 * 1000),
        payload: Payload::Command(Bytes::copy_from_slice(payload)),
    };
    let mut request = StoreRequest {
        hard_state,
        truncate_from: (replaces.is_none() && kept < last).then_some(LogIndex(kept + 1)),
        append: step.payloads.iter().enumerate().map(entry).collect(),
        ..StoreRequest::empty(StoreToken(number))
    };
    request.snapshot = match &step.snapshot {
        Some(SnapshotStep::Replace { data, .. }) => {
            Some(Box::new(SnapshotWrite { snapshot: snapshot_of(kept, term, data), replaces_log: true }))
        }
        Some(SnapshotStep::Keep { back, data }) => keep(&after(state, &request), *back, data),
        None => None,
    };
    if let (Some(back), Some(snapshot)) = (step.forget, after(state, &request).snapshot) {
        request.compact_to = Some(LogIndex(snapshot.meta.index.0.saturating_sub(back)));
    }
    request
}

/// A snapshot of a log that holds this.
fn keep(state: &Recovered, back: u64, data: &[u8]) -> Option<Box<SnapshotWrite>> {
    let position = (state.entries.len() as u64).checked_sub(back + 1)?;
    let last = &state.entries[position as usize];
    Some(Box::new(SnapshotWrite {
        snapshot: snapshot_of(last.index.0, last.term, data),
        replaces_log: false,
    }))
}

fn snapshot_of(index: u64, term: Term, data: &[u8]) -> Snapshot {
    let membership = Membership::new(vec![NodeId(1), NodeId(2)], vec![]);
    let time = ClusterTime(term.0 * 1000);
    let meta = SnapshotMeta { index: LogIndex(index), term, time, membership, version: 1 };
    Snapshot { meta, data: Bytes::copy_from_slice(data) }
}

/// Opens the log although the power fails during some of the attempts.
fn reopen(disk: &MemoryDisk, config: WalConfig, fuses: &[u64]) -> (Wal<MemoryDisk>, Recovered) {
    for &fuse in fuses {
        disk.set_fuse(Some(fuse));
        let attempt = now(Wal::open(disk.clone(), IDENTITY, config));
        if let Err(error) = &attempt {
            assert!(matches!(error, StorageError::Failed { .. }), "a crash was taken for damage: {error}");
        }
        drop(attempt);
        disk.lose_power();
    }
    now(Wal::open(disk.clone(), IDENTITY, config)).expect("no crash makes the log unreadable")
}

/// Runs the steps. The process dies at each fuse, and the machine with it if `power_fails`; with
/// `birth_fuse` it dies once more, alone, while the log is begun.
fn run(seed: u64, config: WalConfig, steps: &[Step], power_fails: bool, birth_fuse: Option<u64>) {
    let disk = MemoryDisk::new(seed);
    disk.set_fuse(birth_fuse);
    drop(now(Wal::open(disk.clone(), IDENTITY, config)));
    disk.set_fuse(None);
    let (mut wal, mut state) = reopen(&disk, config, &[]);
    for (position, step) in steps.iter().enumerate() {
        let request = request_of(step, position as u64 + 1, &state);
        disk.set_fuse(step.fuse);
        let result = now(wal.store(&request));
        disk.set_fuse(None);
        let with = after(&state, &request);
        if result.is_ok() && step.fuse.is_none() {
            state = with;
            continue;
        }
        drop(wal);
        if power_fails {
            disk.lose_power();
        }
        let recovered;
        (wal, recovered) = reopen(&disk, config, &step.recovery_fuses);
        if result.is_ok() {
            assert_eq!(recovered, with, "step {position}: an acknowledged request is gone");
        } else {
            let allowed = recovered == state || recovered == with;
            assert!(allowed, "step {position}: neither with nor without the last request: {recovered:?}");
        }
        // What was handed back once is durable from then on.
        drop(wal);
        disk.lose_power();
        let again;
        (wal, again) = reopen(&disk, config, &[]);
        assert_eq!(again, recovered, "step {position}: recovered once, and lost");
        state = recovered;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn power_loss_at_any_operation_keeps_all_that_was_acknowledged(
        seed: u64,
        steps in steps(),
        segment_bytes in 80..1500_u64,
        preallocate_bytes in prop_oneof![Just(0), 1..700_u64],
    ) {
        run(seed, WalConfig { segment_bytes, preallocate_bytes }, &steps, true, None);
    }

    #[test]
    fn death_of_the_process_then_power_loss_takes_back_nothing_that_was_recovered(
        seed: u64,
        steps in steps(),
        segment_bytes in 80..1500_u64,
        birth_fuse in 0..12_u64,
    ) {
        run(seed, WalConfig { segment_bytes, preallocate_bytes: 64 }, &steps, false, Some(birth_fuse));
    }

    #[test]
    fn no_bytes_in_any_file_make_opening_panic(
        seed: u64,
        steps in steps(),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let config = WalConfig { segment_bytes: 600, preallocate_bytes: 128 };
        let disk = MemoryDisk::new(seed);
        let (mut wal, mut state) = reopen(&disk, config, &[]);
        for (position, step) in steps.iter().enumerate() {
            let request = request_of(step, position as u64 + 1, &state);
            now(wal.store(&request)).unwrap();
            state = after(&state, &request);
        }
        drop(wal);
        spoil(&disk, &noise);
        let _ = now(Wal::open(disk.clone(), IDENTITY, config));
    }
}

fn spoil(disk: &MemoryDisk, noise: &[(prop::sample::Index, u8)]) {
    use stormglass_nodes::env::{Disk, File};
    let names = now(disk.list()).unwrap();
    for (place, value) in noise {
        let file = now(disk.open(&names[place.index(names.len())], false)).unwrap();
        let length = now(file.len()).unwrap() as usize;
        now(file.write_at(place.index(length) as u64, Bytes::from(vec![*value]))).unwrap();
    }
}

#[test]
fn a_batch_costs_one_write_and_one_sync() {
    let disk = MemoryDisk::new(1);
    let (mut wal, state) = reopen(&disk, WalConfig::default(), &[]);
    let step = Step {
        vote: Some(1),
        truncate: 0,
        snapshot: None,
        payloads: vec![vec![7; 90]; 50],
        forget: None,
        fuse: None,
        recovery_fuses: vec![],
    };
    let before = disk.operations();
    now(wal.store(&request_of(&step, 1, &state))).unwrap();
    assert_eq!(disk.operations() - before, 2);
}
