//! Sets of slots as words of bits.

use std::hash::{Hash, Hasher};

/// A set of at most `64 * W` slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask<const W: usize>([u64; W]);

/// Word by word: a length, as arrays have it, says nothing here.
impl<const W: usize> Hash for Mask<W> {
    #[inline]
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.iter().for_each(|word| hasher.write_u64(*word));
    }
}

impl<const W: usize> Mask<W> {
    pub(super) const EMPTY: Self = Self([0; W]);
    /// How many slots there are.
    pub(super) const SLOTS: usize = 64 * W;

    #[inline]
    pub(super) const fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    #[inline]
    pub(super) const fn add(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    pub(super) const fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds all of another set.
    #[inline]
    pub(super) fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    /// Those of this set that are not in the other.
    #[inline]
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = *self;
        left.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= !other);
        left
    }

    /// Those of this set that are in the other too.
    #[inline]
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut common = *self;
        common.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
        common
    }

    /// How many there are.
    #[inline]
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The lowest slot that is not in the set.
    #[inline]
    pub(super) fn lowest_free(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != u64::MAX)?;
        Some(word * 64 + self.0[word].trailing_ones() as usize)
    }

    /// Takes the lowest slot out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != 0)?;
        let bit = self.0[word].trailing_zeros() as usize;
        self.0[word] &= self.0[word] - 1;
        Some(word * 64 + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    #[test]
    fn a_set_of_slots_is_one() {
        let mut mask = Mask::<2>::EMPTY;
        assert_eq!((mask.is_empty(), mask.lowest_free()), (true, Some(0)));
        for slot in [0, 63, 64, 127] {
            mask.add(slot);
        }
        assert!(mask.has(63) && mask.has(64) && !mask.has(65));
        assert_eq!(mask.lowest_free(), Some(1));
        assert_eq!(mask.count(), 4);
        mask.remove(63);
        let mut low = Mask::EMPTY;
        low.add(0);
        assert_eq!(mask.and(&low), low);
        let mut rest = mask.without(&low);
        assert_eq!([rest.pop(), rest.pop(), rest.pop()], [Some(64), Some(127), None]);
    }
}
