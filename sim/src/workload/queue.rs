//! Producers and consumers of a few topics, and whoever empties them in the end.
//!
//! A producer asks again, under the same number, until it knows that its messages are in: so every message
//! ends up in its topic once, or its last request is of unknown outcome when the run ends. A consumer works on
//! what it got and acknowledges it, or rejects it, or dies with it.

use std::collections::BTreeMap;

use rand::RngExt;

use super::{Service, TOPICS, Worker};
use crate::history::{Answer, Call, Delivery, Message, Outcome};

/// Messages of one client are numbered below this, so that no two of a run have the same number.
const MESSAGES_PER_CLIENT: u64 = 1_000_000_000;
/// One of so many dequeues looks into the topic of those that were given up.
const LOOKS_AT_DEAD: u64 = 12;
/// Messages that whoever empties a topic asks for at a time.
const DRAIN_BATCH: u64 = 16;
/// How long it waits, in microseconds, before it looks again into a topic that holds messages but delivers none.
const DRAIN_AGAIN_US: u64 = 200_000;

/// Where messages of this topic go that were given up.
pub(super) fn dead_letter_of(topic: &str) -> String {
    format!("{topic}-dead")
}

/// What a producer remembers.
#[derive(Debug, Default)]
pub(super) struct Producer {
    /// Per topic, the number of its next message there.
    sequences: BTreeMap<String, u64>,
    numbered: u64,
    /// What it does not know to be in its topic yet.
    pending: Option<(String, Vec<Message>)>,
}

impl<S: Service> Worker<S> {
    /// Gives the topics their settings, as each client does before it uses them.
    pub(super) async fn declare_topics(&mut self, prefix: &str) {
        for number in self.numbers.all() {
            let topic = format!("{prefix}-{number}");
            let (dead_letter, attempts_max) = (dead_letter_of(&topic), self.spec.queue.attempts_max);
            self.until_declared(Call::DeclareTopic { topic, attempts_max, dead_letter }).await;
        }
    }

    /// Adds some messages to a topic, or asks again for those that may not be there yet.
    pub(super) async fn produce(&mut self, producer: &mut Producer, prefix: &str) {
        let (topic, messages) = match producer.pending.take() {
            Some(pending) => pending,
            None => (self.pick(prefix), self.new_messages(producer)),
        };
        let sequence = producer.sequences.get(&topic).copied().unwrap_or(1);
        let enqueue = Call::Enqueue {
            topic: topic.clone(),
            producer: self.client,
            sequence,
            messages: messages.clone(),
        };
        match self.call(enqueue).await.1 {
            Outcome::Ok { .. } => {
                producer.sequences.insert(topic, sequence + messages.len() as u64);
            }
            _ => producer.pending = Some((topic, messages)),
        }
    }

    fn new_messages(&mut self, producer: &mut Producer) -> Vec<Message> {
        let count = self.rng.random_range(1..=self.spec.queue.batch_max);
        (0..count)
            .map(|_| {
                producer.numbered += 1;
                self.new_message(self.client * MESSAGES_PER_CLIENT + producer.numbered)
            })
            .collect()
    }

    fn new_message(&mut self, number: u64) -> Message {
        let (spec, rng) = (&self.spec.queue, &mut self.rng);
        let is_grouped = rng.random_bool(spec.grouped) && spec.groups > 0;
        Message {
            number,
            group: is_grouped.then(|| rng.random_range(1..=spec.groups)),
            priority: rng.random_range(0..spec.priorities) as u8,
            delay_us: if rng.random_bool(spec.delayed) { spec.delay_ms.draw_us(rng) } else { 0 },
            ttl_us: if rng.random_bool(spec.mortal) { Some(spec.ttl_ms.draw_us(rng)) } else { None },
        }
    }

