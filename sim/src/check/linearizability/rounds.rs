//! All objects of one kind, under one budget.

use super::contest::{Contest, Decision, at_once};
use super::limits::{Decided, Limits, Linearizability, Times};
use super::refute::{Finding, refute};
use super::settle::settle;
use super::{Model, PartitionOf};
use crate::check::Verdict;
use crate::plant::{self, Flaw};

/// What each undecided object may spend in the first round.
const ROUND_STEPS_FIRST: u64 = 4_096;
/// By how much that grows from round to round.
const ROUND_GROWTH: u64 = 4;

/// Checks every object, with at most about as many steps as `limits` says. Times are shown as places. Objects are taken
/// one after the other, and only those are kept that are not decided at once.
///
/// A history in which no operation was answered is unknown, never valid.
pub fn check<M: Model>(
    model: &M,
    partitions: impl IntoIterator<Item = PartitionOf<M>>,
    limits: &Limits,
) -> Linearizability {
    check_as(model, partitions, limits, Times::Places)
}

/// As [`check`], saying what the times of the history are.
pub fn check_as<M: Model>(
    model: &M,
    partitions: impl IntoIterator<Item = PartitionOf<M>>,
    limits: &Limits,
    times: Times,
) -> Linearizability {
    let (mut result, violation) = decide_all(model, partitions, take, limits, Asked::Smallest);
    let Some((partition, decision)) = violation else { return result };
    match refute(model, &partition, decision, times, result.steps) {
        Finding::Violation(refutation, shown) => {
            (result.refutation, result.counterexample) = (Some(refutation), Some(shown));
        }
        Finding::Contradiction(shown) => {
            (result.verdict, result.counterexample) = (Verdict::Unknown, Some(shown));
        }
    }
    result
}

/// As [`check`], but a violation is not shown, and therefore neither made small nor found again, and objects after one
/// that is not linearizable are left alone, and not counted.
pub fn verdict<M: Model>(
    model: &M,
    partitions: impl IntoIterator<Item = PartitionOf<M>>,
    limits: &Limits,
) -> Linearizability {
    decide_all(model, partitions, take, limits, Asked::Any).0
}

/// As [`verdict`] of operations that are only lent: each object's are copied, to one place after the other's.
pub fn verdict_of<'p, M: Model>(
    model: &M,
    partitions: impl IntoIterator<Item = &'p PartitionOf<M>>,
    limits: &Limits,
) -> Linearizability
where
    PartitionOf<M>: 'p,
{
    let copy = |partition: &PartitionOf<M>, into: &mut PartitionOf<M>| {
        into.entries.clear();
        into.entries.extend_from_slice(&partition.entries);
    };
    decide_all(model, partitions, copy, limits, Asked::Any).0
}

fn take<P>(partition: P, into: &mut P) {
    *into = partition;
}

/// Which violation is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The one with the fewest operations.
    Smallest,
    /// Whichever comes first.
    Any,
}

type Violation<M> = (PartitionOf<M>, Decision);

/// Decides the objects one after the other, each put by `fill` where the last one was, if that is not needed any more.
fn decide_all<M: Model, P>(
    model: &M,
    partitions: impl IntoIterator<Item = P>,
    fill: impl Fn(P, &mut PartitionOf<M>),
    limits: &Limits,
    asked: Asked,
) -> (Linearizability, Option<Violation<M>>) {
    let mut result = Linearizability {
        verdict: Verdict::Unknown,
        operations: 0,
        objects: 0,
        decided: Decided::default(),
        undecided: 0,
        refutation: None,
        steps: 0,
        counterexample: None,
    };
    let mut answered = 0;
    let mut hard = Vec::new();
    let mut left = limits.steps;
    let mut violation: Option<Violation<M>> = None;
    let mut partition = PartitionOf::<M>::default();
    for next in partitions {
        fill(next, &mut partition);
        let entries = &mut partition.entries;
        result.objects += 1;
        result.operations += entries.len() as u64;
        answered += entries.iter().filter(|entry| entry.answer.is_some()).count();
        if plant::is(Flaw::CheckerDropsPending) {
            entries.retain(|entry| entry.answer.is_some());
        }
        settle(model, entries);
        let Some(decision) = at_once(model, entries, &mut left, &mut result.steps) else {
            hard.push(std::mem::take(&mut partition));
            continue;
        };
        result.decided.add(decision.tier);
        // The first of the smallest is shown.
        let smaller = |(other, _): &(PartitionOf<M>, _)| partition.entries.len() < other.entries.len();
        if !decision.linearizable && violation.as_ref().is_none_or(smaller) {
            violation = Some((std::mem::take(&mut partition), decision));
            if asked == Asked::Any {
                break;
            }
        }
    }
    if violation.is_none() {
        violation = search_in_rounds(model, hard, left, &mut result);
    } else {
        result.undecided += hard.len() as u64;
    }
    result.verdict = match () {
        () if violation.is_some() => Verdict::Invalid,
        () if result.undecided > 0 || (answered == 0 && !plant::is(Flaw::CheckerEmptyPasses)) => {
            Verdict::Unknown
        }
        () => Verdict::Valid,
    };
    (result, violation)
}

/// Searches objects side by side; the violation that is found first, if one is.
fn search_in_rounds<M: Model>(
    model: &M,
    mut hard: Vec<PartitionOf<M>>,
    mut left: u64,
    result: &mut Linearizability,
) -> Option<Violation<M>> {
    // Of equally small ones the first by name is shown.
    hard.sort_by_key(|partition| partition.entries.len());
    let mut open: Vec<(usize, Contest<'_, M>)> =
        hard.iter().map(|partition| Contest::new(model, &partition.entries)).enumerate().collect();
    let mut round_steps = ROUND_STEPS_FIRST;
    let mut violation: Option<(usize, Decision)> = None;
    while !open.is_empty() && left > 0 && violation.is_none() {
        open.retain_mut(|(number, contest)| {
            let before = contest.steps();
            let decision = contest.run(round_steps.min(left));
            let spent = contest.steps() - before;
            left = left.saturating_sub(spent);
            result.steps += spent;
            let Some(decision) = decision else { return true };
            result.decided.add(decision.tier);
            if !decision.linearizable && violation.is_none() {
                violation = Some((*number, decision));
            }
            false
        });
        round_steps = round_steps.saturating_mul(ROUND_GROWTH);
    }
    result.undecided += open.len() as u64;
    drop(open);
    violation.map(|(number, decision)| (hard.swap_remove(number), decision))
}
