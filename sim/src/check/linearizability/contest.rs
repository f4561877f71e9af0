//! One object, taken through the tiers.

use super::direct::decide_directly;
use super::frontier::{Follow, follow};
use super::limits::Tier;
use super::witness::{explains, replay};
use super::{EntryOf, Model, Progress, Ruling, Search};

/// Steps that the frontier has for each operation, beside these, before the search is begun beside it.
const ALONE_STEPS_PER_ENTRY: u64 = 32;
const ALONE_STEPS: u64 = 16_384;
/// Where answers name ranks, the search is all but straight, and has so many steps for each operation, beside
/// those above, before the frontier is begun.
const RANKED_STEPS_PER_ENTRY: u64 = 8;
/// Of the steps of a round, the search gets one part in so many.
const SEARCH_SHARE: u64 = 2;

/// What is known for certain of the operations on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The tier that found it.
    pub(super) tier: Tier,
    /// Whether they are linearizable.
    pub(super) linearizable: bool,
    /// The operation that could not have returned as it did, as a position, if the tier knows.
    pub(super) culprit: Option<usize>,
}

/// What can be had without much ado: tiers 1 and 2, and tier 4 where it goes straight, which takes from `budget`. Adds
/// to `steps`.
pub(super) fn at_once<M: Model>(
    model: &M,
    entries: &[EntryOf<M>],
    budget: &mut u64,
    steps: &mut u64,
) -> Option<Decision> {
    let by_order_or_rule = by_order_or_rule(model, entries, steps);
    if by_order_or_rule.is_some() {
        return by_order_or_rule;
    }
    let mut direct_steps = 0;
    let linearizable = decide_directly(model, entries, *budget, &mut direct_steps);
    *steps += direct_steps;
    *budget -= direct_steps;
    let linearizable = linearizable?;
    Some(Decision { tier: Tier::Search, linearizable, culprit: None })
}

fn by_order_or_rule<M: Model>(model: &M, entries: &[EntryOf<M>], steps: &mut u64) -> Option<Decision> {
    let decided = |tier, linearizable| Some(Decision { tier, linearizable, culprit: None });
    let mut verify = |order: &[usize]| {
        let replayed = replay(model, entries, order);
        *steps += replayed.steps;
        replayed.certified
    };
    if model.guess(entries).is_some_and(|order| verify(&order)) {
        return decided(Tier::Replay, true);
    }
    let ruling = model.rule(entries)?;
    match ruling {
        Ruling::Impossible => decided(Tier::Rule, false),
        Ruling::ImpossibleAt(culprit) => {
            Some(Decision { tier: Tier::Rule, linearizable: false, culprit: Some(culprit) })
        }
        Ruling::Order(order) if verify(&order) => decided(Tier::Rule, true),
        Ruling::Possible if entries.iter().all(|entry| entry.after.is_none()) => decided(Tier::Rule, true),
        // The rule does not know what came first at one moment, and the order has it wrong.
        Ruling::Order(order) => {
            debug_assert!(explains(model, entries, &order), "a rule gave an order that is none");
            None
        }
        Ruling::Possible => None,
    }
}

/// Tiers 3 and 4, side by side, in as many portions as one likes.
pub(super) struct Contest<'e, M: Model> {
    model: &'e M,
    entries: &'e [EntryOf<M>],
    frontier: Option<Box<dyn Follow + 'e>>,
    search: Option<Search<'e, M>>,
    /// Steps that the search has alone, before anything else.
    search_alone: u64,
}

impl<'e, M: Model> Contest<'e, M> {
    pub(super) fn new(model: &'e M, entries: &'e [EntryOf<M>]) -> Self {
        let ranked = |entry: &EntryOf<M>| {
            entry.answer.as_ref().is_some_and(|answer| model.rank(&entry.op, answer).is_some())
        };
        let steps = entries.len() as u64 * RANKED_STEPS_PER_ENTRY + ALONE_STEPS;
        let search_alone = if entries.iter().any(ranked) { steps } else { 0 };
        Self { model, entries, frontier: follow(model, entries), search: None, search_alone }
    }

    /// Steps made so far.
    pub(super) fn steps(&self) -> u64 {
        self.frontier.as_ref().map_or(0, |frontier| frontier.steps())
            + self.search.as_ref().map_or(0, Search::steps)
    }

    /// Goes on for about `steps` steps.
    pub(super) fn run(&mut self, steps: u64) -> Option<Decision> {
        if self.search.as_ref().map_or(0, Search::steps) < self.search_alone {
            return self.search(steps);
        }
        let mut alone = false;
        if let Some(frontier) = &mut self.frontier {
            let alone_until = self.entries.len() as u64 * ALONE_STEPS_PER_ENTRY + ALONE_STEPS;
            alone = frontier.steps() < alone_until;
            let share = if alone { steps } else { steps - steps / SEARCH_SHARE };
            let progress = frontier.run(share);
            if let Some(linearizable) = decided(progress) {
                let culprit = frontier.culprit();
                return Some(Decision { tier: Tier::Frontier, linearizable, culprit });
            }
            if frontier.gave_up() {
                self.frontier = None;
                alone = false;
            }
        }
        if alone {
            return None;
        }
        self.search(if self.frontier.is_some() { steps / SEARCH_SHARE } else { steps })
    }

    fn search(&mut self, steps: u64) -> Option<Decision> {
        let search = self.search.get_or_insert_with(|| Search::new(self.model, self.entries));
        let linearizable = decided(search.run(steps))?;
        // Where it got furthest, the operation that had to come next the most.
        let stuck = search.deepest().into_iter().flat_map(|deepest| &deepest.stuck);
        let culprit = stuck.copied().min_by_key(|at| self.entries[*at].returned.unwrap_or(u64::MAX));
        Some(Decision { tier: Tier::Search, linearizable, culprit: culprit.filter(|_| !linearizable) })
    }
}

const fn decided(progress: Progress) -> Option<bool> {
    match progress {
        Progress::Linearizable => Some(true),
        Progress::NotLinearizable => Some(false),
        Progress::Unfinished => None,
    }
}

/// All tiers over some operations, in one go of at most about `budget` steps. Adds to `steps`.
pub(super) fn decide<M: Model>(
    model: &M,
    entries: &[EntryOf<M>],
    mut budget: u64,
    steps: &mut u64,
) -> Option<Decision> {
    if let Some(decision) = at_once(model, entries, &mut budget, steps) {
        return Some(decision);
    }
    let mut contest = Contest::new(model, entries);
    let mut portion = ALONE_STEPS.min(budget);
    let mut decision = None;
    while decision.is_none() && contest.steps() < budget {
        let before = contest.steps();
        decision = contest.run(portion);
        if contest.steps() == before {
            break;
        }
        portion = portion.saturating_mul(2).min(budget.saturating_sub(contest.steps())).max(1);
    }
    *steps += contest.steps();
    decision
}
