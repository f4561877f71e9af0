//! Falling silent while there is nothing to do, and waking up (the idea is Dragonboat's quiesce mode).
//!
//! A leader that has had nothing to do for some heartbeat intervals, and whose followers all hold everything,
//! says with its heartbeats that it would fall silent. A follower to whom that makes sense agrees, and stops
//! its timer. Once *all* have agreed the leader stops, too. Anything to do wakes a node: the leader then beats
//! again, a follower calls the leader and starts its timer, so that a leader that died in silence is replaced
//! as soon as anybody wants something.
//!
//! A node that was woken takes the leader to be alive for one more election timeout: one member that starts
//! anew in a silent group must not unseat its leader.

use std::collections::BTreeSet;

use crate::ids::LogIndex;
use crate::marks;

use super::core::Core;
use super::types::{Body, Message, Payload, Role};

/// How far a node is on the way to silence.
#[derive(Clone, Debug, Default)]
pub(super) struct Silence {
    is_silent: bool,
    /// As leader: heartbeat intervals in which nothing was to do.
    idle_intervals: u32,
}

impl Silence {
    /// Whether no timer of this node runs.
    pub(super) const fn is_silent(&self) -> bool {
        self.is_silent
    }
}

impl Core {
    /// There is something to do.
    pub(super) fn wake(&mut self) {
        self.silence.idle_intervals = 0;
        if !std::mem::take(&mut self.silence.is_silent) {
            return;
        }
        marks::hit("raft.woken_from_silence");
        for peer in &mut self.peers {
            peer.is_quiesced = false;
            peer.last_contact = self.now;
        }
        if self.role == Role::Leader {
            self.heartbeat_deadline = self.now;
            return;
        }
        self.leader_contact = self.leader.map(|_| self.now);
        self.election_deadline = self.now.plus_us(self.election_timeout_us);
        if let Some(leader) = self.leader {
            self.send(leader, self.hard_state.term, Body::Wake);
        }
    }

    /// This node campaigns, which is as loud as can be.
    pub(super) fn leave_silence(&mut self) {
        self.silence = Silence::default();
    }

    /// Whether this node does not vote and has something to ask of a leader, in a cluster that may be silent:
    /// nobody would come to it.
    pub(super) fn calls_for_leader(&self) -> bool {
        let wants = self.leader.is_none() || !self.reads.is_idle();
        let belongs = self.log.last_index() > LogIndex(0);
        self.config.quiesce_after_intervals.is_some() && !self.is_voter() && belongs && wants
    }

    /// Calls everybody: whoever leads beats again, whoever knows a leader passes the call on. A node that has
    /// started anew may know of the others only by a change that it cannot apply yet.
    pub(super) fn call_for_leader(&mut self) {
        marks::hit("raft.learner_calls_for_a_leader");
        let last_change = self.unapplied_changes.last().and_then(|&index| self.log.get(index));
        let announced = match last_change.map(|entry| &entry.payload) {
            Some(Payload::Membership(agreed)) => agreed.after.members(),
            _ => Vec::new(),
        };
        let mut members: BTreeSet<_> = self.peers.iter().map(|peer| peer.id).chain(announced).collect();
        members.remove(&self.config.id);
        for member in members {
            self.send(member, self.hard_state.term, Body::Wake);
        }
        if let Some(leader) = self.leader {
            self.ask_again(leader);
        }
    }

    /// A message wakes a silent node unless it is part of falling silent.
    pub(super) fn wake_for(&mut self, message: &Message) {
        let is_lulling = match message.body {
            Body::Heartbeat { quiesce, .. } => quiesce,
            Body::HeartbeatResponse { quiesced, .. } => quiesced || !self.silence.is_silent,
            Body::AppendAccepted { .. } => !self.silence.is_silent,
            _ => false,
        };
        if !is_lulling {
            self.wake();
        }
    }

    /// As leader, at a heartbeat: whether to propose silence.
    pub(super) fn wants_silence(&mut self) -> bool {
        let Some(after) = self.config.quiesce_after_intervals else { return false };
        if !self.has_nothing_to_do() {
            self.silence.idle_intervals = 0;
            return false;
        }
        self.silence.idle_intervals = self.silence.idle_intervals.saturating_add(1);
        if self.silence.idle_intervals == after.saturating_add(1) {
            // It is the first proposal since there was something to do: earlier agreements are void.
            self.peers.iter_mut().for_each(|peer| peer.is_quiesced = false);
        }
        self.silence.idle_intervals > after
    }

    /// As leader: whether everything is agreed on, applied, stored, and known to everybody.
    fn has_nothing_to_do(&self) -> bool {
        let last = self.log.last_index();
        self.commit_index == last
            && self.applied_index == last
            && self.transfer.is_none()
            && self.reads.is_idle()
            && self.storing.out_since().is_none()
            && self.peers.iter().all(|peer| peer.has_all(last))
    }

    /// As leader: whether `round` and every later one proposed silence, with nothing to do in between. Each
    /// proposal is a round of its own, so the rounds since the first are as many as the proposals.
    pub(super) fn is_silence_proposed_since(&self, round: u64) -> bool {
        let after = self.config.quiesce_after_intervals.unwrap_or(u32::MAX);
        let proposals = u64::from(self.silence.idle_intervals.saturating_sub(after));
        round <= self.reads.round() && self.reads.round() - round < proposals
    }

    /// As leader: a follower has agreed. Falls silent when all have, unless there is something to do again.
    pub(super) fn fall_silent_if_all_agree(&mut self) {
        let after = self.config.quiesce_after_intervals.unwrap_or(u32::MAX);
        let all_agree = self.silence.idle_intervals > after && self.peers.iter().all(|peer| peer.is_quiesced);
        if all_agree && self.has_nothing_to_do() {
            marks::hit("raft.leader_falls_silent");
            self.silence.is_silent = true;
        }
    }

    /// As follower: whether it makes sense to agree to the leader's silence. If so, falls silent.
    pub(super) fn agrees_to_silence(&mut self, quiesce: bool) -> bool {
        let last = self.log.last_index();
        let agrees = quiesce
            && self.commit_index == last
            && self.storing.durable_index() == last
            && self.reads.is_idle();
        self.silence.is_silent = agrees;
        agrees
    }
}
