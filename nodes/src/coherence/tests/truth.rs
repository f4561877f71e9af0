//! The obvious specification: a log, and what each key is after each of its entries.

use std::collections::{BTreeMap, BTreeSet};

use crate::coherence::{Content, Found, Key, Lookup, WriteId};
use crate::ids::{LogIndex, NodeId, Term};

/// What an entry does.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Nothing but its stamp.
    Nothing,
    /// Writes these keys; each lives until the given stamp.
    Set(BTreeSet<Key>, Option<u64>),
    /// Removes these keys.
    Delete(BTreeSet<Key>),
    /// The members from here on.
    Members(BTreeSet<NodeId>),
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The term of the leader that proposed it.
    pub(super) term: Term,
    /// The term of the leader that committed it: nobody who knows only earlier terms knows that it is.
    pub(super) committed_in: Term,
    pub(super) stamp: u64,
    pub(super) change: Change,
    /// The proposer's name for it.
    pub(super) write: Option<WriteId>,
}

/// What the entries up to one amount to.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) applied: u64,
    pub(super) stamp: u64,
    pub(super) keys: BTreeMap<Key, (u64, Option<u64>)>,
    pub(super) members: BTreeSet<NodeId>,
    pub(super) committed_in: Term,
}

impl State {
    /// Applies the next entry.
    pub(super) fn apply(&mut self, entry: &Entry) {
        self.applied += 1;
        self.stamp = entry.stamp;
        self.committed_in = entry.committed_in;
        let stamp = entry.stamp;
        self.keys.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > stamp));
        match &entry.change {
            Change::Nothing => {}
            Change::Set(keys, expires) => {
                for key in keys {
                    self.keys.insert(key.clone(), (self.applied, *expires));
                }
            }
            Change::Delete(keys) => keys.iter().for_each(|key| {
                self.keys.remove(key);
            }),
            Change::Members(members) => self.members = members.clone(),
        }
    }

    /// The version of a key, if there is such a key.
    pub(super) fn version(&self, key: &str) -> Option<u64> {
        self.keys.get(key).map(|&(version, _)| version)
    }
}

/// A leader's state, seen at a moment of its cluster time.
pub(super) struct Seen<'a> {
    pub(super) state: &'a State,
    pub(super) cluster_time: u64,
}

impl Lookup for Seen<'_> {
    fn look_up(&self, key: &str) -> Found {
        let found = self.state.keys.get(key);
        Found {
            content: found.map(|&(version, _)| Content {
                value: bytes::Bytes::copy_from_slice(&version.to_le_bytes()),
                version: LogIndex(version),
            }),
            as_of: LogIndex(self.state.applied),
            ttl_us: found
                .and_then(|&(_, expires)| expires)
                .map(|expires| expires.saturating_sub(self.cluster_time)),
        }
    }
}
