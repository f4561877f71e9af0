//! Consumers that leave their topic to the client library's own loop: what it asks and is answered, what its
//! handlers do and when, and that it was stopped, go into the history.
//!
//! A loop does several things at a time, so it has several numbers of its client: one asks for messages, and for each
//! message that it has in hand there is one that works and one that asks for more time, acknowledges or rejects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::{RngExt, SeedableRng};

use super::{Record, Service, Worker};
use crate::history::{Answer, Asker, Call, Delivery, Outcome, VirtualTime};
use crate::plan::QueueSpec;
use crate::rng::StreamRng;

/// What a loop is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopTerms {
    /// The topic.
    pub topic: String,
    /// Messages in hand at a time, at most.
    pub in_hand_max: u64,
    /// The lease of a delivery and of each extension.
    pub visibility_us: u64,
    /// How long one question for messages waits for some; at most half of the lease.
    pub poll_us: u64,
}

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// How long it takes by the client's clock.
    pub for_us: u64,
    /// It gives the message back in the end, to be delivered again after so many microseconds.
    pub rejected_us: Option<u64>,
}

/// What became of all that a loop was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopCounts {
    /// Deliveries.
    pub delivered: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Given back.
    pub rejected: u64,
    /// Their leases were over before that.
    pub lost: u64,
    /// Nobody told whether it came through.
    pub unsettled: u64,
}

/// The message and the receipt of a delivery.
pub type About = (u64, u64);

/// Who of a loop asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Poller,
    Handler(u64),
    Keeper(u64),
}

/// Where a service writes down what a loop does.
#[derive(Clone, Debug)]
pub struct LoopRecord {
    terms: Arc<LoopTerms>,
    record: Record,
    /// Who asks for messages.
    poller: Asker,
    hands: Arc<Mutex<Hands>>,
}

/// The hands of a loop by number, free or with a delivery.
#[derive(Debug, Default)]
struct Hands {
    free: BTreeSet<u64>,
    full: BTreeMap<About, u64>,
    /// What the handlers are at.
    working: BTreeMap<About, u64>,
}

/// Moments as the service knows them; read with the record in hand.
type Now<'a> = &'a dyn Fn() -> VirtualTime;

impl LoopRecord {
    fn new(terms: LoopTerms, record: Record, worker: Asker) -> Self {
        let poller = Asker { among: worker.among + 1, ..worker };
        let hands = Hands { free: (0..terms.in_hand_max).collect(), ..Hands::default() };
        Self { terms: Arc::new(terms), record, poller, hands: Arc::new(Mutex::new(hands)) }
    }

    /// What the loop is to do.
    #[must_use]
    pub fn terms(&self) -> &LoopTerms {
        &self.terms
    }

    fn number(&self, who: Who) -> u64 {
        let place = match who {
            Who::Poller => 0,
            Who::Handler(hand) => 1 + 2 * hand,
            Who::Keeper(hand) => 2 + 2 * hand,
        };
        Asker { among: self.poller.among + place, ..self.poller }.number()
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().expect("no holder of this lock panics")
    }

    fn invoke(&self, who: Who, call: Call, now: Now<'_>) -> u64 {
        let number = self.number(who);
        self.record.withdraw(number, now);
        self.record.with(|recorder| recorder.invoke(number, call, now()))
    }

    /// It asks for so many messages. Returns the operation's number.
    pub fn asks_for_messages(&self, count_max: u64, now: Now<'_>) -> u64 {
        let LoopTerms { topic, visibility_us, poll_us, .. } = &*self.terms;
        let (topic, visibility_us, wait_us) = (topic.clone(), *visibility_us, *poll_us);
        self.invoke(Who::Poller, Call::Dequeue { topic, count_max, visibility_us, wait_us }, now)
    }

    /// It asks for more time for a delivery that it has in hand.
    pub fn asks_for_time(&self, about: About, now: Now<'_>) -> Option<u64> {
        let (topic, visibility_us) = (self.terms.topic.clone(), self.terms.visibility_us);
        let (message, receipt) = about;
        self.asks_about(about, Call::Extend { topic, message, receipt, visibility_us }, now)
    }

    /// It says that it is done with a delivery.
    pub fn acknowledges(&self, about: About, now: Now<'_>) -> Option<u64> {
        let (topic, (message, receipt)) = (self.terms.topic.clone(), about);
        self.asks_about(about, Call::Acknowledge { topic, message, receipt }, now)
    }

