//! What the queue says.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{CONSUMERS_WAITING_MAX, TOPICS_MAX, TopicStats};
use crate::ids::{ClusterTime, MessageId, Receipt};

/// The answer to a command or query that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueReply {
    /// The topic has these settings now.
    Declared {
        /// Whether there was none of this name.
        created: bool,
    },
    /// There is no such topic now.
    Deleted {
        /// How many messages went with it; `None` if there was no such topic before either.
        messages: Option<u64>,
    },
    /// These many messages were removed.
    Purged {
        /// How many.
        messages: u64,
        /// The last one that was looked at, if there are more.
        next: Option<MessageId>,
    },
    /// The messages are in the topic.
    Enqueued {
        /// Their ids, in the order of the batch.
        ids: Vec<MessageId>,
        /// Whether an earlier command of the same producer had enqueued them, and this one did nothing.
        duplicate: bool,
    },
    /// An earlier command of the same producer enqueued these numbers, and this one did nothing; the ids
    /// are no longer remembered.
    AlreadyEnqueued,
    /// Messages, in the order of their delivery; none if there was none in time.
    Delivered(Vec<Delivery>),
    /// What became of each receipt, in the order given.
    Acknowledged(Vec<Acknowledgement>),
    /// The message has come back or was given up.
    Rejected {
        /// Whether it was given up, for that was its last attempt.
        dead: bool,
    },
    /// The lease was counted anew.
    Extended {
        /// When it ends now.
        lease_until: ClusterTime,
    },
    /// These many messages were brought back.
    Redriven {
        /// How many.
        messages: u64,
    },
    /// Messages as they lie there.
    Peeked(Vec<StoredMessage>),
    /// Topics in the order of their names.
    Topics(Vec<TopicListing>),
    /// A topic at this moment.
    Stats(Box<TopicStats>),
    /// To a retry: of the messages that the command was given, some deliveries are over. All are named, under
    /// the receipts of then.
    DeliveredBefore {
        /// Those that last, as they were told the first time.
        deliveries: Vec<Delivery>,
        /// Those that are over: nothing that is said of them will count.
        over: Vec<(MessageId, Receipt)>,
    },
}

/// One message, delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub id: MessageId,
    /// Names this delivery: needed to acknowledge, reject or extend it.
    pub receipt: Receipt,
    /// When others may get it, unless it is acknowledged or extended before.
    pub lease_until: ClusterTime,
    /// The how manieth attempt this is, counted from 1 and anew when it was moved or redriven.
    pub attempt: u16,
    /// When it was enqueued first.
    pub enqueued_at: ClusterTime,
    /// Its priority.
    pub priority: u8,
    /// Its group.
    pub group: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub payload: Bytes,
    /// Where it was given up before it was moved here.
    pub origin: Option<Origin>,
}

/// One message, looked at without being delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The message.
    pub id: MessageId,
    /// Attempts so far.
    pub attempts: u16,
    /// When it was enqueued first.
    pub enqueued_at: ClusterTime,
    /// Its priority.
    pub priority: u8,
    /// Its group.
    pub group: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub payload: Bytes,
    /// Where it was given up before it was moved here.
    pub origin: Option<Origin>,
    /// How it was given up, if it is in the topic's own list of the dead.
    pub death: Option<Death>,
}

/// How a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// What ended its last attempt.
    pub reason: DeathReason,
    /// When.
    pub at: ClusterTime,
}

/// What ended a message's last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathReason {
    /// Nobody acknowledged it in time.
    LeaseExpired,
    /// Its consumer rejected it.
    Rejected,
}

/// The topic that gave a message up and moved it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// That topic.
    pub topic: String,
    /// How the message was given up there.
    pub death: Death,
    /// After how many attempts.
    pub attempts: u16,
}

/// What became of one receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledgement {
    /// The message is removed.
    Done,
    /// Nothing: the message is there, but no longer in flight by this delivery.
    Stale,
    /// Nothing: there is no such message in the topic (any more).
    Unknown,
}

/// One line of a list of topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicListing {
    /// Its name.
    pub topic: String,
    /// Messages that it holds, in whatever state.
    pub depth: u64,
    /// Their payloads, headers and groups.
    pub bytes: u64,
}

/// Why the queue refused. Every one is definite: this command had no effect.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueError {
    /// There is no topic of this name.
    #[error("there is no such topic")]
    UnknownTopic,
    /// The topic was deleted while the command waited for its messages.
    #[error("the topic was deleted")]
    TopicDeleted,
    /// There is no room for another topic.
    #[error("there are too many topics: at most {TOPICS_MAX}")]
    TooManyTopics,
    /// The topic has no room for these messages.
    #[error("the topic is full: it may hold {max} {bound}")]
    Full {
        /// Which of its limits would be exceeded.
        bound: TopicBound,
        /// That limit.
        max: u64,
    },
    /// A payload is longer than the topic takes.
    #[error("the topic takes payloads of up to {max} bytes")]
    PayloadTooLarge {
        /// How long it may be.
        max: u64,
    },
    /// Some of these numbers were taken already and some were not, or there would be a gap.
    #[error("the producer's next sequence number is {expected}")]
    OutOfSequence {
        /// The number that the producer has to go on with.
        expected: u64,
    },
    /// Too many commands wait for messages of this topic.
    #[error("too many wait for messages of one topic: at most {CONSUMERS_WAITING_MAX}")]
    TooManyWaiting,
    /// There is no such message in the topic (any more).
    #[error("there is no such message")]
    UnknownMessage,
    /// The message is no longer in flight by this delivery: its lease has run out, or it was rejected.
    #[error("the receipt is stale")]
    StaleReceipt,
}

/// A limit of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicBound {
    /// [`TopicSettings::depth_max`](super::TopicSettings::depth_max).
    Depth,
    /// [`TopicSettings::bytes_max`](super::TopicSettings::bytes_max).
    Bytes,
}

impl std::fmt::Display for TopicBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Depth => "messages",
            Self::Bytes => "bytes",
        })
    }
}

/// What happened to a topic or a message without being the answer to a command about it. One entry may end
/// any number of messages, so events share the names of topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueEvent {
    /// A topic was made by its first use.
    TopicMade {
        /// Its name.
        topic: Arc<str>,
    },
    /// The lease of a delivery ran out.
    LeaseExpired {
        /// The topic.
        topic: Arc<str>,
        /// The message.
        id: MessageId,
        /// The delivery.
        receipt: Receipt,
    },
    /// A message's time to live ran out, and it was removed.
    Expired {
        /// The topic.
        topic: Arc<str>,
        /// The message.
        id: MessageId,
    },
    /// A message was given up.
    DeadLettered {
        /// The topic that gave it up.
        topic: Arc<str>,
        /// The message.
        id: MessageId,
        /// What ended its last attempt.
        reason: DeathReason,
        /// The topic that it was moved to; `None` if it stays in the topic's own list of the dead.
        to: Option<Arc<str>>,
    },
}
