//! Operations of unknown outcome in the frontier: each may take effect at any time from now on, or never.
//!
//! They are not kept one by one. Those that ask the same are one class, of which so many are available,
//! and a configuration says how many of each it used up. None takes effect for its own sake: only right
//! before an operation that could not follow, or not with as good a result, without it.
#![expect(clippy::disallowed_types, reason = "a fixed hasher, and nothing iterates: order cannot leak")]

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::super::memo::Mixer;
use super::super::{EntryOf, Model};
use super::intern::Interner;

/// The usage of nothing.
pub(super) const NOTHING_USED: u32 = 0;
/// How many of one class may take effect in a row. Where more would be possible the frontier says that it
/// left something out.
const IN_A_ROW_MAX: u32 = 8;
/// How many states may be reached by operations of unknown outcome alone before the frontier gives up.
const REACHED_MAX: usize = 512;

/// In so many parts the available operations of a class are divided, to compare how scarce they are.
const SHARE_UNIT: u64 = 1 << 20;

/// How uses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Exactly.
    Exact,
    /// Exactly, but of configurations that differ in uses only so many are kept: what is found to be
    /// linearizable is.
    Beam {
        /// How many.
        width: usize,
    },
    /// Not from one operation to the next: a class may be used up again and again. What is found not to be linearizable is not.
    Ignored,
}

/// How many of each class were used, by number.
#[derive(Debug)]
pub(super) struct Usages(Interner<Box<[u32]>>);

impl Usages {
    fn new() -> Self {
        Self(Interner::new(Box::from([])))
    }

    /// Whether `one` used no more of any class than `other`.
    pub(super) fn covers(&self, one: u32, other: u32) -> bool {
        let (one, other) = (self.0.value(one), self.0.value(other));
        one.len() <= other.len() && one.iter().zip(other).all(|(one, other)| one <= other)
    }

    fn sum(&mut self, one: u32, other: u32) -> u32 {
        if one == NOTHING_USED {
            return other;
        }
        let (one, other) = (self.0.value(one), self.0.value(other));
        let length = one.len().max(other.len());
        let at = |uses: &[u32], class: usize| uses.get(class).copied().unwrap_or(0);
        let sum = (0..length).map(|class| at(one, class) + at(other, class)).collect();
        self.0.number(sum)
    }

    fn one_more(&mut self, usage: u32, class: usize) -> u32 {
        let mut uses = self.0.value(usage).to_vec();
        uses.resize(uses.len().max(class + 1), 0);
        uses[class] += 1;
        self.0.number(uses.into())
    }
}

/// A state that operations of unknown outcome lead to, and what that takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    pub(super) state: u32,
    pub(super) uses: u32,
    /// The state before the last of them.
    before: u32,
}

struct Class<M: Model> {
    example: EntryOf<M>,
    available: u32,
    /// The share of what is available that is one of it.
    share: u64,
}

/// What a class has in common: what was asked, or nothing for those that may stand for one another anyway.
type Likeness<M> = Option<<M as Model>::Op>;

/// The classes.
pub(super) struct Pending<M: Model> {
    classes: Vec<Class<M>>,
    numbers: BTreeMap<Likeness<M>, usize>,
    pub(super) usages: Usages,
    /// By state, as long as nothing new is available.
    reached: HashMap<u32, Arc<[Reached]>, BuildHasherDefault<Mixer>>,
    /// Whether more in a row would have been possible than were tried.
    pub(super) clipped: bool,
    /// Whether there was too much to try.
    pub(super) overwhelmed: bool,
}

