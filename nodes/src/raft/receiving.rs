//! Messages: sorted out by term, then by what they say (Raft paper 5.1).

use crate::ids::{LogIndex, NodeId, Term};
use crate::marks;

use super::core::Core;
use super::types::{Body, Message, ReadIndexAnswer, Role};

/// Terms from outside beyond this one are malformed. Elections alone never come near it, so the term can
/// always rise by one.
const TERM_MAX: Term = Term(u64::MAX / 2);

impl Core {
    /// Takes a message. The sender need not be a member that this node knows of: its own knowledge of the
    /// members may be old, and a node that is being added knows nobody. Whose vote or acknowledgement
    /// *counts* is decided where it is counted.
    pub(super) fn receive(&mut self, message: Message) {
        let is_ours = message.to == self.config.id && message.from != self.config.id;
        if !is_ours || message.term > TERM_MAX {
            marks::hit("raft.foreign_message_ignored");
            return;
        }
        self.wake_for(&message);
        // What is committed remains so: this is true of whatever term the answer is.
        if let Body::PreVoteRequest { committed, .. }
        | Body::PreVoteResponse { committed, .. }
        | Body::VoteRequest { committed, .. }
        | Body::VoteResponse { committed, .. } = message.body
        {
            self.learn_commit(committed);
        }
        if message.term < self.hard_state.term {
            self.answer_stale(&message);
            return;
        }
        if message.term > self.hard_state.term {
            match message.body {
                // A pre-vote asks about a term that nobody has entered; granting it grants nothing else.
                Body::PreVoteRequest { .. } | Body::PreVoteResponse { granted: true, .. } => {}
                Body::VoteRequest { by_transfer: false, .. }
                    if self.hears_leader_other_than(message.from) =>
                {
                    marks::hit("raft.vote_request_ignored_leader_alive");
                    return;
                }
                // Only a term's leader sends these, so it is known at once.
                Body::AppendRequest { .. } | Body::Heartbeat { .. } | Body::SnapshotChunk(_) => {
                    self.become_follower(message.term, Some(message.from));
                }
                _ => self.become_follower(message.term, None),
            }
        }
        self.dispatch(message);
    }

    /// Handles a message of the current term (or, of pre-votes, a later one).
    fn dispatch(&mut self, message: Message) {
        let Message { from, term, body, .. } = message;
        match body {
            Body::PreVoteRequest { last_index, last_term, .. } => {
                self.answer_pre_vote(from, term, last_index, last_term);
            }
            Body::PreVoteResponse { granted, .. } => self.count_pre_vote(from, term, granted),
            Body::VoteRequest { last_index, last_term, by_transfer, .. } => {
                self.answer_vote(from, (last_index, last_term), by_transfer);
            }
            Body::VoteResponse { granted, .. } => self.count_vote(from, granted),
            Body::AppendRequest { prev_index, prev_term, entries, commit_index } => {
                if self.follow(from) {
                    self.answer_append(from, (prev_index, prev_term), &entries, commit_index);
                }
            }
            Body::AppendAccepted { match_index } => self.append_accepted(from, match_index),
            Body::AppendRejected { prev_index, hint_index, hint_term } => {
                self.append_rejected(from, prev_index, hint_index, hint_term);
            }
            Body::Heartbeat { commit_index, read_round, quiesce } => {
                if self.follow(from) {
                    self.answer_heartbeat(from, commit_index, read_round, quiesce);
                }
            }
            Body::HeartbeatResponse { read_round, quiesced, version, priority } => {
                self.heartbeat_answered(from, read_round, quiesced, (version, priority));
            }
            Body::SnapshotChunk(chunk) => {
                if self.follow(from) {
                    self.answer_snapshot_chunk(from, *chunk);
                }
            }
            Body::SnapshotReceived { index, received_bytes } => {
                if self.note_contact(from)
                    && let Some(peer) = self.peer_mut(from)
                {
                    peer.snapshot_received(index, received_bytes);
                }
            }
            Body::TimeoutNow => self.campaign_for_transfer(from),
            Body::ReadIndexRequest { read } => self.answer_read_index(from, read),
            Body::ReadIndexResponse { read, answer } => self.read_index_answered(from, read, answer),
            // It has woken this node already.
            Body::Wake => {}
        }
    }

    /// Tells the sender of a stale request about the current term; a stale leader will then step down, a
    /// stale candidate catch up. The answers promise nothing, so they wait for nothing. Stale responses
    /// are dropped.
    fn answer_stale(&mut self, message: &Message) {
        let body = match message.body {
            Body::AppendRequest { .. } | Body::Heartbeat { .. } | Body::SnapshotChunk(_) => {
                self.heartbeat_response(0, false)
            }
            Body::VoteRequest { .. } => Body::VoteResponse { granted: false, committed: self.committed() },
            Body::PreVoteRequest { .. } => {
                Body::PreVoteResponse { granted: false, committed: self.committed() }
            }
            Body::ReadIndexRequest { read } => {
                Body::ReadIndexResponse { read, answer: ReadIndexAnswer::NotLeader }
            }
            _ => {
                marks::hit("raft.stale_response_ignored");
                return;
            }
        };
        marks::hit("raft.stale_request_answered");
        self.send(message.from, self.hard_state.term, body);
    }

    /// The last entry that is known here to be committed.
    pub(super) fn committed(&self) -> (LogIndex, Term) {
        (self.commit_index, self.log.term(self.commit_index).unwrap_or_default())
    }

    /// A candidate or a voter has said what it knows to be committed. It matters where members have changed
    /// and not everybody knows: a voter that has left since, and holds more than the candidate, would refuse
    /// it for ever; and so would one that has come since and takes itself for a learner after a restart.
    fn learn_commit(&mut self, (index, term): (LogIndex, Term)) {
        if index > self.commit_index && self.role != Role::Leader && self.log.term(index) == Some(term) {
            marks::hit("raft.commit_learnt_from_a_voter");
            self.commit_up_to(index);
        }
    }

    /// The answer to a heartbeat.
    pub(super) fn heartbeat_response(&self, read_round: u64, quiesced: bool) -> Body {
        let (version, priority) = (self.config.version, self.config.priority);
        Body::HeartbeatResponse { read_round, quiesced, version, priority }
    }

    /// Notes that a peer answered in the current term. Returns whether this node leads it.
    pub(super) fn note_contact(&mut self, from: NodeId) -> bool {
        let (now, leads) = (self.now, self.role == Role::Leader);
        if let Some(peer) = self.peer_mut(from).filter(|_| leads) {
            peer.last_contact = now;
        }
        leads
    }
}
