//! The last check before a message leaves: is what it promises durable?

use std::collections::BTreeMap;

use crate::ids::{LogIndex, NodeId, Term};
use crate::plant::{self, Bug};
use crate::raft::{Body, HardState, Message, Recovered, StoreRequest};

/// Follows what the store has confirmed and holds every departing message against it.
///
/// It knows nothing of the core's reasoning, only of the writes that it asked for; so it fails where the
/// core's own bookkeeping is wrong.
#[derive(Debug)]
pub struct DurabilityGuard {
    id: NodeId,
    durable: HardState,
    last_index: LogIndex,
    /// First index of each run of durable entries of one term: enough to know the term at any index.
    term_starts: BTreeMap<LogIndex, Term>,
}

impl DurabilityGuard {
    /// The guard of a node that started from `recovered`.
    #[must_use]
    pub fn new(id: NodeId, recovered: &Recovered) -> Self {
        let mut guard =
            Self { id, durable: recovered.hard_state, last_index: LogIndex(0), term_starts: BTreeMap::new() };
        for entry in &recovered.entries {
            guard.append(entry.index, entry.term);
        }
        guard
    }

    /// Takes note that `request` is durable.
    ///
    /// # Panics
    /// If the write left a gap or took back a term or a vote: the core asked for the impossible.
    pub fn stored(&mut self, request: &StoreRequest) {
        if let Some(hard_state) = request.hard_state {
            assert!(hard_state.term >= self.durable.term, "the durable term went back");
            self.durable = hard_state;
        }
        if let Some(from) = request.truncate_from {
            self.last_index = self.last_index.min(from.previous());
            self.term_starts.split_off(&from);
        }
        for entry in &request.append {
            self.append(entry.index, entry.term);
        }
    }

    /// What is durable now.
    #[must_use]
    pub fn durable(&self) -> (HardState, LogIndex) {
        (self.durable, self.last_index)
    }

    /// The term of the durable entry at `index`; that of index 0 is 0.
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
            Body::VoteResponse { granted: true } if !vote_durable(message.to) => {
                Some("the vote is not durable")
            }
            Body::AppendAccepted { .. } if term < message.term => Some("the term is not durable"),
            Body::AppendAccepted { match_index } if match_index > self.last_index => {
                Some("the entries are not durable")
            }
            _ => None,
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
    use crate::raft::{Entry, Payload, StoreToken};

    fn write(
        hard_state: Option<HardState>,
        truncate_from: Option<u64>,
        append: &[(u64, u64)],
    ) -> StoreRequest {
        StoreRequest {
            token: StoreToken(1),
            hard_state,
            truncate_from: truncate_from.map(LogIndex),
            append: append
                .iter()
                .map(|&(index, term)| Entry {
                    index: LogIndex(index),
                    term: Term(term),
                    time: ClusterTime(0),
                    payload: Payload::Noop,
                })
                .collect(),
        }
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
        let vote = message(3, Body::VoteResponse { granted: true });
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
        let terms = |guard: &DurabilityGuard| {
            (0..5).map(|i| guard.term_at(LogIndex(i)).map(|t| t.0)).collect::<Vec<_>>()
        };
        assert_eq!(terms(&guard), [Some(0), Some(1), Some(1), Some(2), None]);
        guard.stored(&write(None, Some(2), &[(2, 2)]));
        assert_eq!(terms(&guard), [Some(0), Some(1), Some(2), None, None]);
    }

    #[test]
    #[should_panic(expected = "a gap in the durable log")]
    fn a_gap_in_the_log_stops_the_node() {
        DurabilityGuard::new(NodeId(1), &Recovered::default()).stored(&write(None, None, &[(2, 1)]));
    }
}
