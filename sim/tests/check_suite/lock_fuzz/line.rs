//! The line of the simple service: who may be in beside those before it, and who waits for whom in a circle.

use std::collections::BTreeSet;

use stormglass_sim::history::{Answer, DeadlockStep};

use super::service::{ALL_OF_IT, Locks, Place, Resource, Told, at, weight};

impl Locks {
    pub(super) fn capacity(&self, name: &str) -> u64 {
        self.resources.get(name).and_then(|resource| resource.permits).unwrap_or(ALL_OF_IT)
    }

    pub(super) fn has_room_beside_holders(&self, ticket: u64) -> bool {
        self.places[&ticket].wants.iter().all(|want| {
            let taken = self.resources.get(&want.resource).map_or(0, Resource::taken);
            taken + weight(want.mode) <= self.capacity(&want.resource)
        })
    }

    /// Whether there is room at all its resources, beside those who hold them and all who stand before it; an upgrade
    /// waits for the other holders only, and everybody waits for it.
    pub(super) fn is_admitted(&self, ticket: u64) -> bool {
        let place = &self.places[&ticket];
        if let Some(token) = place.upgraded {
            let resource = &self.resources[&place.wants[0].resource];
            return resource.holders.keys().all(|held| *held == token);
        }
        place.wants.iter().all(|want| {
            let name = want.resource.as_str();
            let upgrades = self.places.values().any(|one| one.upgraded.is_some() && at(one, name));
            let before = self.places.range(..ticket).map(|(_, one)| one);
            let in_line: u64 = before
                .filter(|one| !one.is_forgotten)
                .flat_map(|one| &one.wants)
                .filter(|one| one.resource == name)
                .map(|one| weight(one.mode))
                .sum();
            let taken = self.resources.get(name).map_or(0, Resource::taken);
            !upgrades && taken + in_line + weight(want.mode) <= self.capacity(name)
        })
    }

    pub(super) fn settle(&mut self) {
        while let Some(ticket) = self.next_ready() {
            self.grant(ticket);
        }
    }

    fn next_ready(&self) -> Option<u64> {
        let is_ready = |(ticket, place): &(&u64, &Place)| !place.is_forgotten && self.is_admitted(**ticket);
        self.places.iter().find(is_ready).map(|(ticket, _)| *ticket)
    }

    /// Makes sure that of those who would be granted something now all but some are not. Whether there were more.
    pub(super) fn forget_all_but(&mut self, count: usize) -> bool {
        let ready: Vec<u64> =
            self.places.keys().filter(|ticket| self.is_admitted(**ticket)).copied().collect();
        let forgotten = ready.get(count..).unwrap_or_default();
        for ticket in forgotten {
            self.places.get_mut(ticket).expect("it stands in line").is_forgotten = true;
        }
        !forgotten.is_empty()
    }

    pub(super) fn wait_or_deadlock(&mut self, ticket: u64, session: u64) -> Told {
        let Some(cycle) = self.cycle(session) else { return Told::Waits(ticket) };
        self.places.remove(&ticket);
        self.settle();
        Told::Answer(Answer::Deadlock { cycle })
    }

    /// Whom a session may wait for, and where: everybody who holds what it wants, or stands before it.
    fn awaited(&self, session: u64) -> Vec<(String, u64)> {
        let mut awaited = Vec::new();
        for (ticket, place) in self.places.iter().filter(|(_, place)| place.session == session) {
            for want in &place.wants {
                let name = &want.resource;
                let holders = self.resources.get(name).into_iter().flat_map(|one| one.holders.values());
                let before = self.places.iter().filter(|(other, one)| {
                    at(one, name) && (*other < ticket || one.upgraded.is_some()) && place.upgraded.is_none()
                });
                let others = holders.map(|(holder, _)| *holder).chain(before.map(|(_, one)| one.session));
                awaited.extend(others.filter(|one| *one != session).map(|one| (name.clone(), one)));
            }
        }
        awaited
    }

    fn cycle(&self, from: u64) -> Option<Vec<DeadlockStep>> {
        let mut paths = vec![(from, Vec::new())];
        let mut seen = BTreeSet::new();
        while let Some((session, path)) = paths.pop() {
            for (resource, next) in self.awaited(session) {
                let mut path: Vec<DeadlockStep> = path.clone();
                path.push(DeadlockStep { session, resource });
                if next == from {
                    return Some(path);
                }
                if seen.insert(next) {
                    paths.push((next, path));
                }
            }
        }
        None
    }
}
