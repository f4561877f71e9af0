//! Linearizable reads by read index (Raft thesis 6.4), batched on heartbeat rounds; by lease, where that is
//! allowed (6.4.1); and on followers, which ask their leader for the index.
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
//! * A lease runs from the *beginning* of a round that a quorum has answered, for as long as each of them
//!   refuses its vote to others (an election timeout by its own clock), less the drift allowed between
//!   clocks. It counts for nothing while the leadership is being handed over, and afterwards in that term.
//! * A follower's question bears a number that no earlier life of it used, so that no late answer is taken
//!   for that to a later question.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use crate::ids::{LocalTime, LogIndex, NodeId};
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::on_demand::OnDemand;
use super::quorum;
use super::types::{Body, ReadIndexAnswer, ReadOutcome, Refusal, Role};

/// Rounds whose beginning is remembered, for leases. Older ones are too old for one.
const ROUNDS_REMEMBERED: usize = 64;

/// Who wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    /// This node's driver, by its name for the read.
    Driver(u64),
    /// A follower, by its number for the question.
    Follower(NodeId, u64),
}

/// Reads that share a round.
#[derive(Clone, Debug, Hash)]
struct Batch {
    round: u64,
    index: LogIndex,
    readers: Vec<Reader>,
}

/// Reads of a follower that share a question to its leader.
#[derive(Clone, Debug)]
struct Forwarded {
    ids: Vec<u64>,
    asked_at: LocalTime,
}

/// The reads of a node.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    /// The latest round begun. Rises over the whole life of the core, through all its leaderships.
    round: u64,
    last_question: u64,
    pending: usize,
    lists: OnDemand<Lists>,
}

/// What waits, and for what.
#[derive(Clone, Debug, Default)]
struct Lists {
    /// When the latest rounds began, the last of them last.
    beginnings: VecDeque<LocalTime>,
    /// Reads that no round covers yet.
    waiting: Vec<Reader>,
    /// Reads whose round is out, oldest first.
    confirming: VecDeque<Batch>,
    /// As follower: reads for which the leader has not been asked yet, and those for which it has.
    to_forward: Vec<u64>,
    forwarded: BTreeMap<u64, Forwarded>,
}

impl Reads {
    /// No reads. `first_question` is a random number: see the module.
    pub(super) const fn new(first_question: u64) -> Self {
        Self { round: 0, last_question: first_question, pending: 0, lists: OnDemand::new() }
    }

    /// The latest round begun.
    pub(super) const fn round(&self) -> u64 {
        self.round
    }

    /// When a round began, if it was not long ago.
    pub(super) fn began(&self, round: u64) -> Option<LocalTime> {
        let ago = usize::try_from(self.round.checked_sub(round)?).ok()?;
        self.lists.view()?.beginnings.iter().rev().nth(ago).copied()
    }

    /// Gives back the memory of what nobody waits for. A silent node has no lease, and so does not need to
    /// know when rounds began.
    pub(super) fn release_memory(&mut self, is_silent: bool) {
        let is_idle = self.is_idle();
        self.lists.release_if(|lists| is_idle && (is_silent || lists.beginnings.is_empty()));
    }

    /// Whether reads wait for a round that none is out for.
    fn want_round(&self) -> bool {
        self.lists.view().is_some_and(|lists| !lists.waiting.is_empty() && lists.confirming.is_empty())
    }

    /// Whether nobody waits.
    pub(super) const fn is_idle(&self) -> bool {
        self.pending == 0
    }

    /// Feeds what waits to a hash: see [`super::Core::fingerprint`].
    pub(super) fn fingerprint(&self, state: &mut impl Hasher) {
        (self.round, self.last_question, self.pending).hash(state);
        if let Some(lists) = self.lists.view().filter(|_| self.pending > 0) {
            (&lists.waiting, &lists.confirming, &lists.to_forward).hash(state);
            lists.forwarded.iter().for_each(|(number, forwarded)| (number, &forwarded.ids).hash(state));
        }
    }
}

impl Core {
    /// A client wants to read.
    pub(super) fn read(&mut self, id: u64) {
        if self.role != Role::Leader {
            return self.refuse_read(id, Refusal::NotLeader { leader: self.leader });
        }
        if plant::is(Bug::ReadIndexWithoutQuorum) {
            self.effects.get().reads.push(ReadOutcome::Ready { id, index: self.commit_index });
            return;
        }
        if !self.take_read(Reader::Driver(id)) {
            self.refuse_read(id, Refusal::Overloaded);
        }
    }

