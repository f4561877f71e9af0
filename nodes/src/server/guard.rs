//! The last check before a message leaves: is what it promises durable?

use std::collections::BTreeMap;

use crate::ids::{LogIndex, NodeId, Term};
use crate::plant::{self, Bug};
use crate::raft::{Body, HardState, Message, Recovered, Snapshot, SnapshotMeta, SnapshotWrite, StoreRequest};

/// Follows what the store has confirmed and holds every departing message against it.
///
/// It knows nothing of the core's reasoning, only of the writes that it asked for; so it fails where the
/// core's own bookkeeping is wrong. A durable snapshot is as good as the entries that it covers, which have
/// all been committed: to accept an append up to its last entry promises nothing that it does not keep.
#[derive(Debug)]
pub struct DurabilityGuard {
    id: NodeId,
    durable: HardState,
    /// The last entry that the durable snapshot covers; 0 if there is none.
    snapshot_index: LogIndex,
    last_index: LogIndex,
    /// First index of each run of durable entries of one term: enough to know the term at any index from
    /// the first of them on.
    term_starts: BTreeMap<LogIndex, Term>,
}

impl DurabilityGuard {
    /// The guard of a node that started from `recovered`.
    #[must_use]
    pub fn new(id: NodeId, recovered: &Recovered) -> Self {
        let mut guard = Self {
            id,
            durable: recovered.hard_state,
            snapshot_index: LogIndex(0),
            last_index: LogIndex(0),
            term_starts: BTreeMap::new(),
        };
        if let Some(snapshot) = &recovered.snapshot {
            guard.begin_after(&snapshot.meta);
        }
        for entry in &recovered.entries {
            guard.append(entry.index, entry.term);
        }
        guard
    }

    /// Takes note that `request` is durable.
    ///
    /// # Panics
    /// If the write left a gap, took back a term, a vote or a snapshot, contradicted its own snapshot, or let
    /// go of entries that no snapshot covers: the core asked for the impossible.
    pub fn stored(&mut self, request: &StoreRequest) {
        if let Some(hard_state) = request.hard_state {
            assert!(hard_state.term >= self.durable.term, "the durable term went back");
            self.durable = hard_state;
        }
        let covered_before = self.snapshot_index;
        let replaces_log = request.snapshot.as_ref().is_some_and(|write| write.replaces_log);
        if let Some(SnapshotWrite { snapshot: Snapshot { meta, .. }, .. }) = request.snapshot.as_deref() {
            assert!(meta.index >= covered_before, "the durable snapshot went back");
            if replaces_log {
                self.begin_after(meta);
            }
            self.snapshot_index = meta.index;
        }
        // Of a log that is replaced nothing is left to truncate.
        if let Some(from) = request.truncate_from.filter(|_| !replaces_log) {
            assert!(from > covered_before, "a truncation reaches into the durable snapshot");
            self.last_index = self.last_index.min(from.previous());
            self.term_starts.split_off(&from);
        }
        for entry in &request.append {
            self.append(entry.index, entry.term);
        }
        if let Some(SnapshotWrite { snapshot, .. }) = request.snapshot.as_deref() {
            let meta = &snapshot.meta;
            assert_eq!(self.term_at(meta.index), Some(meta.term), "the log does not lead up to its snapshot");
        }
        if let Some(to) = request.compact_to {
            assert!(to <= self.snapshot_index, "entries are let go of that no snapshot covers");
            self.let_go(to);
        }
    }

    /// What is durable now.
    #[must_use]
    pub fn durable(&self) -> (HardState, LogIndex) {
        (self.durable, self.last_index)
    }

