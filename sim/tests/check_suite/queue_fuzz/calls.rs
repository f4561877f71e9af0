//! What clients ask of simple topics.

use rand::RngExt;
use stormglass_sim::history::{Call, Delivery, Message};
use stormglass_sim::rng::StreamRng;

/// The topics.
pub(crate) const NAMES: [&str; 3] = ["t", "u", "v"];

/// What is in a client's hands: the topic, and the delivery.
pub(crate) type InHand = (usize, Delivery);

/// Draws what is asked.
pub(crate) struct Calls {
    pub(crate) rng: StreamRng,
    /// Whether there are groups, priorities and lives, and topics are declared again, into any others.
    pub(crate) wild: bool,
    numbered: u64,
}

impl Calls {
    pub(crate) fn new(rng: StreamRng, wild: bool) -> Self {
        Self { rng, wild, numbered: 0 }
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.rng.random_range(0..end)
    }

    pub(crate) fn declaration(&mut self, topic: usize) -> Call {
        let attempts_max = 1 + self.below(3);
        let into = if self.wild { (topic + 1 + self.below(2) as usize) % 3 } else { topic + 1 };
        Call::DeclareTopic {
            topic: NAMES[topic].to_owned(),
            attempts_max,
            dead_letter: NAMES[into].to_owned(),
        }
    }

    pub(crate) fn next(&mut self, client: usize, hands: &mut Vec<InHand>) -> Call {
        let kind = self.below(100);
        let topic = if self.below(5) == 0 { self.below(3) as usize } else { 0 };
        let name = NAMES[topic].to_owned();
        if kind < 30 && !hands.is_empty() {
            let held = self.below(hands.len() as u64) as usize;
            let (topic, Delivery { message, receipt, .. }) = hands[held];
            let topic = NAMES[topic].to_owned();
            let ends = self.below(7);
            if ends != 6 {
                hands.swap_remove(held);
            }
            return match ends {
                0..3 => Call::Acknowledge { topic, message, receipt },
                3..6 => Call::Reject { topic, message, receipt, delay_us: self.below(3) / 2 * 20 },
                _ => Call::Extend { topic, message, receipt, visibility_us: 20 + 20 * self.below(3) },
            };
        }
        match kind {
            30..55 => self.enqueue(name, client),
            55..60 if self.wild && topic < 2 => self.declaration(topic),
            60..75 => Call::TopicStats { topic: name },
            _ => Call::Dequeue {
                topic: name,
                count_max: 1 + self.below(2),
                visibility_us: 20 + 20 * self.below(4),
                wait_us: self.below(3) / 2 * 20 * (1 + self.below(3)),
            },
        }
    }

    fn enqueue(&mut self, topic: String, client: usize) -> Call {
        let sequence = self.numbered;
        let wild = self.wild;
        let messages: Vec<Message> = (0..1 + self.below(2))
            .map(|_| {
                self.numbered += 1;
                Message {
                    number: self.numbered,
                    group: (wild && self.below(4) == 0).then_some(1),
                    priority: if wild { self.below(2) as u8 } else { 0 },
                    delay_us: if self.below(6) == 0 { 20 + 20 * self.below(3) } else { 0 },
                    ttl_us: (wild && self.below(5) == 0).then(|| 40 + 20 * self.below(5)),
                }
            })
            .collect();
        Call::Enqueue { topic, producer: client as u64, sequence, messages }
    }
}
