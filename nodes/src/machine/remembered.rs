//! What the session table keeps of an outcome, to answer a retry.
//!
//! Most outcomes are kept as they are. Of messages that were delivered only their names are: which, under which
//! receipts, until when. What they say is in their topic as long as the delivery lasts, and once it is over it
//! is of no use to anybody. So a reply that nobody has let go of keeps no message alive, however long it is kept,
//! and a snapshot holds each message once.
//!
//! A conditional write that was refused is kept with the value that it found. A retry cannot be answered with what is
//! there now, for that may be just what the write asked for, and a refusal of it would be none that any order of the
//! writes explains; nor can it be carried out then, for its client may have been told of the refusal, and an old copy
//! of the request would change what nobody asked to change. In memory the value is shared with the cache until it is
//! overwritten there. So there is a bound on the bytes of such values that one session keeps, beyond which a retry is
//! told that nobody knows any more.

use serde::{Deserialize, Serialize};

use super::cache::CacheReply;
use super::queue::{Delivery, QueueReply};
use super::types::{MachineError, Outcome, Reply};
use super::{Action, Name, QueueAction};
use crate::ids::{ClusterTime, MessageId, Receipt};

/// An outcome, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Remembered {
    /// The outcome itself.
    Said(Outcome),
    /// Messages were delivered.
    Delivered(Handed),
}

/// Which messages were delivered by one reply: at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handed {
    pub(super) topic: Name,
    /// The end of all their leases, as the reply told it.
    pub(super) lease_until: ClusterTime,
    pub(super) messages: Vec<(MessageId, Receipt)>,
}

impl Remembered {
    /// What is kept of the outcome of an action that was carried out.
    pub(super) fn of(action: &Action, outcome: &Outcome) -> Self {
        match (action, outcome) {
            (
                Action::Queue(QueueAction::Dequeue { topic, .. }),
                Ok(Reply::Queue(QueueReply::Delivered(deliveries))),
            ) => Self::delivered(Name::from(topic.as_str()), deliveries, outcome),
            _ => Self::Said(outcome.clone()),
        }
    }

    /// What is kept of `outcome`, which says that these messages of the topic were delivered.
    pub(super) fn delivered(topic: Name, deliveries: &[Delivery], outcome: &Outcome) -> Self {
        let Some(first) = deliveries.first() else { return Self::Said(outcome.clone()) };
        let messages = deliveries.iter().map(|delivery| (delivery.id, delivery.receipt)).collect();
        Self::Delivered(Handed { topic, lease_until: first.lease_until, messages })
    }

    /// In place of what is too long to be kept.
    pub(super) const fn lost() -> Self {
        Self::Said(Err(MachineError::SequenceTooOld))
    }

    /// Bytes of the value that a refused write found, and that is kept with its refusal.
    pub(super) fn found_bytes(&self) -> usize {
        match self {
            Self::Said(Ok(Reply::Cache(CacheReply::Mismatch(Some(found))))) => found.value.len(),
            _ => 0,
        }
    }

    /// Whether the command waits.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Said(Ok(Reply::Waiting { .. })))
    }
}
