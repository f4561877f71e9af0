//! Clients that work on simple topics in virtual time, and what they leave behind.
//!
//! Each operation takes effect at a moment between its request and its answer. Some answers are lost: then it takes effect
//! at any time, or never. Times that the topics count are over at the earliest when the fastest clock has counted them, and
//! at most [`LATE`] later. Moments are so coarse that many are equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{Rng, RngExt};
use stormglass_sim::check::{Calm, Drift};
use stormglass_sim::history::{Answer, Call, History, Message, VirtualTime};
use stormglass_sim::rng::Streams;

use super::calls::{Calls, InHand, NAMES};
use super::topics::{Flaw, Topics};
use crate::support::{Row, history};

/// One moment, in nanoseconds.
const MOMENT: u64 = 4_000;
/// By how many moments a time that is counted may be over too late.
const LATE: u64 = 12;

/// What a history is drawn by.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    clients: usize,
    operations: usize,
    lost_percent: u32,
    /// An operation takes at most so many moments.
    lasts: u64,
}

enum Event {
    Ask(usize),
    Effect(usize),
    /// A state of a message is over, if it has not changed since.
    Over(usize, u64),
    LifeOver(usize),
    WaitOver(usize),
    /// Whoever never heard of a delivery gives it back.
    GiveBack(usize, u64, u64),
    Answer(usize),
}

struct Asked {
    client: usize,
    call: Call,
    invoked: u64,
    returned: Option<u64>,
    answer: Option<Answer>,
    lost: bool,
}

struct World {
    topics: Topics,
    calls: Calls,
    shape: Shape,
    drift: Drift,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Event>,
    asked: Vec<Asked>,
    /// Who waits, in line: its operation.
    waiting: Vec<usize>,
    /// What each client has in hand: topic and delivery.
    hands: Vec<Vec<InHand>>,
    /// Batches that a client has not heard of.
    unheard: Vec<Option<Call>>,
    now: u64,
}

/// A history, and how often the flaw showed.
pub(crate) struct Drawn {
    pub(crate) history: History,
    pub(crate) shown: u64,
    pub(crate) drift: Drift,
    pub(crate) calm: Option<Calm>,
}

/// Draws one.
pub(crate) fn draw(seed: u64, flaw: Option<Flaw>) -> Drawn {
    let mut rng = Streams::new(seed).stream("queue fuzz");
    let wild = rng.random_bool(0.5);
    let shape = Shape {
        clients: rng.random_range(1..=4),
        operations: rng.random_range(5..=60),
        lost_percent: [0, 0, 3, 15][rng.random_range(0..4)],
        lasts: rng.random_range(0..=4),
    };
    let drift = Drift { fast_ppm_max: if rng.random_bool(0.3) { 250_000 } else { 0 } };
    let declares = rng.random_range(0..4_u32);
    let has_calm = rng.random_bool(0.5);
    let mut world = World {
        topics: Topics::new(NAMES.len(), flaw, Streams::new(seed).stream("topics")),
        calls: Calls::new(rng, wild),
        shape,
        drift,
        queue: BinaryHeap::new(),
        events: Vec::new(),
        asked: Vec::new(),
        waiting: Vec::new(),
        hands: vec![Vec::new(); shape.clients],
        unheard: vec![None; shape.clients],
        now: 1,
    };
    for client in 0..shape.clients {
        let at = 1 + u64::from(declares) * 3;
        world.at(at, Event::Ask(client));
    }
    for n in 0..declares.min(2) {
        // The first client declares before anybody does anything, and is answered in time.
        let call = world.calls.declaration(n as usize);
        let at = 1 + u64::from(n) * 3;
        world.declare_at(call, at);
    }
    world.run();
    let calm = has_calm.then_some(Calm {
        from: VirtualTime(0),
        grace_ns: LATE * MOMENT,
        slow_ppm_max: 0,
        lease_us: 0,
    });
    let rows = world.asked.iter().map(World::row).collect();
    Drawn { history: history(rows), shown: world.topics.shown, drift, calm }
}

