//! The frontier itself: all configurations that explain what has returned so far.

use super::super::{EntryOf, Model};
use super::config::{Config, Kinds};
use super::intern::Interner;
use super::known::{Known, STATES_MAX};
use super::mask::Mask;
use super::pending::{Counting, Pending};
use super::seen::{Measures, Seen};

/// States and usages are numbered anew when more than so many are remembered, and more than that many
/// times as many as are live.
const REMEMBERED_MIN: usize = 1_024;
const REMEMBERED_PER_LIVE: usize = 8;

const NOT_TRIED: u32 = u32::MAX;
const REFUSED: u32 = u32::MAX - 1;

/// An operation that has been invoked and has not returned.
pub(super) struct Open<M: Model, const W: usize> {
    id: u64,
    op: M::Op,
    answer: Option<M::Answer>,
    returned: u64,
    /// The open operation that has to come before it.
    after: Option<usize>,
    /// Whether another has to come after it.
    followed: bool,
    /// Equal operations that return earlier: each can be put where this one is put, and this one where that
    /// one is.
    pub(super) twins: Mask<W>,
    /// The place among the object's effects that its answer names.
    rank: Option<u64>,
    /// How many of the history's effects have to come before it, if that is known.
    place: Option<u32>,
    /// Open operations of lower rank, which have to come before it.
    lower: Mask<W>,
    /// By state: the state after it.
    table: Vec<u32>,
}

/// An operation that is about to return is being put in its place.
#[derive(Default)]
pub(super) struct Closing<const W: usize> {
    pub(super) slot: usize,
    /// Configurations in which it has not taken effect, or may still do so.
    before: Seen<W>,
    /// Configurations in which it has.
    after: Seen<W>,
    /// Those before that are still to be looked at.
    work: Vec<u32>,
    /// Those before from which operations of unknown outcome are still to be tried, which is done only if there is too
    /// little without; with the share of what is scarce that each used.
    pub(super) deferred: Vec<(u64, u32)>,
}

/// The frontier.
pub(super) struct Core<'m, M: Model, const W: usize> {
    pub(super) model: &'m M,
    pub(super) counting: Counting,
    pub(super) states: Interner<M::State>,
    pub(super) slots: Vec<Option<Open<M, W>>>,
    pub(super) known: Known<W>,
    pub(super) taken: Mask<W>,
    pub(super) kinds: Kinds<W>,
    /// Open operations whose answers name a rank.
    ranked: Mask<W>,
    /// How many operations with ranks have returned.
    ranked_over: u32,
    /// How many open operations have to come after another.
    tied: usize,
    /// Whether operations that read were invoked since the last return.
    fresh: bool,
    pub(super) pending: Pending<M>,
    frontier: Vec<Config<W>>,
    /// What is used while an operation is put in its place; `is_closing` says that one is.
    pub(super) closing: Closing<W>,
    is_closing: bool,
    spare_tables: Vec<Vec<u32>>,
    pub(super) tried: Vec<(usize, Option<u32>)>,
    /// Transitions looked at so far.
    pub(super) steps: u64,
    /// Whether a configuration was left out that might have mattered.
    dropped: bool,
}

impl<'m, M: Model, const W: usize> Core<'m, M, W> {
    pub(super) fn new(model: &'m M, counting: Counting) -> Self {
        Self {
            model,
            counting,
            states: Interner::new(model.initial()),
            slots: Vec::new(),
            known: Known::default(),
            taken: Mask::EMPTY,
            kinds: Kinds::NONE,
            ranked: Mask::EMPTY,
            ranked_over: 0,
            tied: 0,
            fresh: false,
            pending: Pending::new(),
            frontier: vec![Config::FIRST],
            closing: Closing::default(),
            is_closing: false,
            spare_tables: Vec::new(),
            tried: Vec::new(),
            steps: 0,
            dropped: false,
        }
    }

    /// Whether all configurations were followed that might matter.
    pub(super) fn is_exhaustive(&self) -> bool {
        !self.dropped && !self.pending.clipped
    }

    /// Whether there was too much to follow, so that no answer can be had.
    pub(super) const fn is_overwhelmed(&self) -> bool {
        self.pending.overwhelmed
    }

