//! The locks' part of a snapshot: resources with their holders, then waits, then forced releases.
//!
//! | what | bytes |
//! |---|---|
//! | head | latest resource id, when a resource was forgotten last |
//! | resources | how many, then each by id: name, permits, latest token, version, how many holders, then each: token, session, mode |
//! | waits | how many, then each by session and number: ticket, deadline, what for |
//! | forced releases | how many, then each: index, record |
//!
//! Lines, upgrades, claims, deadlines and admissions follow from these.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::locks::Locks;
use super::parties::Claim;
use super::resource::{Holding, Resource, ResourceId, weight};
use super::types::{CLAIMS_MAX, FORCED_RELEASES_KEPT, LockMode, REASON_BYTES_MAX, REQUESTS_MAX};
use super::views::ForcedRelease;
use super::waits::{Wait, Want, Wanted};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::service::{Asker, Moment, Service};
use crate::machine::snapshot::{Reader, RestoreError, Restoring, beyond, ensure, put, rises};
use crate::machine::{Name, OPEN_COMMANDS_MAX, WAIT_US_MAX};

/// How far the part has been written.
#[derive(Clone, Default)]
pub(in crate::machine) enum LockPlace {
    /// Nowhere.
    #[default]
    Head,
    /// Up to the resource with this id.
    Resources(Option<u64>),
    /// Up to this wait.
    Waits(Option<Asker>),
}

/// A resource, between its name and its holders.
#[derive(Serialize, Deserialize)]
struct ResourceHead {
    permits: Option<u32>,
    last_token: FenceToken,
    version: LogIndex,
}

/// A wait.
#[derive(Serialize, Deserialize)]
struct WaitImage {
    session: SessionId,
    sequence: Sequence,
    ticket: LogIndex,
    deadline: ClusterTime,
    wanted: WantedImage,
}

/// What a command waits for.
#[derive(Serialize, Deserialize)]
enum WantedImage {
    /// All of these.
    Acquire(Vec<Want>),
    /// To be alone at this resource, which it holds shared under this token.
    Upgrade(ResourceId, FenceToken),
}

impl Locks {
    /// Writes from `place` on, until the buffer holds `bytes_max` or the kind of item changes. Returns the
    /// place reached, or `None` at the end of the part.
    pub(in crate::machine) fn write(
        &self,
        place: &LockPlace,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Option<LockPlace> {
        match place {
            LockPlace::Head => {
                put(buffer, &(self.last_id, self.forgotten_at, self.resources.len()));
                Some(LockPlace::Resources(None))
            }
            LockPlace::Resources(after) => {
                for (id, resource) in self.resources.range(beyond(after.map(ResourceId))) {
                    write_resource(buffer, *id, resource);
                    if buffer.len() >= bytes_max {
                        return Some(LockPlace::Resources(Some(id.0)));
                    }
                }
                put(buffer, &self.parties.waiting());
                Some(LockPlace::Waits(None))
            }
            LockPlace::Waits(after) => {
                for (by, wait) in self.parties.waits_beyond(*after) {
                    put(buffer, &self.image_of(by, wait));
                    if buffer.len() >= bytes_max {
                        return Some(LockPlace::Waits(Some(by)));
                    }
                }
                put(buffer, &self.forced.len());
                self.forced.values().for_each(|record| put(buffer, record));
                None
            }
        }
    }

    /// Reads the part into an empty table.
    ///
    /// # Errors
    ///
    /// Whatever is no state of the locks, or contradicts the sessions.
    pub(in crate::machine) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
    ) -> Result<(), RestoreError> {
        self.last_id = reader.item()?;
        let ids_max = restoring.index.0.saturating_mul(REQUESTS_MAX as u64);
        ensure(self.last_id <= ids_max, || "it has had more locks than entries could make".to_owned())?;
        self.forgotten_at = reader.item()?;
        ensure(self.forgotten_at <= restoring.index, || "a lock was forgotten in the future".to_owned())?;
        for _ in 0..reader.count("locks", self.limits.locks)? {
            self.read_resource(reader, restoring)?;
        }
        let waits_max = restoring.sessions.max().saturating_mul(OPEN_COMMANDS_MAX);
        let mut last = None;
        for _ in 0..reader.count("waits", waits_max)? {
            let image: WaitImage = reader.item()?;
            let by = Asker { session: image.session, sequence: image.sequence };
            rises("waits", last.as_ref(), &by)?;
            self.read_wait(by, image, restoring)?;
            last = Some((by, ()));
        }
        for _ in 0..reader.count("forced releases", FORCED_RELEASES_KEPT)? {
            let record: ForcedRelease = reader.item()?;
            restoring.applied("a forced release", record.index)?;
            rises("forced releases", self.forced.get_max(), &record.index)?;
            ensure(record.reason.len() <= REASON_BYTES_MAX, || "a reason is too long".to_owned())?;
            self.forced.insert(record.index, record);
        }
        self.finish(restoring)
    }

