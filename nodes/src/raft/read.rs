//! Linearizable reads by read index (Raft thesis 6.4), batched on heartbeat rounds.
//!
//! A round is a heartbeat to every peer that bears a number of the core's own, rising by one. Whoever
//! answers round `n` still knew no later term after round `n` had begun. So once a quorum has answered it,
//! the commit index as of its beginning is fresh enough for every read that arrived before it began.
//!
//! Rules:
//! * No round counts for reads before the leader has committed an entry of its own term: until then its
//!   commit index may lag behind what its predecessors have acknowledged.
//! * Rounds are numbered by the core, never by a client's context: a doubled or late answer confirms the
//!   round that it was sent for and no later one.
//! * Reads that arrive while a round is out wait for the next, which begins when that one is confirmed or
//!   with the next heartbeat, whichever is first.
//! * Leadership lost, every read is refused.

use std::collections::VecDeque;

use crate::ids::LogIndex;
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::quorum;
use super::types::{Body, ReadOutcome, Refusal, Role};

/// Reads that share a round.
#[derive(Debug)]
struct Batch {
    round: u64,
    index: LogIndex,
    ids: Vec<u64>,
}

/// The reads of a leader.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The latest round begun. Rises over the whole life of the core, through all its leaderships.
    round: u64,
    /// Reads that no round covers yet.
    waiting: Vec<u64>,
    /// Reads whose round is out, oldest first.
    confirming: VecDeque<Batch>,
    pending: usize,
}

impl Core {
    /// A client wants to read.
    pub(super) fn read(&mut self, id: u64) {
        let refusal = if self.role != Role::Leader {
            Some(Refusal::NotLeader { leader: self.leader })
        } else if self.reads.pending >= self.config.pending_reads_max {
            marks::hit("raft.read_refused_overloaded");
            Some(Refusal::Overloaded)
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.effects.reads.push(ReadOutcome::Refused { id, reason });
            return;
        }
        if plant::is(Bug::ReadIndexWithoutQuorum) {
            self.effects.reads.push(ReadOutcome::Ready { id, index: self.commit_index });
            return;
        }
        self.reads.pending += 1;
        self.reads.waiting.push(id);
    }

    /// Begins a round for the reads that wait, unless one is out whose answer they can await.
    pub(super) fn begin_round_if_reads_wait(&mut self) {
        if self.reads.waiting.is_empty() || !self.reads.confirming.is_empty() {
            return;
        }
        if !self.has_committed_in_term() {
            marks::hit("raft.read_waits_for_commit_in_term");
            return;
        }
        self.begin_round();
    }

    /// Begins a round: every peer gets a heartbeat, and the reads that wait are covered by it, provided
    /// that this leader has committed in its term.
    pub(super) fn begin_round(&mut self) {
        self.reads.round += 1;
        let round = self.reads.round;
        if self.has_committed_in_term() && !self.reads.waiting.is_empty() {
            let ids = std::mem::take(&mut self.reads.waiting);
            self.reads.confirming.push_back(Batch { round, index: self.commit_index, ids });
        }
        for position in 0..self.peers.len() {
            // The receiver cannot check where its log parts from ours, so the commit index is clamped to
            // what it is known to hold.
            let commit_index = self.commit_index.min(self.peers[position].match_index);
            let body = Body::Heartbeat { commit_index, read_round: round };
            self.send(self.peers[position].id, self.hard_state.term, body);
        }
        self.confirm_rounds();
    }

    /// Answers the reads of every round that a quorum has confirmed. The leader confirms its own rounds by
    /// beginning them.
    pub(super) fn confirm_rounds(&mut self) {
        if self.reads.confirming.is_empty() {
            return;
        }
        let confirmed = quorum::committed_index(&self.config.voters, &[], |id| {
            if id == self.config.id {
                self.reads.round
            } else {
                self.peer(id).map_or(0, |peer| peer.acknowledged_round)
            }
        });
        while self.reads.confirming.front().is_some_and(|batch| batch.round <= confirmed) {
            let Some(batch) = self.reads.confirming.pop_front() else { break };
            marks::hit("raft.read_round_confirmed");
            self.reads.pending -= batch.ids.len();
            let ready = batch.ids.iter().map(|&id| ReadOutcome::Ready { id, index: batch.index });
            self.effects.reads.extend(ready);
        }
    }

    /// Whether `round` has been begun: an answer to any other is not to be believed.
    pub(super) const fn is_round_known(&self, round: u64) -> bool {
        round <= self.reads.round
    }

    /// Leadership is lost: refuses every read.
    pub(super) fn refuse_reads(&mut self) {
        let reason = Refusal::NotLeader { leader: self.leader };
        let batches = std::mem::take(&mut self.reads.confirming);
        let covered = batches.into_iter().flat_map(|batch| batch.ids);
        let ids = covered.chain(std::mem::take(&mut self.reads.waiting));
        self.effects.reads.extend(ids.map(|id| ReadOutcome::Refused { id, reason }));
        if self.reads.pending > 0 {
            marks::hit("raft.reads_refused_on_step_down");
        }
        self.reads.pending = 0;
    }
}
