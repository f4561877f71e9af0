//! Numbers for hashes: the search speaks of nodes, messages, steps and whole states by small numbers, given
//! out in the order of discovery.
//!
//! Two things of the same 128-bit hash are taken for one. Among ten million there is a collision with a
//! probability of about 10^-25.

use std::hash::Hash;

use xxhash_rust::xxh3::Xxh3;

/// The 128-bit hash of anything.
pub(crate) fn hash_of(feed: impl FnOnce(&mut Xxh3)) -> u128 {
    let mut hasher = Xxh3::new();
    feed(&mut hasher);
    hasher.digest128()
}

/// The same of what can be hashed as a whole.
pub(crate) fn hash_of_value(value: &impl Hash) -> u128 {
    hash_of(|hasher| value.hash(hasher))
}

const FREE: u32 = u32::MAX;

/// A table with open addressing, at most half full, that remembers the order of what was added.
#[derive(Debug)]
pub(crate) struct Numbers {
    keys: Vec<u128>,
    slots: Vec<u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { keys: Vec::new(), slots: vec![FREE; 1024] }
    }
}

impl Numbers {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The hash of this number.
    pub(crate) fn key(&self, number: u32) -> u128 {
        self.keys[number as usize]
    }

    /// The number of a hash, if it has one.
    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        let number = self.slots[self.slot_of(key)];
        (number != FREE).then_some(number)
    }

    /// The number of a hash, and whether it was given out just now.
    pub(crate) fn number(&mut self, key: u128) -> (u32, bool) {
        let slot = self.slot_of(key);
        if self.slots[slot] != FREE {
            return (self.slots[slot], false);
        }
        let number = u32::try_from(self.keys.len()).expect("a search of less than 2^32 states");
        self.keys.push(key);
        self.slots[slot] = number;
        if self.keys.len() * 2 > self.slots.len() {
            self.grow();
        }
        (number, true)
    }

    fn slot_of(&self, key: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = key as usize & mask;
        while self.slots[slot] != FREE && self.keys[self.slots[slot] as usize] != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; self.slots.len() * 2];
        for number in 0..self.keys.len() {
            let slot = self.slot_of(self.keys[number]);
            self.slots[slot] = number as u32;
        }
    }
}

/// A key for [`Numbers`] made of small numbers: spread over all bits, and still one to one.
pub(crate) const fn pair_key(kind: u32, one: u32, other: u32) -> u128 {
    let pair = (one as u64) << 32 | other as u64;
    // An odd factor and a shift can be undone, so that no two pairs are taken for one.
    let mixed = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)) as u128 | (kind as u128) << 64
}

#[cfg(test)]
mod tests {
    use super::{Numbers, pair_key};

    #[test]
    fn numbers_are_given_out_in_order_and_found_again() {
        let mut numbers = Numbers::default();
        for value in 0..5_000 {
            assert_eq!(numbers.number(pair_key(1, value, value / 3)), (value, true));
        }
        for value in 0..5_000 {
            assert_eq!(numbers.number(pair_key(1, value, value / 3)), (value, false));
        }
        assert_eq!(numbers.len(), 5_000);
    }
}
