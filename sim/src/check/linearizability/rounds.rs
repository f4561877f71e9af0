//! All objects of one kind, under one budget.

use super::limits::{Decided, Limits, Linearizability, Tier, Times};
use super::render::render;
use super::{Model, PartitionOf, Progress, Search, replay};
use crate::check::Verdict;
use crate::plant::{self, Flaw};

/// What each undecided object may spend in the first round.
const ROUND_STEPS_FIRST: u64 = 4_096;
/// By how much that grows from round to round.
const ROUND_GROWTH: u64 = 4;

/// Checks every object, with at most about as many steps as `limits` says. Times are shown as places.
///
/// A history in which no operation was answered is unknown, never valid.
pub fn check<M: Model>(model: &M, partitions: Vec<PartitionOf<M>>, limits: &Limits) -> Linearizability {
    check_as(model, partitions, limits, Times::Places)
}

/// As [`check`], saying what the times of the history are.
pub fn check_as<M: Model>(
    model: &M,
    partitions: Vec<PartitionOf<M>>,
    limits: &Limits,
    times: Times,
) -> Linearizability {
    let mut result = Linearizability {
        verdict: Verdict::Unknown,
        operations: 0,
        objects: partitions.len() as u64,
        decided: Decided::default(),
        undecided: 0,
        refuted_by: None,
        steps: 0,
        counterexample: None,
    };
    let mut answered = 0;
    let mut hard = Vec::new();
    for mut partition in partitions {
        let entries = &mut partition.entries;
        result.operations += entries.len() as u64;
        answered += entries.iter().filter(|entry| entry.answer.is_some()).count();
        if plant::is(Flaw::CheckerDropsPending) {
            entries.retain(|entry| entry.answer.is_some());
        }
        model.settle(entries);
        let guess = model.guess(entries);
        let replayed = guess.map(|order| replay(model, entries, &order));
        result.steps += replayed.map_or(0, |replayed| replayed.steps);
        if replayed.is_some_and(|replayed| replayed.certified) {
            result.decided.add(Tier::Replay);
        } else {
            hard.push(partition);
        }
    }
    search_in_rounds(model, &hard, limits.steps, times, &mut result);
    result.verdict = match () {
        () if result.counterexample.is_some() => Verdict::Invalid,
        () if result.undecided > 0 || (answered == 0 && !plant::is(Flaw::CheckerEmptyPasses)) => {
            Verdict::Unknown
        }
        () => Verdict::Valid,
    };
    result
}

fn search_in_rounds<M: Model>(
    model: &M,
    hard: &[PartitionOf<M>],
    budget_steps: u64,
    times: Times,
    result: &mut Linearizability,
) {
    let mut open: Vec<(&PartitionOf<M>, Search<'_, M>)> =
        hard.iter().map(|partition| (partition, Search::new(model, &partition.entries))).collect();
    // Of equally small ones the first by name is shown.
    open.sort_by_key(|(partition, _)| partition.entries.len());
    let mut left = budget_steps;
    let mut round_steps = ROUND_STEPS_FIRST;
    while !open.is_empty() && left > 0 && result.counterexample.is_none() {
        open.retain_mut(|(partition, search)| {
            let before = search.steps();
            let progress = search.run(round_steps.min(left));
            let spent = search.steps() - before;
            left -= spent;
            result.steps += spent;
            if progress == Progress::NotLinearizable && result.counterexample.is_none() {
                result.counterexample =
                    search.deepest().map(|deepest| render(model, partition, times, deepest));
                result.refuted_by = Some(Tier::Search);
            }
            if progress == Progress::Unfinished {
                return true;
            }
            result.decided.add(Tier::Search);
            false
        });
        round_steps = round_steps.saturating_mul(ROUND_GROWTH);
    }
    result.undecided += open.len() as u64;
}
