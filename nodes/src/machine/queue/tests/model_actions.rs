//! The naive model's actions.

use super::super::{
    Acknowledgement, DeathReason, NewMessage, PurgeScope, QueueAction, QueueError, QueueReply, TopicRecent,
    TopicSettings,
};
use super::model::{Message, Producer, Queue, Standing, Wait, weight};
use crate::ids::{ClusterTime, LogIndex, MessageId, ProducerId, Receipt, Sequence, SessionId};
use crate::machine::{MachineError, Outcome, Reply};

impl Queue {
    pub(super) fn act(&mut self, session: SessionId, sequence: Sequence, action: &QueueAction) -> Outcome {
        let reply = match action {
            QueueAction::Declare { topic, settings } => self.declare(topic, settings),
            QueueAction::DeleteTopic { topic } => Ok(self.delete(topic)),
            QueueAction::Purge { topic, what, after } => self.purge(topic, *what, *after),
            QueueAction::Enqueue { topic, messages, producer } => self.enqueue(topic, messages, *producer),
            QueueAction::Dequeue { topic, count_max, visibility_us, wait_us } => {
                let wait = Wait {
                    topic: topic.clone(),
                    ticket: self.index,
                    session,
                    sequence,
                    count_max: *count_max,
                    visibility_us: *visibility_us,
                    until: self.time + wait_us,
                };
                return self.dequeue(wait).map_err(MachineError::Queue);
            }
            QueueAction::Acknowledge { topic, receipts } => self.acknowledge(topic, receipts),
            QueueAction::Reject { topic, id, receipt, delay_us } => {
                self.in_flight(topic, *id, *receipt).map(|message| {
                    self.topic(topic).totals.rejected += 1;
                    let dead = self.come_back(&message, DeathReason::Rejected, *delay_us);
                    QueueReply::Rejected { dead }
                })
            }
            QueueAction::Extend { topic, id, receipt, visibility_us } => {
                let lease_until = self.time + visibility_us;
                self.in_flight(topic, *id, *receipt).map(|message| {
                    self.message(message.id).standing = Standing::InFlight(lease_until);
                    QueueReply::Extended { lease_until: ClusterTime(lease_until) }
                })
            }
            QueueAction::Redrive { topic, count_max } => self.redrive(topic, *count_max),
        };
        self.serve();
        reply.map(Reply::Queue).map_err(MachineError::Queue)
    }

    fn declare(&mut self, topic: &str, settings: &TopicSettings) -> Result<QueueReply, QueueError> {
        let created = !self.exists(topic);
        if created {
            self.add_topic(topic)?;
        }
        self.topic(topic).settings = settings.clone();
        Ok(QueueReply::Declared { created })
    }

    fn delete(&mut self, topic: &str) -> QueueReply {
        if !self.exists(topic) {
            return QueueReply::Deleted { messages: None };
        }
        self.topics.retain(|other| other.name != topic);
        let before = self.messages.len();
        self.messages.retain(|message| message.topic != topic);
        let waits: Vec<Wait> = self.waits.iter().filter(|wait| wait.topic == topic).cloned().collect();
        for wait in waits {
            self.end_wait(&wait, Err(QueueError::TopicDeleted.into()));
        }
        QueueReply::Deleted { messages: Some((before - self.messages.len()) as u64) }
    }

    fn purge(
        &mut self,
        topic: &str,
        what: PurgeScope,
        after: Option<MessageId>,
    ) -> Result<QueueReply, QueueError> {
        self.known(topic)?;
        let is_dead = |message: &Message| matches!(message.standing, Standing::Dead(_));
        let mut looked_at: Vec<MessageId> = self
            .messages
            .iter()
            .filter(|message| message.topic == topic && after.is_none_or(|after| message.id > after))
            .filter(|message| what != PurgeScope::Dead || is_dead(message))
            .map(|message| message.id)
            .collect();
        looked_at.sort();
        let has_more = looked_at.len() > self.limits.purge;
        looked_at.truncate(self.limits.purge);
        let before = self.messages.len();
        self.messages.retain(|message| {
            let is_meant = match what {
                PurgeScope::All | PurgeScope::Dead => true,
                PurgeScope::Waiting => matches!(message.standing, Standing::Ready | Standing::Delayed(_)),
            };
            !(is_meant && looked_at.contains(&message.id))
        });
        let messages = (before - self.messages.len()) as u64;
        self.topic(topic).totals.purged += messages;
        let next = if has_more { looked_at.last().copied() } else { None };
        Ok(QueueReply::Purged { messages, next })
    }

