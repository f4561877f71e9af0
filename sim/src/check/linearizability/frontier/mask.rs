//! Sets of slots as words of bits.

/// A set of at most `64 * W` slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mask<const W: usize>([u64; W]);

impl<const W: usize> Mask<W> {
    pub(super) const EMPTY: Self = Self([0; W]);
    /// How many slots there are.
    pub(super) const SLOTS: usize = 64 * W;

    pub(super) const fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    pub(super) const fn add(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub(super) const fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Those of this set that are not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Those of this set that are in the other too.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The lowest slot that is not in the set.
    pub(super) fn lowest_free(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != u64::MAX)?;
        Some(word * 64 + self.0[word].trailing_ones() as usize)
    }

    /// Takes the lowest slot out.
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
