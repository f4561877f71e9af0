//! The frontier itself: all configurations that explain what has returned so far.

use super::super::{EntryOf, Model};
use super::intern::Interner;
use super::known::{Known, STATES_MAX};
use super::mask::Mask;
use super::pending::{Counting, NOTHING_USED, Pending};
use super::seen::{Config, Seen};

/// States and usages are numbered anew when more than so many are remembered, and more than that many
/// times as many as are live.
const REMEMBERED_MIN: usize = 1_024;
const REMEMBERED_PER_LIVE: usize = 8;

const NOT_TRIED: u32 = u32::MAX;
const REFUSED: u32 = u32::MAX - 1;

/// An operation that has been invoked and has not returned.
struct Open<M: Model, const W: usize> {
    id: u64,
    op: M::Op,
    answer: Option<M::Answer>,
    reads: bool,
    returned: u64,
    /// The open operation that has to come before it.
    after: Option<usize>,
    /// Whether another has to come after it.
    followed: bool,
    /// Equal operations that return earlier: each can be put where this one is put, and this one where that
    /// one is.
    twins: Mask<W>,
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
struct Closing<const W: usize> {
    slot: usize,
    /// Configurations in which it has not taken effect.
    work: Vec<Config<W>>,
    /// Configurations in which it has.
    next: Vec<Config<W>>,
    /// Configurations from which operations of unknown outcome are still to be tried, which is done only if
    /// there is too little without.
    deferred: Vec<Config<W>>,
}

/// The frontier.
pub(super) struct Core<'m, M: Model, const W: usize> {
    model: &'m M,
    counting: Counting,
    states: Interner<M::State>,
    slots: Vec<Option<Open<M, W>>>,
    known: Known<W>,
    taken: Mask<W>,
    /// Open operations that only read.
    readers: Mask<W>,
    /// Open operations whose answers name a rank.
    ranked: Mask<W>,
    /// How many operations with ranks have returned.
    ranked_over: u32,
    /// How many open operations have to come after another.
    tied: usize,
    /// Whether operations that read were invoked since the last return.
    fresh: bool,
    pending: Pending<M>,
    frontier: Vec<Config<W>>,
    seen: Seen<W>,
    closing: Option<Closing<W>>,
    spare_tables: Vec<Vec<u32>>,
    tried: Vec<(usize, Option<u32>)>,
    /// Transitions looked at so far.
    pub(super) steps: u64,
    /// Whether a configuration was left out that might have mattered.
    dropped: bool,
}

