//! What a log should hold: the obvious program, and requests to feed both with.

use bytes::Bytes;

use crate::ids::{ClusterTime, LogIndex, NodeId, Term};
use crate::raft::{Entry, HardState, Payload, Recovered, StoreRequest, StoreToken};
use crate::storage::Identity;

/// Whose log the suite writes.
pub(super) const IDENTITY: Identity = Identity { cluster: 7, node: NodeId(3) };

/// The state after these requests.
pub(super) fn state_after(requests: &[StoreRequest]) -> Recovered {
    let mut state = Recovered::default();
    for request in requests {
        state.hard_state = request.hard_state.unwrap_or(state.hard_state);
        if let Some(from) = request.truncate_from {
            state.entries.retain(|entry| entry.index < from);
        }
        state.entries.extend(request.append.iter().cloned());
    }
    state
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
        token: StoreToken(term),
        hard_state: Some(HardState { term: Term(term), voted_for: vote.map(NodeId) }),
        truncate_from: truncate.map(LogIndex),
        append,
    }
}

/// A request that appends only.
pub(super) fn append(append: Vec<Entry>) -> StoreRequest {
    StoreRequest { token: StoreToken(0), hard_state: None, truncate_from: None, append }
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
    let mut next = 1;
    for round in 1..=40_u64 {
        if round % 7 == 0 {
            next -= 3;
            script.push(request(round, None, Some(next), entries(next, 2, round)));
            next += 2;
        } else {
            script.push(append(entries(next, round % 4 + 1, round)));
            next += round % 4 + 1;
        }
    }
    script
}
