//! What histories say of messages and topics.

use serde::{Deserialize, Serialize};

/// The number of a delivered message whose payload nobody can have sent.
pub const NOBODYS_MESSAGE: u64 = u64::MAX;

/// A message to be enqueued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its number, which no other message of the run has. Its payload says it.
    pub number: u64,
    /// Its group, whose order it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// Higher ones are delivered first.
    pub priority: u8,
    /// For how long it is held back.
    pub delay_us: u64,
    /// How long it lives; for ever if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_us: Option<u64>,
}

/// A message delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message's number, or [`NOBODYS_MESSAGE`].
    pub message: u64,
    /// What the service calls the message.
    pub id: u64,
    /// The delivery. Rises from one delivery of a message to the next.
    pub receipt: u64,
    /// Which attempt it is, counted from 1.
    pub attempt: u64,
    /// Whether the message had been given up by another topic and moved here.
    pub given_up: bool,
}

/// A topic's counts, as the service states them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSeen {
    /// Messages that could be delivered, or wait for their group's turn.
    pub ready: u64,
    /// Messages held back.
    pub delayed: u64,
    /// Messages under a lease.
    pub in_flight: u64,
    /// Messages given up that stayed.
    pub dead: u64,
    /// Messages that producers added.
    pub enqueued: u64,
    /// Messages that came from another topic.
    pub moved_in: u64,
    /// Messages that went to another topic.
    pub moved_out: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages whose life was over.
    pub expired: u64,
    /// Messages removed by an operator.
    pub purged: u64,
}

impl TopicSeen {
    /// Messages that are there.
    #[must_use]
    pub fn held(&self) -> u64 {
        [self.ready, self.delayed, self.in_flight, self.dead].iter().fold(0, |sum, n| sum.saturating_add(*n))
    }
}