impl<'m, M: Model, const W: usize> Core<'m, M, W> {
    pub(super) fn new(model: &'m M, counting: Counting) -> Self {
        let first = Config { done: Mask::EMPTY, state: 0, used: NOTHING_USED };
        Self {
            model,
            counting,
            states: Interner::new(model.initial()),
            slots: Vec::new(),
            known: Known::default(),
            taken: Mask::EMPTY,
            readers: Mask::EMPTY,
            ranked: Mask::EMPTY,
            ranked_over: 0,
            tied: 0,
            fresh: false,
            pending: Pending::new(),
            frontier: vec![first],
            seen: Seen::default(),
            closing: None,
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
            reads: entry.answer.as_ref().is_some_and(|answer| self.model.reads(&entry.op, answer)),
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
        if open.reads {
            self.readers.add(slot);
            self.fresh = true;
        }
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(open);
        true
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
        let mut closing = Closing { slot, work: Vec::new(), next: Vec::new(), deferred: Vec::new() };
        let mut frontier = std::mem::take(&mut self.frontier);
        self.seen.clear();
        let fresh = std::mem::take(&mut self.fresh);
        for config in &mut frontier {
            if fresh {
                self.place_reads(config);
            }
            self.push(*config, &mut closing);
        }
        frontier.clear();
        self.frontier = frontier;
        self.closing = Some(closing);
    }

    /// Goes on putting an operation in its place until that is done or `steps` reaches `stop`. Says, once it
    /// is done, whether any configuration is left.
    pub(super) fn advance(&mut self, stop: u64) -> Option<bool> {
        let Some(mut closing) = self.closing.take() else { return Some(true) };
        loop {
            if self.steps >= stop && !(closing.work.is_empty() && closing.deferred.is_empty()) {
                self.closing = Some(closing);
                return None;
            }
            if let Some(config) = closing.work.pop() {
                if self.seen.stands(&config) {
                    self.expand(config, &mut closing);
                }
            } else if let Some(config) = self.next_deferred(&mut closing) {
                self.expand_deferred(config, &mut closing);
            } else {
                break;
            }
        }
        self.finish(closing);
        Some(!self.frontier.is_empty())
    }

    /// The configuration that used least of what is scarce, if there are too few without.
    fn next_deferred(&mut self, closing: &mut Closing<W>) -> Option<Config<W>> {
        let Counting::Beam { width } = self.counting else { return None };
        if closing.next.len() >= width {
            self.dropped |= !closing.deferred.is_empty();
            closing.deferred.clear();
        }
        let rank = |at: &usize| self.pending.rank(closing.deferred[*at].used);
        let best = (0..closing.deferred.len()).min_by_key(rank)?;
        Some(closing.deferred.swap_remove(best))
    }

    fn finish(&mut self, closing: Closing<W>) {
        let slot = closing.slot;
        for mut config in closing.next {
            if self.seen.stands(&config) {
                config.done.remove(slot);
                self.frontier.push(config);
            }
        }
        self.known.release(slot);
        self.taken.remove(slot);
        self.readers.remove(slot);
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

    /// Every operation that may come next in this configuration, by itself or after operations of unknown
    /// outcome.
    fn expand(&mut self, config: Config<W>, closing: &mut Closing<W>) {
        let mut tried = std::mem::take(&mut self.tried);
        tried.clear();
        let mut rest = self.taken.without(&config.done);
        if self.pending.is_empty() {
            rest = self.known.possible(config.state, &rest);
        }
        while let Some(slot) = rest.pop() {
            if !self.may_be_next(slot, &config) {
                continue;
            }
            let after = self.step(slot, config.state);
            if let Some(state) = after {
                self.reach(config, slot, state, config.used, closing);
            }
            if !self.pending.is_empty() {
                tried.push((slot, after));
            }
        }
        if !self.pending.is_empty() {
            match self.counting {
                Counting::Beam { .. } => closing.deferred.push(config),
                _ => self.expand_by_pending(config, &tried, closing),
            }
        }
        self.tried = tried;
    }

    /// What [`Core::expand`] left for later.
    fn expand_deferred(&mut self, config: Config<W>, closing: &mut Closing<W>) {
        if !self.seen.stands(&config) {
            return;
        }
        let mut tried = Vec::new();
        let mut rest = self.taken.without(&config.done);
        while let Some(slot) = rest.pop() {
            if self.may_be_next(slot, &config) {
                tried.push((slot, self.step(slot, config.state)));
            }
        }
        self.expand_by_pending(config, &tried, closing);
    }

    fn may_be_next(&self, slot: usize, config: &Config<W>) -> bool {
        let Some(open) = &self.slots[slot] else { return false };
        let in_turn =
            open.place.is_none_or(|place| place == self.ranked_over + self.ranked.and(&config.done).count());
        in_turn
            && open.lower.without(&config.done).is_empty()
            && open.twins.without(&config.done).is_empty()
            && open.after.is_none_or(|after| config.done.has(after))
    }

    fn expand_by_pending(
        &mut self,
        config: Config<W>,
        tried: &[(usize, Option<u32>)],
        closing: &mut Closing<W>,
    ) {
        let reached = self.pending.reached_from(
            self.model,
            &mut self.states,
            config.state,
            self.counting,
            &mut self.steps,
        );
        for reached in reached.iter() {
            let used = match self.counting {
                Counting::Ignored => Some(NOTHING_USED),
                _ => self.pending.use_up(config.used, reached.uses),
            };
            let Some(used) = used else { continue };
            for (slot, direct) in tried {
                let Some(after) = self.step(*slot, reached.state) else { continue };
                let needless = direct.is_some_and(|direct| {
                    self.model.subsumes(self.states.value(direct), self.states.value(after))
                });
                if !needless {
                    self.reach(config, *slot, after, used, closing);
                }
            }
        }
    }

    /// The configuration after `slot` took effect.
    fn reach(&mut self, from: Config<W>, slot: usize, state: u32, used: u32, closing: &mut Closing<W>) {
        let mut config = Config { done: from.done, state, used };
        config.done.add(slot);
        self.place_reads(&mut config);
        self.push(config, closing);
    }

    fn push(&mut self, config: Config<W>, closing: &mut Closing<W>) {
        if self.seen.insert(&config, &self.pending, self.counting, &mut self.dropped) {
            let done = config.done.has(closing.slot);
            if done { closing.next.push(config) } else { closing.work.push(config) }
        }
    }

    /// Puts operations that only read in their place where they change nothing.
    fn place_reads(&mut self, config: &mut Config<W>) {
        if self.tied == 0 && (config.state as usize) < STATES_MAX {
            let mut untried = self.known.untried(config.state, &self.readers.without(&config.done));
            while let Some(slot) = untried.pop() {
                self.step(slot, config.state);
            }
            config.done.add_all(&self.known.keeping(config.state, &self.readers));
            return;
        }
        loop {
            let mut placed = false;
            let mut rest = self.readers.without(&config.done);
            while let Some(slot) = rest.pop() {
                let after = self.slots[slot].as_ref().and_then(|open| open.after);
                let free = after.is_none_or(|after| config.done.has(after));
                if free && self.step(slot, config.state) == Some(config.state) {
                    config.done.add(slot);
                    placed = true;
                }
            }
            if !placed || self.tied == 0 {
                return;
            }
        }
    }

    fn step(&mut self, slot: usize, state: u32) -> Option<u32> {
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
