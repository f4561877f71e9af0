//! Tier 3: a just-in-time frontier (Lowe 2017) that follows the history as it happened.
//!
//! A configuration is a set of open operations that took effect, the state after them, and how many
//! operations of unknown outcome were used up. Whenever an operation returns, every configuration in which
//! it has not taken effect goes over into those in which it has, by any order of open operations that ends
//! with it. The history is linearizable if configurations are left in the end. What narrows it, none of it
//! changing the answer:
//!
//! * an operation that only reads and leaves the state as it is takes effect at once;
//! * operations whose answers name a rank take effect in the order of their ranks only;
//! * of equal open operations only the one that returns first is tried;
//! * one that overwrites whatever is there leaves no trace just before another that does: of all that were open then it
//!   stays undecided which took effect so, until one is needed, or read, or returns;
//! * of two configurations in one state, one in which less is owed and more is left is the better one;
//! * operations of unknown outcome are counted by what they ask, take effect only right before an operation
//!   that needs it, and a configuration that used no more of any is the better one.
//!
//! Slots of operations that returned are used again, and states that nothing leads from are forgotten, so
//! that memory follows concurrency and not length.
//!
//! *Counting uses* can make many configurations of one. They are therefore counted in several ways, the
//! cheap ones first: with only a few usages kept beside each other (enough to accept), not at all (enough
//! to reject), with more and more usages, exactly.

mod config;
mod core;
mod events;
mod expand;
mod intern;
mod known;
mod mask;
mod online;
mod pending;
mod seen;

use std::collections::BTreeSet;

use self::core::Core;
use self::events::{Event, Events};
use self::mask::Mask;
pub use self::online::{Online, OnlineViolation};
use self::pending::Counting;
use super::{EntryOf, Model, Progress};

/// Operations open at one time that a frontier can follow.
pub(super) const CONCURRENCY_MAX: usize = 256;
/// Usages that are kept beside each other at first.
const BEAM_WIDTH: usize = 1;
/// By how much that grows if it was not enough.
const BEAM_GROWTH: usize = 8;
/// From this on all are kept.
const BEAM_WIDTH_MAX: usize = 2_048;

/// A frontier over the operations on one object, whatever its width.
pub trait Follow {
    /// Goes on for about `steps` steps.
    fn run(&mut self, steps: u64) -> Progress;

    /// Steps made so far: transitions looked at.
    fn steps(&self) -> u64;

    /// Whether it has nothing more to say although nothing is decided.
    fn gave_up(&self) -> bool;

    /// If there is no linearization: the operation, as a position in the entries, that could not have
    /// returned as it did.
    fn culprit(&self) -> Option<usize>;
}

/// A frontier that has not begun; none if it cannot follow these operations: too many are open at one time,
/// or times are so coarse that they do not say what it needs to know.
pub fn follow<'e, M: Model>(model: &'e M, entries: &'e [EntryOf<M>]) -> Option<Box<dyn Follow + 'e>> {
    let mut events = Events::of(entries)?;
    // Where there are no more than that, no more are open.
    let most = if entries.len() <= Mask::<1>::SLOTS { entries.len() } else { events.most_open() };
    match most {
        0..=64 => Some(Box::new(Frontier::<M, 1>::new(model, entries, events))),
        65..=CONCURRENCY_MAX => Some(Box::new(Frontier::<M, 4>::new(model, entries, events))),
        _ => None,
    }
}

fn places<M: Model>(model: &M, entries: &[EntryOf<M>]) -> Vec<Option<u32>> {
    let rank = |entry: &EntryOf<M>| model.rank(&entry.op, entry.answer.as_ref()?);
    let mut ranked: Vec<(u64, usize)> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.returned.is_some())
        .filter_map(|(at, entry)| Some((rank(entry)?, at)))
        .collect();
    ranked.sort_unstable();
    let mut places = if ranked.is_empty() { Vec::new() } else { vec![None; entries.len()] };
    for (place, (_, at)) in (0..).zip(ranked) {
        places[at] = Some(place);
    }
    places
}

