//! What clients are answered.

use serde::{Deserialize, Serialize};

use super::{DeadlockStep, Delivery, TopicSeen, VirtualTime};

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// A read's value, and the version of that value if there is one.
    Value {
        /// The value.
        value: Option<u64>,
        /// Its version.
        version: Option<u64>,
    },
    /// A write took place.
    Written {
        /// The version now.
        version: u64,
    },
    /// A compare-and-set found this instead and wrote nothing.
    Mismatch {
        /// The value found.
        value: Option<u64>,
        /// Its version.
        version: Option<u64>,
    },
    /// A delete took place.
    Deleted {
        /// Whether something was there.
        existed: bool,
        /// Its version.
        version: u64,
    },
    /// The lock was granted.
    Granted {
        /// The fencing token.
        token: u64,
    },
    /// The lock was given back.
    Released,
    /// The lock was definitely not granted: the wait ran out.
    NotGranted,
    /// The release found that the lock was not held any more.
    NotHeld,
    /// The settings are these now.
    Declared,
    /// All was granted.
    GrantedAll {
        /// The fencing tokens, in the order of the wants.
        tokens: Vec<u64>,
    },
    /// The lock was definitely not granted: to wait for it would have closed this cycle of waits.
    Deadlock {
        /// Each waits for its resource, which the next one holds or awaits before it; the last waits for the
        /// first.
        cycle: Vec<DeadlockStep>,
    },
    /// How a lock is, or how a node has it that may be behind.
    Holders {
        /// Rises with every change.
        version: u64,
        /// The tokens of its holders.
        tokens: Vec<u64>,
    },
    /// What a token is worth.
    TokenIs {
        /// Whether the lock is held under it.
        current: bool,
        /// The latest token of the resource, if it is another and known.
        latest: Option<u64>,
    },
    /// The messages are in the topic.
    Enqueued,
    /// Messages; none if there was none in time.
    Delivered {
        /// In the order of their delivery.
        deliveries: Vec<Delivery>,
    },
    /// The delivery was the message's current one, and what was asked was done.
    Settled,
    /// Nothing was done: the message is no longer in flight by this delivery.
    Stale,
    /// A topic's counts.
    Counts {
        /// The counts.
        seen: Box<TopicSeen>,
    },
    /// The work on a delivery is at an end.
    Handled {
        /// Of itself; or else the loop broke it off, because its lease was over.
        finished: bool,
        /// When, by the client's clock, in true time.
        ended_ns: VirtualTime,
        /// The end of the lease as the loop counts it, by the same clock.
        believed_until_ns: VirtualTime,
    },
    /// A consumer loop has nothing in hand any more. What became of all that it was given:
    Stopped {
        /// Deliveries.
        delivered: u64,
        /// Acknowledged.
        acknowledged: u64,
        /// Given back.
        rejected: u64,
        /// Their leases were over before that.
        lost: u64,
        /// Nobody told whether it came through.
        unsettled: u64,
    },
    /// What a key of the cache holds.
    Cached {
        /// The value.
        value: Option<i64>,
        /// Its version.
        version: Option<u64>,
        /// Whether a node answered from its near cache, without asking anybody.
        local: bool,
    },
    /// What a key of the cache held not long ago.
    CachedThen {
        /// The value.
        value: Option<i64>,
        /// Its version.
        version: Option<u64>,
        /// All that was done so long before the node answered, by the node's clock, is in the state that it
        /// answered from.
        age_us: u64,
    },
    /// A conditional write found this instead and wrote nothing.
    Refused {
        /// The value found.
        value: Option<i64>,
        /// Its version.
        version: Option<u64>,
    },
    /// A counter was added to.
    Counted {
        /// What it holds now.
        value: i64,
        /// The version now.
        version: u64,
    },
}

impl Answer {
    /// The kind's name, as histories on disk have it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Value { .. } => "value",
            Self::Written { .. } => "written",
            Self::Mismatch { .. } => "mismatch",
            Self::Deleted { .. } => "deleted",
            Self::Granted { .. } => "granted",
            Self::Released => "released",
            Self::NotGranted => "not-granted",
            Self::NotHeld => "not-held",
            Self::Declared => "declared",
            Self::GrantedAll { .. } => "granted-all",
            Self::Deadlock { .. } => "deadlock",
            Self::Holders { .. } => "holders",
            Self::TokenIs { .. } => "token-is",
            Self::Enqueued => "enqueued",
            Self::Delivered { .. } => "delivered",
            Self::Settled => "settled",
            Self::Stale => "stale",
            Self::Counts { .. } => "counts",
            Self::Handled { .. } => "handled",
            Self::Stopped { .. } => "stopped",
            Self::Cached { .. } => "cached",
            Self::CachedThen { .. } => "cached-then",
            Self::Refused { .. } => "refused",
            Self::Counted { .. } => "counted",
        }
    }
}
