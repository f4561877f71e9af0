//! Handing the leadership over (thesis 3.10): on request, to a node of a higher priority, and when a leader
//! cannot do its work.
//!
//! While a transfer is under way nothing new is proposed, so that the target can catch up with a log that
//! stands still. When it holds all of it, it is told to campaign at once, and its vote requests say why, so
//! that voters do not refuse them for having heard from the leader just now. A transfer that has not come to
//! an end within an election timeout is given up.
//!
//! From the moment a node has been told to campaign, this leader relies on no lease for the rest of its
//! term: the order may arrive late.

use crate::ids::{LocalTime, NodeId, Term};
use crate::marks;

use super::core::Core;
use super::types::{Body, Refusal, Role, TransferOutcome};

/// Election timeouts between one hand-over to a preferred node and the next, at first and at most.
const PATIENCE_TIMEOUTS: u64 = 10;
const PATIENCE_TIMEOUTS_MAX: u64 = 640;

/// When this node may hand over to one of a higher priority again. Each time it is twice as long: a preferred
/// node that cannot keep the leadership must not cost the cluster an election for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Preference {
    not_before: LocalTime,
    patience_timeouts: u64,
}

impl Preference {
    fn begin(&mut self, now: LocalTime, election_timeout_us: u64) {
        let doubled = self.patience_timeouts.saturating_mul(2);
        self.patience_timeouts = doubled.clamp(PATIENCE_TIMEOUTS, PATIENCE_TIMEOUTS_MAX);
        self.not_before = now.plus_us(election_timeout_us.saturating_mul(self.patience_timeouts));
    }
}

/// A transfer under way.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    to: NodeId,
    deadline: LocalTime,
    /// When the target was last told.
    told_at: Option<LocalTime>,
    /// Nobody asked for it, so nobody is told how it ended.
    is_own: bool,
}

impl Transfer {
    /// Who is to lead.
    pub(super) const fn target(&self) -> NodeId {
        self.to
    }
}

impl Core {
    /// The driver wants another leader.
    pub(super) fn begin_transfer(&mut self, to: Option<NodeId>) {
        let refusal = if self.role != Role::Leader {
            Some(Refusal::NotLeader { leader: self.leader })
        } else {
            self.transfer.as_ref().map(|transfer| Refusal::Transferring { to: transfer.to })
        };
        let target = to.or_else(|| self.furthest_voter());
        let target = target.filter(|&id| self.peer(id).is_some() && self.membership.is_voter(id));
        match (refusal, target) {
            (Some(reason), _) => self.effects.get().transfers.push(TransferOutcome::Refused(reason)),
            (None, None) => self.effects.get().transfers.push(TransferOutcome::Refused(Refusal::NoSuchVoter)),
            (None, Some(to)) => self.start_transfer(to, false),
        }
    }

    fn start_transfer(&mut self, to: NodeId, is_own: bool) {
        let deadline = self.now.plus_us(self.config.election_timeout_us);
        self.transfer = Some(Box::new(Transfer { to, deadline, told_at: None, is_own }));
    }

    /// The voter that lacks least, of those heard of lately.
    fn furthest_voter(&self) -> Option<NodeId> {
        let is_alive = |peer: &&super::progress::Progress| {
            self.now.since_us(peer.last_contact) < self.config.election_timeout_us
        };
        let voters = self.peers.iter().filter(|peer| self.membership.voters.binary_search(&peer.id).is_ok());
        voters.filter(is_alive).max_by_key(|peer| peer.match_index).map(|peer| peer.id)
    }

    /// As leader: tells the target to campaign once it holds the whole log.
    pub(super) fn ask_transfer_target(&mut self) {
        let (now, interval_us) = (self.now, self.config.heartbeat_interval_us);
        let Some(transfer) = &mut self.transfer else { return };
        let to = transfer.to;
        if transfer.told_at.is_some_and(|at| now.since_us(at) < interval_us) {
            return;
        }
        let last_index = self.log.last_index();
        if self.peers.iter().any(|peer| peer.id == to && peer.match_index == last_index) {
            transfer.told_at = Some(now);
            self.is_lease_void = true;
            self.send(to, self.hard_state.term, Body::TimeoutNow);
        }
    }

    /// A heartbeat interval has passed: gives up a transfer that takes too long, and begins one to a node
    /// that is wanted more.
    pub(super) fn review_transfer(&mut self) {
        match &self.transfer {
            Some(transfer) if transfer.deadline <= self.now => {
                marks::hit("raft.transfer_timed_out");
                self.end_transfer(TransferOutcome::TimedOut);
            }
            Some(_) => {}
            None => self.prefer_higher_priority(),
        }
    }

    fn prefer_higher_priority(&mut self) {
        let own = self.config.priority;
        let is_too_soon = self.now < self.preference.not_before;
        if is_too_soon || !self.has_committed_in_term() || self.is_change_outstanding() {
            return;
        }
        let enough = self.log.last_index().0.saturating_sub(self.config.promotion_lag_entries);
        let is_fit = |peer: &&super::progress::Progress| {
            peer.priority > own
                && peer.match_index.0 >= enough
                && self.now.since_us(peer.last_contact) < self.config.heartbeat_interval_us.saturating_mul(2)
                && self.membership.voters.binary_search(&peer.id).is_ok()
        };
        let wanted = self.peers.iter().filter(is_fit).max_by_key(|peer| peer.priority).map(|peer| peer.id);
        if let Some(to) = wanted {
            marks::hit("raft.leadership_given_to_higher_priority");
            self.preference.begin(self.now, self.config.election_timeout_us);
            self.start_transfer(to, true);
        }
    }

    /// The leadership, and with it the transfer, is at an end.
    pub(super) fn end_transfer(&mut self, outcome: TransferOutcome) {
        if self.transfer.take().is_some_and(|transfer| !transfer.is_own) {
            self.effects.get().transfers.push(outcome);
        }
    }

    /// The target may have left the cluster meanwhile.
    pub(super) fn abandon_transfer_to_stranger(&mut self) {
        if self.transfer.as_ref().is_some_and(|transfer| self.peer(transfer.to).is_none()) {
            self.end_transfer(TransferOutcome::TimedOut);
        }
    }

    /// Steps down without being asked or beaten, and tells whoever is furthest to take over.
    pub(super) fn hand_over_at_once(&mut self) {
        if let Some(to) = self.furthest_voter() {
            self.send(to, self.hard_state.term, Body::TimeoutNow);
        }
        self.become_follower(self.hard_state.term, None);
    }

    /// The leader wants this node to take over.
    pub(super) fn campaign_for_transfer(&mut self, from: NodeId) {
        let is_leaders_wish = self.leader.is_none_or(|leader| leader == from);
        if self.role == Role::Leader || !is_leaders_wish || self.is_disk_stalled() {
            marks::hit("raft.transfer_order_ignored");
            return;
        }
        self.order = (self.hard_state.term, self.now.plus_us(self.config.election_timeout_us));
        self.carry_out_late_order();
    }

    /// Campaigns if a leader of the current term has ordered it just now. An order that came while a committed change
    /// of the members was still to be applied is carried out when it is.
    pub(super) fn carry_out_late_order(&mut self) {
        let (term, until) = self.order;
        let is_ordered = term == self.hard_state.term && term > Term(0) && self.now < until;
        let is_free = matches!(self.role, Role::Follower | Role::PreCandidate);
        if is_ordered && is_free && self.may_campaign() {
            self.order.0 = Term(0);
            self.campaign(true);
        }
    }
}
