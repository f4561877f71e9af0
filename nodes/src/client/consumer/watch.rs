//! Whoever is told what a consumer does, as it does it: for metrics, traces, and tests that hold it to its word.

use crate::client::ClientError;
use crate::ids::{LocalTime, MessageId, Receipt};
use crate::machine::Delivery;

/// What a consumer asks the cluster for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerAsk {
    /// Messages, so many at most.
    Messages(u32),
    /// More time for a delivery.
    Extend(MessageId, Receipt),
    /// A delivery is done with.
    Acknowledge(MessageId, Receipt),
    /// A delivery is to be made again after so many microseconds.
    Reject(MessageId, Receipt, u64),
}

/// What it was answered.
#[derive(Clone, Copy, Debug)]
pub enum ConsumerTold<'a> {
    /// These messages.
    Messages(&'a [Delivery]),
    /// It is done.
    Done,
    /// Nothing was done: the message is no longer in flight by this delivery.
    Over,
    /// It failed, or its outcome is unknown: the error says which.
    Failed(&'a ClientError),
}

/// What has become of a delivery in the end: see [`ConsumerCounts`](super::ConsumerCounts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerSettled {
    /// Handled and acknowledged.
    Acknowledged,
    /// Given back.
    Rejected,
    /// Its lease was over before that could be done.
    Lost,
    /// Nobody knows whether the acknowledgement or rejection came through.
    Unsettled,
}

/// How a handler came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerEnd {
    /// Of itself; or else it was dropped because the lease was over.
    pub is_finished: bool,
    /// When, by this process's clock.
    pub ended_at: LocalTime,
    /// The end of the lease as the consumer counts it, by the same clock.
    pub believed_until: LocalTime,
}

/// Told what a consumer does. Calls come from the tasks of the consumer and must not block.
pub trait ConsumerWatch: Send + Sync + 'static {
    /// Something that was asked for and not answered yet. It is dropped if the answer is of no interest any more: an
    /// extension whose handler has come to its end meanwhile.
    type Asked: Send;

    /// It asks the cluster, within a session.
    fn asks(&self, ask: ConsumerAsk) -> Self::Asked;

    /// It was answered.
    fn told(&self, asked: Self::Asked, told: ConsumerTold<'_>);

    /// A handler is at an end.
    fn handled(&self, delivery: (MessageId, Receipt), end: HandlerEnd);

    /// A message is in hand no more.
    fn settled(&self, delivery: (MessageId, Receipt), how: ConsumerSettled);
}

/// Nobody.
impl ConsumerWatch for () {
    type Asked = ();

    fn asks(&self, _ask: ConsumerAsk) {}

    fn told(&self, (): (), _told: ConsumerTold<'_>) {}

    fn handled(&self, _delivery: (MessageId, Receipt), _end: HandlerEnd) {}

    fn settled(&self, _delivery: (MessageId, Receipt), _how: ConsumerSettled) {}
}
