//! How a session comes to hold or await something no more, and what semaphores are.

use super::acquire::check_requests;
use super::locks::Locks;
use super::resource::ResourceId;
use super::types::{LockError, LockEvent, LockGrant, LockMode, REASON_BYTES_MAX};
use super::views::ForcedRelease;
use super::waits::Wanted;
use crate::ids::{FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::limits::check_name;
use crate::machine::service::{Asker, Moment, Out};
use crate::machine::{MachineError, MachineEvent, Outcome, Reply};
use crate::marks;
use crate::plant::{self, Bug};

impl Locks {
    /// Gives back all or none.
    pub(super) fn release(
        &mut self,
        at: Moment,
        session: SessionId,
        grants: &[LockGrant],
        out: &mut Out,
    ) -> Outcome {
        check_requests(grants.iter().map(|grant| grant.resource.as_str()))?;
        let mut holds = Vec::with_capacity(grants.len());
        for LockGrant { resource, token } in grants {
            holds.push(self.hold_to_release(session, resource, *token).ok_or(LockError::NotHeld)?);
        }
        for (session, id, token) in holds {
            self.end_hold(session, id, token, at, out);
        }
        self.settle(at, out);
        Ok(Reply::Done)
    }

    fn hold_to_release(
        &self,
        session: SessionId,
        name: &str,
        token: FenceToken,
    ) -> Option<(SessionId, ResourceId, FenceToken)> {
        let (id, resource) = self.find(name)?;
        if plant::is(Bug::LockReleaseByOther) {
            return resource.holders.get_min().map(|(token, holding)| (holding.session, id, *token));
        }
        (self.token_of(session, id) == Some(token)).then_some((session, id, token))
    }

    /// Ends a wait of the same session.
    pub(super) fn cancel(
        &mut self,
        at: Moment,
        session: SessionId,
        sequence: Sequence,
        out: &mut Out,
    ) -> Outcome {
        let by = Asker { session, sequence };
        if self.parties.wait(by).is_none() {
            return Err(LockError::NotWaiting.into());
        }
        marks::hit("machine.lock_wait_cancelled");
        self.end_wait(by, at, LockError::Cancelled.into(), out);
        self.settle(at, out);
        Ok(Reply::Done)
    }

    /// Ends the hold of whoever has this token, and records it.
    pub(super) fn force_release(
        &mut self,
        at: Moment,
        by: SessionId,
        name: &str,
        token: FenceToken,
        reason: &str,
        out: &mut Out,
    ) -> Outcome {
        check_name("resource", name)?;
        if reason.len() > REASON_BYTES_MAX {
            return Err(MachineError::InvalidArgument(format!(
                "the reason must have at most {REASON_BYTES_MAX} bytes, not {}",
                reason.len()
            )));
        }
        let (id, resource) = self.find(name).ok_or(LockError::NotHeld)?;
        let session = resource.holders.get(&token).ok_or(LockError::NotHeld)?.session;
        marks::hit("machine.lock_release_forced");
        let holder = self.end_hold(session, id, token, at, out);
        let (resource, reason) = (name.to_owned(), reason.to_owned());
        let record = ForcedRelease { index: at.index, time: at.time, resource, holder, by, reason };
        out.event(MachineEvent::Lock(LockEvent::Forced(record.clone())));
        self.forced.insert(at.index, record);
        if self.forced.len() > self.limits.forced {
            self.forced = self.forced.without_min().1;
        }
        self.settle(at, out);
        Ok(Reply::Done)
    }

    /// The last forced release that may have ended a hold of this session, if any since it was opened may have.
    /// Costs no more than a look at the record, which is short. What is no longer on record may have been anybody's;
    /// the first that is stands for it.
    pub(in crate::machine) fn taken_from(&self, session: SessionId) -> Option<LogIndex> {
        let own = self.forced.values().rev().find(|record| record.holder.session == session);
        let first = self.forced.get_min().filter(|_| self.forced.len() == self.limits.forced);
        let forgotten = first.map(|&(index, _)| index).filter(|index| index.0 > session.0);
        own.map(|record| record.index).max(forgotten)
    }

    /// Declares a semaphore or changes its permits.
    pub(super) fn declare(&mut self, at: Moment, name: &str, permits: u32, out: &mut Out) -> Outcome {
        check_name("resource", name)?;
        if permits == 0 {
            let why = "a semaphore has at least one permit".to_owned();
            return Err(MachineError::InvalidArgument(why));
        }
        let found = self.find(name).map(|(id, resource)| (id, resource.permits));
        match found {
            Some((_, None)) => return Err(LockError::NotASemaphore.into()),
            Some((_, Some(before))) if before == permits => return Ok(Reply::Done),
            Some((id, Some(_))) => self.change_permits(at, id, permits, out),
            None if self.resources.len() >= self.limits.locks => {
                marks::hit("machine.locks_full");
                return Err(LockError::TooManyLocks.into());
            }
            None => {
                self.add_resource(name, Some(permits), at.index);
            }
        }
        self.settle(at, out);
        out.event(semaphore(name, Some(permits)));
        Ok(Reply::Done)
    }

    fn change_permits(&mut self, at: Moment, id: ResourceId, permits: u32, out: &mut Out) {
        self.retract(id);
        self.touched.insert(id);
        let resource = self.resource_mut(id);
        resource.permits = Some(permits);
        resource.version = at.index;
        let hopeless: Vec<Asker> = (resource.line.values())
            .filter(|waiting| matches!(waiting.mode, LockMode::Permits(asked) if asked > permits))
            .map(|waiting| waiting.by)
            .collect();
        for by in hopeless {
            marks::hit("machine.semaphore_shrunk_below_a_request");
            self.end_wait(by, at, LockError::TooFewPermits { permits }.into(), out);
        }
    }

    /// Forgets a semaphore.
    pub(super) fn remove_semaphore(&mut self, at: Moment, name: &str, out: &mut Out) -> Outcome {
        check_name("resource", name)?;
        let Some((id, resource)) = self.find(name) else { return Ok(Reply::Done) };
        if resource.permits.is_none() {
            return Err(LockError::NotASemaphore.into());
        }
        if !resource.holders.is_empty() || !resource.line.is_empty() {
            return Err(LockError::InUse.into());
        }
        self.forget(id, at);
        out.event(semaphore(name, None));
        Ok(Reply::Done)
    }

    /// A resource is not known any more.
    pub(super) fn forget(&mut self, id: ResourceId, at: Moment) {
        let resource = self.resources.remove(&id).expect("what is forgotten was known");
        self.names.remove(&resource.name);
        self.forgotten_at = at.index;
    }

    /// The token under which an upgrade holds meanwhile.
    pub(super) fn upgrade_of(&self, by: Asker) -> Option<(ResourceId, FenceToken)> {
        match self.parties.wait(by)?.wanted {
            Wanted::Upgrade(id) => Some((id, self.token_of(by.session, id)?)),
            Wanted::One(_) | Wanted::Several(_) => None,
        }
    }
}

fn semaphore(name: &str, permits: Option<u32>) -> MachineEvent {
    MachineEvent::Lock(LockEvent::Semaphore { resource: name.to_owned(), permits })
}
