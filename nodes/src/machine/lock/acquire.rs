//! How a session comes to hold something: acquire, upgrade, downgrade.

use std::sync::Arc;

use super::locks::Locks;
use super::parties::Claim;
use super::resource::{Resource, ResourceId};
use super::types::{
    CLAIMS_MAX, DeadlockStep, LockError, LockEvent, LockGrant, LockMode, LockReply, LockRequest, REQUESTS_MAX,
};
use super::views::LockHolder;
use super::waits::{Wait, Want, Wanted};
use crate::ids::{ClusterTime, FenceToken, LogIndex, SessionId};
use crate::machine::limits::check_name;
use crate::machine::service::{Asker, Moment, Out};
use crate::machine::{MachineError, MachineEvent, Name, Outcome, Reply, WAIT_US_MAX};
use crate::marks;
use crate::plant::{self, Bug};

impl Locks {
    /// Grants all of the requests, or stands in all of their lines.
    pub(super) fn acquire(
        &mut self,
        at: Moment,
        by: Asker,
        requests: &[LockRequest],
        wait_us: u64,
        out: &mut Out,
    ) -> Outcome {
        check_requests(requests.iter().map(|request| request.resource.as_str()))?;
        check_wait(wait_us)?;
        let mut found = Vec::with_capacity(requests.len());
        for request in requests {
            found.push(self.check_request(by.session, request)?);
        }
        if self.parties.count_claims(by.session) + requests.len() > CLAIMS_MAX {
            marks::hit("machine.lock_claims_full");
            return Err(LockError::TooManyClaims.into());
        }
        if self.parties.claims() + requests.len() > self.limits.claims {
            marks::hit("machine.lock_claims_of_all_full");
            return Err(LockError::TooManyClaimsOfAll.into());
        }
        let unknown = found.iter().filter(|id| id.is_none()).count();
        if unknown > 0 && self.resources.len() + unknown > self.limits.locks {
            marks::hit("machine.locks_full");
            return Err(LockError::TooManyLocks.into());
        }
        let known = || found.iter().zip(requests).filter_map(|(id, request)| Some(((*id)?, request.mode)));
        if known().all(|(id, mode)| self.resources[&id].would_admit(mode)) {
            return Ok(self.grant_all(at, by.session, requests, &found, out));
        }
        if wait_us == 0 {
            return Err(LockError::Timeout.into());
        }
        let ahead = known().map(|(id, _)| self.resources[&id].line.len()).max().unwrap_or(0);
        if ahead >= self.limits.waiters {
            marks::hit("machine.line_full");
            return Err(LockError::TooManyWaiters.into());
        }
        let wants: Vec<Want> = known().map(|(resource, mode)| Want { resource, mode }).collect();
        self.check_deadlock(by.session, at.index, &wants)?;
        self.stand_in_line(at, by, requests, at.time.plus_us(wait_us));
        self.settle(at, out);
        Ok(Reply::Waiting { ahead: ahead as u64 })
    }

