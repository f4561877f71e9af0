//! The queue: topics of messages that are delivered under a lease until somebody acknowledges them.
//!
//! # Contract
//!
//! * **At least once.** A message that was enqueued is delivered again and again until it is acknowledged, its
//!   time to live ends, it is purged, or its attempts are used up. The lease of a delivery is the delivery's
//!   own: it does not end with the session, and whoever has the receipt may acknowledge, reject or extend it.
//!   A receipt is refused as soon as the lease has run out, even while nobody else has the message.
//! * **Order.** Of the messages that could be delivered, those of higher priority come first, and of the same
//!   priority the one enqueued first; a message that comes back takes its old place. A message *group* is
//!   strictly first in, first out whatever the priorities of its messages, and one at a time: its oldest
//!   message alone can be delivered, and nothing of the group while one of it is in flight or while the oldest
//!   is delayed, by its producer or by a rejection. That oldest message competes with others by its own
//!   priority. A message that was given up no longer holds up its group.
//! * **Once per producer.** See `producers`.
//! * **Time.** Stamps alone count. What ends at a stamp or before has ended when the entry is looked at: waits
//!   first, of all topics, then leases, delays and lives; then messages go to those who still wait. A message
//!   in flight does not expire; when it comes back after its time it does, and is not given up as dead.
//! * **Asked again.** A retry of a command that was given messages gets the same answer while all these
//!   deliveries last, and learns which are over once some are: see `again`.
//! * **Waiting.** A command that finds nothing waits in the replicated state, first come, first served, and is
//!   completed by a later entry: with messages, or with none when its time is up or its client lets go.
//! * **Accounts.** In every state of every topic, `enqueued + moved in = ready + delayed + in flight + dead +
//!   acknowledged + expired + purged + moved out`: [`TopicStats::check_accounts`].
//! * **Bounds.** Every table has one, in `types` or in [`TopicSettings`], and each refusal says which.
//! * **Rates.** What was counted in the last whole seconds is part of the state, the same on every node: see `rates`.
//!
//! Deliberately absent: deliveries to all subscribers of a topic.

mod admin;
mod again;
mod bury;
mod consume;
mod enqueue;
mod message;
mod producers;
mod queues;
mod rates;
mod restored;
mod shelves;
mod snapshot;
mod strangers;
mod topic;
mod types;

#[cfg(test)]
mod tests;

pub(super) use queues::{QueueLimits, Queues, check_topic};
pub(super) use snapshot::QueuePlace;
pub use types::*;
