//! Requests as a core could make them, drawn from a seed.

use super::model::{after, append, entries, forget, keep, replace, request, snapshot};
use crate::ids::LogIndex;
use crate::raft::{Recovered, StoreRequest};

/// Draws one request after another, and knows what they come to.
pub(super) struct Requests {
    state: Recovered,
    term: u64,
    draw: u64,
}

impl Requests {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: Recovered::default(), term: 0, draw: seed }
    }

    /// What a store holds after all of them.
    pub(super) const fn state(&self) -> &Recovered {
        &self.state
    }

    /// The next one.
    pub(super) fn next(&mut self) -> StoreRequest {
        let request = self.drawn();
        self.state = after(&self.state, &request);
        request
    }

    fn drawn(&mut self) -> StoreRequest {
        let last = self.state.last_index().0;
        let covered_to = self.state.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.index.0);
        match self.below(8) {
            0 => {
                self.term += 1;
                let vote = self.below(5);
                request(self.term, Some(vote), None, vec![])
            }
            1 if last > covered_to => {
                self.term += 1;
                let from = covered_to + 1 + self.below(last - covered_to);
                request(self.term, None, Some(from), entries(from, self.below(4), self.term))
            }
            2 if last > covered_to => {
                let kept = self.below(self.state.entries.len() as u64) as usize;
                let (index, term) = (self.state.entries[kept].index.0, self.state.entries[kept].term.0);
                StoreRequest {
                    append: entries(last + 1, self.below(3), self.term).into(),
                    ..keep(snapshot(index, term, self.below(300) as usize))
                }
            }
            3 => forget(self.below(covered_to + 1)),
            4 => {
                self.term += 1;
                let index = covered_to + 1 + self.below(12);
                replace(
                    self.term,
                    snapshot(index, self.term, self.below(200) as usize),
                    entries(index + 1, self.below(3), self.term),
                )
            }
            5 if covered_to > 0 => {
                StoreRequest { compact_to: Some(LogIndex(covered_to)), ..append(self.more_after(last)) }
            }
            _ => append(self.more_after(last)),
        }
    }

    fn more_after(&mut self, last: u64) -> Vec<crate::raft::Entry> {
        // No entry is older than what the node has seen.
        if self.term == 0 {
            return Vec::new();
        }
        entries(last + 1, self.below(6) + 1, self.term)
    }

    /// A number from 0 to less than `bound`, which is positive (SplitMix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.draw = self.draw.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.draw;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (value ^ (value >> 31)) % bound.max(1)
    }
}
