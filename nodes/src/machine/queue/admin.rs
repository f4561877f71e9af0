//! Topics themselves: declared, deleted, purged, and looked at.

use std::sync::Arc;

use super::message::{Message, State};
use super::queues::{Queues, check_count, check_topic};
use super::topic::Topic;
use super::types::{
    PURGE_MAX, PurgeScope, QueueError, QueueQuery, QueueReply, REPLY_BYTES_MAX, StoredMessage, TopicSettings,
};
use crate::ids::{ClusterTime, MessageId};
use crate::machine::service::{Moment, Out};
use crate::machine::snapshot::beyond;
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
        let messages = Some(topic.depth());
        self.deleted.push(topic);
        Ok(Reply::Queue(QueueReply::Deleted { messages }))
    }

    /// Frees messages of deleted topics, as many with each entry as a purge removes: to free millions at once would
    /// hold up all else for long. They go faster than entries can bring new ones.
    pub(super) fn free_deleted(&mut self) {
        let mut left = self.limits.purge;
        while left > 0
            && let Some(topic) = self.deleted.last_mut().map(Arc::make_mut)
        {
            while left > 0
                && let Some(&(id, _)) = topic.messages.get_min()
            {
                topic.take(id);
                left -= 1;
            }
            if topic.messages.is_empty() {
                marks::hit("queue.deleted_topic_freed");
                self.deleted.pop();
            }
        }
    }

    pub(super) fn purge(
        &mut self,
        at: Moment,
        topic: &str,
        what: PurgeScope,
        after: Option<MessageId>,
        out: &mut Out,
    ) -> Outcome {
        let name = self.named(topic)?;
        let looked_at_max = self.limits.purge;
        let (messages, next) = self.must(&name).purge(what, after, looked_at_max);
        self.hand_on(at, &name, out);
        Ok(Reply::Queue(QueueReply::Purged { messages, next }))
    }

    /// Answers a question from the state as it is, the last stamp being `time`.
    pub(in crate::machine) fn query(&self, time: ClusterTime, query: &QueueQuery) -> Outcome {
        let reply = match query {
            QueueQuery::Peek { topic, count_max } => {
                check_count("count_max", u64::from(*count_max))?;
                let topic = self.existing(topic)?;
                let alive = |id: &MessageId| topic.messages[id].body.expires() > time;
                let looked_at = topic.shelves.in_order().take(*count_max as usize + PURGE_MAX);
                QueueReply::Peeked(topic.show(looked_at.filter(alive), *count_max))
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
    /// Looks at so many messages after this one, oldest first. Returns how many were removed, and the last one
    /// looked at if there are more.
    fn purge(&mut self, what: PurgeScope, after: Option<MessageId>, max: usize) -> (u64, Option<MessageId>) {
        let is_waiting = |message: &Message| matches!(message.state, State::Ready | State::Delayed);
        let mut looked_at: Vec<(MessageId, bool)> = match what {
            PurgeScope::Dead => {
                self.dead.range(beyond(after)).map(|(&id, _)| (id, true)).take(max + 1).collect()
            }
            PurgeScope::Waiting | PurgeScope::All => {
                let messages = self.messages.range(beyond(after)).take(max + 1);
                let is_meant = |message: &Message| what == PurgeScope::All || is_waiting(message);
                messages.map(|(&id, message)| (id, is_meant(message))).collect()
            }
        };
        let has_more = looked_at.len() > max;
        looked_at.truncate(max);
        let next = looked_at.last().map(|&(id, _)| id).filter(|_| has_more);
        let mut purged = 0;
        for (id, _) in looked_at.into_iter().filter(|&(_, is_meant)| is_meant) {
            self.take(id);
            purged += 1;
        }
        self.totals.purged += purged;
        (purged, next)
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
