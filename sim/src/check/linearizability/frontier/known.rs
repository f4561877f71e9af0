//! What is known of the open operations in each state: sets of slots, so that those that cannot come next, or
//! change nothing, are found for all at once.

use super::mask::Mask;

/// States below this number are remembered.
pub(super) const STATES_MAX: usize = 256;

/// The slots of one state.
#[derive(Clone, Copy, Debug)]
struct Slots<const W: usize> {
    /// Of these it is known what they do.
    tried: Mask<W>,
    /// These leave the state as it is.
    keeps: Mask<W>,
    /// These cannot take effect.
    refuses: Mask<W>,
}

/// By state.
#[derive(Debug, Default)]
pub(super) struct Known<const W: usize> {
    states: Vec<Slots<W>>,
}

impl<const W: usize> Known<W> {
    const NOTHING: Slots<W> = Slots { tried: Mask::EMPTY, keeps: Mask::EMPTY, refuses: Mask::EMPTY };

    fn of(&self, state: u32) -> &Slots<W> {
        self.states.get(state as usize).unwrap_or(&Self::NOTHING)
    }

    /// Slots of which it is not known what they do in a state.
    #[inline]
    pub(super) fn untried(&self, state: u32, slots: &Mask<W>) -> Mask<W> {
        slots.without(&self.of(state).tried)
    }

    /// Those of the slots that are known to leave a state as it is.
    #[inline]
    pub(super) fn keeping(&self, state: u32, slots: &Mask<W>) -> Mask<W> {
        slots.and(&self.of(state).keeps)
    }

    /// The slots but those that are known not to take effect in a state.
    #[inline]
    pub(super) fn possible(&self, state: u32, slots: &Mask<W>) -> Mask<W> {
        slots.without(&self.of(state).refuses)
    }

    /// What an operation does in a state was found out: the state after it, or nothing.
    pub(super) fn note(&mut self, slot: usize, state: u32, after: Option<u32>) {
        let at = state as usize;
        if at >= STATES_MAX {
            return;
        }
        if at >= self.states.len() {
            self.states.resize(at + 1, Self::NOTHING);
        }
        let slots = &mut self.states[at];
        slots.tried.add(slot);
        match after {
            None => slots.refuses.add(slot),
            Some(after) if after == state => slots.keeps.add(slot),
            Some(_) => {}
        }
    }

    /// Another operation may take this slot.
    pub(super) fn release(&mut self, slot: usize) {
        for slots in &mut self.states {
            slots.tried.remove(slot);
            slots.keeps.remove(slot);
            slots.refuses.remove(slot);
        }
    }

    /// States are numbered anew.
    pub(super) fn clear(&mut self) {
        self.states.clear();
    }
}
