//! Topics with priorities and groups, producers that number their messages, and consumers that acknowledge, reject, or
//! let their leases run out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::RngExt;
use stormglass_sim::history::{Answer, Call, Delivery, History, Message, TopicSeen};

use super::clients::{self, CLIENTS, Clients, Service, What};

const TOPICS: u64 = 2;
const GROUPS: u64 = 16;
const LEASE_US: u64 = 20_000;
const BATCH_MAX: u64 = 3;

#[derive(Default)]
struct Topic {
    messages: BTreeMap<u64, (Message, u64, bool)>,
    /// What can be delivered.
    ready: BTreeSet<(Reverse<u8>, u64)>,
    /// Messages of each group that are there, in their order.
    groups: BTreeMap<u64, VecDeque<u64>>,
    seen: TopicSeen,
}

#[derive(Default)]
struct Queue {
    topics: BTreeMap<String, Topic>,
    messages: u64,
    /// What each client has in hand.
    in_hand: BTreeMap<u64, VecDeque<(String, Delivery)>>,
    leases: BTreeMap<u64, (String, u64, u64)>,
    numbered: u64,
    /// Topics that the last client has seen to be empty, in the end.
    emptied: BTreeSet<String>,
}

pub(super) fn history(operations: u64) -> History {
    clients::history(Queue::default(), "queue", operations)
}

fn topic_name(number: u64) -> String {
    format!("topic-{number}")
}

impl Topic {
    /// Puts on the shelf what has its turn: of a group the first that is there.
    fn show(&mut self, number: u64) {
        let Some((message, _, in_flight)) = self.messages.get(&number) else { return };
        let turn = message.group.is_none_or(|group| self.groups[&group].front() == Some(&number));
        if turn && !in_flight {
            self.ready.insert((Reverse(message.priority), number));
        }
    }

    fn deliver(&mut self, count_max: u64) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while (deliveries.len() as u64) < count_max {
            let Some((_, number)) = self.ready.pop_first() else { break };
            let Some((_, attempts, in_flight)) = self.messages.get_mut(&number) else { break };
            (*attempts, *in_flight) = (*attempts + 1, true);
            let (id, receipt) = (number, *attempts);
            deliveries.push(Delivery { message: number, id, receipt, attempt: receipt, given_up: false });
        }
        deliveries
    }

    /// Whether the message is in flight by this delivery.
    fn is_current(&self, number: u64, receipt: u64) -> bool {
        self.messages.get(&number).is_some_and(|(_, attempts, in_flight)| *in_flight && *attempts == receipt)
    }

    fn come_back(&mut self, number: u64) {
        if let Some((_, _, in_flight)) = self.messages.get_mut(&number) {
            *in_flight = false;
        }
        self.show(number);
    }

    fn acknowledge(&mut self, number: u64) {
        let Some((message, ..)) = self.messages.remove(&number) else { return };
        self.seen.acknowledged += 1;
        if let Some(line) = message.group.and_then(|group| self.groups.get_mut(&group)) {
            line.pop_front();
            if let Some(next) = line.front().copied() {
                self.show(next);
            }
        }
    }
}

impl Queue {
    fn draw_message(&mut self, clients: &mut Clients) -> Message {
        self.messages += 1;
        let rng = &mut clients.rng;
        let group = rng.random_bool(0.3).then(|| rng.random_range(1..=GROUPS));
        let priority = rng.random_range(0..3);
        Message { number: self.messages, group, priority, ..Message::default() }
    }

    /// What is to be done about what a client has in hand.
    fn deal_with(&mut self, clients: &mut Clients, client: u64, is_over: bool) -> Option<Call> {
        let (topic, delivery) = self.in_hand.entry(client).or_default().pop_front()?;
        let Delivery { message, receipt, .. } = delivery;
        match clients.rng.random_range(0..50) {
            0 if !is_over => None,
            1 if !is_over => Some(Call::Reject { topic, message, receipt, delay_us: 0 }),
            _ => Some(Call::Acknowledge { topic, message, receipt }),
        }
    }
}