    fn read_resource(
        &mut self,
        reader: &mut Reader<'_>,
        restoring: &Restoring<'_>,
    ) -> Result<(), RestoreError> {
        let id: ResourceId = reader.item()?;
        let name = reader.name("resource")?;
        rises("locks", self.resources.get_max(), &id)?;
        ensure((1..=self.last_id).contains(&id.0), || format!("a lock has the id {}", id.0))?;
        let ResourceHead { permits, last_token, version } = reader.item()?;
        ensure(permits != Some(0), || format!("{name} has no permits"))?;
        restoring.applied("a lock's version", version)?;
        ensure(last_token.granting_index() <= version, || {
            format!("the latest token of {name} is later than its version")
        })?;
        let mut resource = Resource { last_token, ..Resource::new(name.clone(), permits, version) };
        for _ in 0..reader.count("holders of one lock", restoring.sessions.max())? {
            let (token, holding): (FenceToken, Holding) = reader.item()?;
            check_holder(restoring, &resource, token, holding)?;
            resource.taken += weight(holding.mode);
            resource.holders.insert(token, holding);
            self.claim_again(holding.session, id, &name, Claim::holds(token))?;
        }
        let is_new = self.names.insert(name.clone(), id).is_none();
        ensure(is_new, || format!("{name} is there twice"))?;
        self.resources.insert(id, Arc::new(resource));
        Ok(())
    }

    fn image_of(&self, by: Asker, wait: &Wait) -> WaitImage {
        let (Asker { session, sequence }, &Wait { ticket, deadline, ref wanted }) = (by, wait);
        let wanted = match *wanted {
            Wanted::Upgrade(id) => {
                let token = self.token_of(session, id).expect("who upgrades holds");
                WantedImage::Upgrade(id, token)
            }
            Wanted::One(_) | Wanted::Several(_) => WantedImage::Acquire(wanted.places().to_vec()),
        };
        WaitImage { session, sequence, ticket, deadline, wanted }
    }

    fn read_wait(
        &mut self,
        by: Asker,
        image: WaitImage,
        restoring: &mut Restoring<'_>,
    ) -> Result<(), RestoreError> {
        let WaitImage { session, ticket, deadline, wanted, .. } = image;
        restoring.waits(by, Service::Lock)?;
        restoring.done_by(session, "a wait", ticket)?;
        restoring.within("a wait", deadline, WAIT_US_MAX)?;
        let wanted = match wanted {
            WantedImage::Acquire(wants) => {
                ensure((1..=REQUESTS_MAX).contains(&wants.len()), || {
                    format!("{session} waits for {} locks at once", wants.len())
                })?;
                for want in &wants {
                    self.check_want(by, ticket, want.resource, want.mode)?;
                    let name = self.resources[&want.resource].name.clone();
                    self.claim_again(session, want.resource, &name, Claim::WAITS)?;
                }
                Wanted::acquire(wants)
            }
            WantedImage::Upgrade(id, token) => {
                self.check_upgrade(by, id, token)?;
                self.resource_mut(id).upgrader = Some(by);
                Wanted::Upgrade(id)
            }
        };
        let wait = Wait { ticket, deadline, wanted };
        self.enter_lines(by, &wait);
        self.parties.add_wait(by, wait);
        Ok(())
    }