    fn enqueue(
        &mut self,
        topic: &str,
        messages: &[NewMessage],
        producer: Option<(ProducerId, u64)>,
    ) -> Result<QueueReply, QueueError> {
        if let Some((id, first)) = producer
            && let Some(reply) = self.taken(topic, id, first, messages.len() as u64)?
        {
            return Ok(reply);
        }
        let settings = self.settings_of(topic);
        if messages.iter().any(|message| message.payload.len() as u64 > settings.payload_bytes_max) {
            return Err(QueueError::PayloadTooLarge { max: settings.payload_bytes_max });
        }
        self.room(topic, messages.len() as u64, messages.iter().map(weight).sum())?;
        self.make(topic)?;
        let ids: Vec<MessageId> =
            (0..messages.len() as u64).map(|n| MessageId(self.index.0 * 8192 + n)).collect();
        for (&id, said) in ids.iter().zip(messages) {
            let ttl_us = said.ttl_us.or(settings.ttl_us);
            let delay_us = said.delay_us;
            self.messages.push(Message {
                topic: topic.to_owned(),
                id,
                said: said.clone(),
                enqueued_at: self.time,
                expires: ttl_us.map(|ttl_us| self.time + ttl_us),
                standing: if delay_us > 0 {
                    Standing::Delayed(self.time + delay_us)
                } else {
                    Standing::Ready
                },
                deliveries: 0,
                attempts: 0,
                origin: None,
            });
        }
        self.topic(topic).totals.enqueued += ids.len() as u64;
        self.counted(topic, TopicRecent { enqueued: ids.len() as u64, ..TopicRecent::default() });
        if let Some((id, first)) = producer {
            self.take(topic, id, first, &ids);
        }
        Ok(QueueReply::Enqueued { ids, duplicate: false })
    }

    /// What to answer if these numbers of the producer are not the next.
    fn taken(
        &mut self,
        topic: &str,
        id: ProducerId,
        first: u64,
        count: u64,
    ) -> Result<Option<QueueReply>, QueueError> {
        let index = self.index;
        let Some(topic) = self.topics.iter_mut().find(|other| other.name == topic) else { return Ok(None) };
        let Some(producer) = topic.producers.iter_mut().find(|producer| producer.id == id) else {
            return Ok(None);
        };
        let expected = producer.taken.last().expect("it has taken some").0 + 1;
        if first == expected {
            return Ok(None);
        }
        let numbers: Vec<u64> = (first..first + count).collect();
        let is_taken = |number: &u64| producer.taken.iter().any(|(taken, _)| taken == number);
        if !numbers.iter().all(is_taken) {
            return Err(QueueError::OutOfSequence { expected });
        }
        producer.used = index;
        let mut batches: Vec<LogIndex> = producer.taken.iter().map(|(_, id)| id.index()).collect();
        batches.dedup();
        let remembered = &batches[batches.len().saturating_sub(8)..];
        let ids = producer.taken.iter().filter(|(number, _)| numbers.contains(number)).map(|&(_, id)| id);
        let ids: Vec<MessageId> = ids.collect();
        if ids.iter().all(|id| remembered.contains(&id.index())) {
            return Ok(Some(QueueReply::Enqueued { ids, duplicate: true }));
        }
        Ok(Some(QueueReply::AlreadyEnqueued))
    }

    fn take(&mut self, topic: &str, id: ProducerId, first: u64, ids: &[MessageId]) {
        let (index, max) = (self.index, self.limits.producers);
        let producers = &mut self.topic(topic).producers;
        if !producers.iter().any(|producer| producer.id == id) {
            if producers.len() == max {
                let oldest = producers.iter().map(|producer| producer.used).min();
                producers.retain(|producer| Some(producer.used) != oldest);
            }
            producers.push(Producer { id, used: index, taken: Vec::new() });
        }
        let producer = producers.iter_mut().find(|producer| producer.id == id).expect("it is there");
        producer.used = index;
        producer.taken.extend((first..).zip(ids.iter().copied()));
    }

