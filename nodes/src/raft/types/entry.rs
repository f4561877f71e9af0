//! What is kept: entries, term and vote, snapshots.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterTime, LogIndex, NodeId, Term};
use crate::raft::membership::{Membership, MembershipChange};

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its position, from 1, without gaps.
    pub index: LogIndex,
    /// The term of the leader that created it.
    pub term: Term,
    /// The leader's stamp: never less than that of the entry before it.
    pub time: ClusterTime,
    /// What it carries.
    pub payload: Payload,
}

impl Entry {
    /// Bytes that count against the bounds of batches and of what is in flight: payload plus a flat
    /// allowance for the header.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        const HEADER_BYTES: usize = 32;
        const MEMBER_BYTES: usize = 8;
        HEADER_BYTES
            + match &self.payload {
                Payload::Command(command) => command.len(),
                Payload::Noop | Payload::Version(_) => 0,
                Payload::Membership(agreed) => {
                    let Reconfiguration { change, after } = &**agreed;
                    let lists = [&after.voters, &after.outgoing, &after.learners];
                    let members = change.changes.len() + lists.map(Vec::len).iter().sum::<usize>();
                    members * MEMBER_BYTES + change.context.len()
                }
            }
    }
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: the entry with which each leader opens its term (thesis 6.4).
    Noop,
    /// A command for the machine, opaque to the core.
    Command(Bytes),
    /// A change of the cluster's members, in force once it is applied.
    Membership(Box<Reconfiguration>),
    /// From here on every member speaks this version: see [`super::Config::version`].
    Version(u16),
}

impl Payload {
    /// Whether the core itself, not only the machine, is another once it is applied.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        matches!(self, Self::Membership(_) | Self::Version(_))
    }
}

/// A change of the members as it stands in the log: with its result, so that a node which joins need not
/// know who the members were before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reconfiguration {
    /// What was asked for.
    pub change: MembershipChange,
    /// The members once it is applied.
    pub after: Membership,
}

/// What must survive a restart besides the log (Raft paper, Figure 2, "persistent state"). Always written
/// as one record: a term without its vote, or a vote without its term, would be a different promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term that this node has seen.
    pub term: Term,
    /// The candidate that received its vote in that term.
    pub voted_for: Option<NodeId>,
}

/// What a snapshot stands for: everything up to and including one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last entry that the snapshot covers.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// Its stamp.
    pub time: ClusterTime,
    /// The members in force after that entry.
    pub membership: Membership,
    /// The version of the cluster after that entry.
    pub version: u16,
}

/// A machine's state after one entry, in the machine's own format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it stands for.
    pub meta: SnapshotMeta,
    /// The state, opaque to the core.
    pub data: Bytes,
}