    /// A client wants to read here, whoever leads.
    pub(super) fn read_anywhere(&mut self, id: u64) {
        if self.role == Role::Leader {
            return self.read(id);
        }
        if self.leader.is_none() {
            return self.refuse_read(id, Refusal::NotLeader { leader: None });
        }
        if self.reads.pending >= self.config.pending_reads_max {
            return self.refuse_read(id, Refusal::Overloaded);
        }
        self.reads.pending += 1;
        self.reads.lists.get().to_forward.push(id);
    }

    fn refuse_read(&mut self, id: u64, reason: Refusal) {
        self.effects.get().reads.push(ReadOutcome::Refused { id, reason });
    }

    /// As leader: takes a read, by lease or for the next round. Returns `false` if there is no room.
    fn take_read(&mut self, reader: Reader) -> bool {
        if self.holds_lease() {
            marks::hit("raft.read_by_lease");
            self.answer_reader(reader, self.commit_index);
            return true;
        }
        if self.reads.pending >= self.config.pending_reads_max {
            marks::hit("raft.read_refused_overloaded");
            return false;
        }
        self.reads.pending += 1;
        self.reads.lists.get().waiting.push(reader);
        true
    }

    /// Whether nobody else can have been elected by now.
    fn holds_lease(&self) -> bool {
        let Some(drift_ppm) = self.config.lease_drift_ppm_max else { return false };
        if !self.config.check_quorum
            || (!plant::is(Bug::LeaseSurvivesTransfer) && (self.is_lease_void || self.transfer.is_some()))
            || !self.has_committed_in_term()
        {
            return false;
        }
        let (voters, outgoing) = self.halves();
        let begun = quorum::committed_index(voters, outgoing, |id| match self.peer(id) {
            Some(peer) => peer.confirmed_at.map_or(0, |at| at.0),
            None => self.now.0,
        });
        let promise_us = u128::from(self.config.election_timeout_us);
        let lease_us = promise_us * 1_000_000 / (1_000_000 + u128::from(drift_ppm));
        begun > 0 && u128::from(self.now.since_us(LocalTime(begun))) < lease_us
    }

    fn answer_reader(&mut self, reader: Reader, index: LogIndex) {
        match reader {
            Reader::Driver(id) => self.effects.get().reads.push(ReadOutcome::Ready { id, index }),
            Reader::Follower(node, read) => {
                self.answer_question(node, read, ReadIndexAnswer::Index(index));
            }
        }
    }

    /// Begins a round for the reads that wait, unless one is out whose answer they can await.
    pub(super) fn begin_round_if_reads_wait(&mut self) {
        if !self.reads.want_round() {
            return;
        }
        if !self.has_committed_in_term() {
            marks::hit("raft.read_waits_for_commit_in_term");
            return;
        }
        self.begin_round(false);
    }

    /// Begins a round: every peer gets a heartbeat, and the reads that wait are covered by it, provided
    /// that this leader has committed in its term.
    pub(super) fn begin_round(&mut self, quiesce: bool) {
        self.reads.round += 1;
        let round = self.reads.round;
        if self.config.lease_drift_ppm_max.is_some() {
            let beginnings = &mut self.reads.lists.get().beginnings;
            if beginnings.len() == ROUNDS_REMEMBERED {
                beginnings.pop_front();
            }
            beginnings.push_back(self.now);
        }
        if self.reads.pending > 0 && self.has_committed_in_term() {
            let lists = self.reads.lists.get();
            let readers = std::mem::take(&mut lists.waiting);
            if !readers.is_empty() {
                lists.confirming.push_back(Batch { round, index: self.commit_index, readers });
            }
        }
        for position in 0..self.peers.len() {
            // The receiver cannot check where its log parts from ours, so the commit index is clamped to
            // what it is known to hold.
            let commit_index = self.commit_index.min(self.peers[position].match_index);
            let body = Body::Heartbeat { commit_index, read_round: round, quiesce };
            self.send(self.peers[position].id, self.hard_state.term, body);
        }
        self.confirm_rounds();
    }

    /// Answers the reads of every round that a quorum has confirmed. The leader confirms its own rounds by
    /// beginning them.
    pub(super) fn confirm_rounds(&mut self) {
        if self.reads.pending == 0 {
            return;
        }
        let (voters, outgoing) = self.halves();
        let confirmed = quorum::committed_index(voters, outgoing, |id| {
            if id == self.config.id {
                self.reads.round
            } else {
                self.peer(id).map_or(0, |peer| peer.acknowledged_round)
            }
        });
        while let Some(batch) =
            self.reads.lists.get().confirming.pop_front_if(|batch| batch.round <= confirmed)
        {
            marks::hit("raft.read_round_confirmed");
            self.reads.pending -= batch.readers.len();
            for reader in batch.readers {
                self.answer_reader(reader, batch.index);
            }
        }
    }

