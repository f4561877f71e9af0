//! The tables of the locks, and how the machine drives them.
//!
//! Invariants, after each apply: those who are in go together, unless permits were taken away from a
//! semaphore; the admitted prefix of each line is as long as can be; no wait is admitted everywhere; every
//! hold and every place in line has a claim of its session, and a session has at most one at each resource;
//! a mutex that nobody holds or awaits is not in the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::parties::Parties;
use super::resource::{Resource, ResourceId};
use super::types::{
    CLAIMS_OF_ALL_MAX, FORCED_RELEASES_KEPT, LOCKS_MAX, LockAction, LockError, LockEvent, WAITERS_MAX,
};
use super::views::{ForcedRelease, LockHolder};
use super::waits::Wanted;
use crate::ids::{ClusterTime, FenceToken, LogIndex, SessionId};
use crate::machine::service::{Asker, Moment, Out};
use crate::machine::{MachineError, MachineEvent, Name, Outcome, Table};
use crate::marks;

/// The bounds of the locks.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct LockLimits {
    /// Waiters of one lock; at most [`WAITERS_MAX`].
    pub(in crate::machine) waiters: usize,
    /// Locks held, awaited or declared.
    pub(in crate::machine) locks: usize,
    /// Holds and places in line, of all sessions.
    pub(in crate::machine) claims: usize,
    /// Forced releases on record; at most [`FORCED_RELEASES_KEPT`].
    pub(in crate::machine) forced: usize,
}

impl Default for LockLimits {
    fn default() -> Self {
        Self {
            waiters: WAITERS_MAX,
            locks: LOCKS_MAX,
            claims: CLAIMS_OF_ALL_MAX,
            forced: FORCED_RELEASES_KEPT,
        }
    }
}

/// All locks.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::machine) struct Locks {
    pub(super) names: Table<Name, ResourceId>,
    pub(super) resources: Table<ResourceId, Arc<Resource>>,
    /// Claims and waits, by session.
    pub(super) parties: Parties,
    /// The latest forced releases, by the index of the entry.
    pub(super) forced: Table<LogIndex, ForcedRelease>,
    /// The latest resource id.
    pub(super) last_id: u64,
    /// When a resource was forgotten for the last time.
    pub(super) forgotten_at: LogIndex,
    /// Resources where something changed and whose lines have not moved up yet. Empty after each apply.
    #[serde(skip)]
    pub(super) touched: BTreeSet<ResourceId>,
    #[serde(skip)]
    pub(super) limits: LockLimits,
}