impl Service for Queue {
    fn ask(&mut self, clients: &mut Clients, client: u64) -> Option<Call> {
        let topic = topic_name(clients.rng.random_range(1..=TOPICS));
        if client <= CLIENTS / 4 {
            let count = clients.rng.random_range(1..=BATCH_MAX);
            let messages: Vec<Message> = (0..count).map(|_| self.draw_message(clients)).collect();
            let sequence = messages[0].number;
            return Some(Call::Enqueue { topic, producer: client, sequence, messages });
        }
        if self.in_hand.get(&client).is_some_and(|hand| !hand.is_empty()) {
            return self.deal_with(clients, client, false);
        }
        Some(Call::Dequeue { topic, count_max: BATCH_MAX, visibility_us: LEASE_US, wait_us: 0 })
    }

    fn finish(&mut self, clients: &mut Clients, client: u64) -> Option<Call> {
        if let Some(call) = self.deal_with(clients, client, true) {
            return Some(call);
        }
        if client < CLIENTS {
            return None;
        }
        let names = (1..=TOPICS).map(topic_name);
        let left = names.into_iter().find(|name| !self.emptied.contains(name))?;
        let is_empty = self.topics.get(&left).is_none_or(|topic| topic.messages.is_empty());
        if is_empty {
            return Some(Call::TopicStats { topic: left });
        }
        Some(Call::Dequeue { topic: left, count_max: BATCH_MAX, visibility_us: LEASE_US, wait_us: 0 })
    }

    fn arrive(&mut self, clients: &mut Clients, client: u64, id: u64) {
        let call = clients.call(id);
        let name = call.object().to_owned();
        let topic = self.topics.entry(name.clone()).or_default();
        let answer = match call {
            Call::Enqueue { messages, .. } => {
                for message in messages {
                    topic.seen.enqueued += 1;
                    topic.messages.insert(message.number, (message, 0, false));
                    if let Some(group) = message.group {
                        topic.groups.entry(group).or_default().push_back(message.number);
                    }
                    topic.show(message.number);
                }
                Answer::Enqueued
            }
            Call::Dequeue { count_max, .. } => {
                let deliveries = topic.deliver(count_max);
                for delivery in &deliveries {
                    self.numbered += 1;
                    self.leases.insert(self.numbered, (name.clone(), delivery.message, delivery.receipt));
                    clients.at(clients.now_ns + LEASE_US * 1_000, client, What::Due(self.numbered));
                }
                Answer::Delivered { deliveries }
            }
            Call::Acknowledge { message, receipt, .. } => {
                let is_current = topic.is_current(message, receipt);
                if is_current {
                    topic.acknowledge(message);
                }
                if is_current { Answer::Settled } else { Answer::Stale }
            }
            Call::Reject { message, receipt, .. } => {
                let is_current = topic.is_current(message, receipt);
                if is_current {
                    topic.come_back(message);
                }
                if is_current { Answer::Settled } else { Answer::Stale }
            }
            Call::TopicStats { .. } => {
                let in_flight = topic.messages.values().filter(|(_, _, in_flight)| *in_flight).count() as u64;
                let ready = topic.messages.len() as u64 - in_flight;
                Answer::Counts { seen: Box::new(TopicSeen { ready, in_flight, ..topic.seen }) }
            }
            _ => return,
        };
        clients.answer(client, id, answer);
    }

    fn learn(&mut self, clients: &mut Clients, client: u64, id: u64, answer: Option<&Answer>) {
        let name = clients.call(id).object().to_owned();
        match answer {
            Some(Answer::Delivered { deliveries }) => {
                let hand = self.in_hand.entry(client).or_default();
                hand.extend(deliveries.iter().map(|delivery| (name.clone(), *delivery)));
            }
            Some(Answer::Counts { seen }) if seen.held() == 0 => {
                self.emptied.insert(name);
            }
            _ => {}
        }
    }

    fn due(&mut self, _clients: &mut Clients, number: u64) {
        let Some((name, message, receipt)) = self.leases.remove(&number) else { return };
        let Some(topic) = self.topics.get_mut(&name) else { return };
        if topic.is_current(message, receipt) {
            topic.come_back(message);
        }
    }
}
