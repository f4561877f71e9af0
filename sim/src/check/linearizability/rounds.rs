//! All objects of one kind, under one budget.

use std::collections::BTreeMap;

use super::entry::partition;
use super::render::render;
use super::{Entry, Model, Progress, Search, replay};
use crate::check::Verdict;
use crate::history::History;

/// The default budget of one check. Every step remembers at most one configuration, some 100 bytes, so
/// this also bounds memory.
pub const STEPS_MAX: u64 = 4_000_000;
/// What each undecided object may spend in the first round.
const ROUND_STEPS_FIRST: u64 = 4_096;
/// By how much that grows from round to round.
const ROUND_GROWTH: u64 = 4;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linearizability {
    /// Valid if all objects are; invalid if one is not; unknown if the budget ran out, or nothing was done
    /// that could be judged.
    pub verdict: Verdict,
    /// Operations judged: all but those that definitely failed.
    pub operations: u64,
    /// Objects decided by replaying the order that the answers suggest.
    pub by_replay: u64,
    /// Objects decided by search.
    pub by_search: u64,
    /// Objects left undecided.
    pub undecided: u64,
    /// Steps of replays and searches.
    pub steps: u64,
    /// The violation on the object with the fewest operations, rendered.
    pub counterexample: Option<String>,
}

/// Checks every object that `model` describes, with at most about `budget_steps` steps of search.
///
/// A history in which no operation was answered is unknown, never valid.
pub fn check<M: Model>(model: &M, history: &History, budget_steps: u64) -> Linearizability {
    let mut result = Linearizability {
        verdict: Verdict::Unknown,
        operations: 0,
        by_replay: 0,
        by_search: 0,
        undecided: 0,
        steps: 0,
        counterexample: None,
    };
    let mut answered = 0;
    let mut hard = Vec::new();
    for (object, mut entries) in entries_of(model, history) {
        result.operations += entries.len() as u64;
        answered += entries.iter().filter(|entry| entry.answer.is_some()).count();
        model.settle(&mut entries);
        let guess = model.guess(&entries);
        let replayed = guess.map(|order| replay(model, &entries, &order));
        result.steps += replayed.map_or(0, |replayed| replayed.steps);
        if replayed.is_some_and(|replayed| replayed.certified) {
            result.by_replay += 1;
        } else {
            hard.push((object, entries));
        }
    }
    search_in_rounds(model, &hard, budget_steps, &mut result);
    result.verdict = match () {
        () if result.counterexample.is_some() => Verdict::Invalid,
        () if result.undecided > 0 || answered == 0 => Verdict::Unknown,
        () => Verdict::Valid,
    };
    result
}

/// The operations on each object that `model` describes, as nothing has settled them yet.
pub fn entries_of<'h, M: Model>(model: &M, history: &'h History) -> BTreeMap<&'h str, Vec<Entry<'h>>> {
    partition(history, |call| model.applies(call))
}

fn search_in_rounds<M: Model>(
    model: &M,
    hard: &[(&str, Vec<Entry<'_>>)],
    budget_steps: u64,
    result: &mut Linearizability,
) {
    let mut open: Vec<(&str, &[Entry<'_>], Search<'_, '_, M>)> =
        hard.iter().map(|(object, entries)| (*object, &entries[..], Search::new(model, entries))).collect();
    // Of equally small ones the first by name is shown.
    open.sort_by_key(|(_, entries, _)| entries.len());
    let mut left = budget_steps;
    let mut round_steps = ROUND_STEPS_FIRST;
    while !open.is_empty() && left > 0 && result.counterexample.is_none() {
        open.retain_mut(|(object, entries, search)| {
            let before = search.steps();
            let progress = search.run(round_steps.min(left));
            let spent = search.steps() - before;
            left -= spent;
            result.steps += spent;
            if progress == Progress::NotLinearizable && result.counterexample.is_none() {
                result.counterexample =
                    search.deepest().map(|deepest| render(model, object, entries, deepest));
            }
            result.by_search += u64::from(progress != Progress::Unfinished);
            progress == Progress::Unfinished
        });
        round_steps = round_steps.saturating_mul(ROUND_GROWTH);
    }
    result.undecided += open.len() as u64;
}