impl World {
    fn row(asked: &Asked) -> Row {
        let returned = asked.returned.map_or(0, |returned| returned * MOMENT);
        let answer = asked.answer.clone().filter(|_| !asked.lost);
        (asked.client as u64 + 1, asked.invoked * MOMENT, returned, asked.call.clone(), answer)
    }

    fn at(&mut self, at: u64, event: Event) {
        let order = self.calls.rng.next_u64();
        self.events.push(event);
        self.queue.push(Reverse((at, order, self.events.len() - 1)));
    }

    /// When a time that begins now may be over.
    fn over(&mut self, us: u64) -> u64 {
        let late = if self.calls.below(2) == 0 { 0 } else { self.calls.below(LATE + 1) };
        self.now + self.drift.least_ns(us) / MOMENT + late
    }

    fn declare_at(&mut self, call: Call, at: u64) {
        let (client, invoked) = (0, at);
        self.asked.push(Asked { client, call, invoked, returned: Some(at + 1), answer: None, lost: false });
        let operation = self.asked.len() - 1;
        self.effect(operation);
    }

    fn run(&mut self) {
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            self.now = at;
            match self.events[event] {
                Event::Ask(client) => self.ask(client),
                Event::Effect(operation) => self.effect(operation),
                Event::Over(place, change) => {
                    if self.topics.items[place].change == change {
                        self.topics.come_back(place, 0);
                    }
                }
                Event::LifeOver(place) => {
                    if self.topics.items[place].message.ttl_us.is_some() {
                        self.topics.end_life(place);
                    }
                }
                Event::WaitOver(operation) => {
                    if let Some(place) = self.waiting.iter().position(|waiting| *waiting == operation) {
                        self.waiting.remove(place);
                        self.complete(operation, Answer::Delivered { deliveries: Vec::new() });
                    }
                }
                Event::GiveBack(topic, number, receipt) => {
                    if let Some(place) = self.topics.in_hand(topic, number, receipt) {
                        self.topics.come_back(place, 0);
                    }
                }
                Event::Answer(operation) => self.answer(operation),
            }
            self.hand_on();
        }
    }

    fn ask(&mut self, client: usize) {
        if self.asked.len() >= self.shape.operations {
            return;
        }
        let again = self.unheard[client].take().filter(|_| self.calls.below(2) == 0);
        let call = again.unwrap_or_else(|| self.calls.next(client, &mut self.hands[client]));
        let lost = self.calls.below(100) < u64::from(self.shape.lost_percent);
        let invoked = self.now;
        self.asked.push(Asked { client, call, invoked, returned: None, answer: None, lost });
        let operation = self.asked.len() - 1;
        if lost {
            if self.calls.below(4) > 0 {
                let later = self.now + self.calls.below(1 + 6 * (1 + self.shape.lasts));
                self.at(later, Event::Effect(operation));
            }
            // Some clients ask nothing any more.
            if self.calls.below(5) > 0 {
                let given_up = self.now + self.calls.below(1 + 2 * self.shape.lasts);
                self.at(given_up, Event::Answer(operation));
            }
        } else {
            let effect = self.now + self.calls.below(1 + self.shape.lasts);
            self.at(effect, Event::Effect(operation));
        }
    }

    fn effect(&mut self, operation: usize) {
        let call = self.asked[operation].call.clone();
        let topic = NAMES.iter().position(|name| *name == call.object()).unwrap_or_default();
        let answer = match call {
            Call::DeclareTopic { attempts_max, dead_letter, .. } => {
                let into = NAMES.iter().position(|name| *name == dead_letter).unwrap_or_default();
                self.topics.declare(topic, attempts_max, into);
                Answer::Declared
            }
            Call::Enqueue { messages, .. } => {
                for place in self.topics.enqueue(topic, &messages) {
                    self.come(place);
                }
                Answer::Enqueued
            }
            Call::Dequeue { count_max, wait_us, .. } => {
                if wait_us > 0 && !self.topics.has_some(topic) {
                    self.waiting.push(operation);
                    let until = self.over(wait_us);
                    return self.at(until, Event::WaitOver(operation));
                }
                return self.deliver(operation, topic, count_max);
            }
            Call::Acknowledge { message, receipt, .. } => {
                match self.topics.in_hand(topic, message, receipt) {
                    Some(place) => {
                        self.topics.acknowledge(place);
                        Answer::Settled
                    }
                    None => Answer::Stale,
                }
            }
            Call::Reject { message, receipt, delay_us, .. } => {
                match self.topics.in_hand(topic, message, receipt) {
                    Some(place) => {
                        if self.topics.come_back(place, delay_us) {
                            self.end_later(place, delay_us);
                        }
                        Answer::Settled
                    }
                    None => Answer::Stale,
                }
            }
            Call::Extend { message, receipt, visibility_us, .. } => {
                match self.topics.in_hand(topic, message, receipt) {
                    Some(place) => {
                        self.topics.items[place].change += 1;
                        self.end_later(place, visibility_us);
                        Answer::Settled
                    }
                    None => Answer::Stale,
                }
            }
            _ => Answer::Counts { seen: Box::new(self.topics.stats(topic)) },
        };
        self.complete(operation, answer);
    }

    /// A message has come.
    fn come(&mut self, place: usize) {
        let Message { delay_us, ttl_us, .. } = self.topics.items[place].message;
        if let Some(ttl_us) = ttl_us {
            let mut over = self.over(ttl_us);
            if self.topics.expires_early() {
                over = self.now + 1;
            }
            self.at(over, Event::LifeOver(place));
        }
        if delay_us > 0 {
            self.end_later(place, delay_us);
        }
    }

    fn end_later(&mut self, place: usize, us: u64) {
        let (over, change) = (self.over(us), self.topics.items[place].change);
        self.at(over, Event::Over(place, change));
    }

    fn deliver(&mut self, operation: usize, topic: usize, count_max: u64) {
        let Call::Dequeue { visibility_us, .. } = self.asked[operation].call else { return };
        let delivered = self.topics.deliver(topic, count_max);
        let (client, lost) = (self.asked[operation].client, self.asked[operation].lost);
        for (place, delivery) in &delivered {
            self.end_later(*place, visibility_us);
            if !lost {
                self.hands[client].push((topic, *delivery));
            } else if self.calls.below(2) == 0 {
                let back = self.now + self.calls.below(8);
                self.at(back, Event::GiveBack(topic, delivery.message, delivery.receipt));
            }
        }
        let deliveries = delivered.into_iter().map(|(_, delivery)| delivery).collect();
        self.complete(operation, Answer::Delivered { deliveries });
    }

    /// Whoever waits gets what has come.
    fn hand_on(&mut self) {
        for (topic, name) in NAMES.iter().enumerate() {
            let waits_here = |world: &Self| {
                world.waiting.iter().position(|waiting| world.asked[*waiting].call.object() == *name)
            };
            while let Some(place) = waits_here(self)
                && self.topics.has_some(topic)
            {
                let operation = self.waiting.remove(place);
                let Call::Dequeue { count_max, .. } = self.asked[operation].call else { return };
                self.deliver(operation, topic, count_max);
            }
        }
    }

    fn complete(&mut self, operation: usize, answer: Answer) {
        self.asked[operation].answer = Some(answer);
        if !self.asked[operation].lost && self.asked[operation].returned.is_none() {
            let returned = self.now + self.calls.below(1 + self.shape.lasts);
            self.at(returned, Event::Answer(operation));
        }
    }

    fn answer(&mut self, operation: usize) {
        let asked = &mut self.asked[operation];
        let (client, lost) = (asked.client, asked.lost);
        asked.returned = Some(self.now);
        if lost && matches!(asked.call, Call::Enqueue { .. }) {
            self.unheard[client] = Some(asked.call.clone());
        }
        let next = self.now + self.calls.below(4);
        self.at(next, Event::Ask(client));
    }
}
