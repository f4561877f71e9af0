//! Numbers for values, so that configurations are small and compare fast.
#![expect(clippy::disallowed_types, reason = "a fixed hasher, and nothing iterates: order cannot leak")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};

use super::super::memo::Mixer;

/// Values numbered in the order in which they came. Equal values have equal numbers, compared exactly.
#[derive(Debug)]
pub(super) struct Interner<T> {
    numbers: HashMap<T, u32, BuildHasherDefault<Mixer>>,
    values: Vec<T>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// One that knows this value, as 0.
    pub(super) fn new(first: T) -> Self {
        let mut interner = Self { numbers: HashMap::default(), values: Vec::new() };
        interner.number(first);
        interner
    }

    /// The value's number, a new one if it is new.
    pub(super) fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = self.values.len() as u32;
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    #[inline]
    pub(super) fn value(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}
