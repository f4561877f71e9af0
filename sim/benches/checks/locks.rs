//! Locks with lines, shared and exclusive, of clients that give back what they got; of what they do not know about,
//! the service takes the place back a while later, as if a lease had run out.

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt;
use stormglass_sim::history::{Answer, Call, History, Hold, VirtualTime};

use super::clients::{self, Clients, Service, What};

const RESOURCES: u64 = 4;
const WAIT_US_MAX: u64 = 20_000;
const LEASE_NS: u64 = 10_000_000;

struct Waiter {
    client: u64,
    id: u64,
    exclusive: bool,
}

#[derive(Default)]
struct Resource {
    /// By token: whether it is held alone.
    holders: BTreeMap<u64, bool>,
    line: VecDeque<Waiter>,
}

/// What a client holds.
struct Held {
    id: u64,
    resource: String,
    exclusive: bool,
    token: u64,
    from_ns: u64,
}

#[derive(Default)]
struct Locks {
    resources: BTreeMap<String, Resource>,
    last_token: u64,
    held: BTreeMap<u64, Held>,
    /// By the number under which it is due: the deadline of a wait, or the end of what nobody knows of.
    deadlines: BTreeMap<u64, (String, u64)>,
    leases: BTreeMap<u64, (String, u64)>,
    granted: BTreeMap<u64, u64>,
    numbered: u64,
}

pub(super) fn history(operations: u64) -> History {
    clients::history(Locks::default(), "locks", operations)
}

impl Locks {
    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Grants what can be granted, first come, first served.
    fn settle(&mut self, clients: &mut Clients, name: &str) {
        loop {
            let Some(resource) = self.resources.get_mut(name) else { return };
            let Some(first) = resource.line.front() else { return };
            let has_room = resource.holders.is_empty()
                || !first.exclusive && resource.holders.values().all(|exclusive| !exclusive);
            if !has_room {
                return;
            }
            let Some(first) = resource.line.pop_front() else { return };
            self.last_token += 1;
            resource.holders.insert(self.last_token, first.exclusive);
            self.granted.insert(first.id, self.last_token);
            clients.answer(first.client, first.id, Answer::Granted { token: self.last_token });
        }
    }
}

impl Service for Locks {
    fn ask(&mut self, clients: &mut Clients, client: u64) -> Option<Call> {
        if let Some(call) = self.finish(clients, client) {
            return Some(call);
        }
        let resource = format!("lock-{}", clients.rng.random_range(1..=RESOURCES));
        let exclusive = clients.rng.random_range(0..4) > 0;
        let wait_us = clients.rng.random_range(0..WAIT_US_MAX);
        Some(Call::Acquire { resource, exclusive, wait_us })
    }

    fn finish(&mut self, clients: &mut Clients, client: u64) -> Option<Call> {
        let Held { id, resource, exclusive, token, from_ns } = self.held.remove(&client)?;
        clients.hold(Hold {
            client,
            operation: id,
            resource: resource.clone(),
            exclusive,
            permits: 0,
            token,
            from_ns: VirtualTime(from_ns),
            until_ns: VirtualTime(clients.now_ns),
            lapsed: false,
        });
        Some(Call::Release { resource, token })
    }

    fn arrive(&mut self, clients: &mut Clients, client: u64, id: u64) {
        match clients.call(id) {
            Call::Acquire { resource, exclusive, wait_us } => {
                let waiter = Waiter { client, id, exclusive };
                self.resources.entry(resource.clone()).or_default().line.push_back(waiter);
                self.settle(clients, &resource);
                let number = self.number();
                clients.at(clients.now_ns + wait_us * 1_000, client, What::Due(number));
                self.deadlines.insert(number, (resource, id));
            }
            Call::Release { resource, token } => {
                let found = self.resources.get_mut(&resource).and_then(|found| found.holders.remove(&token));
                let answer = if found.is_some() { Answer::Released } else { Answer::NotHeld };
                clients.answer(client, id, answer);
                self.settle(clients, &resource);
            }
            _ => {}
        }
    }

    fn learn(&mut self, clients: &mut Clients, client: u64, id: u64, answer: Option<&Answer>) {
        let Call::Acquire { resource, exclusive, .. } = clients.call(id) else { return };
        let token = self.granted.remove(&id);
        match (answer, token) {
            (Some(Answer::Granted { token }), _) => {
                let held = Held { id, resource, exclusive, token: *token, from_ns: clients.now_ns };
                self.held.insert(client, held);
            }
            (None, Some(token)) => {
                let number = self.number();
                clients.at(clients.now_ns + LEASE_NS, client, What::Due(number));
                self.leases.insert(number, (resource, token));
            }
            _ => {}
        }
    }

    fn due(&mut self, clients: &mut Clients, number: u64) {
        if let Some((name, token)) = self.leases.remove(&number) {
            if let Some(resource) = self.resources.get_mut(&name) {
                resource.holders.remove(&token);
            }
            self.settle(clients, &name);
        }
        let Some((name, id)) = self.deadlines.remove(&number) else { return };
        let Some(resource) = self.resources.get_mut(&name) else { return };
        let Some(place) = resource.line.iter().position(|waiter| waiter.id == id) else { return };
        if let Some(waiter) = resource.line.remove(place) {
            clients.answer(waiter.client, waiter.id, Answer::NotGranted);
        }
        self.settle(clients, &name);
    }
}