    /// Whether `round` has been begun: an answer to any other is not to be believed.
    pub(super) const fn is_round_known(&self, round: u64) -> bool {
        round <= self.reads.round
    }

    /// Leadership is lost: refuses every read.
    pub(super) fn refuse_reads(&mut self) {
        let reason = Refusal::NotLeader { leader: self.leader };
        if self.reads.pending == 0 {
            return;
        }
        let lists = self.reads.lists.get();
        let batches = std::mem::take(&mut lists.confirming);
        let covered = batches.into_iter().flat_map(|batch| batch.readers);
        let readers: Vec<_> = covered.chain(std::mem::take(&mut lists.waiting)).collect();
        if !readers.is_empty() {
            marks::hit("raft.reads_refused_on_step_down");
        }
        self.reads.pending -= readers.len();
        for reader in readers {
            match reader {
                Reader::Driver(id) => self.refuse_read(id, reason),
                Reader::Follower(node, read) => {
                    self.answer_question(node, read, ReadIndexAnswer::NotLeader);
                }
            }
        }
    }

    /// As follower: asks the leader for a read index, for all the reads that have come since the last time.
    pub(super) fn forward_reads(&mut self) {
        if !self.reads.is_idle() && !self.membership.contains(self.config.id) {
            // No leader will call here again, so an answer that was lost would be missed for ever.
            marks::hit("raft.reads_refused_where_no_member");
            return self.refuse_forwarded_reads();
        }
        let has_new = self.reads.lists.view().is_some_and(|lists| !lists.to_forward.is_empty());
        let Some(leader) = self.leader.filter(|_| has_new) else { return };
        self.reads.last_question = self.reads.last_question.wrapping_add(1);
        let (read, lists) = (self.reads.last_question, self.reads.lists.get());
        let ids = std::mem::take(&mut lists.to_forward);
        lists.forwarded.insert(read, Forwarded { ids, asked_at: self.now });
        self.send(leader, self.hard_state.term, Body::ReadIndexRequest { read });
    }

    /// As follower: the leader lives, so what it has not answered for long was lost. Asks again.
    pub(super) fn ask_again(&mut self, leader: NodeId) {
        let patience_us = self.config.heartbeat_interval_us.saturating_mul(2);
        if self.reads.is_idle() {
            return;
        }
        let mut lost = Vec::new();
        for (&read, forwarded) in &mut self.reads.lists.get().forwarded {
            if self.now.since_us(forwarded.asked_at) > patience_us {
                forwarded.asked_at = self.now;
                lost.push(read);
            }
        }
        for read in lost {
            marks::hit("raft.read_index_asked_again");
            self.send(leader, self.hard_state.term, Body::ReadIndexRequest { read });
        }
    }

    /// As leader: a follower wants a read index.
    pub(super) fn answer_read_index(&mut self, from: NodeId, read: u64) {
        if self.role != Role::Leader {
            self.answer_question(from, read, ReadIndexAnswer::NotLeader);
        } else if !self.take_read(Reader::Follower(from, read)) {
            self.answer_question(from, read, ReadIndexAnswer::Overloaded);
        }
    }

    fn answer_question(&mut self, to: NodeId, read: u64, answer: ReadIndexAnswer) {
        self.send(to, self.hard_state.term, Body::ReadIndexResponse { read, answer });
    }

    /// As follower: the leader has answered. Whoever leads this term, the index is fresh: the question was
    /// asked after the reads had come.
    pub(super) fn read_index_answered(&mut self, from: NodeId, read: u64, answer: ReadIndexAnswer) {
        if self.leader != Some(from) {
            return;
        }
        let Some(forwarded) = self.reads.lists.get().forwarded.remove(&read) else { return };
        self.reads.pending -= forwarded.ids.len();
        for id in forwarded.ids {
            match answer {
                ReadIndexAnswer::Index(index) => {
                    self.effects.get().reads.push(ReadOutcome::Ready { id, index })
                }
                ReadIndexAnswer::NotLeader => {
                    self.refuse_read(id, Refusal::NotLeader { leader: self.leader });
                }
                ReadIndexAnswer::Overloaded => self.refuse_read(id, Refusal::Overloaded),
            }
        }
    }

    /// As follower: there is nobody any more who would answer.
    pub(super) fn refuse_forwarded_reads(&mut self) {
        if self.reads.is_idle() {
            return;
        }
        let lists = self.reads.lists.get();
        let forwarded = std::mem::take(&mut lists.forwarded).into_values().flat_map(|asked| asked.ids);
        let ids: Vec<_> = forwarded.chain(std::mem::take(&mut lists.to_forward)).collect();
        self.reads.pending -= ids.len();
        for id in ids {
            self.refuse_read(id, Refusal::NotLeader { leader: self.leader });
        }
    }
}