    /// The term of the durable entry at `index`, or of the last one that the snapshot covers; that of index
    /// 0 is 0. `None` where there is no entry, or it has been let go of.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == LogIndex(0) {
            return Some(Term(0));
        }
        (index <= self.last_index)
            .then(|| self.term_starts.range(..=index).next_back().map(|(_, term)| *term))?
    }

    /// Lets `message` pass.
    ///
    /// # Panics
    /// If it promises what is not durable. (Not while a planted bug is to be found from outside.)
    pub fn check(&self, message: &Message) {
        if let Some(fault) = self.fault_of(message) {
            let planted = plant::is(Bug::VoteNotPersisted) || plant::is(Bug::AckBeforeDurable);
            assert!(planted, "{} must not send {message:?} yet: {fault}", self.id);
        }
    }

    fn fault_of(&self, message: &Message) -> Option<&'static str> {
        let HardState { term, voted_for } = self.durable;
        if term > message.term {
            // Of an earlier term, in which all promises were durable before the term was left.
            return None;
        }
        let vote_durable = |candidate| term == message.term && voted_for == Some(candidate);
        match message.body {
            Body::VoteRequest { .. } if !vote_durable(self.id) => Some("its own vote is not durable"),
            Body::VoteResponse { granted: true, .. } if !vote_durable(message.to) => {
                Some("the vote is not durable")
            }
            Body::AppendAccepted { .. } if term < message.term => Some("the term is not durable"),
            Body::AppendAccepted { match_index } if match_index > self.last_index => {
                Some("the entries are not durable")
            }
            _ => None,
        }
    }

    /// The log consists of a snapshot.
    fn begin_after(&mut self, meta: &SnapshotMeta) {
        self.snapshot_index = meta.index;
        self.last_index = meta.index;
        self.term_starts = BTreeMap::from([(meta.index, meta.term)]);
    }

    /// Forgets the terms before `to`.
    fn let_go(&mut self, to: LogIndex) {
        if let Some(term) = self.term_at(to) {
            self.term_starts = self.term_starts.split_off(&to);
            self.term_starts.insert(to, term);
        }
    }

    fn append(&mut self, index: LogIndex, term: Term) {
        assert_eq!(index, self.last_index.next(), "a gap in the durable log");
        let previous = self.term_starts.last_key_value().map(|(_, term)| *term);
        assert!(previous <= Some(term), "terms go back in the durable log");
        if previous != Some(term) {
            self.term_starts.insert(index, term);
        }
        self.last_index = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClusterTime;
    use crate::raft::{Entry, Payload, ReadIndexAnswer, StoreToken};

    fn write(
        hard_state: Option<HardState>,
        truncate_from: Option<u64>,
        append: &[(u64, u64)],
    ) -> StoreRequest {
        let entry = |&(index, term): &(u64, u64)| Entry {
            index: LogIndex(index),
            term: Term(term),
            time: ClusterTime(0),
            payload: Payload::Noop,
        };
        StoreRequest {
            hard_state,
            truncate_from: truncate_from.map(LogIndex),
            append: append.iter().map(entry).collect(),
            ..StoreRequest::empty(StoreToken(1))
        }
    }

    fn snapshot(index: u64, term: u64) -> Snapshot {
        let meta = SnapshotMeta { index: LogIndex(index), term: Term(term), ..SnapshotMeta::default() };
        Snapshot { meta, ..Snapshot::default() }
    }

    fn with_snapshot(request: StoreRequest, index: u64, term: u64, replaces_log: bool) -> StoreRequest {
        StoreRequest {
            snapshot: Some(Box::new(SnapshotWrite { snapshot: snapshot(index, term), replaces_log })),
            ..request
        }
    }

    fn terms(guard: &DurabilityGuard, indexes: std::ops::Range<u64>) -> Vec<Option<u64>> {
        indexes.map(|index| guard.term_at(LogIndex(index)).map(|term| term.0)).collect()
    }

    fn message(term: u64, body: Body) -> Message {
        Message { from: NodeId(1), to: NodeId(2), term: Term(term), body }
    }

    fn hard(term: u64, vote: Option<u64>) -> Option<HardState> {
        Some(HardState { term: Term(term), voted_for: vote.map(NodeId) })
    }

    #[test]
    fn a_vote_passes_only_once_it_is_durable() {
        let mut guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        let vote = message(3, Body::VoteResponse { granted: true, committed: Default::default() });
        assert!(guard.fault_of(&vote).is_some());
        guard.stored(&write(hard(3, None), None, &[]));
        assert!(guard.fault_of(&vote).is_some());
        guard.stored(&write(hard(3, Some(2)), None, &[]));
        assert!(guard.fault_of(&vote).is_none());
    }

    #[test]
    fn an_acknowledgement_passes_only_once_its_entries_and_term_are_durable() {
        let mut guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        let acknowledgement = message(2, Body::AppendAccepted { match_index: LogIndex(2) });
        guard.stored(&write(hard(2, None), None, &[(1, 1)]));
        assert!(guard.fault_of(&acknowledgement).is_some());
        guard.stored(&write(None, None, &[(2, 2)]));
        assert!(guard.fault_of(&acknowledgement).is_none());
        guard.stored(&write(None, Some(2), &[]));
        assert!(guard.fault_of(&acknowledgement).is_some());
    }

    #[test]
    fn terms_are_known_at_every_durable_index() {
        let mut guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        guard.stored(&write(hard(2, None), None, &[(1, 1), (2, 1), (3, 2)]));
        assert_eq!(terms(&guard, 0..5), [Some(0), Some(1), Some(1), Some(2), None]);
        guard.stored(&write(None, Some(2), &[(2, 2)]));
        assert_eq!(terms(&guard, 0..5), [Some(0), Some(1), Some(2), None, None]);
    }

    #[test]
    #[should_panic(expected = "a gap in the durable log")]
    fn a_gap_in_the_log_stops_the_node() {
        DurabilityGuard::new(NodeId(1), &Recovered::default()).stored(&write(None, None, &[(2, 1)]));
    }

    #[test]
    fn a_durable_snapshot_is_as_good_as_the_entries_that_it_covers() {
        let mut guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        let acknowledgement = |index| message(3, Body::AppendAccepted { match_index: LogIndex(index) });
        guard.stored(&write(hard(3, None), None, &[(1, 1), (2, 1), (3, 2)]));
        assert!(guard.fault_of(&acknowledgement(9)).is_some());
        guard.stored(&with_snapshot(write(None, None, &[(10, 3)]), 9, 2, true));
        assert_eq!(terms(&guard, 7..12), [None, None, Some(2), Some(3), None]);
        assert!(guard.fault_of(&acknowledgement(9)).is_none());
        assert!(guard.fault_of(&acknowledgement(10)).is_none());
        assert!(guard.fault_of(&acknowledgement(11)).is_some());
    }

    #[test]
    fn a_restart_from_a_snapshot_goes_on_from_its_last_entry() {
        let recovered = Recovered {
            hard_state: HardState { term: Term(4), voted_for: None },
            snapshot: Some(snapshot(7, 3)),
            entries: write(None, None, &[(8, 4)]).append.to_vec(),
        };
        let mut guard = DurabilityGuard::new(NodeId(1), &recovered);
        assert_eq!(guard.durable(), (recovered.hard_state, LogIndex(8)));
        assert_eq!(terms(&guard, 6..10), [None, Some(3), Some(4), None]);
        guard.stored(&write(None, Some(8), &[(8, 4), (9, 4)]));
        assert_eq!(terms(&guard, 6..10), [None, Some(3), Some(4), Some(4)]);
    }

    #[test]
    fn what_is_let_go_of_leaves_the_terms_of_the_rest() {
        let mut guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        guard.stored(&write(hard(2, None), None, &[(1, 1), (2, 1), (3, 1), (4, 2)]));
        guard.stored(&with_snapshot(write(None, None, &[]), 3, 1, false));
        guard.stored(&StoreRequest { compact_to: Some(LogIndex(2)), ..write(None, None, &[]) });
        assert_eq!(terms(&guard, 0..6), [Some(0), None, Some(1), Some(1), Some(2), None]);
        assert_eq!(guard.durable().1, LogIndex(4));
    }

    #[test]
    fn what_says_nothing_of_the_disk_always_passes() {
        let guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        let (index, read) = (LogIndex(9), 1);
        for body in [
            Body::TimeoutNow,
            Body::SnapshotReceived { index, received_bytes: 100 },
            Body::ReadIndexRequest { read },
            Body::ReadIndexResponse { read, answer: ReadIndexAnswer::Index(index) },
            Body::VoteResponse { granted: false, committed: Default::default() },
            Body::Wake,
        ] {
            let message = message(3, body);
            assert_eq!(guard.fault_of(&message), None, "{message:?}");
        }
    }

    #[test]
    #[should_panic(expected = "the log does not lead up to its snapshot")]
    fn a_snapshot_beside_the_log_stops_the_node() {
        let request = with_snapshot(write(hard(2, None), None, &[(1, 1), (2, 1)]), 2, 2, false);
        DurabilityGuard::new(NodeId(1), &Recovered::default()).stored(&request);
    }

    #[test]
    #[should_panic(expected = "no snapshot covers")]
    fn letting_go_of_what_no_snapshot_covers_stops_the_node() {
        let mut guard = DurabilityGuard::new(NodeId(1), &Recovered::default());
        guard.stored(&write(hard(1, None), None, &[(1, 1), (2, 1)]));
        guard.stored(&StoreRequest { compact_to: Some(LogIndex(2)), ..write(None, None, &[]) });
    }
}