    /// Makes a shared hold exclusive, or has it wait for that before everybody else.
    pub(super) fn upgrade(
        &mut self,
        at: Moment,
        by: Asker,
        name: &str,
        token: FenceToken,
        wait_us: u64,
        out: &mut Out,
    ) -> Outcome {
        check_name("resource", name)?;
        check_wait(wait_us)?;
        let id = self.held(by.session, name, token, LockMode::Shared)?;
        let resource = &self.resources[&id];
        let earlier = resource.upgrader.map(|upgrader| upgrader.session);
        if earlier == Some(by.session) {
            return Err(LockError::Reentrant.into());
        }
        let is_alone = resource.only_holder() == Some(token) || plant::is(Bug::LockUpgradeJumps);
        if is_alone {
            // Who is admitted in part beside it would wait for it from now on.
            self.resource_mut(id).upgrader = Some(by);
            let checked = self.check_upgrade_deadlock(by.session, id);
            self.resource_mut(id).upgrader = None;
            checked?;
            self.retract(id);
            let grant = self.regrant(at, by.session, id, token, LockMode::Exclusive, out);
            self.settle(at, out);
            return Ok(granted(vec![grant]));
        }
        if wait_us == 0 {
            return Err(LockError::Timeout.into());
        }
        if let Some(earlier) = earlier {
            let step = |session| DeadlockStep { session, resource: name.to_owned() };
            let cycle = vec![step(by.session), step(earlier)];
            return Err(LockError::Deadlock { cycle }.into());
        }
        self.resource_mut(id).upgrader = Some(by);
        let deadline = at.time.plus_us(wait_us);
        self.parties.add_wait(by, Wait { ticket: at.index, deadline, wanted: Wanted::Upgrade(id) });
        if let Err(refused) = self.check_upgrade_deadlock(by.session, id) {
            self.resource_mut(id).upgrader = None;
            self.parties.take_wait(by);
            return Err(refused.into());
        }
        marks::hit("machine.lock_upgrade_waits");
        self.resource_mut(id).version = at.index;
        self.retract(id);
        Ok(Reply::Waiting { ahead: 0 })
    }

    /// Makes an exclusive hold shared.
    pub(super) fn downgrade(
        &mut self,
        at: Moment,
        session: SessionId,
        name: &str,
        token: FenceToken,
        out: &mut Out,
    ) -> Outcome {
        check_name("resource", name)?;
        let id = self.held(session, name, token, LockMode::Exclusive)?;
        let grant = self.regrant(at, session, id, token, LockMode::Shared, out);
        self.settle(at, out);
        Ok(granted(vec![grant]))
    }

    /// Puts a hold in another mode and under a new token in the place of this one.
    pub(super) fn regrant(
        &mut self,
        at: Moment,
        session: SessionId,
        id: ResourceId,
        token: FenceToken,
        mode: LockMode,
        out: &mut Out,
    ) -> LockGrant {
        self.touched.insert(id);
        let resource = self.resource_mut(id);
        let former = resource.take_away(token, at.index);
        let holder = resource.grant(at.index, session, mode);
        let name = resource.name.to_string();
        out.event(MachineEvent::Lock(LockEvent::Released { resource: name.clone(), holder: former }));
        self.note_grant(id, holder, out)
    }

    /// A session holds this now.
    pub(super) fn note_grant(&mut self, id: ResourceId, holder: LockHolder, out: &mut Out) -> LockGrant {
        self.parties.claim(holder.session, id, Claim::holds(holder.token));
        let resource = self.resources[&id].name.to_string();
        out.event(MachineEvent::Lock(LockEvent::Granted { resource: resource.clone(), holder }));
        LockGrant { resource, token: holder.token }
    }

    /// Takes the admission of all waiters at a resource back.
    pub(super) fn retract(&mut self, id: ResourceId) {
        for waiting in self.resource_mut(id).retract() {
            marks::hit("machine.lock_admission_taken_back");
            self.parties.wait_mut(waiting.by).expect("who stands in line waits").wanted.shut_out();
        }
    }

    /// Refuses a request that no waiting would fulfil. Returns the resource, if it is known.
    fn check_request(
        &self,
        session: SessionId,
        request: &LockRequest,
    ) -> Result<Option<ResourceId>, MachineError> {
        if request.mode == LockMode::Permits(0) {
            let why = "at least one permit is asked for".to_owned();
            return Err(MachineError::InvalidArgument(why));
        }
        let found = self.find(&request.resource);
        match (request.mode, found.and_then(|(_, resource)| resource.permits)) {
            (LockMode::Permits(_), None) => return Err(LockError::NotASemaphore.into()),
            (LockMode::Permits(asked), Some(permits)) if asked > permits => {
                return Err(LockError::TooFewPermits { permits }.into());
            }
            (LockMode::Exclusive | LockMode::Shared, Some(_)) => return Err(LockError::IsASemaphore.into()),
            _ => {}
        }
        let Some((id, _)) = found else { return Ok(None) };
        if self.parties.claim_of(session, id).is_some() {
            return Err(LockError::Reentrant.into());
        }
        Ok(Some(id))
    }

