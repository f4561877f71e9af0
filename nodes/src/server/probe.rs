//! The window through which a testbed watches a node. A production node has a [`Silent`] one.

use std::collections::BTreeSet;

use crate::coherence::{DirectoryStats, HolderStats, Key, LineEvent};
use crate::ids::{LogIndex, Term};
use crate::raft::{self, Entry, HardState, SnapshotMeta};

/// Something that the node did, reported before anything that depends on it leaves the node.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// The node started from this durable state.
    Recovered(&'a raft::Recovered),
    /// The core changed.
    Raft(&'a raft::Event),
    /// A write begins: once it has completed, the log as the core has it now is durable.
    WriteBegan,
    /// That write completed: this is durable now.
    Durable {
        /// The durable hard state.
        hard_state: HardState,
        /// The end of the durable log.
        last_index: LogIndex,
    },
    /// The node is about to tell a leader that its log is durable here up to this index.
    Acknowledges {
        /// The term of the leader.
        term: Term,
        /// How far.
        match_index: LogIndex,
    },
    /// A leader's snapshot took the machine's place.
    Installed {
        /// What it stands for.
        meta: &'a SnapshotMeta,
        /// The state hash, as in `Applied`, after the last entry that it covers.
        state: u64,
    },
    /// Something happened to a line that this node reads, or to its question for one.
    Line(&'a LineEvent),
    /// The node, which leads, lets a write of these keys of the cache go into the log: nobody is to read them from
    /// a line any more.
    Released {
        /// The keys.
        keys: &'a BTreeSet<Key>,
        /// The term in which it leads.
        term: Term,
    },
    /// The node's near-cache, or its directory of them, has counted something.
    NearCounted {
        /// What the near-cache counts.
        held: &'a HolderStats,
        /// What the directory counts.
        directed: &'a DirectoryStats,
    },
    /// An entry that is about to be reported as applied wrote or removed this key of the cache, or the key
    /// expired or was evicted with it.
    KeyChanged {
        /// The key.
        key: &'a str,
        /// The entry.
        index: LogIndex,
    },
    /// An entry was applied.
    Applied {
        /// The entry.
        entry: &'a Entry,
        /// Hash over all outcomes and events so far, and at intervals over the machine's whole state.
        state: u64,
    },
}

/// Watches a node.
pub trait Probe: Clone + Send + Sync + 'static {
    /// Whether anybody watches: if not, nothing is hashed for it.
    const WATCHING: bool;

    /// Takes note.
    fn observe(&self, observed: Observed<'_>);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Probe for Silent {
    const WATCHING: bool = false;

    fn observe(&self, _observed: Observed<'_>) {}
}
