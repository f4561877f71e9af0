//! A lock service too simple to be wrong: one line for everybody, in which each stands with a ticket; and everything is
//! looked through anew whenever anything changes. It can be told to be wrong in one way.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use stormglass_sim::history::{Answer, DeadlockStep, LockMode, LockWant};
use stormglass_sim::rng::StreamRng;

use super::flaws::Flaw;

/// What a lock has that is no semaphore.
pub(super) const ALL_OF_IT: u64 = 1 << 32;

pub(super) fn weight(mode: LockMode) -> u64 {
    match mode {
        LockMode::Exclusive => ALL_OF_IT,
        LockMode::Shared => 1,
        LockMode::Permits(permits) => permits,
    }
}

/// How a command came out.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Answer(Answer),
    /// It had no effect.
    Refused,
    /// It stands in line under this ticket.
    Waits(u64),
}

/// Somebody who stands in line.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) session: u64,
    pub(super) wants: Vec<LockWant>,
    /// The token under which it shares meanwhile what it would have alone.
    pub(super) upgraded: Option<u64>,
    is_single: bool,
    /// The flaw has made sure that nobody thinks of it.
    pub(super) is_forgotten: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Resource {
    pub(super) permits: Option<u64>,
    /// By token, with the session.
    pub(crate) holders: BTreeMap<u64, (u64, LockMode)>,
    version: u64,
    latest: u64,
}

impl Resource {
    pub(super) fn taken(&self) -> u64 {
        self.holders.values().map(|(_, mode)| weight(*mode)).sum()
    }
}

/// All locks.
pub(crate) struct Locks {
    pub(crate) resources: BTreeMap<String, Resource>,
    pub(super) places: BTreeMap<u64, Place>,
    ended: BTreeSet<u64>,
    index: u64,
    /// Waits that are over, with how they came out.
    pub(crate) done: Vec<(u64, Told)>,
    flaw: Option<Flaw>,
    /// How often the service was wrong.
    pub(crate) wrongs: u64,
    rng: StreamRng,
}

impl Locks {
    pub(crate) fn new(flaw: Option<Flaw>, rng: StreamRng) -> Self {
        Self {
            resources: BTreeMap::new(),
            places: BTreeMap::new(),
            ended: BTreeSet::new(),
            index: 0,
            done: Vec::new(),
            flaw,
            wrongs: 0,
            rng,
        }
    }

    /// Whether it is to be wrong in this way now.
    fn errs(&mut self, flaw: Flaw) -> bool {
        let is_wrong = self.flaw == Some(flaw) && self.rng.random_bool(0.5);
        self.wrongs += u64::from(is_wrong);
        is_wrong
    }

    pub(crate) fn declare(&mut self, name: &str, permits: u64) -> Told {
        self.index += 1;
        let resource = self.resources.entry(name.to_owned()).or_default();
        resource.permits = Some(permits);
        resource.version = self.index;
        let too_many = |place: &Place| {
            place.wants.iter().any(|want| want.resource == name && weight(want.mode) > permits)
        };
        let hopeless: Vec<u64> =
            self.places.iter().filter(|(_, place)| too_many(place)).map(|(ticket, _)| *ticket).collect();
        for ticket in hopeless {
            self.places.remove(&ticket);
            self.done.push((ticket, Told::Refused));
        }
        self.settle();
        Told::Answer(Answer::Declared)
    }

    pub(crate) fn acquire(&mut self, session: u64, wants: &[LockWant], is_single: bool, waits: bool) -> Told {
        self.index += 1;
        let ticket = self.index;
        if self.ended.contains(&session) || wants.iter().any(|want| !self.may_ask(session, want)) {
            return Told::Refused;
        }
        let is_beside =
            self.resources.get(&wants[0].resource).is_some_and(|resource| !resource.holders.is_empty());
        let place = Place { session, wants: wants.to_vec(), upgraded: None, is_single, is_forgotten: false };
        let line = self.places.len();
        self.places.insert(ticket, place);
        let is_admitted = self.is_admitted(ticket);
        let is_refused = match (is_admitted && !waits && wants.len() == 1, wants[0].mode) {
            (true, LockMode::Shared) => is_beside && self.errs(Flaw::RefusesSharer),
            (true, LockMode::Permits(_)) => is_beside && self.errs(Flaw::RefusesPermits),
            (true, LockMode::Exclusive) => self.errs(Flaw::RefusesFree),
            _ => false,
        };
        if is_refused {
            self.places.remove(&ticket);
            return Told::Answer(Answer::NotGranted);
        }
        if is_admitted || self.grants_in_error(ticket, wants, line > 0) {
            self.grant(ticket);
        }
        if let Some(place) = self.done.iter().position(|(done, _)| *done == ticket) {
            return self.done.remove(place).1;
        }
        if !waits {
            self.places.remove(&ticket);
            return Told::Answer(Answer::NotGranted);
        }
        self.wait_or_deadlock(ticket, session)
    }

