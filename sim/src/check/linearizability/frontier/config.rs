//! A configuration of the frontier: one way in which everything that returned can have taken effect.

use super::super::Model;
use super::mask::Mask;
use super::pending::{NOTHING_USED, Pending};

/// Which open operations took effect, the state after them, and what was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Config<const W: usize> {
    /// Open operations that took effect.
    pub(super) done: Mask<W>,
    /// Open operations that overwrite or only read, have not taken effect, and were open already when the state was
    /// last overwritten. Just before that any of them may have taken effect without a trace: those that overwrite
    /// each by itself, those that only read with one that left what they read. Which of them did is left open.
    pub(super) early: Mask<W>,
    pub(super) state: u32,
    pub(super) used: u32,
}

impl<const W: usize> Config<W> {
    /// Nothing happened so far.
    pub(super) const FIRST: Self =
        Self { done: Mask::EMPTY, early: Mask::EMPTY, state: 0, used: NOTHING_USED };

    /// Whether whatever is possible from another configuration in the same state, in which the same operations took
    /// effect but for those of these `kinds`, is possible from this one.
    ///
    /// To have read is better than to have to. To have overwritten or not, as one likes, is better than either.
    pub(super) fn covers<M: Model>(&self, other: &Self, kinds: &Kinds<W>, pending: &Pending<M>) -> bool {
        let free = self.early.and(&kinds.writers);
        let read = self.done.and(&kinds.readers);
        let wrote = other.done.and(&kinds.writers);
        self.done.and(&kinds.writers).without(&other.done).is_empty()
            && wrote.without(&self.done).without(&free).is_empty()
            && other.done.and(&kinds.readers).without(&read).is_empty()
            && other.early.without(&self.early).without(&read).is_empty()
            && (self.used == other.used || pending.usages.covers(self.used, other.used))
    }
}

/// The open operations, by what is known of all that are like them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds<const W: usize> {
    /// They only read.
    pub(super) readers: Mask<W>,
    /// They overwrite: they fit any state, and leave one that does not depend on it.
    pub(super) writers: Mask<W>,
    /// Those of both kinds that no other is bound to.
    pub(super) lazy: Mask<W>,
}

impl<const W: usize> Kinds<W> {
    pub(super) const NONE: Self = Self { readers: Mask::EMPTY, writers: Mask::EMPTY, lazy: Mask::EMPTY };

    /// The operation that was in this slot returned.
    pub(super) const fn release(&mut self, slot: usize) {
        self.readers.remove(slot);
        self.writers.remove(slot);
        self.lazy.remove(slot);
    }

    /// What two configurations have in common that can be compared.
    #[inline]
    pub(super) fn fixed(&self, done: &Mask<W>) -> Mask<W> {
        done.without(&self.readers).without(&self.writers)
    }
}