    /// Gets some messages and deals with them.
    pub(super) async fn consume(&mut self) {
        let mut topic = self.pick(TOPICS);
        if self.rng.random_range(0..LOOKS_AT_DEAD) == 0 {
            topic = dead_letter_of(&topic);
        }
        let loops = self.spec.queue.loops;
        if self.chance(loops) && self.consume_in_loop(topic.clone()).await {
            return;
        }
        let count_max = self.rng.random_range(1..=self.spec.queue.batch_max);
        let wait_us = self.spec.queue.poll_ms.draw_us(&mut self.rng);
        let counts = self.spec.queue.counts;
        if self.chance(counts) {
            self.call(Call::TopicStats { topic: topic.clone() }).await;
        }
        let dies = self.rng.random_bool(self.spec.queue.crash);
        let deliveries = self.dequeue(&topic, count_max, wait_us).await;
        if deliveries.is_empty() {
            return self.pace().await;
        }
        if dies {
            return self.service.crash().await;
        }
        for delivery in deliveries {
            self.work_on(&topic, delivery).await;
        }
    }

    /// What it got; nothing if there was nothing, or if nobody knows.
    pub(super) async fn dequeue(&mut self, topic: &str, count_max: u64, wait_us: u64) -> Vec<Delivery> {
        let visibility_us = self.spec.queue.visibility_ms * 1_000;
        let dequeue = Call::Dequeue { topic: topic.to_owned(), count_max, visibility_us, wait_us };
        match self.call(dequeue).await.1 {
            Outcome::Ok { answer: Answer::Delivered { deliveries } } => deliveries,
            _ => Vec::new(),
        }
    }

    async fn work_on(&mut self, topic: &str, delivery: Delivery) {
        let spec = self.spec.queue.clone();
        let work_us = spec.work_ms.draw_us(&mut self.rng);
        let (extends, rejects) = (self.rng.random_bool(spec.extend), self.rng.random_bool(spec.reject));
        let delay_us = spec.delay_ms.draw_us(&mut self.rng);
        let (topic, Delivery { message, receipt, .. }) = (topic.to_owned(), delivery);
        self.service.sleep_us(work_us / 2).await;
        if extends {
            let visibility_us = spec.visibility_ms * 1_000;
            self.call(Call::Extend { topic: topic.clone(), message, receipt, visibility_us }).await;
        }
        self.service.sleep_us(work_us / 2).await;
        // Those that were given up once have been looked at enough.
        let ends = match rejects && !delivery.given_up {
            true => Call::Reject { topic, message, receipt, delay_us },
            false => Call::Acknowledge { topic, message, receipt },
        };
        self.call(ends).await;
    }

    /// Takes everything out of all topics that is still there, once nobody else is at work: what was lost
    /// does not turn up then. Ends when the topics are seen to be empty, or when the time is up.
    pub(super) async fn drain(&mut self, prefix: &str) {
        let mut left_us = self.spec.drain_us_max();
        let topics = self.numbers.all().map(|number| format!("{prefix}-{number}"));
        let topics: Vec<String> = topics.flat_map(|topic| [topic.clone(), dead_letter_of(&topic)]).collect();
        for topic in topics {
            while left_us > 0 && !self.drain_some(&topic).await {
                self.service.sleep_us(DRAIN_AGAIN_US).await;
                left_us = left_us.saturating_sub(DRAIN_AGAIN_US);
            }
        }
    }

    /// Takes out what can be had; whether nothing is left.
    async fn drain_some(&mut self, topic: &str) -> bool {
        if !self.service.prepare().await {
            return false;
        }
        loop {
            let deliveries = self.dequeue(topic, DRAIN_BATCH, 0).await;
            if deliveries.is_empty() {
                break;
            }
            for Delivery { message, receipt, .. } in deliveries {
                self.call(Call::Acknowledge { topic: topic.to_owned(), message, receipt }).await;
            }
        }
        match self.call(Call::TopicStats { topic: topic.to_owned() }).await.1 {
            Outcome::Ok { answer: Answer::Counts { seen } } => seen.held() == 0,
            _ => false,
        }
    }
}