    /// An operation is invoked. `followed`: another has to come after it although it will be invoked at the
    /// moment of its return. `place`: how many of the history's effects with ranks come before it, if that is
    /// known. Says whether there was a slot for it.
    pub(super) fn open(&mut self, entry: &EntryOf<M>, followed: bool, place: Option<u32>) -> bool {
        let Some(returned) = entry.returned else {
            self.pending.open(entry);
            return true;
        };
        let Some(slot) = self.taken.lowest_free().filter(|slot| *slot < Mask::<W>::SLOTS) else {
            return false;
        };
        let after = entry.after.and_then(|id| self.slot_of(id));
        let mut table = self.spare_tables.pop().unwrap_or_default();
        table.clear();
        let mut open = Open {
            id: entry.id,
            op: entry.op.clone(),
            answer: entry.answer.clone(),
            returned,
            after,
            followed,
            twins: Mask::EMPTY,
            rank: entry.answer.as_ref().and_then(|answer| self.model.rank(&entry.op, answer)),
            place,
            lower: Mask::EMPTY,
            table,
        };
        self.find_twins(slot, &mut open);
        self.find_lower(slot, &mut open);
        self.tied += usize::from(after.is_some());
        self.taken.add(slot);
        self.sort_by_kind(slot, entry, after.is_some() || followed);
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(open);
        true
    }

    fn sort_by_kind(&mut self, slot: usize, entry: &EntryOf<M>, bound: bool) {
        let answer = entry.answer.as_ref();
        if answer.is_some_and(|answer| self.model.reads(&entry.op, answer)) {
            self.kinds.readers.add(slot);
            self.fresh = true;
        } else if !bound && self.model.overwrites(&entry.op, answer) {
            self.kinds.writers.add(slot);
        } else {
            return;
        }
        if !bound {
            self.kinds.lazy.add(slot);
        }
    }

    fn find_twins(&mut self, slot: usize, open: &mut Open<M, W>) {
        for (other_slot, other) in self.slots.iter_mut().enumerate() {
            let Some(other) = other else { continue };
            if other.op != open.op || other.answer != open.answer {
                continue;
            }
            if other.returned <= open.returned {
                if other.after.is_none() && !open.followed {
                    open.twins.add(other_slot);
                }
            } else if open.after.is_none() && !other.followed {
                other.twins.add(slot);
            }
        }
    }

    fn find_lower(&mut self, slot: usize, open: &mut Open<M, W>) {
        let Some(rank) = open.rank else { return };
        self.ranked.add(slot);
        for (other_slot, other) in self.slots.iter_mut().enumerate() {
            let Some(other) = other else { continue };
            let Some(other_rank) = other.rank else { continue };
            if other_rank < rank {
                open.lower.add(other_slot);
            } else {
                other.lower.add(slot);
            }
        }
    }

    fn slot_of(&self, id: u64) -> Option<usize> {
        self.slots.iter().position(|open| open.as_ref().is_some_and(|open| open.id == id))
    }

    /// An operation returns. [`Core::advance`] puts it in its place; until that is done nothing else may
    /// happen.
    pub(super) fn close(&mut self, id: u64) {
        let Some(slot) = self.slot_of(id) else { return };
        self.is_closing = true;
        self.closing.slot = slot;
        let mut frontier = std::mem::take(&mut self.frontier);
        let fresh = std::mem::take(&mut self.fresh);
        for config in &mut frontier {
            if fresh {
                self.place_reads(config);
            }
            self.push(*config);
        }
        frontier.clear();
        self.frontier = frontier;
    }

    /// Goes on putting an operation in its place until that is done or `steps` reaches `stop`. Says, once it
    /// is done, whether any configuration is left.
    pub(super) fn advance(&mut self, stop: u64) -> Option<bool> {
        if !self.is_closing {
            return Some(true);
        }
        loop {
            let closing = &mut self.closing;
            if self.steps >= stop && !(closing.work.is_empty() && closing.deferred.is_empty()) {
                return None;
            }
            if let Some(number) = closing.work.pop() {
                if closing.before.stands(number) {
                    let config = closing.before.config(number);
                    self.expand(number, config);
                }
            } else if let Some(number) = self.next_deferred() {
                if self.closing.before.stands(number) {
                    self.expand_deferred(self.closing.before.config(number));
                }
            } else {
                break;
            }
        }
        self.finish();
        Some(!self.frontier.is_empty())
    }

    /// The configuration that used least of what is scarce, if there are too few without.
    fn next_deferred(&mut self) -> Option<u32> {
        let Counting::Beam { width } = self.counting else { return None };
        let Closing { before, after, deferred, .. } = &mut self.closing;
        if after.len() >= width {
            self.dropped |= !deferred.is_empty();
            deferred.clear();
        }
        let least = *deferred.iter().map(|(share, _)| share).min()?;
        let uses = |at: &usize| self.pending.uses(before.config(deferred[*at].1).used);
        let best = (0..deferred.len()).filter(|at| deferred[*at].0 == least).min_by_key(uses)?;
        Some(deferred.swap_remove(best).1)
    }

