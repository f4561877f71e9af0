//! Topics.

use bytes::Bytes;
use stormglass_nodes::client::ClientError;
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{MessageId, ProducerId, Receipt};
use stormglass_nodes::machine::{
    self, Acknowledgement, MachineError, NewMessage, QueueError, TopicSettings, TopicStats,
};

use super::{NodesService, TrueTime};
use crate::history::{Answer, Call, Delivery, Message, NOBODYS_MESSAGE, TopicSeen};

impl<E: Env, T: TrueTime> NodesService<E, T> {
    pub(super) async fn topic(&self, call: &Call) -> Result<Answer, ClientError> {
        match call {
            Call::DeclareTopic { topic, attempts_max, dead_letter } => {
                let settings = TopicSettings {
                    attempts_max: u16::try_from(*attempts_max).unwrap_or(u16::MAX),
                    dead_letter: Some(dead_letter.clone()),
                    ..TopicSettings::default()
                };
                self.client.declare_topic(topic, settings).await.map(|_| Answer::Declared)
            }
            Call::Enqueue { topic, producer, sequence, messages } => {
                let messages = messages.iter().map(new_message).collect();
                let producer = Some((ProducerId(*producer), *sequence));
                self.client.enqueue_batch(topic, messages, producer).await.map(|_| Answer::Enqueued)
            }
            Call::Dequeue { topic, count_max, visibility_us, wait_us } => {
                let count_max = u32::try_from(*count_max).unwrap_or(u32::MAX);
                let taken = self.client.dequeue(topic, count_max, *visibility_us, *wait_us).await?;
                let deliveries = taken.iter().map(|delivery| self.note(topic, delivery)).collect();
                Ok(Answer::Delivered { deliveries })
            }
            Call::Acknowledge { topic, message, receipt } => {
                let named = self.named(topic, *message, *receipt)?;
                let results = self.client.acknowledge(topic, vec![named]).await?;
                match results.as_slice() {
                    [Acknowledgement::Done] => Ok(Answer::Settled),
                    [_] => Ok(Answer::Stale),
                    _ => Err(ClientError::Unknown("the cluster answered another question")),
                }
            }
            Call::Reject { topic, message, receipt, delay_us } => {
                let named = self.named(topic, *message, *receipt)?;
                settled(self.client.reject(topic, named, *delay_us).await.map(drop))
            }
            Call::Extend { topic, message, receipt, visibility_us } => {
                let named = self.named(topic, *message, *receipt)?;
                settled(self.client.extend(topic, named, *visibility_us).await.map(drop))
            }
            Call::TopicStats { topic } => match self.client.topic_stats(topic).await {
                Ok(stats) => Ok(Answer::Counts { seen: Box::new(seen(&stats)) }),
                // Nothing ever came to a topic that was never made.
                Err(ClientError::Refused(MachineError::Queue(QueueError::UnknownTopic))) => {
                    Ok(Answer::Counts { seen: Box::default() })
                }
                Err(error) => Err(error),
            },
            _ => Err(ClientError::NotDone("this is no operation on a topic")),
        }
    }

    fn note(&self, topic: &str, delivery: &machine::Delivery) -> Delivery {
        let noted = delivery_of(delivery);
        let key = (topic.to_owned(), noted.message, noted.receipt);
        self.memory().receipts.insert(key, (delivery.id, delivery.receipt));
        noted
    }

    fn named(&self, topic: &str, message: u64, receipt: u64) -> Result<(MessageId, Receipt), ClientError> {
        let named = self.memory().receipts.get(&(topic.to_owned(), message, receipt)).copied();
        named.ok_or(ClientError::NotDone("the client knows of no such delivery"))
    }
}

/// A delivery as histories have it.
pub(super) fn delivery_of(delivery: &machine::Delivery) -> Delivery {
    let payload = <[u8; 8]>::try_from(delivery.payload.as_ref());
    Delivery {
        message: payload.map_or(NOBODYS_MESSAGE, u64::from_le_bytes),
        id: delivery.id.0,
        receipt: delivery.receipt.0,
        attempt: u64::from(delivery.attempt),
        given_up: delivery.origin.is_some(),
    }
}

fn new_message(message: &Message) -> NewMessage {
    NewMessage {
        payload: Bytes::copy_from_slice(&message.number.to_le_bytes()),
        priority: message.priority,
        group: message.group.map(|group| format!("group-{group}")),
        delay_us: message.delay_us,
        ttl_us: message.ttl_us,
        ..NewMessage::default()
    }
}

fn settled(result: Result<(), ClientError>) -> Result<Answer, ClientError> {
    match result {
        Ok(()) => Ok(Answer::Settled),
        Err(ClientError::Refused(MachineError::Queue(
            QueueError::StaleReceipt | QueueError::UnknownMessage,
        ))) => Ok(Answer::Stale),
        Err(error) => Err(error),
    }
}

const fn seen(stats: &TopicStats) -> TopicSeen {
    let totals = &stats.totals;
    TopicSeen {
        ready: stats.ready,
        delayed: stats.delayed,
        in_flight: stats.in_flight,
        dead: stats.dead,
        enqueued: totals.enqueued,
        moved_in: totals.moved_in,
        moved_out: totals.moved_out,
        acknowledged: totals.acknowledged,
        expired: totals.expired,
        purged: totals.purged,
    }
}
