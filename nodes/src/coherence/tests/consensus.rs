//! An abstract log, as adverse as Raft permits: a leader does not know that it is deposed, an entry that was
//! not committed may or may not outlive its leader, and everybody applies when it likes.
//!
//! What is taken from Raft: one leader per term, elected at a moment; a round that began before the next
//! election may be confirmed after it, one that began later is not; an entry is committed by a leader of
//! its own term or together with the first entry of a later one.

use std::collections::BTreeMap;

use super::network::{Clock, Dice};
use super::truth::{Change, Entry, State};
use crate::coherence::WriteId;
use crate::ids::{NodeId, Term};

/// Entries that are kept for those who apply late; who needs older ones takes over the whole state.
const KEPT: u64 = 1024;

/// A leadership, as it really was.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) leader: NodeId,
    pub(super) elected_at: u64,
}

/// The log and its leaders.
#[derive(Default)]
pub(super) struct Consensus {
    pub(super) reigns: BTreeMap<Term, Reign>,
    committed: BTreeMap<u64, Entry>,
    /// Of the latest term, the first of them next to be committed.
    pub(super) appended: Vec<Entry>,
    /// The state after the last committed entry: what anybody might be told who asks now.
    pub(super) truth: State,
}

impl Consensus {
    pub(super) fn term(&self) -> Term {
        self.reigns.keys().next_back().copied().unwrap_or_default()
    }

    /// Elects a node; what was appended and not committed survives in part. Returns the stamp from which the
    /// new leader counts.
    pub(super) fn elect(&mut self, leader: NodeId, now: u64, dice: &mut Dice) -> u64 {
        let term = self.term().next();
        self.reigns.insert(term, Reign { leader, elected_at: now });
        let survivors = dice.between(0, self.appended.len() as u64 + 1);
        self.appended.truncate(usize::try_from(survivors).unwrap());
        let stamp = self.appended.last().map_or(self.truth.stamp, |entry| entry.stamp);
        self.append(term, stamp, Change::Nothing, None);
        stamp
    }

    /// Appends an entry of the latest term. One of an earlier leader goes nowhere.
    pub(super) fn append(&mut self, term: Term, stamp: u64, change: Change, write: Option<WriteId>) {
        if term == self.term() {
            self.appended.push(Entry { term, committed_in: term, stamp, change, write });
        }
    }

    /// The latest leader commits one entry of its own, and with it all before it.
    pub(super) fn commit(&mut self, term: Term) -> bool {
        if term != self.term() {
            return false;
        }
        let Some(own) = self.appended.iter().position(|entry| entry.term == term) else { return false };
        for mut entry in self.appended.drain(..=own).collect::<Vec<_>>() {
            entry.committed_in = term;
            self.truth.apply(&entry);
            self.committed.insert(self.truth.applied, entry);
        }
        while self.committed.len() as u64 > KEPT {
            self.committed.pop_first();
        }
        true
    }

    /// What somebody who knows of no later term than this knows to be committed.
    pub(super) fn known_committed(&self, term: Term) -> u64 {
        let later = self.committed.iter().rev().take_while(|(_, entry)| entry.committed_in > term).count();
        self.truth.applied - later as u64
    }

    /// The next entry after `state`, for somebody who knows of no later term than this.
    pub(super) fn next(&self, state: &State, term: Term) -> Option<&Entry> {
        let entry = self.committed.get(&(state.applied + 1))?;
        (entry.committed_in <= term).then_some(entry)
    }

    /// Whether so much is missing that the whole state has to be taken over.
    pub(super) fn is_far_behind(&self, state: &State) -> bool {
        self.committed.first_key_value().is_some_and(|(&first, _)| state.applied + 1 < first)
    }

    /// Whether a round of this term, begun then, is confirmed.
    pub(super) fn confirms(&self, term: Term, began: u64, dice: &mut Dice) -> bool {
        match self.reigns.get(&term.next()) {
            None => !dice.one_in(30),
            Some(next) => next.elected_at > began && dice.one_in(2),
        }
    }
}

/// What a leader stamps its entries with.
#[derive(Clone, Debug)]
pub(super) struct StampBase {
    pub(super) stamp: u64,
    pub(super) local: u64,
    pub(super) last: u64,
}

impl StampBase {
    pub(super) fn cluster_time(&self, clock: &Clock, now: u64) -> u64 {
        (self.stamp + (clock.read(now).0 - self.local)).max(self.last)
    }
}
