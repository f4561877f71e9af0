//! Clients of the simple service in virtual time: what each asks takes a while to get there, and the answer a while to
//! get back, or never does. What is recorded is a right history, as long as the service is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use rand::RngExt;
use stormglass_sim::check::{Calm, Drift};
use stormglass_sim::history::{
    Answer, Call, History, Hold, LockMode, LockWant, Operation, Outcome, VirtualTime,
};
use stormglass_sim::rng::{StreamRng, Streams};

use super::calls::{draw, granted};
use super::flaws::Flaw;
use super::parts::{Client, Event, Held, Open, Thread};
use super::service::{Locks, Told};
use super::terms::{LEASE_US, Terms};

/// The longest way to the service, or back.
const WAY_NS: u64 = 1_500;

/// A history, on what terms it is to be judged, and how often the service was wrong.
pub(crate) struct Recorded {
    pub(crate) history: History,
    pub(crate) drift: Drift,
    pub(crate) calm: Option<Calm>,
    pub(crate) wrongs: u64,
}

pub(crate) struct World {
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    locks: Locks,
    clients: Vec<Client>,
    threads: Vec<Thread>,
    open: Vec<Open>,
    /// By ticket, the operation that waits.
    waiting: BTreeMap<u64, usize>,
    /// By key, the version and the latest token under which it was written.
    guarded: BTreeMap<String, (u64, u64)>,
    holds: Vec<Hold>,
    /// Grants that were looked up before they were answered.
    looked_up: BTreeSet<(String, u64)>,
    sessions: u64,
    terms: Terms,
    rng: StreamRng,
}

/// A history of the service, with this flaw if any.
pub(crate) fn record(seed: u64, flaw: Option<Flaw>) -> Recorded {
    let mut rng = Streams::new(seed).stream("world");
    let terms = Terms::draw(&mut rng);
    let clients = rng.random_range(2..5_usize);
    let threads_of_each = if terms.is_renumbered { 1 } else { rng.random_range(1..3_u64) };
    let mut world = World {
        now: 0,
        queue: BinaryHeap::new(),
        sequence: 0,
        locks: Locks::new(flaw, Streams::new(seed).stream("service")),
        clients: (1..=clients).map(|n| Client { session: n as u64, held: Vec::new() }).collect(),
        threads: Vec::new(),
        open: Vec::new(),
        waiting: BTreeMap::new(),
        guarded: BTreeMap::new(),
        holds: Vec::new(),
        looked_up: BTreeSet::new(),
        sessions: clients as u64,
        terms,
        rng,
    };
    for client in 0..clients {
        for among in 0..threads_of_each {
            let number = client as u64 + 1 + 1_000 * among;
            world.threads.push(Thread { client, number, asked: 0 });
            world.after(WAY_NS, Event::Next(world.threads.len() - 1));
        }
        if world.terms.lapses {
            world.after(40 * WAY_NS, Event::Lapse(client));
        }
    }
    world.run()
}

