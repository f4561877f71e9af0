//! Questions that wait for an answer: one per key.

use std::collections::BTreeMap;

use super::super::types::{AskNumber, Key, ReaderId};
use crate::ids::LocalTime;

/// An open question.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) number: AskNumber,
    /// Before it was sent.
    pub(super) asked_at: LocalTime,
    /// Who waits for it.
    pub(super) readers: Vec<ReaderId>,
}

/// All open questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    by_key: BTreeMap<Key, Open>,
    /// The order of numbers is the order of time.
    by_number: BTreeMap<AskNumber, Key>,
    readers: usize,
}

impl Questions {
    /// How many readers wait.
    pub(super) const fn readers(&self) -> usize {
        self.readers
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_open(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    pub(super) fn number(&self, key: &str) -> Option<AskNumber> {
        self.by_key.get(key).map(|open| open.number)
    }

    pub(super) fn is_open_as(&self, key: &str, number: AskNumber) -> bool {
        self.number(key) == Some(number)
    }

    /// Lets a reader wait for the question about this key, if one is open.
    pub(super) fn join(&mut self, key: &str, reader: ReaderId) -> bool {
        let Some(open) = self.by_key.get_mut(key) else { return false };
        open.readers.push(reader);
        self.readers += 1;
        true
    }

    /// Opens a question about a key of which none is open.
    pub(super) fn open(&mut self, key: Key, open: Open) {
        self.readers += open.readers.len();
        self.by_number.insert(open.number, Key::clone(&key));
        let before = self.by_key.insert(key, open);
        assert!(before.is_none(), "one question is open per key");
    }

    /// Closes the question about a key.
    pub(super) fn take(&mut self, key: &str) -> Option<Open> {
        let open = self.by_key.remove(key)?;
        self.by_number.remove(&open.number);
        self.readers -= open.readers.len();
        Some(open)
    }

    /// When the oldest was asked.
    pub(super) fn oldest(&self) -> Option<LocalTime> {
        let (_, key) = self.by_number.first_key_value()?;
        self.by_key.get(key).map(|open| open.asked_at)
    }

    /// Closes the oldest, if it was asked so long ago.
    pub(super) fn take_older(&mut self, now: LocalTime, patience_us: u64) -> Option<(Key, Open)> {
        if now < self.oldest()?.plus_us(patience_us) {
            return None;
        }
        let key = Key::clone(self.by_number.first_key_value()?.1);
        self.take(&key).map(|open| (key, open))
    }

    /// Closes all.
    pub(super) fn take_all(&mut self) -> BTreeMap<Key, Open> {
        self.readers = 0;
        self.by_number.clear();
        std::mem::take(&mut self.by_key)
    }
}
