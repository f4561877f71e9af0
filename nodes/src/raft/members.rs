//! The members in force, and when they change: once the entry that changes them is applied.
//!
//! Applying late, rather than at append as the thesis has it, is safe because of two rules that bind
//! everybody (etcd's core has the same):
//! * A leader proposes no change before the one before it is applied at its own place, nor before it has
//!   committed in its term. So a node whose log holds a change has been told that every earlier one is
//!   committed, and the members that it goes by are at most one change behind those in its log.
//! * Nobody campaigns while it knows of a committed change that it has not applied.
//!
//! One change apart, majorities overlap: a change of one voter by counting, a joint state by definition.

use std::sync::Arc;

use crate::ids::{LogIndex, NodeId};
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::membership::Membership;
use super::progress::Progress;
use super::types::{Body, Event, Payload, Role};

impl Core {
    /// The machine has applied everything up to `index`, and with it the members and version change.
    pub(super) fn applied(&mut self, index: LogIndex) {
        let index = index.min(self.emitted_index);
        while let Some(&first) = self.unapplied_changes.first()
            && first <= index
        {
            self.unapplied_changes.remove(0);
            self.apply_change(first);
        }
        self.applied_index = self.applied_index.max(index);
        self.carry_out_late_order();
    }

    fn apply_change(&mut self, index: LogIndex) {
        match self.log.get(index).map(|entry| entry.payload.clone()) {
            Some(Payload::Membership(agreed)) => {
                self.adopt_membership(index, Arc::new(agreed.after));
                self.give_up_leadership_if_removed();
                if self.role == Role::Leader {
                    // Fewer voters may make a quorum of what is acknowledged already.
                    self.advance_commit_index();
                    // Who may lead next depends on who knows of the change, so the news does not wait.
                    self.begin_round(false);
                }
            }
            Some(Payload::Version(version)) => self.adopt_version(version),
            _ => {}
        }
    }

    /// Goes by these members from now on.
    pub(super) fn adopt_membership(&mut self, index: LogIndex, membership: Arc<Membership>) {
        if membership == self.membership {
            return;
        }
        let others: Vec<_> = membership.members().into_iter().filter(|&id| id != self.config.id).collect();
        self.take_leave_of_strangers(&others);
        for &id in &others {
            let is_learner = membership.is_learner(id);
            match self.peers.binary_search_by_key(&id, |peer| peer.id) {
                Ok(position) => self.peers[position].is_learner = is_learner,
                Err(position) => {
                    let mut peer = Progress::new(id, is_learner);
                    if self.role == Role::Leader {
                        peer.begin_leadership(self.log.last_index().next(), self.now);
                    }
                    self.peers.insert(position, peer);
                }
            }
        }
        self.membership = Arc::clone(&membership);
        self.abandon_transfer_to_stranger();
        if matches!(self.role, Role::PreCandidate | Role::Candidate) && !self.is_voter() {
            marks::hit("raft.removed_candidate_gives_up");
            self.become_follower(self.hard_state.term, None);
        }
        self.effects.get().events.push(Event::MembershipChanged { index, membership });
    }

    /// Forgets the peers that are members no more. A leader tells them first what is committed, so that they
    /// know it, too.
    fn take_leave_of_strangers(&mut self, members: &[NodeId]) {
        for position in (0..self.peers.len()).rev() {
            let Progress { id, match_index, .. } = self.peers[position];
            if members.binary_search(&id).is_ok() {
                continue;
            }
            if self.role == Role::Leader {
                let commit_index = self.commit_index.min(match_index);
                let body = Body::Heartbeat { commit_index, read_round: self.reads.round(), quiesce: false };
                self.send(id, self.hard_state.term, body);
            }
            self.peers.remove(position);
        }
    }

    /// Speaks this version from now on.
    pub(super) fn adopt_version(&mut self, version: u16) {
        if version > self.version {
            marks::hit("raft.version_raised");
            self.version = version;
            self.effects.get().events.push(Event::VersionRaised { version });
        }
    }

    /// A leader that is no voter any more has done its part: it tells the others what is committed, and one
    /// of them to campaign.
    fn give_up_leadership_if_removed(&mut self) {
        if self.role != Role::Leader || self.is_voter() {
            return;
        }
        marks::hit("raft.removed_leader_steps_down");
        for position in 0..self.peers.len() {
            let commit_index = self.commit_index.min(self.peers[position].match_index);
            let body = Body::Heartbeat { commit_index, read_round: self.reads.round(), quiesce: false };
            self.send(self.peers[position].id, self.hard_state.term, body);
        }
        self.hand_over_at_once();
    }

    /// Whose majorities decide: of the incoming voters and, while the configuration is joint, of the outgoing.
    pub(super) fn halves(&self) -> (&[NodeId], &[NodeId]) {
        let Membership { voters, outgoing, .. } = &*self.membership;
        if plant::is(Bug::JointUsesNewMajorityOnly) {
            return (voters, &[]);
        }
        (voters, outgoing)
    }

    /// Whether a committed change of the members is not yet applied here, or the log is being replaced: who
    /// may vote is not known then.
    pub(super) fn is_change_outstanding(&self) -> bool {
        self.unapplied_changes.first().is_some_and(|&index| index <= self.commit_index)
            || self.storing.is_log_being_replaced()
            || self.waits_for_install()
            || self.applied_index < self.log.base().index
    }
}
