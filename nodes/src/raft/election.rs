//! Elections: timers, pre-votes, votes, check-quorum.
//!
//! A node whose timer runs out first asks whether it *would* be elected (pre-vote, Raft thesis 9.6): term
//! and vote stay as they are, at both ends. Only a quorum of yeses makes it campaign. A voter says no to
//! either question while it has heard from a live leader within an election timeout (thesis 4.2.3), the
//! asker being that leader excepted: a leader that lost its role restarts must not be shut out by its own
//! last heartbeat. A leader that has not heard from a quorum within an election timeout steps down.

use crate::ids::{LogIndex, NodeId, Term};
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::quorum::{self, VoteResult};
use super::types::{Body, Event, HardState, Message, Payload, Role, TransferOutcome};

impl Core {
    /// Time has passed.
    pub(super) fn tick(&mut self) {
        if self.now < self.deadline() {
            return;
        }
        if self.role == Role::Leader {
            if self.is_disk_stalled() {
                marks::hit("raft.leader_with_stalled_disk_stepped_down");
                self.hand_over_at_once();
            } else if self.config.check_quorum && !self.hears_quorum() {
                marks::hit("raft.leader_stepped_down_without_quorum");
                self.become_follower(self.hard_state.term, None);
            } else {
                self.beat();
            }
        } else if self.calls_for_leader() {
            self.draw_election_timeout();
            self.call_for_leader();
        } else if self.is_disk_stalled() || !self.may_campaign() {
            marks::hit("raft.campaign_put_off");
            self.give_leader_up();
            self.draw_election_timeout();
        } else {
            self.run_for_leader();
        }
    }

    /// As leader: a heartbeat interval has passed, or is taken to have.
    pub(super) fn beat(&mut self) {
        if self.role != Role::Leader {
            return;
        }
        self.heartbeat_deadline = self.now.plus_us(self.config.heartbeat_interval_us.max(1));
        self.peers.iter_mut().for_each(super::progress::Progress::interval_passed);
        self.review_transfer();
        let quiesce = self.wants_silence();
        self.begin_round(quiesce);
    }

    /// The election timeout has passed, or is taken to have.
    fn run_for_leader(&mut self) {
        if self.config.pre_vote { self.ask_for_pre_votes() } else { self.campaign(false) }
    }

    /// The driver wants this node to campaign.
    pub(super) fn campaign_if_allowed(&mut self) {
        let breaks_promise =
            self.config.lease_drift_ppm_max.is_some() && self.hears_leader_other_than(self.config.id);
        if self.role != Role::Leader && self.may_campaign() && !breaks_promise {
            self.run_for_leader();
        }
    }

    /// Whether this node may become leader at all: it votes, and it knows who else does.
    pub(super) fn may_campaign(&self) -> bool {
        self.is_voter() && !self.is_change_outstanding()
    }

    /// Whether the write that is out takes longer than is tolerable of a leader.
    pub(super) fn is_disk_stalled(&self) -> bool {
        self.storing.stalled_since().is_some_and(|at| self.now.since_us(at) > self.config.store_stall_us_max)
    }

    /// Draws a new election timeout, evenly from the configured range, and starts it.
    pub(super) fn draw_election_timeout(&mut self) {
        let least = self.config.election_timeout_us.max(1);
        let spread = self.config.election_timeout_us_max.saturating_sub(least).max(1);
        self.election_timeout_us = least + self.rng.below(spread);
        self.election_deadline = self.now.plus_us(self.election_timeout_us);
    }

    /// Whether this node knows a leader to be alive other than `candidate`: it has heard from it, or, being
    /// the leader, from a quorum, within an election timeout.
    pub(super) fn hears_leader_other_than(&self, candidate: NodeId) -> bool {
        if !self.config.check_quorum {
            return false;
        }
        if self.role == Role::Leader {
            return self.hears_quorum();
        }
        let (promised_until, promised_to) = self.promise;
        if self.now < promised_until && promised_to != Some(candidate) {
            return true;
        }
        let is_recent = |at| self.now.since_us(at) < self.config.election_timeout_us;
        self.leader.is_some_and(|leader| leader != candidate) && self.leader_contact.is_some_and(is_recent)
    }

    /// Whether a quorum, this leader included, has answered within an election timeout.
    fn hears_quorum(&self) -> bool {
        let heard = |id| match self.peer(id) {
            Some(peer) => self.now.since_us(peer.last_contact) < self.config.election_timeout_us,
            None => true,
        };
        let (voters, outgoing) = self.halves();
        quorum::vote_result(voters, outgoing, |id| Some(heard(id))) == VoteResult::Won
    }

