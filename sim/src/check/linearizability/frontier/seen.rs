//! The configurations that were reached while one operation was put in its place.
//!
//! Of two that differ only in the operations of unknown outcome that they used up, one that used no more
//! of any is at least as good.
#![expect(clippy::disallowed_types, reason = "a fixed hasher, and nothing iterates: order cannot leak")]

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::super::Model;
use super::super::memo::Mixer;
use super::mask::Mask;
use super::pending::{Counting, NOTHING_USED, Pending};

/// Which open operations took effect, the state after them, and what was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Config<const W: usize> {
    pub(super) done: Mask<W>,
    pub(super) state: u32,
    pub(super) used: u32,
}

type Place<const W: usize> = (Mask<W>, u32);

/// A set of configurations, without those that others are better than.
#[derive(Debug, Default)]
pub(super) struct Seen<const W: usize> {
    /// Places in which nothing was used up.
    plain: HashSet<Place<W>, BuildHasherDefault<Mixer>>,
    /// What was used up in other places: of no two is one the better.
    used: HashMap<Place<W>, Vec<u32>, BuildHasherDefault<Mixer>>,
}

/// Room that is kept for the next set, in configurations.
const ROOM_KEPT_MAX: usize = 4_096;

impl<const W: usize> Seen<W> {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        if self.plain.capacity() > ROOM_KEPT_MAX {
            self.plain = HashSet::default();
        }
        self.plain.clear();
        self.used = HashMap::default();
    }

    /// Adds a configuration; says whether it is worth going on from. `dropped` is set if one was left out
    /// that no other is better than.
    pub(super) fn insert<M: Model>(
        &mut self,
        config: &Config<W>,
        pending: &Pending<M>,
        counting: Counting,
        dropped: &mut bool,
    ) -> bool {
        let place = (config.done, config.state);
        if config.used == NOTHING_USED {
            return self.plain.insert(place);
        }
        if self.plain.contains(&place) {
            return false;
        }
        let there = self.used.entry(place).or_default();
        if there.iter().any(|other| pending.usages.covers(*other, config.used)) {
            return false;
        }
        there.retain(|other| !pending.usages.covers(config.used, *other));
        there.push(config.used);
        if let Counting::Beam { width } = counting
            && there.len() > width
        {
            *dropped = true;
            let worst = (0..there.len()).max_by_key(|at| pending.rank(there[*at])).unwrap_or(0);
            return there.swap_remove(worst) != config.used;
        }
        true
    }

    /// Whether no better one came after this one.
    pub(super) fn stands(&self, config: &Config<W>) -> bool {
        if config.used == NOTHING_USED {
            return true;
        }
        let place = (config.done, config.state);
        !self.plain.contains(&place)
            && self.used.get(&place).is_some_and(|there| there.contains(&config.used))
    }
}