impl Locks {
    /// No locks, with these bounds.
    pub(in crate::machine) fn within(limits: LockLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Carries out a command.
    pub(in crate::machine) fn act(
        &mut self,
        at: Moment,
        by: Asker,
        action: &LockAction,
        out: &mut Out,
    ) -> Outcome {
        match action {
            LockAction::Acquire { requests, wait_us } => self.acquire(at, by, requests, *wait_us, out),
            LockAction::Release { grants } => self.release(at, by.session, grants, out),
            LockAction::Upgrade { resource, token, wait_us } => {
                self.upgrade(at, by, resource, *token, *wait_us, out)
            }
            LockAction::Downgrade { resource, token } => {
                self.downgrade(at, by.session, resource, *token, out)
            }
            LockAction::Cancel { sequence } => self.cancel(at, by.session, *sequence, out),
            LockAction::DeclareSemaphore { resource, permits } => self.declare(at, resource, *permits, out),
            LockAction::RemoveSemaphore { resource } => self.remove_semaphore(at, resource, out),
            LockAction::ForceRelease { resource, token, reason } => {
                self.force_release(at, by.session, resource, *token, reason, out)
            }
        }
    }

    /// Ends the waits that are due, as far as there is room, then lets the lines move up.
    pub(in crate::machine) fn expire(&mut self, at: Moment, out: &mut Out) {
        while self.parties.next_end().is_some_and(|end| end <= at.time)
            && out.may_end()
            && let Some(by) = self.parties.first_to_end()
        {
            marks::hit("machine.wait_timed_out");
            self.end_wait(by, at, LockError::Timeout.into(), out);
        }
        self.settle(at, out);
    }

    /// Takes away what a session awaits and holds, in the order in which the resources came to be known.
    pub(in crate::machine) fn session_ended(&mut self, id: SessionId, at: Moment, out: &mut Out) {
        if !self.parties.contains(id) {
            return;
        }
        let waits: Vec<Asker> = self.parties.waits_of(id).map(|(by, _)| by).collect();
        out.also_ended(waits.len());
        for by in waits {
            self.end_wait(by, at, MachineError::SessionExpired, out);
        }
        let claims = self.parties.claims_of(id);
        out.also_ended(claims.len());
        for (resource, claim) in claims {
            let token = claim.token().expect("its waits have just ended");
            self.end_hold(id, resource, token, at, out);
        }
    }

    /// Ends a wait that its client has let go of.
    pub(in crate::machine) fn wait_given_up(&mut self, by: Asker, at: Moment, out: &mut Out) {
        self.end_wait(by, at, LockError::Cancelled.into(), out);
    }

    /// Forgets all who wait, and tells nobody: what a planted bug does.
    pub(in crate::machine) fn forget_waits(&mut self, at: Moment) {
        let waiting: Vec<Asker> = self.parties.waits_beyond(None).map(|(by, _)| by).collect();
        for by in waiting {
            self.end_wait(by, at, LockError::Cancelled.into(), &mut Out::default());
        }
    }

    /// The earliest end of a wait.
    pub(in crate::machine) fn next_deadline(&self) -> Option<ClusterTime> {
        self.parties.next_end()
    }

    /// A resource by its name.
    pub(super) fn find(&self, name: &str) -> Option<(ResourceId, &Resource)> {
        let &id = self.names.get(name)?;
        Some((id, &self.resources[&id]))
    }

    /// A resource that a claim, a wait or a name speaks of.
    pub(super) fn resource_mut(&mut self, id: ResourceId) -> &mut Resource {
        Arc::make_mut(self.resources.get_mut(&id).expect("what is claimed or named is in the table"))
    }

    /// The token under which a session holds a resource, if it does.
    pub(super) fn token_of(&self, session: SessionId, resource: ResourceId) -> Option<FenceToken> {
        self.parties.claim_of(session, resource)?.token()
    }

    /// Ends a hold, and with it an upgrade of it. The caller settles.
    pub(super) fn end_hold(
        &mut self,
        session: SessionId,
        id: ResourceId,
        token: FenceToken,
        at: Moment,
        out: &mut Out,
    ) -> LockHolder {
        if let Some(upgrader) = self.resources[&id].upgrader
            && upgrader.session == session
        {
            self.end_wait(upgrader, at, LockError::NotHeld.into(), out);
        }
        self.parties.disclaim(session, id);
        self.touched.insert(id);
        let resource = self.resource_mut(id);
        let holder = resource.take_away(token, at.index);
        let released = LockEvent::Released { resource: resource.name.to_string(), holder };
        out.event(MachineEvent::Lock(released));
        holder
    }

    /// Ends a wait, if it has not ended already. The caller settles.
    pub(super) fn end_wait(&mut self, by: Asker, at: Moment, why: MachineError, out: &mut Out) {
        let Some(wait) = self.parties.take_wait(by) else { return };
        for want in wait.wanted.places() {
            self.parties.disclaim(by.session, want.resource);
            self.touched.insert(want.resource);
            let resource = self.resource_mut(want.resource);
            resource.leave(wait.ticket);
            resource.version = at.index;
        }
        if let Wanted::Upgrade(id) = wait.wanted {
            self.touched.insert(id);
            let resource = self.resource_mut(id);
            resource.upgrader = None;
            resource.version = at.index;
        }
        out.complete(by, Err(why));
    }
}

/// What tests look at.
#[cfg(test)]
impl Locks {
    /// The names of all resources that are known.
    pub(in crate::machine) fn names(&self) -> Vec<String> {
        self.names.keys().map(|name| name.to_string()).collect()
    }

    /// How many wait, and how many deadlines there are.
    pub(in crate::machine) fn counts(&self) -> (usize, usize) {
        (self.parties.waiting(), self.parties.count_ends())
    }
}
