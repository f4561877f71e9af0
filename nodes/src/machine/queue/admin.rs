//! Topics themselves: declared, deleted, purged, and looked at.

use std::sync::Arc;

use super::message::{Message, State};
use super::queues::{Queues, check_count, check_topic};
use super::topic::Topic;
use super::types::{
    PurgeScope, QueueError, QueueQuery, QueueReply, REPLY_BYTES_MAX, StoredMessage, TopicSettings,
};
use crate::ids::{ClusterTime, MessageId};
use crate::machine::service::{Moment, Out};
use crate::machine::{MachineError, Name, Outcome, Reply};
use crate::marks;

impl Queues {
    pub(super) fn declare(&mut self, topic: &str, settings: &TopicSettings) -> Outcome {
        check_topic(topic)?;
        settings.check(topic)?;
        let created = !self.topics.contains_key(topic);
        if created {
            self.make(topic, settings.clone())?;
        } else if self.topics[topic].settings != *settings {
            self.must(topic).settings = settings.clone();
        }
        Ok(Reply::Queue(QueueReply::Declared { created }))
    }

    pub(super) fn delete_topic(&mut self, topic: &str, out: &mut Out) -> Outcome {
        check_topic(topic)?;
        let Some((name, topic)) = self.topics.remove_with_key(topic) else {
            return Ok(Reply::Queue(QueueReply::Deleted { messages: None }));
        };
        self.unlist(&name, topic.listed);
        for waiter in topic.line.values() {
            marks::hit("queue.wait_ended_by_deletion");
            self.waits.remove(&waiter.by);
            out.complete(waiter.by, Err(QueueError::TopicDeleted.into()));
        }
        for &session in &topic.consumers {
            self.asked.remove(&(session, name.clone()));
        }
        Ok(Reply::Queue(QueueReply::Deleted { messages: Some(topic.depth()) }))
    }

    pub(super) fn purge(&mut self, at: Moment, topic: &str, what: PurgeScope, out: &mut Out) -> Outcome {
        let name = self.named(topic)?;
        let messages = self.must(&name).purge(what);
        self.hand_on(at, &name, out);
        Ok(Reply::Queue(QueueReply::Purged { messages }))
    }

    /// Answers a question from the state as it is, the last stamp being `time`.
    pub(in crate::machine) fn query(&self, time: ClusterTime, query: &QueueQuery) -> Outcome {
        let reply = match query {
            QueueQuery::Peek { topic, count_max } => {
                check_count("count_max", u64::from(*count_max))?;
                let topic = self.existing(topic)?;
                QueueReply::Peeked(topic.show(topic.shelves.in_order(), *count_max))
            }
            QueueQuery::PeekDead { topic, count_max } => {
                check_count("count_max", u64::from(*count_max))?;
                let topic = self.existing(topic)?;
                QueueReply::Peeked(topic.show(topic.dead.keys().copied(), *count_max))
            }
            QueueQuery::List { after, count_max } => {
                check_count("count_max", u64::from(*count_max))?;
                self.list(after.as_deref(), *count_max)?
            }
            QueueQuery::Stats { topic } => QueueReply::Stats(Box::new(self.existing(topic)?.stats(time))),
        };
        Ok(Reply::Queue(reply))
    }

    fn list(&self, after: Option<&str>, count_max: u32) -> Result<QueueReply, MachineError> {
        use std::ops::Bound::{Excluded, Unbounded};
        if let Some(after) = after {
            check_topic(after)?;
        }
        let from = after.map_or(Unbounded, |after| Excluded(Name::from(after)));
        let topics = self.topics.range::<_, Name>((from, Unbounded)).take(count_max as usize);
        Ok(QueueReply::Topics(topics.map(|(name, topic)| topic.listing(name)).collect()))
    }

    fn existing(&self, topic: &str) -> Result<&Topic, MachineError> {
        check_topic(topic)?;
        Ok(self.topics.get(topic).map(Arc::as_ref).ok_or(QueueError::UnknownTopic)?)
    }
}

impl Topic {
    /// Returns how many messages were removed.
    fn purge(&mut self, what: PurgeScope) -> u64 {
        let before = self.depth();
        let purged: Vec<MessageId> = match what {
            PurgeScope::Waiting => {
                let is_waiting = |message: &Message| matches!(message.state, State::Ready | State::Delayed);
                let waiting = self.messages.iter().filter(|(_, message)| is_waiting(message));
                waiting.map(|(&id, _)| id).collect()
            }
            PurgeScope::Dead => self.dead.keys().copied().collect(),
            PurgeScope::All => {
                self.clear();
                Vec::new()
            }
        };
        for id in purged {
            self.take(id);
        }
        let purged = before - self.depth();
        self.totals.purged += purged;
        purged
    }

    /// Up to `count_max` of these messages, as many as fit a reply.
    fn show(&self, ids: impl Iterator<Item = MessageId>, count_max: u32) -> Vec<StoredMessage> {
        let mut shown = Vec::new();
        let mut room = REPLY_BYTES_MAX as u64;
        for id in ids.take(count_max as usize) {
            let message = &self.messages[&id];
            let weight = message.body.weight();
            if weight > room && !shown.is_empty() {
                break;
            }
            room = room.saturating_sub(weight);
            shown.push(message.stored(id, self.dead.get(&id).copied()));
        }
        shown
    }
}
