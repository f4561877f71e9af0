//! What a driver or a script may tell a core about leaders and timers, beside its inputs.
//!
//! Both are hints: no safety rests on when a node campaigns or on whom it takes for the leader, but for the
//! promise behind leases, which neither of them breaks.

use crate::ids::LocalTime;

use super::core::Core;
use super::types::{Event, Role};

impl Core {
    /// The driver knows that the leader is gone: forgets it, so that this node no longer refuses its vote on
    /// the leader's behalf. Term, vote and election timeout stay. Nothing happens on a node that does not
    /// follow anybody, or where leases promise the leader to be waited for. A sign of life from the leader
    /// makes the node follow it again.
    pub fn forget_leader(&mut self) {
        if self.role != Role::Follower || self.leader.is_none() || self.config.lease_drift_ppm_max.is_some() {
            return;
        }
        self.seal();
        self.wake();
        self.leader = None;
        self.leader_contact = None;
        let event = Event::RoleChanged { role: self.role, term: self.hard_state.term, leader: None };
        self.effects.get().events.push(event);
    }

    /// Puts this time in place of the election timeout that was drawn last, as if it had been drawn then,
    /// until the next one is drawn. No less than the least that is configured.
    pub fn set_election_timeout_us(&mut self, timeout_us: u64) {
        let began = LocalTime(self.election_deadline.0.saturating_sub(self.election_timeout_us));
        self.election_timeout_us = timeout_us.max(self.config.election_timeout_us);
        self.election_deadline = began.plus_us(self.election_timeout_us);
    }
}