    fn check_want(
        &self,
        by: Asker,
        ticket: LogIndex,
        id: ResourceId,
        mode: LockMode,
    ) -> Result<(), RestoreError> {
        let missing = || RestoreError::Inconsistent(format!("{} waits for no lock", by.session));
        let resource = self.resources.get(&id).ok_or_else(missing)?;
        let name = &resource.name;
        ensure(fits_kind(resource, mode), || {
            format!("{} waits in another mode than {name} has", by.session)
        })?;
        ensure(!resource.line.contains_key(&ticket), || format!("two at {name} have the ticket {ticket}"))?;
        ensure(ticket <= resource.version, || format!("{name} changed after its version"))?;
        ensure(resource.line.len() < self.limits.waiters, || format!("too many wait for {name}"))
    }

    fn check_upgrade(&self, by: Asker, id: ResourceId, token: FenceToken) -> Result<(), RestoreError> {
        let resource = self.resources.get(&id);
        let held = resource.and_then(|resource| resource.holders.get(&token));
        ensure(
            held.is_some_and(|held| held.session == by.session && held.mode == LockMode::Shared)
                && resource.is_some_and(|resource| resource.upgrader.is_none()),
            || format!("{} upgrades what it cannot", by.session),
        )
    }

    fn claim_again(
        &mut self,
        session: SessionId,
        id: ResourceId,
        name: &Name,
        claim: Claim,
    ) -> Result<(), RestoreError> {
        ensure(self.parties.claim_of(session, id).is_none(), || format!("{session} is twice at {name}"))?;
        self.parties.claim(session, id, claim);
        let is_bounded = self.parties.count_claims(session) <= CLAIMS_MAX;
        ensure(is_bounded, || format!("{session} has too many locks"))?;
        ensure(self.parties.claims() <= self.limits.claims, || "all have too many locks together".to_owned())
    }

    /// Admits all who are, and checks that there is nobody to be granted and nothing to be forgotten.
    fn finish(&mut self, restoring: &Restoring<'_>) -> Result<(), RestoreError> {
        for resource in self.resources.values() {
            ensure(!resource.is_idle(), || format!("nobody holds or awaits {}", resource.name))?;
        }
        let at = Moment { index: restoring.index, time: restoring.time };
        ensure(self.admit_again(at), || "somebody in line waits for nothing".to_owned())
    }
}

fn write_resource(buffer: &mut Vec<u8>, id: ResourceId, resource: &Resource) {
    let Resource { permits, last_token, version, .. } = *resource;
    put(buffer, &id);
    put(buffer, &resource.name);
    put(buffer, &ResourceHead { permits, last_token, version });
    put(buffer, &resource.holders.len());
    resource.holders.iter().for_each(|holder| put(buffer, &holder));
}

/// `resource` has the holders before this one.
fn check_holder(
    restoring: &Restoring<'_>,
    resource: &Resource,
    token: FenceToken,
    holding: Holding,
) -> Result<(), RestoreError> {
    let Holding { session, mode } = holding;
    let name = &resource.name;
    rises("holders of a lock", resource.holders.get_max(), &token)?;
    ensure(token <= resource.last_token, || format!("{token} is later than the latest token"))?;
    ensure(fits_kind(resource, mode), || format!("{session} holds {name} in another mode than it has"))?;
    // Permits may have been taken away since; of a mutex there is always as much.
    let fits = resource.permits.is_some() || !resource.conflict(resource.taken, weight(mode));
    ensure(fits, || format!("{session} holds {name} beside others"))?;
    restoring.done_by(session, "a grant", token.granting_index())
}

/// Whether a resource can be held or awaited in this mode.
fn fits_kind(resource: &Resource, mode: LockMode) -> bool {
    match mode {
        LockMode::Permits(permits) => resource.permits.is_some() && permits > 0,
        LockMode::Exclusive | LockMode::Shared => resource.permits.is_none(),
    }
}
