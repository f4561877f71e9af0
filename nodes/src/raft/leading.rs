//! What only a leader does of its own accord: take proposals, change the members, raise the version.

use bytes::Bytes;

use crate::ids::LogIndex;
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::membership::{MemberChange, MembershipChange, MembershipError};
use super::types::{ChangeOutcome, Entry, Payload, ProposalOutcome, Reconfiguration, Refusal, Role};

impl Core {
    /// Appends a client's command if this node leads and has room.
    pub(super) fn propose(&mut self, id: u64, command: Bytes) {
        let outcome = match self.refusal_of_proposals() {
            Some(reason) => ProposalOutcome::Refused { id, reason },
            None => match self.append_payload(Payload::Command(command)) {
                Ok(entry) => ProposalOutcome::Appended { id, index: entry, term: self.hard_state.term },
                Err(reason) => ProposalOutcome::Refused { id, reason },
            },
        };
        self.effects.get().proposals.push(outcome);
    }

    /// Why nothing can be proposed here now, if so.
    fn refusal_of_proposals(&self) -> Option<Refusal> {
        if self.role != Role::Leader {
            return Some(Refusal::NotLeader { leader: self.leader });
        }
        self.transfer.as_ref().map(|transfer| Refusal::Transferring { to: transfer.target() })
    }

    /// Appends an entry of this leader's, if there is room for it.
    fn append_payload(&mut self, payload: Payload) -> Result<LogIndex, Refusal> {
        let entry = self.next_entry(payload);
        let with_entry = self.uncommitted_bytes + entry.weight_bytes();
        if self.uncommitted_bytes > 0 && with_entry > self.config.uncommitted_bytes_max {
            marks::hit("raft.proposal_refused_overloaded");
            return Err(Refusal::Overloaded);
        }
        self.uncommitted_bytes = with_entry;
        let index = entry.index;
        self.append(entry);
        Ok(index)
    }

    /// The entry that this leader would append now.
    pub(super) fn next_entry(&self, payload: Payload) -> Entry {
        let time = self.cluster_time(self.now).expect("only a leader makes entries");
        Entry { index: self.log.last_index().next(), term: self.hard_state.term, time, payload }
    }

    /// Whether a change of members or version may be proposed: this leader has committed in its term, so
    /// that what it takes for the members is what the cluster has agreed on (Ongaro's correction of 2015
    /// to the thesis, 4.1), and every earlier change is applied here.
    fn may_change(&self) -> bool {
        let is_first = self.unapplied_changes.is_empty() || plant::is(Bug::SecondChangeWhileUnapplied);
        is_first && self.has_committed_in_term()
    }

    /// Appends a change of the members, if it makes sense of those in force.
    pub(super) fn change_membership(&mut self, id: u64, change: MembershipChange) {
        let refusal = self.refusal_of_proposals().or((!self.may_change()).then_some(Refusal::ChangePending));
        let outcome = if let Some(reason) = refusal {
            ChangeOutcome::Refused { id, reason }
        } else {
            match self.reconfiguration(change).map(|payload| self.append_change(payload)) {
                Ok(Ok(index)) => ChangeOutcome::Appended { id, index, term: self.hard_state.term },
                Ok(Err(reason)) => ChangeOutcome::Refused { id, reason },
                Err(reason) => ChangeOutcome::Impossible { id, reason },
            }
        };
        self.effects.get().changes.push(outcome);
    }

    /// What a change makes of the members in force. They will be in force still when it is applied, since it
    /// is proposed only where no other change is under way.
    fn reconfiguration(&self, change: MembershipChange) -> Result<Payload, MembershipError> {
        let after = self.membership.after(&change)?;
        Ok(Payload::Membership(Box::new(Reconfiguration { change, after })))
    }

    fn append_change(&mut self, payload: Payload) -> Result<LogIndex, Refusal> {
        let index = self.append_payload(payload)?;
        self.unapplied_changes.push(index);
        self.seal();
        Ok(index)
    }

    /// Proposes what the leader owes the cluster: the end of a joint state, the promotion of a learner that
    /// has caught up, a version that everybody speaks.
    pub(super) fn propose_what_is_due(&mut self) {
        let is_idle = !self.membership.auto_leave
            && self.membership.promotable.is_empty()
            && self.config.version <= self.version;
        if is_idle || self.transfer.is_some() || !self.may_change() {
            return;
        }
        let payload = if self.membership.is_joint() {
            let leave = self.membership.auto_leave.then(MembershipChange::leave_joint);
            leave.and_then(|leave| self.reconfiguration(leave).ok())
        } else {
            self.promotion().or_else(|| self.version_for_all())
        };
        if let Some(payload) = payload {
            // Without room it is tried again when there is.
            let _ = self.append_change(payload);
        }
    }

    /// Makes a voter of the first learner that waits for it and has caught up.
    fn promotion(&self) -> Option<Payload> {
        let enough = LogIndex(self.log.last_index().0.saturating_sub(self.config.promotion_lag_entries));
        let has_caught_up =
            |&&id: &&_| self.peer(id).is_some_and(|peer| peer.match_index >= enough.max(self.term_start));
        let learner = *self.membership.promotable.iter().find(has_caught_up)?;
        marks::hit("raft.learner_promoted");
        self.reconfiguration(MembershipChange::of(vec![MemberChange::AddVoter(learner)])).ok()
    }

    /// Raises the cluster's version once every member has told, in this term, that it speaks a later one.
    fn version_for_all(&self) -> Option<Payload> {
        let mut version = self.config.version;
        for peer in &self.peers {
            version = version.min(peer.version?);
        }
        (version > self.version).then_some(Payload::Version(version))
    }
}