impl<M: Model> Pending<M> {
    pub(super) fn new() -> Self {
        Self {
            classes: Vec::new(),
            numbers: BTreeMap::new(),
            usages: Usages::new(),
            reached: HashMap::default(),
            clipped: false,
            overwhelmed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// From now on this operation may take effect.
    pub(super) fn open(&mut self, entry: &EntryOf<M>) {
        let likeness = (!entry.anonymous).then(|| entry.op.clone());
        let next = self.classes.len();
        let class = *self.numbers.entry(likeness).or_insert(next);
        if class == next {
            self.classes.push(Class { example: entry.clone(), available: 0, share: 0 });
        }
        let class = &mut self.classes[class];
        class.available += 1;
        class.share = SHARE_UNIT / u64::from(class.available);
        if class.available <= IN_A_ROW_MAX {
            self.reached.clear();
        }
    }

    /// What has been used in all if `uses` are used beside `used`; none if not so many are available.
    pub(super) fn use_up(&mut self, used: u32, uses: u32) -> Option<u32> {
        let sum = self.usages.sum(used, uses);
        let counts = self.usages.0.value(sum);
        counts.iter().zip(&self.classes).all(|(count, class)| *count <= class.available).then_some(sum)
    }

    /// The less was used of what is scarce, the lower.
    pub(super) fn share(&self, usage: u32) -> u64 {
        let share = |(used, class): (&u32, &Class<M>)| u64::from(*used) * class.share;
        self.uses(usage).iter().zip(&self.classes).map(share).sum()
    }

    /// How much was used of each class.
    pub(super) fn uses(&self, usage: u32) -> &[u32] {
        self.usages.0.value(usage)
    }

    /// The states that operations of unknown outcome lead to from `state`.
    pub(super) fn reached_from(
        &mut self,
        model: &M,
        states: &mut Interner<M::State>,
        state: u32,
        counting: Counting,
        steps: &mut u64,
    ) -> Arc<[Reached]> {
        if let Some(reached) = self.reached.get(&state) {
            return Arc::clone(reached);
        }
        let mut found: Vec<Reached> = Vec::new();
        let mut next = 0;
        let mut from = Reached { state, uses: NOTHING_USED, before: state };
        loop {
            for class in 0..self.classes.len() {
                *steps += 1;
                if let Some(reached) = self.one_step(model, states, from, class, counting) {
                    let better = |other: &Reached| {
                        other.state == reached.state && self.usages.covers(other.uses, reached.uses)
                    };
                    if reached.state != state && !found.iter().any(better) {
                        found.push(reached);
                    }
                }
            }
            if found.len() > REACHED_MAX {
                self.overwhelmed = true;
                break;
            }
            let Some(reached) = found.get(next) else { break };
            from = *reached;
            next += 1;
        }
        let found: Arc<[Reached]> = found.into();
        self.reached.insert(state, Arc::clone(&found));
        found
    }

    fn one_step(
        &mut self,
        model: &M,
        states: &mut Interner<M::State>,
        from: Reached,
        class: usize,
        counting: Counting,
    ) -> Option<Reached> {
        let Class { example, available, .. } = &self.classes[class];
        let state = states.value(from.state);
        if !model.worthwhile(state, example) {
            return None;
        }
        let after = model.step(state, &example.op, None)?;
        if model.subsumes(state, &after) {
            return None;
        }
        if from.uses != NOTHING_USED || from.before != from.state {
            let without = model.step(states.value(from.before), &example.op, None);
            if without.is_some_and(|without| model.subsumes(&without, &after)) {
                return None;
            }
        }
        // However uses are counted from one operation to the next, between two no more can be used than
        // there are.
        let so_far = self.usages.0.value(from.uses).get(class).copied().unwrap_or(0);
        if so_far >= *available {
            return None;
        }
        if so_far >= IN_A_ROW_MAX {
            self.clipped = true;
            self.overwhelmed |= counting == Counting::Ignored;
            return None;
        }
        let uses = self.usages.one_more(from.uses, class);
        Some(Reached { state: states.number(after), uses, before: from.state })
    }

    /// Numbers usages anew, keeping only those in `live`, which are changed in place. States were
    /// numbered anew too, so that what was reached from each is no longer known.
    pub(super) fn forget<'u>(&mut self, live: impl Iterator<Item = &'u mut u32>) {
        let mut usages = Usages::new();
        for usage in live {
            *usage = usages.0.number(self.usages.0.value(*usage).clone());
        }
        self.usages = usages;
        self.reached.clear();
    }

    /// How many usages are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.usages.0.len()
    }
}