impl World {
    fn run(mut self) -> Recorded {
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            self.now = at;
            match event {
                Event::Next(thread) => self.next(thread),
                Event::Arrive(open, session) => self.arrive(open, session),
                Event::Answer(open) => self.answered(open),
                Event::GiveUp(open) => self.give_up(open),
                Event::Deadline(ticket) => self.locks.deadline(ticket),
                Event::Lapse(client) => self.lapse(client),
                Event::EndSession(session) => self.locks.end_session(session),
                Event::Learn(client, resource, token) => {
                    // It does not believe in what it is told of only now, either.
                    self.looked_up.insert((resource.clone(), token));
                    self.end_belief(client, true, |held| held.resource == resource && held.token == token);
                }
            }
            self.deliver();
        }
        let mut operations: Vec<Operation> = self.open.into_iter().map(|open| open.operation).collect();
        for operation in &mut operations {
            // Some never hear of the end.
            if matches!(operation.outcome, Outcome::Unknown { .. }) && self.rng.random_bool(0.1) {
                let is_last = self
                    .threads
                    .iter()
                    .any(|thread| thread.number == operation.client && thread.asked == operation.id + 1);
                operation.returned_ns = operation.returned_ns.filter(|_| !is_last);
            }
        }
        let holds = if self.terms.records_holds { self.holds } else { Vec::new() };
        Recorded {
            history: History { operations, holds },
            drift: self.terms.drift(),
            calm: self.terms.calm(),
            wrongs: self.locks.wrongs,
        }
    }

    fn draw(&mut self, most_ns: u64) -> u64 {
        let grain = self.terms.grain_ns;
        self.rng.random_range(0..=most_ns / grain) * grain
    }

    fn after(&mut self, most_ns: u64, event: Event) {
        let at = self.now + self.draw(most_ns);
        self.at(at, event);
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, event)));
    }

    /// Sends off what the service has to say to those who waited.
    fn deliver(&mut self) {
        for (ticket, told) in std::mem::take(&mut self.locks.done) {
            let open = self.waiting.remove(&ticket).expect("who is told something waited");
            self.open[open].answer = Some(told);
            self.after(WAY_NS, Event::Answer(open));
        }
    }

    fn next(&mut self, thread: usize) {
        if self.open.len() as u64 >= self.terms.operations {
            return;
        }
        let client = self.threads[thread].client;
        let Client { session, .. } = self.clients[client];
        let held = self.clients[client].held_by_it();
        let looked_up = (!self.terms.gives_up).then_some(&mut self.looked_up);
        let busy = self.open.iter().filter(|one| !one.is_closed).flat_map(|one| &one.used);
        let busy: Vec<String> = busy.map(|held| held.resource.clone()).collect();
        let (call, used) = draw(&mut self.rng, &held, &busy, &self.locks, session, looked_up);
        self.ask(thread, call, used);
    }

    fn ask(&mut self, thread: usize, call: Call, used: Vec<(String, u64)>) {
        let Thread { client, number, .. } = self.threads[thread];
        let session = self.clients[client].session;
        let mut given_up = Vec::new();
        let ends_belief =
            matches!(call, Call::Release { .. } | Call::ReleaseAll { .. } | Call::Downgrade { .. });
        for (resource, token) in used {
            let held = &self.clients[client].held;
            let Some(place) = held.iter().position(|one| one.resource == resource && one.token == token)
            else {
                continue;
            };
            given_up.push(self.clients[client].held.remove(place));
        }
        if ends_belief {
            given_up.clone().into_iter().for_each(|held| self.record_hold(held, false));
        }
        let id = self.open.len() as u64;
        let is_lost = self.rng.random_range(0..100) < self.terms.lost_percent;
        let wait_us = call.wait_us();
        let operation = Operation {
            id,
            client: number,
            call,
            invoked_ns: VirtualTime(self.now),
            returned_ns: None,
            outcome: Outcome::Unknown { reason: "no answer".to_owned() },
        };
        self.threads[thread].asked = id + 1;
        let open = Open { operation, thread, session, used: given_up, answer: None, is_closed: false };
        self.open.push(open);
        let open = self.open.len() - 1;
        if is_lost {
            self.after(2 * WAY_NS + wait_us * 1_000, Event::GiveUp(open));
        }
        // What is lost may get there late, or not at all.
        if !is_lost || self.rng.random_bool(0.7) {
            let way_ns = if is_lost { 4 * WAY_NS } else { WAY_NS };
            self.after(way_ns, Event::Arrive(open, session));
        }
    }

    fn arrive(&mut self, open: usize, session: u64) {
        let call = self.open[open].operation.call.clone();
        let waits = call.wait_us() > 0;
        let told = match &call {
            Call::Acquire { resource, exclusive, .. } => {
                let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
                let want = LockWant { resource: resource.clone(), mode };
                self.locks.acquire(session, &[want], true, waits)
            }
            Call::AcquireAll { wants, .. } => self.locks.acquire(session, wants, false, waits),
            Call::Upgrade { resource, token, .. } => self.locks.upgrade(session, resource, *token, waits),
            Call::Downgrade { resource, token, .. } => self.locks.downgrade(session, resource, *token),
            Call::Release { resource, token } => self.locks.release(session, &[(resource.clone(), *token)]),
            Call::ReleaseAll { grants } => self.locks.release(session, grants),
            Call::ForceRelease { resource, token } => self.force(resource, *token),
            Call::DeclareSemaphore { resource, permits } => self.locks.declare(resource, *permits),
            Call::LockState { resource } => Told::Answer(self.locks.state(resource)),
            Call::CheckToken { resource, token } => Told::Answer(self.locks.check(resource, *token)),
            Call::CacheCompareAndSet { key, fence: Some(fence), value, .. } => {
                let (version, token) = self.guarded.get(key).copied().unwrap_or_default();
                if token > fence.token {
                    Told::Answer(Answer::Refused { value: Some(*value), version: Some(version) })
                } else {
                    self.guarded.insert(key.clone(), (version + 1, fence.token));
                    Told::Answer(Answer::Written { version: version + 1 })
                }
            }
            _ => unreachable!("nobody asks for that"),
        };
        match told {
            Told::Waits(ticket) => {
                self.waiting.insert(ticket, open);
                let least = self.terms.drift().least_ns(call.wait_us());
                // A clock of the service may stand still for a while.
                let late = if self.rng.random_bool(0.5) { 0 } else { self.draw(3 * WAY_NS) };
                self.at(self.now + least + late, Event::Deadline(ticket));
            }
            told => {
                self.open[open].answer = Some(told);
                self.after(WAY_NS, Event::Answer(open));
            }
        }
    }

    /// Its holder learns of it within a lease.
    fn force(&mut self, resource: &str, token: u64) -> Told {
        let holder = self.locks.holder(resource, token);
        let told = self.locks.force(resource, token);
        let client =
            holder.and_then(|(session, _)| self.clients.iter().position(|one| one.session == session));
        if let Some(client) = client {
            self.after(LEASE_US * 1_000, Event::Learn(client, resource.to_owned(), token));
        }
        told
    }

    fn answered(&mut self, open: usize) {
        let Open { thread, session, is_closed, .. } = self.open[open];
        let Some(told) = self.open[open].answer.clone().filter(|_| !is_closed) else { return };
        let Thread { client, .. } = self.threads[thread];
        let used = std::mem::take(&mut self.open[open].used);
        let operation = &mut self.open[open].operation;
        operation.returned_ns = Some(VirtualTime(self.now));
        operation.outcome = match &told {
            Told::Answer(answer) => Outcome::Ok { answer: answer.clone() },
            _ => Outcome::Fail { reason: "refused".to_owned() },
        };
        self.open[open].is_closed = true;
        let operation = self.open[open].operation.clone();
        let is_upgrade = matches!(operation.call, Call::Upgrade { .. });
        if let Outcome::Ok { answer } = &operation.outcome {
            let is_over = matches!(answer, Answer::Granted { .. } | Answer::NotHeld) && is_upgrade;
            for held in used.into_iter().filter(|_| is_upgrade) {
                match self.clients[client].session == session && !is_over {
                    true => self.clients[client].held.push(held),
                    false => self.record_hold(held, false),
                }
            }
            // Who has another session by now does not believe in what it was granted in the one before.
            if self.clients[client].session == session {
                for (resource, mode, token) in granted(&operation.call, answer) {
                    let from_ns = self.now;
                    if self.looked_up.contains(&(resource.clone(), token)) {
                        continue;
                    }
                    self.clients[client].held.push(Held {
                        operation: operation.id,
                        resource,
                        mode,
                        token,
                        from_ns,
                    });
                }
            }
        }
        self.after(WAY_NS, Event::Next(thread));
    }

    fn give_up(&mut self, open: usize) {
        if self.open[open].is_closed {
            return;
        }
        self.open[open].is_closed = true;
        self.open[open].operation.returned_ns = Some(VirtualTime(self.now));
        let Thread { client, number, .. } = self.threads[self.open[open].thread];
        let used = std::mem::take(&mut self.open[open].used);
        if matches!(self.open[open].operation.call, Call::Upgrade { .. }) {
            used.into_iter().for_each(|held| self.record_hold(held, false));
        }
        if self.terms.gives_up && self.open[open].session == self.clients[client].session {
            self.end_belief(client, false, |_| true);
            self.renew_session(client);
        }
        let thread = self.open[open].thread;
        if self.terms.is_renumbered {
            self.threads[thread].number = number + 5;
        }
        self.after(WAY_NS, Event::Next(thread));
    }

    /// The client is in another session from now on, and the service ends the former one within a lease.
    fn renew_session(&mut self, client: usize) {
        let former = self.clients[client].session;
        self.after(LEASE_US * 1_000, Event::EndSession(former));
        self.sessions += 1;
        self.clients[client].session = self.sessions;
    }

    fn lapse(&mut self, client: usize) {
        self.end_belief(client, true, |_| true);
        self.renew_session(client);
        if (self.open.len() as u64) < self.terms.operations {
            self.after(40 * WAY_NS, Event::Lapse(client));
        }
    }

    /// Ends the belief in some of what a client holds, what it would upgrade just now included.
    fn end_belief(&mut self, client: usize, lapsed: bool, which: impl Fn(&Held) -> bool) {
        let threads = &self.threads;
        let mut over = Vec::new();
        for open in self.open.iter_mut().filter(|open| threads[open.thread].client == client) {
            if matches!(open.operation.call, Call::Upgrade { .. }) {
                over.extend(open.used.extract_if(.., |one| which(one)));
            }
        }
        over.extend(self.clients[client].held.extract_if(.., |one| which(one)));
        over.into_iter().for_each(|held| self.record_hold(held, lapsed));
    }

    fn record_hold(&mut self, held: Held, lapsed: bool) {
        self.holds.push(Hold {
            client: self.open[held.operation as usize].operation.client,
            operation: held.operation,
            resource: held.resource,
            exclusive: held.mode == LockMode::Exclusive,
            permits: held.mode.permits(),
            token: held.token,
            from_ns: VirtualTime(held.from_ns),
            until_ns: VirtualTime(self.now),
            lapsed,
        });
    }
}