    /// Whether a flaw lets somebody in that ought to stand in line.
    fn grants_in_error(&mut self, ticket: u64, wants: &[LockWant], is_behind: bool) -> bool {
        let [want] = wants else { return false };
        let passes = match want.mode {
            LockMode::Shared => Flaw::ReaderPasses,
            LockMode::Exclusive | LockMode::Permits(_) => Flaw::NewcomerPasses,
        };
        if is_behind && self.has_room_beside_holders(ticket) && self.errs(passes) {
            return true;
        }
        match want.mode {
            LockMode::Exclusive => self.errs(Flaw::TwoWriters),
            LockMode::Permits(_) => self.errs(Flaw::MorePermits),
            LockMode::Shared => false,
        }
    }

    pub(crate) fn upgrade(&mut self, session: u64, name: &str, token: u64, waits: bool) -> Told {
        self.index += 1;
        let ticket = self.index;
        let held = self.holder(name, token);
        if held != Some((session, LockMode::Shared)) || self.ended.contains(&session) {
            return Told::Answer(Answer::NotHeld);
        }
        let earlier = self.places.values().find(|place| place.upgraded.is_some() && at(place, name));
        if let Some(earlier) = earlier {
            if earlier.session == session {
                return Told::Refused;
            }
            let step = |session| DeadlockStep { session, resource: name.to_owned() };
            let cycle = vec![step(session), step(earlier.session)];
            return Told::Answer(if waits { Answer::Deadlock { cycle } } else { Answer::NotGranted });
        }
        let wants = vec![LockWant { resource: name.to_owned(), mode: LockMode::Exclusive }];
        let place = Place { session, wants, upgraded: Some(token), is_single: true, is_forgotten: false };
        self.places.insert(ticket, place);
        self.settle();
        if let Some(place) = self.done.iter().position(|(done, _)| *done == ticket) {
            return self.done.remove(place).1;
        }
        if !waits {
            self.places.remove(&ticket);
            self.settle();
            return Told::Answer(Answer::NotGranted);
        }
        self.wait_or_deadlock(ticket, session)
    }

    pub(crate) fn downgrade(&mut self, session: u64, name: &str, token: u64) -> Told {
        self.index += 1;
        if self.holder(name, token) != Some((session, LockMode::Exclusive)) {
            return Told::Answer(Answer::NotHeld);
        }
        self.take_away(name, token);
        let token = self.give(session, name, LockMode::Shared);
        self.settle();
        Told::Answer(Answer::Granted { token })
    }

    pub(crate) fn release(&mut self, session: u64, grants: &[(String, u64)]) -> Told {
        self.index += 1;
        let is_held = grants
            .iter()
            .all(|(name, token)| self.holder(name, *token).is_some_and(|(holder, _)| holder == session));
        if !is_held {
            let is_wrong = self.errs(Flaw::StaleRelease);
            return Told::Answer(if is_wrong { Answer::Released } else { Answer::NotHeld });
        }
        if self.errs(Flaw::ReleaseLost) {
            return Told::Answer(Answer::Released);
        }
        grants.iter().for_each(|(name, token)| self.take_away(name, *token));
        if self.errs(Flaw::ForgetsToWake) {
            self.forget_all_but(0);
        }
        if self.flaw == Some(Flaw::ForgetsReaders) && self.forget_all_but(1) {
            self.wrongs += 1;
        }
        self.settle();
        Told::Answer(Answer::Released)
    }

    pub(crate) fn force(&mut self, name: &str, token: u64) -> Told {
        self.index += 1;
        if self.holder(name, token).is_none() {
            return Told::Answer(Answer::NotHeld);
        }
        self.take_away(name, token);
        self.settle();
        Told::Answer(Answer::Released)
    }

    /// A wait is over by its time.
    pub(crate) fn deadline(&mut self, ticket: u64) {
        if self.places.remove(&ticket).is_some() {
            self.index += 1;
            self.done.push((ticket, Told::Answer(Answer::NotGranted)));
            self.settle();
        }
    }

