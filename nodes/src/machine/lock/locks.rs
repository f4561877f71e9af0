//! The tables of the locks, and how the machine drives them.
//!
//! Invariants, after each apply: those who are in go together, unless permits were taken away from a
//! semaphore; the admitted prefix of each line is as long as can be; no wait is admitted everywhere; every
//! hold and every place in line has a claim of its session, and a session has at most one at each resource;
//! a mutex that nobody holds or awaits is not in the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::resource::{Resource, ResourceId};
use super::types::{
    FORCED_RELEASES_KEPT, LOCKS_MAX, LockAction, LockError, LockEvent, LockMode, WAITERS_MAX,
};
use super::views::{ForcedRelease, LockHolder};
use crate::ids::{ClusterTime, FenceToken, LogIndex, SessionId};
use crate::machine::expiry::Deadlines;
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
    /// Forced releases on record; at most [`FORCED_RELEASES_KEPT`].
    pub(in crate::machine) forced: usize,
}

impl Default for LockLimits {
    fn default() -> Self {
        Self { waiters: WAITERS_MAX, locks: LOCKS_MAX, forced: FORCED_RELEASES_KEPT }
    }
}

/// What a session has to do with one resource: it holds it under a token, or it stands in line, for which
/// there is the token that is never granted. There is one for each place in line, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Claim(FenceToken);

impl Claim {
    /// It stands in line.
    pub(super) const WAITS: Self = Self(FenceToken(0));

    /// It holds under this token.
    pub(super) fn holds(token: FenceToken) -> Self {
        Self(token)
    }

    /// The token under which it holds, if it does.
    pub(super) fn token(self) -> Option<FenceToken> {
        (self != Self::WAITS).then_some(self.0)
    }
}

/// A place that a command takes in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Want {
    pub(super) resource: ResourceId,
    pub(super) mode: LockMode,
}

/// What a command waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wanted {
    /// To be in at all of these, in the order of the requests.
    Acquire(Arc<[Want]>),
    /// To be alone at this resource, which it holds shared under this token.
    Upgrade(ResourceId, FenceToken),
}

/// A command that waits.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Wait {
    /// Its place in all its lines: the index of its entry.
    pub(super) ticket: LogIndex,
    pub(super) deadline: ClusterTime,
    pub(super) wanted: Wanted,
    /// At how many resources it is not admitted. Follows from the rest.
    #[serde(skip)]
    pub(super) blocked: u32,
}

/// All locks.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::machine) struct Locks {
    pub(super) names: Table<Name, ResourceId>,
    pub(super) resources: Table<ResourceId, Resource>,
    pub(super) claims: Table<(SessionId, ResourceId), Claim>,
    /// How many claims a session has, if it has any.
    pub(super) claim_counts: Table<SessionId, u32>,
    pub(super) waits: Table<Asker, Wait>,
    pub(super) deadlines: Deadlines<Asker>,
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
        while self.deadlines.next().is_some_and(|end| end <= at.time)
            && out.may_end()
            && let Some(by) = self.deadlines.take_due(at.time)
        {
            marks::hit("machine.wait_timed_out");
            self.end_wait(by, at, LockError::Timeout.into(), out);
        }
        self.settle(at, out);
    }

    /// Takes away what a session awaits and holds, in the order in which the resources came to be known.
    pub(in crate::machine) fn session_ended(&mut self, id: SessionId, at: Moment, out: &mut Out) {
        if !self.claim_counts.contains_key(&id) {
            return;
        }
        let waits = self.waits_of(id);
        out.also_ended(waits.len());
        for by in waits {
            self.end_wait(by, at, MachineError::SessionExpired, out);
        }
        let claims = self.claims_of(id);
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
        let waiting: Vec<Asker> = self.waits.keys().copied().collect();
        for by in waiting {
            self.end_wait(by, at, LockError::Cancelled.into(), &mut Out::default());
        }
    }

    /// The earliest end of a wait.
    pub(in crate::machine) fn next_deadline(&self) -> Option<ClusterTime> {
        self.deadlines.next()
    }

    /// A resource by its name.
    pub(super) fn find(&self, name: &str) -> Option<(ResourceId, &Resource)> {
        let &id = self.names.get(name)?;
        Some((id, &self.resources[&id]))
    }

    /// A resource that a claim, a wait or a name speaks of.
    pub(super) fn resource_mut(&mut self, id: ResourceId) -> &mut Resource {
        self.resources.get_mut(&id).expect("what is claimed or named is in the table")
    }

    /// The claims of a session.
    pub(super) fn claims_of(&self, id: SessionId) -> Vec<(ResourceId, Claim)> {
        let all = (id, ResourceId(0))..=(id, ResourceId(u64::MAX));
        self.claims.range(all).map(|(&(_, resource), &claim)| (resource, claim)).collect()
    }

    /// The commands of a session that wait.
    pub(super) fn waits_of(&self, id: SessionId) -> Vec<Asker> {
        let of = |sequence| Asker { session: id, sequence: crate::ids::Sequence(sequence) };
        self.waits.range(of(0)..=of(u64::MAX)).map(|(&by, _)| by).collect()
    }

    /// The token under which a session holds a resource, if it does.
    pub(super) fn token_of(&self, session: SessionId, resource: ResourceId) -> Option<FenceToken> {
        self.claims.get(&(session, resource))?.token()
    }

    /// Notes what a session has to do with a resource now.
    pub(super) fn claim(&mut self, session: SessionId, resource: ResourceId, claim: Claim) {
        if self.claims.insert((session, resource), claim).is_none() {
            *self.claim_counts.entry(session).or_default() += 1;
        }
    }

    /// A session has nothing to do with a resource any more.
    fn disclaim(&mut self, session: SessionId, resource: ResourceId) {
        self.claims.remove(&(session, resource)).expect("who leaves has been there");
        let count = self.claim_counts.get_mut(&session).expect("who has claims is counted");
        *count -= 1;
        if *count == 0 {
            self.claim_counts.remove(&session);
        }
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
        self.disclaim(session, id);
        self.touched.insert(id);
        let resource = self.resource_mut(id);
        let holder = resource.take_away(token, at.index);
        let released = LockEvent::Released { resource: resource.name.to_string(), holder };
        out.event(MachineEvent::Lock(released));
        holder
    }

    /// Ends a wait, if it has not ended already. The caller settles.
    pub(super) fn end_wait(&mut self, by: Asker, at: Moment, why: MachineError, out: &mut Out) {
        let Some(wait) = self.waits.remove(&by) else { return };
        self.deadlines.remove(wait.deadline, by);
        match wait.wanted {
            Wanted::Acquire(wants) => {
                for want in wants.iter() {
                    self.disclaim(by.session, want.resource);
                    self.touched.insert(want.resource);
                    let resource = self.resource_mut(want.resource);
                    resource.leave(wait.ticket);
                    resource.version = at.index;
                }
            }
            Wanted::Upgrade(id, _) => {
                self.touched.insert(id);
                let resource = self.resource_mut(id);
                resource.upgrader = None;
                resource.version = at.index;
            }
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
        (self.waits.len(), self.deadlines.len())
    }
}
