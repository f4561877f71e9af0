//! What became of the reads of single keys, for the keys of which something was counted last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::types::Key;

/// Keys of which a node counts. Beyond it, what was counted of the key that was not counted for longest is forgotten.
pub const KEYS_COUNTED_MAX: usize = 4_096;

/// Counters of one key in the near-cache of one node, since the node began to count it: at most over the life of its
/// process, at least over that of the line that it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// Reads answered from the line at once.
    pub hits: u64,
    /// Reads that found no line.
    pub misses: u64,
    /// Lines taken, renewals included.
    pub grants: u64,
    /// Lines dropped, and questions closed, because of an invalidation.
    pub invalidated: u64,
    /// Lines dropped because a new leader recalled them.
    pub recalled: u64,
    /// Lines dropped because their lease was over.
    pub lapsed: u64,
    /// Lines dropped for want of room.
    pub evicted: u64,
    /// Lines given up for a write from here.
    pub surrenders: u64,
}

/// The counters of many keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    by_key: BTreeMap<Key, (KeyCounts, u64)>,
    by_use: BTreeMap<u64, Key>,
    last_use: u64,
}

impl Counts {
    pub(super) fn get(&self, key: &str) -> KeyCounts {
        self.by_key.get(key).map(|(counts, _)| *counts).unwrap_or_default()
    }

    /// Counts something of a key.
    pub(super) fn add(&mut self, key: &str, count: impl FnOnce(&mut KeyCounts)) {
        self.last_use += 1;
        if let Some((counts, used)) = self.by_key.get_mut(key) {
            count(counts);
            if let Some(name) = self.by_use.remove(used) {
                self.by_use.insert(self.last_use, name);
            }
            *used = self.last_use;
            return;
        }
        let mut counts = KeyCounts::default();
        count(&mut counts);
        let name = Key::from(key);
        self.by_use.insert(self.last_use, Key::clone(&name));
        self.by_key.insert(name, (counts, self.last_use));
        if self.by_key.len() > KEYS_COUNTED_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_not_counted_for_longest_is_forgotten() {
        let mut counts = Counts::default();
        for key in 0..KEYS_COUNTED_MAX {
            counts.add(&key.to_string(), |counts| counts.hits += 1);
        }
        counts.add("0", |counts| counts.misses += 2);
        counts.add("one more", |counts| counts.grants += 1);
        assert_eq!(counts.get("0"), KeyCounts { hits: 1, misses: 2, ..KeyCounts::default() });
        assert_eq!(counts.get("1"), KeyCounts::default());
        assert_eq!(counts.get("2").hits, 1);
        assert_eq!(counts.get("one more").grants, 1);
        assert_eq!((counts.by_key.len(), counts.by_use.len()), (KEYS_COUNTED_MAX, KEYS_COUNTED_MAX));
    }
}