    fn dequeue(&mut self, wait: Wait) -> Result<Reply, QueueError> {
        let is_try = wait.until == self.time;
        if !self.exists(&wait.topic) && is_try {
            return Ok(Reply::Queue(QueueReply::Delivered(Vec::new())));
        }
        self.make(&wait.topic)?;
        let ahead = self.waits.iter().filter(|other| other.topic == wait.topic).count();
        let has_some = self.next_alive(&wait.topic).is_some();
        if !has_some && !is_try && ahead == self.limits.waiting {
            return Err(QueueError::TooManyWaiting);
        }
        let topic = self.topic(&wait.topic);
        if !topic.consumers.contains(&wait.session) {
            topic.consumers.push(wait.session);
        }
        if has_some || is_try {
            let deliveries = self.deliver(&wait.topic, wait.count_max, wait.visibility_us);
            return Ok(Reply::Queue(QueueReply::Delivered(deliveries)));
        }
        self.waits.push(wait);
        Ok(Reply::Waiting { ahead: ahead as u64 })
    }

    fn acknowledge(
        &mut self,
        topic: &str,
        receipts: &[(MessageId, Receipt)],
    ) -> Result<QueueReply, QueueError> {
        self.known(topic)?;
        let mut results = Vec::new();
        for &(id, receipt) in receipts {
            results.push(match self.in_flight(topic, id, receipt) {
                Ok(_) => {
                    self.messages.retain(|message| message.id != id);
                    self.topic(topic).totals.acknowledged += 1;
                    self.counted(topic, TopicRecent { acknowledged: 1, ..TopicRecent::default() });
                    Acknowledgement::Done
                }
                Err(QueueError::StaleReceipt) => Acknowledgement::Stale,
                Err(_) => Acknowledgement::Unknown,
            });
        }
        Ok(QueueReply::Acknowledged(results))
    }

    fn in_flight(&self, topic: &str, id: MessageId, receipt: Receipt) -> Result<Message, QueueError> {
        self.known(topic)?;
        let here = self.messages.iter().find(|message| message.topic == topic && message.id == id);
        let message = here.ok_or(QueueError::UnknownMessage)?;
        if message.is_held_at(self.time) && message.deliveries == receipt.0 {
            return Ok(message.clone());
        }
        Err(QueueError::StaleReceipt)
    }

    fn redrive(&mut self, topic: &str, count_max: u32) -> Result<QueueReply, QueueError> {
        self.known(topic)?;
        let expires = self.settings_of(topic).ttl_us.map(|ttl_us| self.time + ttl_us);
        let mut here: Vec<Message> =
            self.messages.iter().filter(|message| message.topic == topic).cloned().collect();
        here.sort_by_key(|message| message.id);
        let is_dead = |message: &&Message| matches!(message.standing, Standing::Dead(_));
        let is_at_rest =
            |message: &&Message| matches!(message.standing, Standing::Ready | Standing::Delayed(_));
        let (mut messages, count_max) = (0, u64::from(count_max));
        for dead in here.iter().filter(is_dead).take(count_max as usize) {
            let message = self.message(dead.id);
            message.standing = Standing::Ready;
            message.attempts = 0;
            message.expires = expires;
            self.topic(topic).totals.redriven += 1;
            messages += 1;
        }
        let (mut refusals, mut closed) = (Vec::new(), Vec::new());
        let strangers = here.iter().filter(is_at_rest).filter(|message| message.origin.is_some());
        for stranger in strangers {
            let home = stranger.origin.as_ref().unwrap().topic.clone();
            let is_over = stranger.expires.is_some_and(|expires| expires <= self.time);
            if messages == count_max || closed.contains(&home) || is_over {
                continue;
            }
            let moved = self.room_if_there(&home, 1, stranger.weight()).and_then(|()| self.make(&home));
            if let Err(error) = moved {
                refusals.push(error);
                closed.push(home);
                continue;
            }
            self.move_to(stranger, &home, None);
            self.topic(topic).totals.redriven += 1;
            messages += 1;
        }
        if messages == 0 && !refusals.is_empty() {
            return Err(refusals.remove(0));
        }
        Ok(QueueReply::Redriven { messages })
    }
}