    fn grant_all(
        &mut self,
        at: Moment,
        session: SessionId,
        requests: &[LockRequest],
        found: &[Option<ResourceId>],
        out: &mut Out,
    ) -> Reply {
        let mut grants = Vec::with_capacity(requests.len());
        for (request, found) in requests.iter().zip(found) {
            let id = found.unwrap_or_else(|| self.add_resource(&request.resource, None, at.index));
            let holder = self.resource_mut(id).grant(at.index, session, request.mode);
            grants.push(self.note_grant(id, holder, out));
        }
        granted(grants)
    }

    fn stand_in_line(&mut self, at: Moment, by: Asker, requests: &[LockRequest], deadline: ClusterTime) {
        let mut wants = Vec::with_capacity(requests.len());
        for LockRequest { resource: name, mode } in requests {
            let found = self.names.get(name.as_str()).copied();
            let id = found.unwrap_or_else(|| self.add_resource(name, None, at.index));
            wants.push(Want { resource: id, mode: *mode });
        }
        let wait = Wait { ticket: at.index, deadline, wanted: Wanted::acquire(wants) };
        self.enter_lines(by, &wait);
        self.parties.add_wait(by, wait);
    }

    /// Gives a wait its places and claims.
    pub(super) fn enter_lines(&mut self, by: Asker, wait: &Wait) {
        for want in wait.wanted.places() {
            self.parties.claim(by.session, want.resource, Claim::WAITS);
            self.touched.insert(want.resource);
            let resource = self.resource_mut(want.resource);
            resource.line.insert(wait.ticket, super::resource::Waiting { by, mode: want.mode });
            resource.version = resource.version.max(wait.ticket);
        }
    }

    /// A resource that is not known becomes so.
    pub(super) fn add_resource(&mut self, name: &str, permits: Option<u32>, index: LogIndex) -> ResourceId {
        self.last_id += 1;
        let (id, name) = (ResourceId(self.last_id), Name::from(name));
        self.names.insert(name.clone(), id);
        self.resources.insert(id, Arc::new(Resource::new(name, permits, index)));
        id
    }

    /// The resource that this session holds under this token in this mode.
    fn held(
        &self,
        session: SessionId,
        name: &str,
        token: FenceToken,
        mode: LockMode,
    ) -> Result<ResourceId, LockError> {
        let (id, resource) = self.find(name).ok_or(LockError::NotHeld)?;
        if self.token_of(session, id) != Some(token) {
            return Err(LockError::NotHeld);
        }
        if resource.holders[&token].mode != mode {
            return Err(LockError::WrongMode);
        }
        Ok(id)
    }
}

/// The reply of whoever holds all of this now.
pub(super) fn granted(grants: Vec<LockGrant>) -> Reply {
    Reply::Lock(LockReply::Granted { grants })
}

/// Refuses lists that are empty, too long, or name a resource twice, and names out of bounds.
pub(super) fn check_requests<'a>(
    names: impl ExactSizeIterator<Item = &'a str> + Clone,
) -> Result<(), MachineError> {
    let count = names.len();
    if !(1..=REQUESTS_MAX).contains(&count) {
        return Err(MachineError::InvalidArgument(format!(
            "there must be 1 to {REQUESTS_MAX} resources, not {count}"
        )));
    }
    for (place, name) in names.clone().enumerate() {
        check_name("resource", name)?;
        if names.clone().take(place).any(|earlier| earlier == name) {
            return Err(MachineError::InvalidArgument("a resource is named twice".to_owned()));
        }
    }
    Ok(())
}

fn check_wait(wait_us: u64) -> Result<(), MachineError> {
    if wait_us <= WAIT_US_MAX {
        return Ok(());
    }
    Err(MachineError::InvalidArgument(format!("the wait must be at most {WAIT_US_MAX} us, not {wait_us}")))
}
