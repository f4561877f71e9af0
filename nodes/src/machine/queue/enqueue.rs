//! Adding messages: all of a batch or none, and no batch of a producer twice.

use super::message::{Body, Rare, headers_weight, weight_of};
use super::producers::Claim;
use super::queues::{Queues, check_count, check_topic, check_within};
use super::topic::{Topic, check_room, fresh};
use super::types::{
    DELAY_US_MAX, ENQUEUE_BYTES_MAX, GROUP_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX, MESSAGE_TTL_US_MAX,
    NewMessage, QueueError, QueueReply, TopicSettings,
};
use crate::ids::{MessageId, ProducerId};
use crate::machine::service::{Moment, Out};
use crate::machine::{MachineError, Outcome, Reply};
use crate::marks;

impl Queues {
    pub(super) fn enqueue(
        &mut self,
        at: Moment,
        topic: &str,
        messages: &[NewMessage],
        producer: Option<(ProducerId, u64)>,
        out: &mut Out,
    ) -> Outcome {
        check_topic(topic)?;
        let bytes = check_batch(messages)?;
        let count = messages.len() as u64;
        if let Some((_, first)) = producer {
            check_within("the producer's sequence number", first, 0, u64::MAX - count)?;
        }
        if let Some((id, first)) = producer
            && self.topics.contains_key(topic)
            && let Some(reply) = self.claim(at, topic, (id, first), count)?
        {
            return Ok(Reply::Queue(reply));
        }
        self.check_admission(topic, messages, bytes)?;
        let name = self.named_or_made(topic, out)?;
        let producers_max = self.limits.producers;
        let topic = self.must(&name);
        if let Some((id, first)) = producer {
            topic.producers.note(id, first, count, at.index, producers_max);
        }
        let ids = (0..).map(|ordinal| MessageId::of(at.index, ordinal));
        let ids: Vec<MessageId> =
            ids.zip(messages).map(|(id, message)| topic.enqueue(at, id, message)).collect();
        topic.rates.note(at.time, &topic.totals);
        topic.totals.enqueued += count;
        self.hand_on(at, &name, out);
        Ok(Reply::Queue(QueueReply::Enqueued { ids, duplicate: false }))
    }

    /// The answer to a batch whose numbers were taken before; none if they are the next.
    fn claim(
        &mut self,
        at: Moment,
        topic: &str,
        (id, first): (ProducerId, u64),
        count: u64,
    ) -> Result<Option<QueueReply>, QueueError> {
        let producers = &mut self.must(topic).producers;
        let reply = match producers.check(id, first, count)? {
            Claim::Fresh => return Ok(None),
            Claim::Taken(ids) => QueueReply::Enqueued { ids, duplicate: true },
            Claim::Forgotten => QueueReply::AlreadyEnqueued,
        };
        marks::hit("queue.duplicate_batch");
        producers.touch(id, at.index);
        Ok(Some(reply))
    }

    /// Refuses what the topic, which may not exist yet, cannot take in.
    fn check_admission(&self, topic: &str, messages: &[NewMessage], bytes: u64) -> Result<(), QueueError> {
        let default = TopicSettings::default();
        let topic = self.topics.get(topic);
        let settings = topic.map_or(&default, |topic| &topic.settings);
        if messages.iter().any(|message| message.payload.len() as u64 > settings.payload_bytes_max) {
            return Err(QueueError::PayloadTooLarge { max: settings.payload_bytes_max });
        }
        let count = messages.len() as u64;
        topic.map_or_else(|| check_room(settings, count, bytes), |topic| topic.check_room(count, bytes))
    }
}

impl Topic {
    fn enqueue(&mut self, at: Moment, id: MessageId, new: &NewMessage) -> MessageId {
        let expires = new.ttl_us.map_or_else(|| self.expires(at.time), |ttl_us| at.time.plus_us(ttl_us));
        let group = new.group.as_deref().map(|group| self.shelves.shared_name(group));
        let rare = Rare { headers: new.headers.clone(), group, home: None };
        let body = Body::new(at.time, expires, rare, &new.payload);
        self.admit(id, fresh(body, new.priority, at.time, new.delay_us));
        id
    }
}

/// Refuses a batch that no topic takes. Returns what it counts against the limits in bytes.
fn check_batch(messages: &[NewMessage]) -> Result<u64, MachineError> {
    check_count("the number of messages", messages.len() as u64)?;
    for message in messages {
        check_within("the number of headers", message.headers.len() as u64, 0, HEADERS_MAX as u64)?;
        let headers = headers_weight(&message.headers) as u64;
        check_within("the length of the headers", headers, 0, HEADERS_BYTES_MAX as u64)?;
        if let Some(group) = &message.group {
            check_within("the length of the group's name", group.len() as u64, 1, GROUP_BYTES_MAX as u64)?;
        }
        check_within("delay_us", message.delay_us, 0, DELAY_US_MAX)?;
        check_within("ttl_us", message.ttl_us.unwrap_or(1), 1, MESSAGE_TTL_US_MAX)?;
    }
    let bytes = messages.iter().map(weight_of).sum();
    check_within("the length of all messages", bytes, 0, ENQUEUE_BYTES_MAX as u64)?;
    Ok(bytes)
}
