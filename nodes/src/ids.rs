//! Newtypes for identities, positions and times, so that none can be taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

number!(
    /// A member of the cluster, chosen by the operator, never reused for another disk. 1 or more.
    NodeId, "n");
number!(
    /// A client process. Distinct from every other client that is alive at the same time.
    ClientId, "c");
number!(
    /// A Raft term (Raft paper 5.1). 0 before the first election.
    Term, "t");
number!(
    /// A position in the Raft log. The first entry has index 1; 0 is the position before it.
    LogIndex, "");
number!(
    /// A client session: the log index of the entry that opened it.
    SessionId, "s");
number!(
    /// A client's own number of a command within its session, rising from 1.
    Sequence, "#");
number!(
    /// A fencing token: names one grant of a lock and rises strictly, per resource, in the order of grants.
    /// Made of the log index of the entry that granted, times 2^[`FenceToken::ORDINAL_BITS`], plus the
    /// grant's ordinal among those of the same resource by the same entry (shared waiters come in together).
    FenceToken, "f");
number!(
    /// A queued message: named once, when it is enqueued, and never again for another. Made of the log index of
    /// the entry that enqueued it, times 2^[`MessageId::ORDINAL_BITS`], plus its place in the batch. So ids
    /// rise in the order of enqueueing, within a topic and across topics.
    MessageId, "m");
number!(
    /// One delivery of a queued message: how often the message had been delivered by then, this time
    /// included. Rises strictly per message, so the receipt of an earlier delivery is seen to be stale.
    Receipt, "r");
number!(
    /// A producer's name for itself, chosen at random by it, so that a batch sent twice is taken once.
    ProducerId, "p");
number!(
    /// A node's or client's monotonic clock, in microseconds since an arbitrary origin of its own.
    /// Values of two processes, or of one process before and after a restart, cannot be compared.
    LocalTime, "");
number!(
    /// Time as carried by the log, in microseconds: never goes back, never runs faster than the clocks of
    /// the leaders that stamped it. The only time that a replicated machine ever sees.
    ClusterTime, "");

impl LogIndex {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before this one; that of 0 is 0.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl FenceToken {
    /// How many low bits hold the ordinal: one entry grants fewer than 8192 times on one resource, and an
    /// index below 2^51 lasts 71 years at a million entries a second.
    pub const ORDINAL_BITS: u32 = 13;

    /// The first token that the entry at `index` may grant on a resource.
    ///
    /// # Panics
    ///
    /// If `index` is 2^51 or more.
    #[must_use]
    pub const fn first_of(index: LogIndex) -> Self {
        assert!(index.0 >> (u64::BITS - Self::ORDINAL_BITS) == 0, "the log has outgrown its tokens");
        Self(index.0 << Self::ORDINAL_BITS)
    }

    /// The log index of the entry that granted.
    #[must_use]
    pub const fn granting_index(self) -> LogIndex {
        LogIndex(self.0 >> Self::ORDINAL_BITS)
    }
}

impl MessageId {
    /// How many low bits hold the place in the batch, as with [`FenceToken`].
    pub const ORDINAL_BITS: u32 = FenceToken::ORDINAL_BITS;

    /// The id of the message at place `ordinal` in the batch that the entry at `index` enqueued.
    ///
    /// # Panics
    ///
    /// If `index` is 2^51 or more, or `ordinal` 8192 or more.
    #[must_use]
    pub const fn of(index: LogIndex, ordinal: u64) -> Self {
        assert!(ordinal >> Self::ORDINAL_BITS == 0, "a batch is shorter than that");
        Self(FenceToken::first_of(index).0 + ordinal)
    }

    /// The log index of the entry that enqueued it.
    #[must_use]
    pub const fn index(self) -> LogIndex {
        LogIndex(self.0 >> Self::ORDINAL_BITS)
    }

    /// Its place in the batch, from 0.
    #[must_use]
    pub const fn ordinal(self) -> u64 {
        self.0 & ((1 << Self::ORDINAL_BITS) - 1)
    }
}

impl Term {
    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl LocalTime {
    /// This time, `us` microseconds later.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Microseconds from `earlier` to this time; 0 if `earlier` is not earlier.
    #[must_use]
    pub const fn since_us(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl ClusterTime {
    /// This time, `us` microseconds later.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }
}

/// Whom a frame is from or for: a node or a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// A member of the cluster.
    Node(NodeId),
    /// A client process.
    Client(ClientId),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Client(client) => client.fmt(f),
        }
    }
}