struct Frontier<'e, M: Model, const W: usize> {
    model: &'e M,
    entries: &'e [EntryOf<M>],
    events: Events<'e, M::Op, M::Answer>,
    /// Operations that others have to come after although they were invoked at the moment of their return.
    followed: BTreeSet<u64>,
    /// Of each operation whose answer names a rank, how many come before it. Empty if none does.
    places: Vec<Option<u32>>,
    counting: Counting,
    core: Core<'e, M, W>,
    /// Steps of the ways of counting that are over.
    steps_before: u64,
    gave_up: bool,
    /// The operation that is being put in its place.
    closing: Option<usize>,
    culprit: Option<usize>,
}

impl<'e, M: Model, const W: usize> Frontier<'e, M, W> {
    fn new(model: &'e M, entries: &'e [EntryOf<M>], events: Events<'e, M::Op, M::Answer>) -> Self {
        let uncertain = entries.iter().any(|entry| entry.returned.is_none());
        let counting = if uncertain { Counting::Beam { width: BEAM_WIDTH } } else { Counting::Exact };
        Self {
            model,
            entries,
            events,
            followed: entries.iter().filter_map(|entry| entry.after).collect(),
            places: places(model, entries),
            counting,
            core: Core::new(model, counting),
            steps_before: 0,
            gave_up: false,
            closing: None,
            culprit: None,
        }
    }

    fn open(&mut self, at: usize) -> bool {
        let entry = &self.entries[at];
        let place = self.places.get(at).copied().flatten();
        self.core.open(entry, self.followed.contains(&entry.id), place)
    }

    /// What an empty frontier means; none if another way of counting has to tell.
    fn emptied(&mut self) -> Option<Progress> {
        let certain = self.core.is_exhaustive() || self.counting == Counting::Ignored;
        if certain && !self.core.is_overwhelmed() {
            self.culprit = self.closing;
            return Some(Progress::NotLinearizable);
        }
        self.next_way()
    }

    /// What it means that configurations are left in the end; none if another way has to tell.
    fn survived(&mut self) -> Option<Progress> {
        if self.counting == Counting::Ignored {
            return self.next_way();
        }
        Some(Progress::Linearizable)
    }

    fn next_way(&mut self) -> Option<Progress> {
        self.counting = match self.counting {
            Counting::Beam { width: BEAM_WIDTH } => Counting::Ignored,
            Counting::Ignored => Counting::Beam { width: BEAM_WIDTH * BEAM_GROWTH },
            Counting::Beam { width } if width < BEAM_WIDTH_MAX => {
                Counting::Beam { width: width * BEAM_GROWTH }
            }
            Counting::Beam { .. } => Counting::Exact,
            Counting::Exact => {
                self.gave_up = true;
                return Some(Progress::Unfinished);
            }
        };
        self.steps_before += self.core.steps;
        self.core = Core::new(self.model, self.counting);
        self.events.rewind();
        self.closing = None;
        None
    }
}

impl<M: Model, const W: usize> Follow for Frontier<'_, M, W> {
    fn run(&mut self, steps: u64) -> Progress {
        let stop = self.steps().saturating_add(steps);
        loop {
            if self.gave_up {
                return Progress::Unfinished;
            }
            let decided = match self.core.advance(stop - self.steps_before.min(stop)) {
                None => return Progress::Unfinished,
                Some(false) => self.emptied(),
                Some(true) => match self.events.next() {
                    None => self.survived(),
                    Some(Event::Invoke(at)) => {
                        self.gave_up |= !self.open(at as usize);
                        None
                    }
                    Some(Event::Return(at)) => {
                        self.closing = Some(at as usize);
                        self.core.close(self.entries[at as usize].id);
                        None
                    }
                },
            };
            if let Some(progress) = decided {
                return progress;
            }
        }
    }

    fn steps(&self) -> u64 {
        self.steps_before + self.core.steps
    }

    fn gave_up(&self) -> bool {
        self.gave_up
    }

    fn culprit(&self) -> Option<usize> {
        self.culprit
    }
}