    /// It gives a delivery back.
    pub fn rejects(&self, about: About, delay_us: u64, now: Now<'_>) -> Option<u64> {
        let (topic, (message, receipt)) = (self.terms.topic.clone(), about);
        self.asks_about(about, Call::Reject { topic, message, receipt, delay_us }, now)
    }

    fn asks_about(&self, about: About, call: Call, now: Now<'_>) -> Option<u64> {
        let hand = *self.hands().full.get(&about)?;
        Some(self.invoke(Who::Keeper(hand), call, now))
    }

    /// It was answered.
    pub fn answered(&self, operation: u64, outcome: Outcome, now: Now<'_>) {
        self.record.with(|recorder| recorder.complete(operation, outcome, now()));
    }

    /// A handler begins.
    pub fn begins(&self, about: About, now: Now<'_>) {
        let hand = {
            let mut hands = self.hands();
            let hand = hands.free.pop_first().expect("a loop has no more in hand than it may");
            hands.full.insert(about, hand);
            hand
        };
        let (topic, (message, receipt)) = (self.terms.topic.clone(), about);
        let operation = self.invoke(Who::Handler(hand), Call::Handle { topic, message, receipt }, now);
        self.hands().working.insert(about, operation);
    }

    /// A handler is at its end; `answer` says how.
    pub fn ended(&self, about: About, answer: Answer, now: Now<'_>) {
        let operation = self.hands().working.remove(&about);
        if let Some(operation) = operation {
            self.answered(operation, Outcome::Ok { answer }, now);
        }
    }

    /// A delivery is in hand no more.
    pub fn settled(&self, about: About, now: Now<'_>) {
        let hand = self.hands().full.remove(&about);
        if let Some(hand) = hand {
            self.record.withdraw(self.number(Who::Keeper(hand)), now);
            self.hands().free.insert(hand);
        }
    }
}

impl<S: Service> Worker<S> {
    /// Leaves a topic to a loop for a while; whether the service has such a thing.
    pub(super) async fn consume_in_loop(&mut self, topic: String) -> bool {
        let spec = self.spec.queue.clone();
        let visibility_us = spec.visibility_ms * 1_000;
        let poll_us = spec.poll_ms.draw_us(&mut self.rng).min(visibility_us / 2);
        let terms = LoopTerms { topic: topic.clone(), in_hand_max: spec.batch_max, visibility_us, poll_us };
        let left_us = self.until.since_ns(self.service.now()) / 1_000;
        let for_us = spec.loop_ms.draw_us(&mut self.rng).min(left_us);
        let work_us_max = spec.work_ms.max_ms * 1_000;
        let mut draws = StreamRng::from_rng(&mut self.rng);
        let plan = move |delivery: &Delivery| work_on(delivery, &spec, &mut draws);
        let looped = LoopRecord::new(terms, self.record.clone(), Asker::of(self.client));
        let asker = looped.number(Who::Poller);
        let stop_call = Call::StopConsumer { topic, asker, wait_us: poll_us + work_us_max };
        let (client, service, record) = (self.client, &self.service, &self.record);
        let mut stopped = None;
        let stop = async {
            service.sleep_us(for_us).await;
            stopped = Some(record.with(|recorder| recorder.invoke(client, stop_call, service.now())));
        };
        let counts = service.consume(looped, plan, stop).await;
        if let (Some(counts), Some(operation)) = (counts, stopped) {
            let LoopCounts { delivered, acknowledged, rejected, lost, unsettled } = counts;
            let answer = Answer::Stopped { delivered, acknowledged, rejected, lost, unsettled };
            let outcome = Outcome::Ok { answer };
            record.with(|recorder| recorder.complete(operation, outcome, service.now()));
        }
        counts.is_some()
    }
}

/// What a handler does with a delivery, as [`Worker`]s do by themselves.
fn work_on(delivery: &Delivery, spec: &QueueSpec, rng: &mut StreamRng) -> Work {
    let for_us = spec.work_ms.draw_us(rng);
    let rejects = rng.random_bool(spec.reject);
    let delay_us = spec.delay_ms.draw_us(rng);
    Work { for_us, rejected_us: (rejects && !delivery.given_up).then_some(delay_us) }
}
