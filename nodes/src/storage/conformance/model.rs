//! What a log should hold: the obvious program, and requests to feed both with.

use bytes::Bytes;

use crate::ids::{ClusterTime, LogIndex, NodeId, Term};
use crate::raft::membership::Membership;
use crate::raft::{
    Entry, HardState, Payload, Recovered, Snapshot, SnapshotMeta, SnapshotWrite, StoreRequest, StoreToken,
};
use crate::storage::Identity;

/// Whose log the suite writes.
pub(super) const IDENTITY: Identity = Identity { cluster: 7, node: NodeId(3) };

/// What a log that held `state` holds after one more request, as the contract has it.
#[must_use]
pub fn after(state: &Recovered, request: &StoreRequest) -> Recovered {
    let mut state = state.clone();
    state.hard_state = request.hard_state.unwrap_or(state.hard_state);
    if let Some(write) = &request.snapshot {
        if write.replaces_log {
            state.entries.clear();
        }
        state.snapshot = Some(write.snapshot.clone());
    }
    if let Some(from) = request.truncate_from {
        state.entries.retain(|entry| entry.index < from);
    }
    state.entries.extend(request.append.iter().cloned());
    let covered_to = state.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
    state.entries.retain(|entry| entry.index > covered_to);
    state
}

/// The state after these requests.
pub(super) fn state_after(requests: &[StoreRequest]) -> Recovered {
    requests.iter().fold(Recovered::default(), |state, request| after(&state, request))
}

/// Entries `from..from + count` of a term, with payloads of differing lengths.
pub(super) fn entries(from: u64, count: u64, term: u64) -> Vec<Entry> {
    let entry = |index: u64| Entry {
        index: LogIndex(index),
        term: Term(term),
        time: ClusterTime(index * 1_000),
        payload: if index.is_multiple_of(5) {
            Payload::Noop
        } else {
            Payload::Command(Bytes::from(vec![index as u8; (index % 23) as usize]))
        },
    };
    (from..from + count).map(entry).collect()
}

/// A request that does all that a request can.
pub(super) fn request(
    term: u64,
    vote: Option<u64>,
    truncate: Option<u64>,
    append: Vec<Entry>,
) -> StoreRequest {
    StoreRequest {
        hard_state: Some(HardState { term: Term(term), voted_for: vote.map(NodeId) }),
        truncate_from: truncate.map(LogIndex),
        append: append.into(),
        ..StoreRequest::empty(StoreToken(term))
    }
}

/// A request that appends only.
pub(super) fn append(append: Vec<Entry>) -> StoreRequest {
    StoreRequest { append: append.into(), ..StoreRequest::empty(StoreToken(0)) }
}

/// A few requests with every kind of record, in batches of one record and of several.
pub(super) fn short_script() -> Vec<StoreRequest> {
    vec![
        request(1, Some(3), None, vec![]),
        append(entries(1, 3, 1)),
        request(2, None, Some(3), entries(3, 2, 2)),
        request(2, Some(1), Some(4), entries(4, 3, 2)),
    ]
}

/// Enough requests to fill several small segments, truncations among them.
pub(super) fn long_script() -> Vec<StoreRequest> {
    let mut script = vec![request(1, Some(1), None, vec![])];
    let (mut next, mut term) = (1, 1);
    for round in 1..=40_u64 {
        if round % 7 == 0 {
            (next, term) = (next - 3, round);
            script.push(request(term, None, Some(next), entries(next, 2, term)));
            next += 2;
        } else {
            script.push(append(entries(next, round % 4 + 1, term)));
            next += round % 4 + 1;
        }
    }
    script
}

/// A snapshot of everything up to an entry that [`entries`] made in this term.
pub(super) fn snapshot(index: u64, term: u64, data_bytes: usize) -> Snapshot {
    let meta = SnapshotMeta {
        index: LogIndex(index),
        term: Term(term),
        time: ClusterTime(index * 1_000),
        membership: Membership::new(vec![NodeId(1), NodeId(2), NodeId(3)], vec![NodeId(4)]),
        version: 1,
    };
    let data = (0..data_bytes).map(|position| (position as u64 * 31 + index) as u8).collect::<Vec<u8>>();
    Snapshot { meta, data: Bytes::from(data) }
}

/// A request that keeps a snapshot of the log as it is.
pub(super) fn keep(snapshot: Snapshot) -> StoreRequest {
    let snapshot = Some(Box::new(SnapshotWrite { snapshot, replaces_log: false }));
    StoreRequest { snapshot, ..StoreRequest::empty(StoreToken(0)) }
}

/// A request that puts a snapshot in the place of the log, in a term of its own.
pub(super) fn replace(term: u64, snapshot: Snapshot, append: Vec<Entry>) -> StoreRequest {
    let snapshot = Some(Box::new(SnapshotWrite { snapshot, replaces_log: true }));
    StoreRequest { snapshot, ..request(term, None, None, append) }
}

/// A request that lets entries be forgotten.
pub(super) fn forget(to: u64) -> StoreRequest {
    StoreRequest { compact_to: Some(LogIndex(to)), ..StoreRequest::empty(StoreToken(0)) }
}

/// A few requests with snapshots of both kinds, alone and together with everything else.
pub(super) fn snapshot_script() -> Vec<StoreRequest> {
    vec![
        request(1, Some(3), None, entries(1, 6, 1)),
        keep(snapshot(4, 1, 50)),
        request(2, None, Some(6), entries(6, 3, 2)),
        forget(3),
        StoreRequest { compact_to: Some(LogIndex(4)), ..keep(snapshot(7, 2, 0)) },
        replace(3, snapshot(20, 2, 90), entries(21, 2, 3)),
        append(entries(23, 2, 3)),
        StoreRequest { append: entries(25, 2, 3).into(), ..keep(snapshot(24, 3, 33)) },
        forget(24),
    ]
}

/// Enough requests to fill many small segments and to give most of them up again, with some entries kept
/// that a snapshot covers.
pub(super) fn forgetful_script() -> Vec<StoreRequest> {
    const TRAILING: u64 = 16;
    let mut script = vec![request(1, Some(1), None, vec![])];
    let (mut next, mut term) = (1, 1);
    for round in 1..=60_u64 {
        let state = state_after(&script);
        match round % 12 {
            3 | 9 => {
                let kept = &state.entries[state.entries.len() - 3];
                script.push(keep(snapshot(kept.index.0, kept.term.0, 40 + round as usize)));
            }
            4 | 10 => {
                let covered_to = state.snapshot.map_or(0, |snapshot| snapshot.meta.index.0);
                script.push(forget(covered_to.saturating_sub(TRAILING)));
            }
            7 => {
                // The log contradicts the snapshot, or ends before it.
                term = round;
                let index = if round % 24 == 7 { next - 2 } else { next + 9 };
                script.push(replace(term, snapshot(index, term, 70), entries(index + 1, 2, term)));
                next = index + 3;
            }
            6 => {
                (next, term) = (next - 2, round);
                script.push(request(term, None, Some(next), entries(next, 3, term)));
                next += 3;
            }
            _ => {
                script.push(append(entries(next, round % 4 + 4, term)));
                next += round % 4 + 4;
            }
        }
    }
    script
}