    fn finish(&mut self) {
        let slot = self.closing.slot;
        for mut config in self.closing.after.standing() {
            config.done.remove(slot);
            self.frontier.push(config);
        }
        self.closing.before.clear();
        self.closing.after.clear();
        self.is_closing = false;
        self.known.release(slot);
        self.taken.remove(slot);
        self.kinds.release(slot);
        self.ranked_over += u32::from(self.ranked.has(slot));
        self.ranked.remove(slot);
        if let Some(open) = self.slots[slot].take() {
            self.tied -= usize::from(open.after.is_some());
            self.spare_tables.push(open.table);
        }
        for open in self.slots.iter_mut().flatten() {
            open.twins.remove(slot);
            open.lower.remove(slot);
            if open.after == Some(slot) {
                open.after = None;
                self.tied -= 1;
            }
        }
        let remembered = self.states.len().max(self.pending.remembered());
        if remembered > REMEMBERED_MIN && remembered > REMEMBERED_PER_LIVE * self.frontier.len() {
            self.forget();
        }
    }

    /// Numbers states and usages anew, keeping only those of the frontier.
    fn forget(&mut self) {
        let Some(first) = self.frontier.first() else { return };
        let mut states = Interner::new(self.states.value(first.state).clone());
        for config in &mut self.frontier {
            config.state = states.number(self.states.value(config.state).clone());
        }
        self.states = states;
        self.slots.iter_mut().flatten().for_each(|open| open.table.clear());
        self.known.clear();
        self.pending.forget(self.frontier.iter_mut().map(|config| &mut config.used));
    }

    pub(super) fn may_be_next(&self, slot: usize, config: &Config<W>) -> bool {
        let Some(open) = &self.slots[slot] else { return false };
        let in_turn =
            open.place.is_none_or(|place| place == self.ranked_over + self.ranked.and(&config.done).count());
        in_turn
            && open.lower.without(&config.done).is_empty()
            && open.twins.without(&config.done).is_empty()
            && open.after.is_none_or(|after| config.done.has(after))
    }

    /// Adds a configuration to those that the operation that returns has to be put in its place in, or to those in
    /// which it has been.
    pub(super) fn push(&mut self, mut config: Config<W>) {
        let slot = self.closing.slot;
        if !config.done.has(slot) {
            let measures = Measures { kinds: &self.kinds, pending: &self.pending, counting: self.counting };
            let number = self.closing.before.insert(config, &measures, &mut self.dropped);
            let free = config.early.has(slot) && self.kinds.writers.has(slot);
            let Some(number) = number else { return };
            self.closing.work.push(number);
            if !free {
                return;
            }
            self.wrote_early(&mut config, slot);
        }
        let measures = Measures { kinds: &self.kinds, pending: &self.pending, counting: self.counting };
        self.closing.after.insert(config, &measures, &mut self.dropped);
    }

    /// One of those that overwrite did take effect before the state was last overwritten, and was read then.
    pub(super) fn wrote_early(&mut self, config: &mut Config<W>, slot: usize) {
        config.done.add(slot);
        let Some(state) = self.step(slot, config.state) else { return };
        let mut readers = config.early.and(&self.kinds.readers);
        while let Some(reader) = readers.pop() {
            if self.step(reader, state) == Some(state) {
                config.done.add(reader);
            }
        }
        config.early = config.early.without(&config.done);
    }

    /// Puts operations that only read in their place where they change nothing.
    pub(super) fn place_reads(&mut self, config: &mut Config<W>) {
        if self.tied == 0 && (config.state as usize) < STATES_MAX {
            let mut untried = self.known.untried(config.state, &self.kinds.readers.without(&config.done));
            while let Some(slot) = untried.pop() {
                self.step(slot, config.state);
            }
            config.done.add_all(&self.known.keeping(config.state, &self.kinds.readers));
            config.early = config.early.without(&config.done);
            return;
        }
        loop {
            let mut placed = false;
            let mut rest = self.kinds.readers.without(&config.done);
            while let Some(slot) = rest.pop() {
                let after = self.slots[slot].as_ref().and_then(|open| open.after);
                let free = after.is_none_or(|after| config.done.has(after));
                if free && self.step(slot, config.state) == Some(config.state) {
                    config.done.add(slot);
                    placed = true;
                }
            }
            if !placed || self.tied == 0 {
                config.early = config.early.without(&config.done);
                return;
            }
        }
    }

    pub(super) fn step(&mut self, slot: usize, state: u32) -> Option<u32> {
        self.steps += 1;
        let open = self.slots[slot].as_mut()?;
        let at = state as usize;
        let known = open.table.get(at).copied().unwrap_or(NOT_TRIED);
        if known != NOT_TRIED {
            return (known != REFUSED).then_some(known);
        }
        let after = self.model.step(self.states.value(state), &open.op, open.answer.as_ref());
        let after = after.map(|after| self.states.number(after));
        if at < STATES_MAX {
            if at >= open.table.len() {
                open.table.resize(at + 1, NOT_TRIED);
            }
            open.table[at] = after.unwrap_or(REFUSED);
        }
        self.known.note(slot, state, after);
        after
    }
}