    /// Follows in `term`, which is the current one or a later one.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        let is_later = term > self.hard_state.term;
        if is_later {
            self.hard_state = HardState { term, voted_for: None };
            self.storing.want(self.hard_state);
        }
        let was = std::mem::replace(&mut self.role, Role::Follower);
        self.leader = leader;
        self.leader_contact = leader.map(|_| self.now);
        // A mere follower's timer goes on: a term that another node raised is no sign of a live leader.
        if was != Role::Follower {
            self.draw_election_timeout();
        }
        if was == Role::Leader {
            self.refuse_reads();
            self.end_transfer(if is_later { TransferOutcome::Done } else { TransferOutcome::TimedOut });
        }
        self.refuse_forwarded_reads();
        self.wake();
        self.report_role();
    }

    /// A message of the leader of the current term arrived: follows it. Returns `false` if this node leads
    /// that term itself, which only a broken peer can bring about; its message is then ignored.
    pub(super) fn follow(&mut self, leader: NodeId) -> bool {
        if self.role == Role::Leader {
            marks::hit("raft.second_leader_of_term_ignored");
            return false;
        }
        if self.role != Role::Follower || self.leader != Some(leader) {
            self.become_follower(self.hard_state.term, Some(leader));
        }
        self.leader_contact = Some(self.now);
        self.election_deadline = self.now.plus_us(self.election_timeout_us);
        if self.config.lease_drift_ppm_max.is_some() {
            self.promise = (self.now.plus_us(self.config.election_timeout_us), Some(leader));
        }
        true
    }

    /// The leader has been silent for an election timeout, and it is not for this node to do something about it. It
    /// no longer says that it knows one, as a node that campaigns would not: whoever asks it to serve is told so.
    fn give_leader_up(&mut self) {
        if self.leader.take().is_none() {
            return;
        }
        self.leader_contact = None;
        self.refuse_forwarded_reads();
        self.report_role();
    }

    /// Asks everybody whether it would be elected in the next term.
    fn ask_for_pre_votes(&mut self) {
        self.role = Role::PreCandidate;
        self.leave_silence();
        self.leader = None;
        self.leader_contact = None;
        self.refuse_forwarded_reads();
        self.draw_election_timeout();
        self.forget_votes();
        self.report_role();
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for voter in self.other_voters() {
            let body = Body::PreVoteRequest { last_index, last_term, committed: self.committed() };
            self.send(voter, self.hard_state.term.next(), body);
        }
        self.conclude_election();
    }

    /// Campaigns in the next term (Raft paper 5.2). Its own vote counts, and the requests leave, once term
    /// and vote are durable.
    pub(super) fn campaign(&mut self, by_transfer: bool) {
        self.role = Role::Candidate;
        self.leave_silence();
        self.leader = None;
        self.leader_contact = None;
        self.refuse_forwarded_reads();
        self.hard_state = HardState { term: self.hard_state.term.next(), voted_for: Some(self.config.id) };
        self.storing.want(self.hard_state);
        self.draw_election_timeout();
        self.forget_votes();
        self.report_role();
        self.effects
            .get()
            .events
            .push(Event::Voted { term: self.hard_state.term, candidate: self.config.id });
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for to in self.other_voters() {
            let committed = self.committed();
            let body = Body::VoteRequest { last_index, last_term, by_transfer, committed };
            let request = Message { from: self.config.id, to, term: self.hard_state.term, body };
            self.storing.after_hard_state(request, self.effects.get());
        }
    }

    /// Everybody else whose vote counts.
    fn other_voters(&self) -> Vec<NodeId> {
        let voters = self.peers.iter().map(|peer| peer.id).filter(|&id| self.membership.is_voter(id));
        voters.collect()
    }

    /// Leads from now on: knows nothing of the others, and opens the term with an empty entry, whose
    /// append is also the first sign of life to the others.
    fn become_leader(&mut self) {
        marks::hit("raft.became_leader");
        self.role = Role::Leader;
        self.leader = Some(self.config.id);
        self.leader_contact = None;
        self.stamp_base = (self.log.last_time(), self.now);
        self.heartbeat_deadline = self.now.plus_us(self.config.heartbeat_interval_us.max(1));
        self.uncommitted_bytes = 0;
        self.is_lease_void = false;
        self.term_start = self.log.last_index().next();
        for peer in &mut self.peers {
            peer.begin_leadership(self.term_start, self.now);
        }
        self.report_role();
        self.append(self.next_entry(Payload::Noop));
    }

    /// Would this node vote for that candidate? The same question for pre-votes and votes, but that a
    /// pre-vote for a later term does not care about the vote in this one.
    ///
    /// A node that takes itself for a learner, or for no member at all, votes as well: the candidate may know
    /// better who votes, and counts only those who do.
    fn would_vote(&self, candidate: NodeId, term: Term, last: (LogIndex, Term), by_transfer: bool) -> bool {
        let is_free = term > self.hard_state.term
            || self.hard_state.voted_for.is_none_or(|voted_for| voted_for == candidate);
        is_free && self.is_far_enough(last) && (by_transfer || !self.hears_leader_other_than(candidate))
    }

    /// Whether a log that ends so holds whatever may be committed here.
    fn is_far_enough(&self, (last_index, last_term): (LogIndex, Term)) -> bool {
        if plant::is(Bug::VoteComparesLengthFirst) {
            return (last_index, last_term) >= (self.log.last_index(), self.log.last_term());
        }
        plant::is(Bug::VoteIgnoresLog) || self.log.is_up_to_date(last_index, last_term)
    }

    /// Answers a pre-vote; nothing changes here.
    pub(super) fn answer_pre_vote(
        &mut self,
        from: NodeId,
        term: Term,
        last_index: LogIndex,
        last_term: Term,
    ) {
        let granted = self.would_vote(from, term, (last_index, last_term), false);
        if !granted && self.hears_leader_other_than(from) {
            marks::hit("raft.pre_vote_refused_leader_alive");
        }
        let bears = if granted { term } else { self.hard_state.term };
        let committed = self.committed();
        self.send(from, bears, Body::PreVoteResponse { granted, committed });
    }

    /// Answers a vote request of the current term. A vote given leaves once it is durable; a refusal
    /// promises nothing.
    pub(super) fn answer_vote(&mut self, from: NodeId, last: (LogIndex, Term), by_transfer: bool) {
        let term = self.hard_state.term;
        if !self.would_vote(from, term, last, by_transfer) {
            self.send(from, term, Body::VoteResponse { granted: false, committed: self.committed() });
            return;
        }
        if self.hard_state.voted_for.is_none() {
            self.hard_state.voted_for = Some(from);
            self.effects.get().events.push(Event::Voted { term, candidate: from });
        }
        self.election_deadline = self.now.plus_us(self.election_timeout_us);
        if plant::is(Bug::VoteNotPersisted) {
            self.send(from, term, Body::VoteResponse { granted: true, committed: self.committed() });
            return;
        }
        self.storing.want(self.hard_state);
        let body = Body::VoteResponse { granted: true, committed: self.committed() };
        let response = Message { from: self.config.id, to: from, term, body };
        self.storing.after_hard_state(response, self.effects.get());
    }

    /// Counts a pre-vote, if it is an answer to the question that is open.
    pub(super) fn count_pre_vote(&mut self, from: NodeId, term: Term, granted: bool) {
        let asked_about = self.hard_state.term.next();
        let is_answer = if granted { term == asked_about } else { term == self.hard_state.term };
        if self.role != Role::PreCandidate || !is_answer {
            marks::hit("raft.late_pre_vote_ignored");
            return;
        }
        self.note_vote(from, granted);
        self.conclude_election();
    }

    /// Counts a vote.
    pub(super) fn count_vote(&mut self, from: NodeId, granted: bool) {
        if self.role != Role::Candidate {
            marks::hit("raft.late_vote_ignored");
            return;
        }
        self.note_vote(from, granted);
        self.conclude_election();
    }

    /// One voter, one vote: what a voter said first stands.
    fn note_vote(&mut self, from: NodeId, granted: bool) {
        if let Some(peer) = self.peer_mut(from) {
            peer.vote.get_or_insert(granted);
        }
    }

    fn forget_votes(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.vote = None);
    }

    /// Ends the election or pre-election if the votes decide it.
    pub(super) fn conclude_election(&mut self) {
        let own = match self.role {
            Role::Candidate => (self.storing.durable_hard_state() == self.hard_state).then_some(true),
            _ => Some(true),
        };
        let (voters, outgoing) = self.halves();
        let result = quorum::vote_result(voters, outgoing, |id| match self.peer(id) {
            Some(peer) => peer.vote,
            None => own,
        });
        match (self.role, result) {
            // An answer may have brought news of a change that has to be applied first.
            (Role::PreCandidate, VoteResult::Won) if !self.may_campaign() => {
                marks::hit("raft.campaign_put_off");
                self.become_follower(self.hard_state.term, None);
            }
            (Role::PreCandidate, VoteResult::Won) => self.campaign(false),
            (Role::Candidate, VoteResult::Won) => self.become_leader(),
            (Role::PreCandidate | Role::Candidate, VoteResult::Lost) => {
                marks::hit("raft.election_lost");
                self.become_follower(self.hard_state.term, None);
            }
            _ => {}
        }
    }

    fn report_role(&mut self) {
        let event = Event::RoleChanged { role: self.role, term: self.hard_state.term, leader: self.leader };
        self.effects.get().events.push(event);
    }
}
