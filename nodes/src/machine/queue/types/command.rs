//! What clients ask of the queue.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::TopicSettings;
use crate::ids::{MessageId, ProducerId, Receipt};

/// An operation on a topic. Enqueueing to a topic that does not exist, or waiting for its messages, makes it,
/// with default settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueAction {
    /// Make a topic, or change the settings of one. Replied to with
    /// [`QueueReply::Declared`](super::QueueReply::Declared).
    Declare {
        /// Its name: 1 to [`TOPIC_BYTES_MAX`](super::TOPIC_BYTES_MAX) bytes.
        topic: String,
        /// How it is to behave.
        settings: TopicSettings,
    },
    /// Remove a topic with all its messages. Who waits for messages of it is refused with
    /// [`QueueError::TopicDeleted`](super::QueueError::TopicDeleted).
    DeleteTopic {
        /// The topic.
        topic: String,
    },
    /// Remove messages of a topic: looks at [`PURGE_MAX`](super::PURGE_MAX) of them, oldest first. Replied to with
    /// [`QueueReply::Purged`](super::QueueReply::Purged), which says where to go on.
    Purge {
        /// The topic.
        topic: String,
        /// Which ones.
        what: PurgeScope,
        /// From the first one after this on.
        after: Option<MessageId>,
    },
    /// Add messages, all or none, in this order. Replied to with
    /// [`QueueReply::Enqueued`](super::QueueReply::Enqueued).
    Enqueue {
        /// The topic.
        topic: String,
        /// 1 to [`BATCH_MAX`](super::BATCH_MAX) messages of
        /// [`ENQUEUE_BYTES_MAX`](super::ENQUEUE_BYTES_MAX) bytes in all.
        messages: Vec<NewMessage>,
        /// Who sends, and the number of the first message: the others have the numbers after it. A
        /// producer's numbers follow each other without gaps, and one that was taken is not taken again.
        producer: Option<(ProducerId, u64)>,
    },
    /// Get messages, waiting for one if there is none. Replied to with
    /// [`QueueReply::Delivered`](super::QueueReply::Delivered), at once or later.
    Dequeue {
        /// The topic.
        topic: String,
        /// How many at most: 1 to [`BATCH_MAX`](super::BATCH_MAX).
        count_max: u32,
        /// For how long nobody else gets them: [`VISIBILITY_US_MIN`](super::VISIBILITY_US_MIN) to
        /// [`VISIBILITY_US_MAX`](super::VISIBILITY_US_MAX), from the stamp of the delivery.
        visibility_us: u64,
        /// How long to wait if there is none, up to [`WAIT_US_MAX`](crate::machine::WAIT_US_MAX). 0 is not at all.
        wait_us: u64,
    },
    /// These deliveries are done with: their messages are removed. Each is judged by itself.
    Acknowledge {
        /// The topic.
        topic: String,
        /// 1 to [`BATCH_MAX`](super::BATCH_MAX) deliveries.
        receipts: Vec<(MessageId, Receipt)>,
    },
    /// This delivery came to nothing: the message comes back, or is given up if that was its last attempt.
    Reject {
        /// The topic.
        topic: String,
        /// The message.
        id: MessageId,
        /// Its delivery.
        receipt: Receipt,
        /// For how long it is held back: up to [`DELAY_US_MAX`](super::DELAY_US_MAX).
        delay_us: u64,
    },
    /// Count the lease of this delivery anew from this entry's stamp on. It may get shorter.
    Extend {
        /// The topic.
        topic: String,
        /// The message.
        id: MessageId,
        /// Its delivery.
        receipt: Receipt,
        /// How long from now: [`VISIBILITY_US_MIN`](super::VISIBILITY_US_MIN) to
        /// [`VISIBILITY_US_MAX`](super::VISIBILITY_US_MAX).
        visibility_us: u64,
    },
    /// Bring messages back that were given up, oldest first, as if they had never been delivered: first those
    /// in the topic's own list of the dead, then those that other topics gave up and moved here, which return
    /// to where they came from (to a topic made with default settings if that was deleted). Those of a topic that is
    /// full stay, and the others do not wait for them, however many there are. Refused as by that topic if there is
    /// nothing else.
    Redrive {
        /// The topic.
        topic: String,
        /// How many at most: 1 to [`BATCH_MAX`](super::BATCH_MAX).
        count_max: u32,
    },
}

/// A message to be enqueued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMessage {
    /// What it says, up to [`TopicSettings::payload_bytes_max`].
    pub payload: Bytes,
    /// Names and values, up to [`HEADERS_MAX`](super::HEADERS_MAX) with
    /// [`HEADERS_BYTES_MAX`](super::HEADERS_BYTES_MAX) in all. Kept in this order; the queue does not read them.
    pub headers: Vec<(String, String)>,
    /// Higher ones are delivered first.
    pub priority: u8,
    /// The group whose order it keeps, if any: 1 to [`GROUP_BYTES_MAX`](super::GROUP_BYTES_MAX) bytes.
    pub group: Option<String>,
    /// For how long it is held back: up to [`DELAY_US_MAX`](super::DELAY_US_MAX).
    pub delay_us: u64,
    /// How long it lives unless it is in flight then: 1 to [`MESSAGE_TTL_US_MAX`](super::MESSAGE_TTL_US_MAX). `None` leaves it
    /// to the topic.
    pub ttl_us: Option<u64>,
}

/// Which messages a purge removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurgeScope {
    /// Those ready or delayed.
    Waiting,
    /// Those in the topic's own list of the dead.
    Dead,
    /// All, those in flight included: their deliveries can no longer be acknowledged.
    All,
}

/// A question about topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueQuery {
    /// The messages that would be delivered next, in that order.
    Peek {
        /// The topic.
        topic: String,
        /// How many at most: 1 to [`BATCH_MAX`](super::BATCH_MAX).
        count_max: u32,
    },
    /// The messages in the topic's own list of the dead, oldest first.
    PeekDead {
        /// The topic.
        topic: String,
        /// How many at most: 1 to [`BATCH_MAX`](super::BATCH_MAX).
        count_max: u32,
    },
    /// The topics in the order of their names.
    List {
        /// From the first one after this name on.
        after: Option<String>,
        /// How many at most: 1 to [`BATCH_MAX`](super::BATCH_MAX).
        count_max: u32,
    },
    /// How a topic is and what it has counted.
    Stats {
        /// The topic.
        topic: String,
    },
}
