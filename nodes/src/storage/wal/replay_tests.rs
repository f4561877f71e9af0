//! Logs that no store would write: every record is intact, and together they make no sense.

use super::record::BatchDraft;
use super::replay::Replay;
use super::segment::{SegmentHeader, segment_name};
use super::snapshot::SnapshotReference;
use super::state::Checkpoint;
use crate::ids::{ClusterTime, LogIndex, NodeId, Term};
use crate::raft::{
    Entry, HardState, Payload, Snapshot, SnapshotMeta, SnapshotWrite, StoreRequest, StoreToken,
};
use crate::storage::{Identity, StorageError};

/// A request that neither the store nor the core has looked at, and the first segment that it decrees.
type Step = (StoreRequest, Option<u64>);

fn vote(term: u64) -> StoreRequest {
    let hard_state = Some(HardState { term: Term(term), voted_for: None });
    StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(0)) }
}

/// Entries by index, term and stamp.
fn entries(of: &[(u64, u64, u64)]) -> StoreRequest {
    let entry = |&(index, term, time): &(u64, u64, u64)| Entry {
        index: LogIndex(index),
        term: Term(term),
        time: ClusterTime(time),
        payload: Payload::Noop,
    };
    StoreRequest { append: of.iter().map(entry).collect(), ..StoreRequest::empty(StoreToken(0)) }
}

fn truncation(from: u64) -> StoreRequest {
    StoreRequest { truncate_from: Some(LogIndex(from)), ..StoreRequest::empty(StoreToken(0)) }
}

fn snapshot(index: u64, term: u64, replaces_log: bool) -> StoreRequest {
    let (index, term, time) = (LogIndex(index), Term(term), ClusterTime(index));
    let meta = SnapshotMeta { index, term, time, ..SnapshotMeta::default() };
    let snapshot =
        Some(Box::new(SnapshotWrite { snapshot: Snapshot { meta, ..Snapshot::default() }, replaces_log }));
    StoreRequest { snapshot, ..StoreRequest::empty(StoreToken(0)) }
}

fn header(segment: u64, checkpoint: Checkpoint) -> SegmentHeader {
    let identity = Identity { cluster: 1, node: NodeId(1) };
    SegmentHeader { segment, checkpoint, ..SegmentHeader::first(identity) }
}

/// Reads a segment that begins like this and holds these requests. Returns the indexes of its entries.
fn read_after(header: SegmentHeader, steps: &[Step]) -> Result<Vec<u64>, StorageError> {
    let mut bytes = header.encode().to_vec();
    let mut chain = header.start_chain;
    for (batch, (request, first_segment)) in (header.first_batch..).zip(steps) {
        let reference = request.snapshot.as_ref().map(|write| SnapshotReference {
            index: write.snapshot.meta.index,
            term: write.snapshot.meta.term,
            time: write.snapshot.meta.time,
            batch,
            file_bytes: 0,
            checksum: 0,
        });
        let draft =
            BatchDraft::of(request, reference, *first_segment)?.expect("each step asks for something");
        let (batch_bytes, next) = draft.finish(header.seed(), chain, batch, false);
        bytes.extend(batch_bytes);
        chain = next;
    }
    let mut replay = Replay::begin(&header);
    let end = replay.read_segment(&segment_name(header.segment), header.seed(), &bytes)?;
    assert_eq!(end, Some(bytes.len() as u64), "all of it was read");
    let (_, after) = replay.finish()?;
    Ok(after.iter().map(|entry| entry.index.0).collect())
}

fn read(requests: &[StoreRequest]) -> Result<Vec<u64>, StorageError> {
    let steps: Vec<Step> = requests.iter().map(|request| (request.clone(), None)).collect();
    read_after(header(1, Checkpoint::BEGINNING), &steps)
}

fn expect_damaged(result: Result<Vec<u64>, StorageError>, because: &str) {
    match result {
        Err(StorageError::Damaged { reason, .. }) if reason.contains(because) => {}
        other => panic!("expected damage because of {because:?}, found {other:?}"),
    }
}

#[test]
fn a_log_that_makes_sense_is_read() {
    let log = [vote(3), entries(&[(1, 1, 5), (2, 3, 5)]), truncation(2), entries(&[(2, 2, 9), (3, 3, 9)])];
    assert_eq!(read(&log).unwrap(), [1, 2, 3]);
}

#[test]
fn terms_that_go_back_along_the_log_are_damage() {
    expect_damaged(read(&[vote(3), entries(&[(1, 2, 5), (2, 1, 5)])]), "follows one of t2");
    expect_damaged(read(&[vote(3), entries(&[(1, 2, 5)]), entries(&[(2, 1, 5)])]), "follows one of t2");
    let log = [vote(3), entries(&[(1, 2, 5), (2, 2, 5)]), truncation(2), entries(&[(2, 1, 5)])];
    expect_damaged(read(&log), "follows one of t2");
}

