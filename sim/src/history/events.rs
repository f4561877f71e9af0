//! What the nodes of a run were seen to do.

use serde::{Deserialize, Serialize};

use super::LineSeen;

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
    /// Something happened to a line of a near-cache, or to what lines depend on.
    Line {
        /// What.
        line: LineSeen,
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
