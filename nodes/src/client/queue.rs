//! Operations on topics.
//!
//! A delivery's lease counts from the moment at which the cluster delivered, which may lie well before the
//! reply arrives. So a consumer that takes long extends early, acknowledges, and goes by what comes back: an
//! [`Acknowledgement::Stale`] says that somebody else has or had the message too.

use super::locks::ASK_AGAIN_US;
use super::{Client, ClientError};
use crate::env::Env;
use crate::ids::{ClusterTime, MessageId, ProducerId, Receipt};
use crate::machine::{
    Acknowledgement, Action, Delivery, NewMessage, PurgeScope, Query, QueueAction, QueueQuery, QueueReply,
    Reply, StoredMessage, TopicListing, TopicSettings, TopicStats,
};

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");
const DELIVERED_TO_NOBODY: ClientError =
    ClientError::Unknown("the answer with the messages was lost, and their leases are over");
const MISREAD: ClientError = ClientError::NotDone("the cluster answered another question");

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The ids of its messages, in its order; none if an earlier command had enqueued it so long ago that
    /// they are no longer remembered.
    pub ids: Vec<MessageId>,
    /// Whether an earlier command of the same producer had enqueued it.
    pub duplicate: bool,
}

impl<E: Env> Client<E> {
    /// Makes a topic, or changes the settings of one. Returns whether there was none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn declare_topic(&self, topic: &str, settings: TopicSettings) -> Result<bool, ClientError> {
        match self.on_topic(QueueAction::Declare { topic: topic.to_owned(), settings }).await? {
            QueueReply::Declared { created } => Ok(created),
            _ => Err(MISANSWERED),
        }
    }

    /// Removes a topic. Returns how many messages went with it; `None` if there was no such topic.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_topic(&self, topic: &str) -> Result<Option<u64>, ClientError> {
        match self.on_topic(QueueAction::DeleteTopic { topic: topic.to_owned() }).await? {
            QueueReply::Deleted { messages } => Ok(messages),
            _ => Err(MISANSWERED),
        }
    }

    /// Removes messages of a topic, a few thousand at a time and oldest first, until it has looked at all that
    /// there are. Returns how many.
    ///
    /// # Errors
    /// See [`ClientError`]; some may be gone then.
    pub async fn purge(&self, topic: &str, what: PurgeScope) -> Result<u64, ClientError> {
        let (mut purged, mut after) = (0, None);
        loop {
            match self.on_topic(QueueAction::Purge { topic: topic.to_owned(), what, after }).await? {
                QueueReply::Purged { messages, next } => {
                    purged += messages;
                    after = next;
                }
                _ => return Err(MISANSWERED),
            }
            if after.is_none() {
                return Ok(purged);
            }
        }
    }

    /// Enqueues one message.
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome the message may be in the topic, or come there yet; a
    /// producer that is to survive that numbers its batches: see [`Client::enqueue_batch`].
    pub async fn enqueue(&self, topic: &str, message: NewMessage) -> Result<MessageId, ClientError> {
        let enqueued = self.enqueue_batch(topic, vec![message], None).await?;
        enqueued.ids.first().copied().ok_or(MISANSWERED)
    }

    /// Enqueues messages, all or none. With a producer's name and the number of the first message, the
    /// same batch may be sent again in another call, by another client or in another session, and is taken
    /// once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn enqueue_batch(
        &self,
        topic: &str,
        messages: Vec<NewMessage>,
        producer: Option<(ProducerId, u64)>,
    ) -> Result<Enqueued, ClientError> {
        let action = QueueAction::Enqueue { topic: topic.to_owned(), messages, producer };
        match self.on_topic(action).await? {
            QueueReply::Enqueued { ids, duplicate } => Ok(Enqueued { ids, duplicate }),
            QueueReply::AlreadyEnqueued => Ok(Enqueued { ids: Vec::new(), duplicate: true }),
            _ => Err(MISANSWERED),
        }
    }

    /// Gets up to `count_max` messages, which nobody else gets for `visibility_us`; waits for at most
    /// `wait_us` if there is none. Returns none if there was none in time. If the future is dropped, the wait is ended
    /// at once, and what was delivered to nobody is rejected: others get it, unless that was its last attempt.
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome messages may have been delivered to nobody. They come back as if
    /// the future had been dropped, or at the latest when their lease has run out.
    pub async fn dequeue(
        &self,
        topic: &str,
        count_max: u32,
        visibility_us: u64,
        wait_us: u64,
    ) -> Result<Vec<Delivery>, ClientError> {
        let action = QueueAction::Dequeue { topic: topic.to_owned(), count_max, visibility_us, wait_us };
        let attempt_timeout_us = if wait_us == 0 { self.config.attempt_timeout_us } else { ASK_AGAIN_US };
        match self.once_claimed(Action::Queue(action), attempt_timeout_us, wait_us).await? {
            (_, Reply::Queue(QueueReply::Delivered(deliveries))) => Ok(deliveries),
            // An attempt was given messages that nobody here has seen, and it is too late for them.
            (_, Reply::Queue(QueueReply::DeliveredBefore { .. })) => Err(DELIVERED_TO_NOBODY),
            _ => Err(MISANSWERED),
        }
    }

    /// Says that these deliveries are done with. Returns what became of each, in this order.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn acknowledge(
        &self,
        topic: &str,
        receipts: Vec<(MessageId, Receipt)>,
    ) -> Result<Vec<Acknowledgement>, ClientError> {
        match self.on_topic(QueueAction::Acknowledge { topic: topic.to_owned(), receipts }).await? {
            QueueReply::Acknowledged(results) => Ok(results),
            _ => Err(MISANSWERED),
        }
    }

    /// Gives a message back, to be delivered again after `delay_us`. Returns whether it was given up,
    /// because that was its last attempt.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reject(
        &self,
        topic: &str,
        (id, receipt): (MessageId, Receipt),
        delay_us: u64,
    ) -> Result<bool, ClientError> {
        match self.on_topic(QueueAction::Reject { topic: topic.to_owned(), id, receipt, delay_us }).await? {
            QueueReply::Rejected { dead } => Ok(dead),
            _ => Err(MISANSWERED),
        }
    }

    /// Keeps a message for `visibility_us` from the moment on at which the cluster takes this. Returns the
    /// end by the cluster's time.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn extend(
        &self,
        topic: &str,
        (id, receipt): (MessageId, Receipt),
        visibility_us: u64,
    ) -> Result<ClusterTime, ClientError> {
        let action = QueueAction::Extend { topic: topic.to_owned(), id, receipt, visibility_us };
        match self.on_topic(action).await? {
            QueueReply::Extended { lease_until } => Ok(lease_until),
            _ => Err(MISANSWERED),
        }
    }

    /// Brings up to `count_max` messages back that were given up. Returns how many.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn redrive(&self, topic: &str, count_max: u32) -> Result<u64, ClientError> {
        match self.on_topic(QueueAction::Redrive { topic: topic.to_owned(), count_max }).await? {
            QueueReply::Redriven { messages } => Ok(messages),
            _ => Err(MISANSWERED),
        }
    }

    /// The messages that would be delivered next, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn peek(&self, topic: &str, count_max: u32) -> Result<Vec<StoredMessage>, ClientError> {
        match self.ask_topics(QueueQuery::Peek { topic: topic.to_owned(), count_max }).await? {
            QueueReply::Peeked(messages) => Ok(messages),
            _ => Err(MISREAD),
        }
    }

    /// The messages that the topic gave up and kept, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn peek_dead(&self, topic: &str, count_max: u32) -> Result<Vec<StoredMessage>, ClientError> {
        match self.ask_topics(QueueQuery::PeekDead { topic: topic.to_owned(), count_max }).await? {
            QueueReply::Peeked(messages) => Ok(messages),
            _ => Err(MISREAD),
        }
    }

    /// Up to `count_max` topics in the order of their names, from the first one after `after` on,
    /// linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn list_topics(
        &self,
        after: Option<&str>,
        count_max: u32,
    ) -> Result<Vec<TopicListing>, ClientError> {
        let query = QueueQuery::List { after: after.map(str::to_owned), count_max };
        match self.ask_topics(query).await? {
            QueueReply::Topics(topics) => Ok(topics),
            _ => Err(MISREAD),
        }
    }

    /// How a topic is and what it has counted, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn topic_stats(&self, topic: &str) -> Result<TopicStats, ClientError> {
        match self.ask_topics(QueueQuery::Stats { topic: topic.to_owned() }).await? {
            QueueReply::Stats(stats) => Ok(*stats),
            _ => Err(MISREAD),
        }
    }

    async fn on_topic(&self, action: QueueAction) -> Result<QueueReply, ClientError> {
        match self.once(Action::Queue(action), self.config.attempt_timeout_us, 0).await? {
            (_, Reply::Queue(reply)) => Ok(reply),
            _ => Err(MISANSWERED),
        }
    }

    async fn ask_topics(&self, query: QueueQuery) -> Result<QueueReply, ClientError> {
        match self.query(Query::Queue(query)).await? {
            Reply::Queue(reply) => Ok(reply),
            _ => Err(MISREAD),
        }
    }
}
