//! The configurations that a search has seen.
//!
//! A configuration is a set of linearized operations and a state. Operations are numbered by invocation, so
//! the set is a prefix that is complete, and a window of bits after it whose width follows concurrency and
//! not the history's length. Keys are compared exactly; the hash only finds them. The set is never iterated,
//! so its order cannot leak into a result.
#![expect(clippy::disallowed_types, reason = "a fixed hasher, and nothing iterates: order cannot leak")]

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// One configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key<S> {
    /// Every operation with a lower number is linearized; this one is not.
    pub(super) base: u32,
    /// Which of the operations from `base` (rounded down to a word) on are.
    pub(super) window: Box<[u64]>,
    /// Which of the operations that may never take effect are.
    pub(super) optional: Box<[u64]>,
    /// The object's state.
    pub(super) state: S,
}

/// The set of configurations seen.
#[derive(Debug)]
pub(super) struct Memo<S> {
    keys: HashSet<Key<S>, BuildHasherDefault<Mixer>>,
}

impl<S: Eq + Hash> Memo<S> {
    pub(super) fn new() -> Self {
        Self { keys: HashSet::default() }
    }

    /// Adds a configuration; says whether it is new.
    pub(super) fn insert(&mut self, key: Key<S>) -> bool {
        self.keys.insert(key)
    }
}

/// A fast hash without a secret: the same on every run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mixer(u64);

impl Mixer {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline]
    fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(Self::ODD);
        self.0 = mixed ^ (mixed >> 29);
    }
}

impl Hasher for Mixer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(Self::ODD).rotate_left(26)
    }
}