    pub(crate) fn end_session(&mut self, session: u64) {
        self.index += 1;
        if self.errs(Flaw::LosesOneOfSession) {
            let first = self.held_by(session).into_iter().next();
            first.into_iter().for_each(|(name, token)| self.take_away(&name, token));
            return self.settle();
        }
        self.ended.insert(session);
        let waits: Vec<u64> =
            self.places.iter().filter(|(_, one)| one.session == session).map(|(ticket, _)| *ticket).collect();
        for ticket in waits {
            self.places.remove(&ticket);
            self.done.push((ticket, Told::Refused));
        }
        for (name, token) in self.held_by(session) {
            self.take_away(&name, token);
        }
        self.settle();
    }

    /// What a session holds.
    pub(crate) fn held_by(&self, session: u64) -> Vec<(String, u64)> {
        let of = |(name, resource): (&String, &Resource)| {
            let own = resource.holders.iter().filter(|(_, (holder, _))| *holder == session);
            own.map(|(token, _)| (name.clone(), *token)).collect::<Vec<_>>()
        };
        self.resources.iter().flat_map(of).collect()
    }

    pub(crate) fn state(&self, name: &str) -> Answer {
        let resource = self.resources.get(name).cloned().unwrap_or_default();
        Answer::Holders { version: resource.version, tokens: resource.holders.into_keys().collect() }
    }

    pub(crate) fn check(&mut self, name: &str, token: u64) -> Answer {
        let resource = self.resources.get(name).cloned().unwrap_or_default();
        let current = resource.holders.contains_key(&token);
        let latest = (!current && token <= resource.latest).then_some(resource.latest);
        if !current && latest.is_some() && self.errs(Flaw::StaleIsCurrent) {
            return Answer::TokenIs { current: true, latest: None };
        }
        Answer::TokenIs { current, latest }
    }

    pub(crate) fn holder(&self, name: &str, token: u64) -> Option<(u64, LockMode)> {
        self.resources.get(name)?.holders.get(&token).copied()
    }

    /// Whether waiting would help, and the session has no claim to it yet.
    fn may_ask(&self, session: u64, want: &LockWant) -> bool {
        let permits = self.resources.get(&want.resource).and_then(|resource| resource.permits);
        let fits = match (want.mode, permits) {
            (LockMode::Permits(wanted), Some(permits)) => wanted <= permits,
            (LockMode::Permits(_), None) => false,
            (_, permits) => permits.is_none(),
        };
        let holds = self.held_by(session).iter().any(|(name, _)| *name == want.resource);
        let waits = self.places.values().any(|one| one.session == session && at(one, &want.resource));
        fits && !holds && !waits
    }

    pub(super) fn grant(&mut self, ticket: u64) {
        let place = self.places.remove(&ticket).expect("who is granted something stood in line");
        if let Some(token) = place.upgraded {
            self.take_away(&place.wants[0].resource, token);
        }
        let give = |want: &LockWant| self.give(place.session, &want.resource, want.mode);
        let tokens: Vec<u64> = place.wants.iter().map(give).collect();
        let answer = match tokens[..] {
            [token] if place.is_single => Answer::Granted { token },
            _ => Answer::GrantedAll { tokens },
        };
        self.done.push((ticket, Told::Answer(answer)));
    }

    fn give(&mut self, session: u64, name: &str, mode: LockMode) -> u64 {
        self.index += 1;
        let latest = self.resources.entry(name.to_owned()).or_default().latest;
        let is_reused = latest > 0 && self.holder(name, latest).is_none() && self.errs(Flaw::TokenReused);
        let is_earlier = !is_reused && latest > 1 && self.errs(Flaw::TokenGoesBack);
        let resource = self.resources.get_mut(name).expect("it was made just now");
        let mut token = if is_reused { latest } else { self.index };
        if is_earlier {
            token = (1..latest).rev().find(|token| !resource.holders.contains_key(token)).unwrap_or(token);
        }
        resource.holders.insert(token, (session, mode));
        resource.latest = resource.latest.max(token);
        resource.version = self.index;
        token
    }

    fn take_away(&mut self, name: &str, token: u64) {
        self.index += 1;
        let index = self.index;
        if let Some(resource) = self.resources.get_mut(name)
            && resource.holders.remove(&token).is_some()
        {
            resource.version = index;
        }
        // An upgrade of what is gone is over.
        let upgrade = self.places.iter().find(|(_, one)| one.upgraded == Some(token) && at(one, name));
        if let Some(ticket) = upgrade.map(|(ticket, _)| *ticket) {
            self.places.remove(&ticket);
            self.done.push((ticket, Told::Answer(Answer::NotHeld)));
        }
    }
}

pub(super) fn at(place: &Place, name: &str) -> bool {
    place.wants.iter().any(|want| want.resource == name)
}
