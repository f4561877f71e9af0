//! What a run leaves for the checks: the clients' operations and what the nodes were seen to do.
//!
//! Plain data with plain numbers: nothing here knows the nodes' own types.

use std::fmt;

use serde::{Deserialize, Serialize};

/// True virtual time: nanoseconds since the run began. No process ever sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VirtualTime(pub u64);

impl VirtualTime {
    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// In microseconds, rounded down.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.0 / 1_000
    }

    /// Nanoseconds since `earlier`; 0 if that is not earlier.
    #[must_use]
    pub const fn since_ns(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// One operation of one client process, from invocation to completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number: operations are numbered in the order of invocation, from 0.
    pub id: u64,
    /// The client process. It has at most one operation open at a time.
    pub client: u64,
    /// What was asked.
    #[serde(flatten)]
    pub call: Call,
    /// When it was invoked.
    pub invoked_ns: VirtualTime,
    /// When it completed; never for an operation still open when the run ended.
    pub returned_ns: Option<VirtualTime>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Read a key.
    Get {
        /// The key.
        key: String,
    },
    /// Write a key.
    Set {
        /// The key.
        key: String,
        /// The value.
        value: u64,
    },
    /// Write a key if it holds `expected` (`None`: if it holds nothing).
    CompareAndSet {
        /// The key.
        key: String,
        /// What must be there.
        expected: Option<u64>,
        /// The new value.
        value: u64,
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Get a lock, waiting in line for at most `wait_us`.
    Acquire {
        /// The resource.
        resource: String,
        /// Exclusive, or else shared.
        exclusive: bool,
        /// Longest wait; 0 is "try".
        wait_us: u64,
    },
    /// Give a lock back.
    Release {
        /// The resource.
        resource: String,
        /// The token of its grant.
        token: u64,
    },
}

impl Call {
    /// What a checker partitions by: the key or the resource.
    #[must_use]
    pub fn object(&self) -> &str {
        match self {
            Self::Get { key }
            | Self::Set { key, .. }
            | Self::CompareAndSet { key, .. }
            | Self::Delete { key } => key,
            Self::Acquire { resource, .. } | Self::Release { resource, .. } => resource,
        }
    }

    /// The kind's name, as reports show it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Set { .. } => "set",
            Self::CompareAndSet { .. } => "compare-and-set",
            Self::Delete { .. } => "delete",
            Self::Acquire { .. } => "acquire",
            Self::Release { .. } => "release",
        }
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect and was answered.
    Ok {
        /// The answer.
        answer: Answer,
    },
    /// It had no effect and never will.
    Fail {
        /// Why.
        reason: String,
    },
    /// It may have had effect, or may yet.
    Unknown {
        /// Why.
        reason: String,
    },
}

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
}

/// A span of true time in which a client process believed that it held a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The client process.
    pub client: u64,
    /// The operation that acquired it.
    pub operation: u64,
    /// The resource.
    pub resource: String,
    /// Exclusive, or else shared.
    pub exclusive: bool,
    /// The fencing token.
    pub token: u64,
    /// When the client learnt of the grant.
    pub from_ns: VirtualTime,
    /// When it stopped believing: it asked for the release, or its lease ran out by its own clock.
    pub until_ns: VirtualTime,
    /// Whether the lease ran out, rather than a release being asked for.
    pub lapsed: bool,
}

/// All that the clients of a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// By `id`.
    pub operations: Vec<Operation>,
    /// In the order in which they ended.
    pub holds: Vec<Hold>,
}

/// Something that one node was seen to do. The world reports each at the moment that it happens, before
/// the node does anything that depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum NodeEvent {
    /// The node started and recovered this from its disk.
    Started {
        /// The latest version that its program speaks.
        version: u16,
        /// The durable term.
        term: u64,
        /// The durable vote in that term.
        voted_for: Option<u64>,
        /// The durable snapshot.
        snapshot: Option<SnapshotSeen>,
        /// The durable log after that snapshot, from index 1 if there is none.
        log: Vec<LogSlot>,
    },
    /// The node's process died; perhaps while it recovered, before it was seen to start.
    Stopped,
    /// Role or term changed.
    RoleChanged {
        /// The role now.
        role: NodeRole,
        /// The term now.
        term: u64,
    },
    /// The node gave its vote.
    Voted {
        /// In this term.
        term: u64,
        /// To this node.
        candidate: u64,
    },
    /// Entries from this index on left the node's log.
    Truncated {
        /// The first index that left.
        from: u64,
    },
    /// A leader's snapshot took the place of the node's whole log, in memory.
    SnapshotReceived {
        /// What it covers.
        snapshot: SnapshotSeen,
    },
    /// That snapshot is durable and took the place of the node's machine.
    Installed {
        /// The last entry that it covers.
        index: u64,
        /// As in `Applied`: the state after that entry.
        state: u64,
    },
    /// The node goes by these members from now on.
    MembershipChanged {
        /// The entry that brought them.
        index: u64,
        /// The members.
        members: MembersSeen,
    },
    /// The node takes the cluster to speak this version from now on.
    VersionRaised {
        /// The version.
        version: u16,
    },
    /// Entries up to this index, which a durable snapshot covers, left the node's log in memory.
    Compacted {
        /// The last index that left.
        to: u64,
    },
    /// An entry entered the node's log, at its end.
    Appended {
        /// Where.
        index: u64,
        /// What.
        slot: LogSlot,
    },
    /// The node's commit index changed.
    Committed {
        /// The commit index now.
        index: u64,
    },
    /// A write to the node's disk begins. Once it has completed, what the log in memory holds now is durable.
    /// One write is under way at a time.
    WriteBegan,
    /// That write completed; this is what is durable now.
    Durable {
        /// The durable term.
        term: u64,
        /// The durable vote.
        voted_for: Option<u64>,
        /// The last index of the log on disk, which may still hold what has left the log in memory.
        last_index: u64,
    },
    /// The node is about to tell the leader of this term that its log is durable here up to this index.
    Acknowledges {
        /// The term.
        term: u64,
        /// How far.
        index: u64,
    },
    /// The node's machine applied an entry.
    Applied {
        /// The entry's index.
        index: u64,
        /// The entry.
        slot: LogSlot,
        /// Hash over everything that the machine answered and announced so far, and at intervals over its
        /// whole state: equal on all nodes that applied the same prefix.
        state: u64,
    },
}

/// What a snapshot covers, as checks need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSeen {
    /// The last entry covered.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The members after it.
    pub members: MembersSeen,
}

/// The members of a cluster, as checks need them. Lists are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersSeen {
    /// Whose majority decides.
    pub voters: Vec<u64>,
    /// Whose majority must agree too, while the configuration is joint.
    pub outgoing: Vec<u64>,
    /// Who gets the log and does not vote.
    pub learners: Vec<u64>,
}

/// One slot of a log, as checks need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSlot {
    /// The entry's term.
    pub term: u64,
    /// Hash over the entry's term, stamp and payload.
    pub digest: u64,
    /// What of the cluster it changes once it is applied, if anything.
    pub change: Option<Change>,
}

/// What an entry changes besides the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The members.
    Members,
    /// The version that the cluster speaks.
    Version,
}

/// A node's role, as checks know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeRole {
    /// Follows, or waits.
    #[default]
    Follower,
    /// Asks for votes or whether it would get them.
    Candidate,
    /// Leads.
    Leader,
}
