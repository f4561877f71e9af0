//! Random entries, drawn so that topics are few, bounds near and times often equal.

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::{NewMessage, PurgeScope, QueueAction, TopicSettings};
use super::model::Queue;
use crate::ids::{MessageId, ProducerId, Receipt};

const TOPICS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A source of entries, the same for the same seed.
pub(super) struct Source(Xoshiro256PlusPlus);

impl Source {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Evenly from 0 up to, not including, `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }

    /// What a client might do, given what there is.
    pub(super) fn action(&mut self, model: &Queue) -> QueueAction {
        let topic = self.topic();
        match self.below(100) {
            0..34 => self.enqueue(topic),
            34..64 => QueueAction::Dequeue {
                topic,
                count_max: self.pick(&[1, 1, 2, 5]),
                visibility_us: self.pick(&[1_000, 2_000, 5_000]),
                wait_us: self.pick(&[0, 0, 1_000, 5_000, 50_000]),
            },
            64..76 => {
                let count = self.pick(&[1, 1, 2, 4]);
                let receipts: Vec<_> = (0..count).map(|_| self.receipt(model, &topic).1).collect();
                QueueAction::Acknowledge { topic: self.receipt(model, &topic).0, receipts }
            }
            76..84 => {
                let (topic, (id, receipt)) = self.receipt(model, &topic);
                QueueAction::Reject { topic, id, receipt, delay_us: self.pick(&[0, 0, 1_000, 4_000]) }
            }
            84..88 => {
                let (topic, (id, receipt)) = self.receipt(model, &topic);
                QueueAction::Extend { topic, id, receipt, visibility_us: self.pick(&[1_000, 6_000]) }
            }
            88..93 => QueueAction::Declare { settings: self.settings(&topic), topic },
            93..97 => QueueAction::Redrive { topic, count_max: self.pick(&[1, 2, 9]) },
            97..99 => {
                let what = self.pick(&[PurgeScope::Waiting, PurgeScope::Dead, PurgeScope::All]);
                let ids: Vec<MessageId> = model.messages.iter().map(|message| message.id).collect();
                let after = (!ids.is_empty() && self.once_in(2)).then(|| self.pick(&ids));
                QueueAction::Purge { topic, what, after }
            }
            _ => QueueAction::DeleteTopic { topic },
        }
    }

    /// The first ones are the likelier.
    fn topic(&mut self) -> String {
        let end = self.below(TOPICS.len() as u64) + 1;
        TOPICS[self.below(end) as usize].to_owned()
    }

    fn enqueue(&mut self, topic: String) -> QueueAction {
        let count = self.pick(&[1, 1, 1, 2, 3]);
        let messages = (0..count).map(|_| self.message()).collect();
        let producer = self.once_in(3).then(|| {
            let id = ProducerId(self.below(4));
            (id, self.pick(&[0, 1, 2, 3, 4, 5, 6, 8, 12]))
        });
        QueueAction::Enqueue { topic, messages, producer }
    }

    fn message(&mut self) -> NewMessage {
        let bytes = self.0.next_u64().to_le_bytes();
        let len = self.below(7) as usize;
        let group = self.pick(&[None, None, Some("g"), Some("h")]);
        NewMessage {
            payload: Bytes::copy_from_slice(&bytes[..len]),
            headers: if self.once_in(5) { vec![("kind".to_owned(), "x".to_owned())] } else { Vec::new() },
            priority: self.pick(&[0, 0, 0, 1, 7]),
            group: group.map(str::to_owned),
            delay_us: self.pick(&[0, 0, 0, 0, 1_000, 7_000]),
            ttl_us: self.pick(&[None, None, None, Some(1_000), Some(3_000), Some(10_000)]),
        }
    }

    fn settings(&mut self, topic: &str) -> TopicSettings {
        let dead_letter = self.once_in(2).then(|| self.topic()).filter(|other| other != topic);
        TopicSettings {
            attempts_max: self.pick(&[1, 2, 3]),
            dead_letter,
            ttl_us: self.pick(&[None, None, Some(4_000), Some(20_000)]),
            depth_max: self.pick(&[2, 6, 12, 100]),
            bytes_max: self.pick(&[10, 60, 1_000]),
            payload_bytes_max: self.pick(&[5, 100]),
        }
    }

    /// Mostly a delivery that is current, and else one that is not.
    fn receipt(&mut self, model: &Queue, topic: &str) -> (String, (MessageId, Receipt)) {
        if model.messages.is_empty() || self.once_in(15) {
            return (topic.to_owned(), (MessageId(self.below(1 << 16)), Receipt(self.below(3))));
        }
        let in_flight: Vec<_> = model.messages.iter().filter(|message| message.is_in_flight()).collect();
        let message = if in_flight.is_empty() || self.once_in(6) {
            let messages = &model.messages;
            &messages[self.below(messages.len() as u64) as usize]
        } else {
            in_flight[self.below(in_flight.len() as u64) as usize]
        };
        let receipt = if self.once_in(8) { message.deliveries.saturating_sub(1) } else { message.deliveries };
        (message.topic.clone(), (message.id, Receipt(receipt)))
    }
}
