//! The vocabulary of coherence: lines, claims, and what nodes say to each other about them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{LogIndex, NodeId, Term};

/// The name of a key, shared by the tables that mention it.
pub type Key = Arc<str>;

/// Longest key that a line is kept for. A longer one cannot exist in the machine.
pub const KEY_BYTES_MAX: usize = 1024;

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
    /// One run of a node's process, by a random number: a node that restarts has lost its lines, and what was
    /// meant for its earlier life is not for this one.
    Life, "life ");
number!(
    /// A node's own number for what it asks, rising over all keys within one life.
    AskNumber, "?");
number!(
    /// A write that a leader's directory has taken, rising over all leaderships of a process.
    WriteId, "w");
number!(
    /// A round of confirmation that a leader's directory wants.
    RoundId, "round ");
number!(
    /// A local reader that waits for a line, by the driver's own name.
    ReaderId, "reader ");

/// Names a line at a node, past or present: whatever that life of the node got by asking under a number up
/// to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The life of the node.
    pub life: Life,
    /// The number under which it asked.
    pub number: AskNumber,
}

/// A node in one of its lives: what the directory knows as a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId {
    /// The node.
    pub node: NodeId,
    /// Its life.
    pub life: Life,
}

/// A key's value with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The value.
    pub value: Bytes,
    /// The log index of its write.
    pub version: LogIndex,
}

/// What a node may do with its copy of a line (Papamarcos and Patel 1984, over leases as of Gray and
/// Cheriton 1989). Invalid is the absence of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LineState {
    /// Read here; others may read it too.
    Shared,
    /// Read here, and nowhere else when it was granted: a write from here needs no round of invalidations.
    Exclusive,
    /// A write from here is on its way: nobody reads it, this node included.
    Modified,
}

/// A message between nodes about lines. It may be lost, doubled, late or overtaken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoherenceMessage {
    /// The term of the leader that sends it or that it is meant for.
    pub term: Term,
    /// What it says.
    pub body: CoherenceBody,
}

/// What such a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoherenceBody {
    /// To the leader: I want to read this key here.
    Ask {
        /// The key.
        key: Key,
        /// In answer to this the line may be granted.
        claim: Claim,
    },
    /// From the leader: read it, from when you asked until the lease ends.
    Grant {
        /// The key.
        key: Key,
        /// The question that this answers.
        claim: Claim,
        /// The value; none if there is no such key, which may be read as well.
        content: Option<Content>,
        /// The last entry that the leader had applied: the state that the content is of.
        as_of: LogIndex,
        /// For how long, by the leader's clock: never beyond the key's time to live.
        lease_us: u64,
        /// Whether nobody else holds it.
        exclusive: bool,
    },
    /// From the leader: not now.
    Withheld {
        /// The key.
        key: Key,
        /// The question that this answers.
        claim: Claim,
        /// Why.
        reason: Withheld,
    },
    /// From the leader: read it no more, for it is about to change.
    Invalidate {
        /// The key.
        key: Key,
        /// All that this life of the node got by asking under numbers up to this one.
        claim: Claim,
    },
    /// To the leader: nothing of this claim is read here any more, nor ever will be.
    Invalidated {
        /// The key.
        key: Key,
        /// The claim given up.
        claim: Claim,
    },
    /// From the leader: others read it too now. A hint.
    Demote {
        /// The key.
        key: Key,
        /// The line.
        claim: Claim,
    },
    /// To the leader, unasked: as `Invalidated`, because the room was needed.
    Evicted {
        /// The key.
        key: Key,
        /// The claim given up.
        claim: Claim,
    },
    /// From a new leader: drop every line of an earlier term, and take none any more.
    Recall,
    /// To the leader: no line of an earlier term is read here, nor ever will be.
    Recalled,
}

/// Why a line was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Withheld {
    /// The leader has not applied the first entry of its term.
    NotReady,
    /// The node is no member by what the leader has applied.
    NotAMember,
    /// A write is on its way and too many wait for its end.
    BeingWritten,
    /// The write with which the line was to come did not take place.
    NotWritten,
    /// The key is about to expire.
    Expiring,
    /// The directory is full.
    Full,
    /// The leader's leadership was not confirmed.
    Unconfirmed,
}

/// Surrenders that go with one write, at most.
pub const SURRENDERS_MAX: usize = 64;

/// A node says that it does not read its line any more because it sends a write, and asks for the line with
/// the write's result.
///
/// What it says is true for ever, so a copy that is lost, late, doubled or goes with another write does no harm. Nobody
/// can check it: who makes one up is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surrender {
    /// The key.
    pub key: Key,
    /// The number under which it asks; nothing of a lower number is read there any more, nor ever will be.
    pub claim: Claim,
}