#[test]
fn stamps_that_go_back_along_the_log_are_damage() {
    expect_damaged(read(&[vote(3), entries(&[(1, 2, 5), (2, 2, 4)])]), "follows one of t2, 5");
    expect_damaged(read(&[vote(3), snapshot(9, 2, true), entries(&[(10, 2, 8)])]), "follows one of t2, 9");
}

#[test]
fn a_stored_term_that_goes_back_is_damage() {
    expect_damaged(read(&[vote(3), vote(2)]), "the term goes back");
}

#[test]
fn an_entry_of_a_term_that_the_node_has_not_seen_is_damage() {
    expect_damaged(read(&[vote(3), entries(&[(1, 4, 5)])]), "the node has only seen t3");
    expect_damaged(read(&[vote(3), snapshot(9, 4, true)]), "the node has only seen t3");
}

#[test]
fn a_gap_or_a_repetition_in_the_log_is_damage() {
    expect_damaged(read(&[vote(1), entries(&[(2, 1, 5)])]), "does not follow the end of the log");
    expect_damaged(read(&[vote(1), entries(&[(1, 1, 5), (1, 1, 5)])]), "does not follow");
    expect_damaged(read(&[vote(1), snapshot(9, 1, true), entries(&[(9, 1, 9)])]), "does not follow");
}

#[test]
fn a_snapshot_that_does_not_fit_the_log_is_damage() {
    let log = [vote(2), entries(&[(1, 1, 1), (2, 1, 2), (3, 2, 3)])];
    let with = |request: StoreRequest| read(&[log[0].clone(), log[1].clone(), request]);
    assert_eq!(with(snapshot(2, 1, false)).unwrap(), [3]);
    assert_eq!(with(snapshot(2, 2, true)).unwrap(), [] as [u64; 0]);
    expect_damaged(with(snapshot(4, 2, false)), "before its snapshot");
    expect_damaged(with(snapshot(2, 2, false)), "contradict each other");
    expect_damaged(with(snapshot(0, 0, false)), "a snapshot up to 0");
    let before = [vote(2), snapshot(9, 1, true), snapshot(8, 1, true)];
    expect_damaged(read(&before), "a snapshot up to 8 follows one up to 9");
}

#[test]
fn a_truncation_of_what_a_snapshot_covers_is_damage() {
    let log = [vote(1), snapshot(9, 1, true), entries(&[(10, 1, 10)]), truncation(9)];
    expect_damaged(read(&log), "reaches into what ends at 9");
    let log = [vote(1), entries(&[(1, 1, 1), (2, 1, 2)]), snapshot(2, 1, false), truncation(1)];
    expect_damaged(read(&log), "reaches into what ends at 2");
}

#[test]
fn segments_that_hold_what_no_snapshot_covers_cannot_be_given_up() {
    let gives_up = |segment| (vote(2), Some(segment));
    let first = header(1, Checkpoint::BEGINNING);
    expect_damaged(read_after(first, &[gives_up(2)]), "says that the log begins with segment 2");
    expect_damaged(read_after(first, &[gives_up(1)]), "says that the log begins with segment 1");
}

/// A log whose first segments are gone, and of which segment 5 is the first that is there.
#[test]
fn a_log_without_its_beginning_is_read_only_if_a_snapshot_covers_what_is_gone() {
    let checkpoint = Checkpoint {
        hard_state: HardState { term: Term(3), voted_for: Some(NodeId(2)) },
        snapshot: None,
        last_index: LogIndex(8),
        first_segment: 2,
    };
    let read = |steps: &[Step]| read_after(header(5, checkpoint), steps);
    let covered = (snapshot(8, 3, false), Some(5));
    assert_eq!(read(&[(entries(&[(9, 3, 9)]), None), covered.clone()]).unwrap(), [9]);
    expect_damaged(read(&[(entries(&[(9, 3, 9)]), None)]), "is missing, and was not given up");
    expect_damaged(read(&[(snapshot(8, 3, false), Some(4))]), "is missing, and was not given up");
    expect_damaged(read(&[(snapshot(7, 3, false), Some(5))]), "no snapshot covers the entries up to 8");
    expect_damaged(read(&[covered, (entries(&[(9, 2, 9)]), None)]), "contradict each other");
    // What is gone may have been cut, too.
    let cut = [(truncation(6), None), (entries(&[(6, 3, 9)]), None), (snapshot(5, 2, false), Some(5))];
    assert_eq!(read(&cut).unwrap(), [6]);
}
