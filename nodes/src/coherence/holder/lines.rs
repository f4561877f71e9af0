//! The lines of one node: bounded in number and bytes, the least recently used going first.

use std::collections::BTreeMap;

use super::super::types::{AskNumber, Content, Key, LineState};
use super::counts::{Counts, KeyCounts};
use super::weight_bytes;
use crate::ids::{LocalTime, LogIndex, NodeId, Term};

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) state: LineState,
    pub(super) content: Option<Content>,
    pub(super) as_of: LogIndex,
    /// The leader that granted it.
    pub(super) term: Term,
    pub(super) from: NodeId,
    pub(super) number: AskNumber,
    /// By this node's clock.
    pub(super) ends_at: LocalTime,
    /// From when on a reader asks for it anew.
    pub(super) renew_at: LocalTime,
    /// Its place in the order of use.
    pub(super) used: u64,
    /// Reads answered from it, which are counted of its key when it goes.
    pub(super) hits: u64,
}

/// All lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    by_key: BTreeMap<Key, Held>,
    by_use: BTreeMap<u64, Key>,
    last_use: u64,
    bytes: usize,
    counts: Counts,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, key: &str) -> Option<&Held> {
        self.by_key.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Held> {
        self.by_key.get_mut(key)
    }

    /// The key, shared with the table.
    pub(super) fn name(&self, key: &str) -> Option<Key> {
        self.by_key.get_key_value(key).map(|(name, _)| Key::clone(name))
    }

    /// What was counted of a key.
    pub(super) fn counts(&self, key: &str) -> KeyCounts {
        let counts = self.counts.get(key);
        KeyCounts { hits: counts.hits + self.get(key).map_or(0, |line| line.hits), ..counts }
    }

    /// Counts something of a key, for which there may be no line.
    pub(super) fn count(&mut self, key: &str, count: impl FnOnce(&mut KeyCounts)) {
        self.counts.add(key, count);
    }

    /// It has been read, and is the most recently used one now.
    pub(super) fn touch(&mut self, key: &str) -> Option<Key> {
        let line = self.by_key.get_mut(key)?;
        let name = self.by_use.remove(&line.used)?;
        self.last_use += 1;
        line.used = self.last_use;
        line.hits += 1;
        self.by_use.insert(line.used, Key::clone(&name));
        Some(name)
    }

    /// Puts a line in place of any other of its key.
    pub(super) fn put(&mut self, key: Key, mut line: Held) {
        self.remove(&key);
        self.last_use += 1;
        line.used = self.last_use;
        self.bytes += weight(&key, &line);
        self.by_use.insert(line.used, Key::clone(&key));
        self.by_key.insert(key, line);
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Held> {
        let line = self.by_key.remove(key)?;
        self.by_use.remove(&line.used);
        self.bytes -= weight(key, &line);
        if line.hits > 0 {
            self.counts.add(key, |counts| counts.hits += line.hits);
        }
        Some(line)
    }

    /// Takes out the least recently used one, if there are too many.
    pub(super) fn take_excess(&mut self, lines_max: usize, bytes_max: usize) -> Option<(Key, Held)> {
        if self.by_key.len() <= lines_max && self.bytes <= bytes_max {
            return None;
        }
        let key = Key::clone(self.by_use.first_key_value()?.1);
        self.remove(&key).map(|line| (key, line))
    }

    /// Drops what terms before this one granted; returns how many lines.
    pub(super) fn drop_before(&mut self, term: Term) -> usize {
        let old: Vec<Key> =
            self.by_key.iter().filter(|(_, line)| line.term < term).map(|(key, _)| Key::clone(key)).collect();
        for key in &old {
            self.remove(key);
            self.counts.add(key, |counts| counts.recalled += 1);
        }
        old.len()
    }
}

fn weight(key: &str, line: &Held) -> usize {
    weight_bytes(key, line.content.as_ref().map(|content| &content.value))
}
