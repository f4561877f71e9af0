//! From a decision that operations are not linearizable to what is shown of it: made small, found again by
//! another tier, and rendered.

use super::contest::Decision;
use super::frontier::follow;
use super::limits::{CONFIRM_STEPS_MAX, Refutation, Tier, Times};
use super::render::{Footing, render};
use super::shrink::shrink;
use super::{EntryOf, Model, Partition, PartitionOf, Progress, Search};

/// What there is to say of a violation.
pub(super) enum Finding {
    /// It is one.
    Violation(Refutation, String),
    /// A second tier says that there is none: one of the two is wrong.
    Contradiction(String),
}

/// Makes a violation small, confirms and renders it. Deciding it took `decided_in` steps, or fewer.
pub(super) fn refute<M: Model>(
    model: &M,
    partition: &PartitionOf<M>,
    decision: Decision,
    times: Times,
    decided_in: u64,
) -> Finding {
    let steps = &mut 0;
    let small = Partition {
        name: partition.name.clone(),
        entries: shrink(model, &partition.entries, decision.culprit, decided_in, steps),
    };
    let mut search = Search::new(model, &small.entries);
    let searched = search.run(CONFIRM_STEPS_MAX);
    *steps += search.steps();
    let (second, found) = if decision.tier == Tier::Search {
        (Tier::Frontier, follow_through(model, &small.entries, steps))
    } else {
        (Tier::Search, searched)
    };
    if found == Progress::Linearizable || searched == Progress::Linearizable {
        return Finding::Contradiction(contradiction(model, &small, decision.tier, second, times));
    }
    let refutation = Refutation {
        found_by: decision.tier,
        confirmed_by: (found == Progress::NotLinearizable).then_some(second),
        operations: partition.entries.len() as u64,
        operations_shown: small.entries.len() as u64,
        steps: *steps,
    };
    let deepest = search.deepest_so_far();
    Finding::Violation(refutation, render(model, &small, times, &deepest, Footing::of(&refutation)))
}

fn follow_through<M: Model>(model: &M, entries: &[EntryOf<M>], steps: &mut u64) -> Progress {
    let Some(mut frontier) = follow(model, entries) else { return Progress::Unfinished };
    let progress = frontier.run(CONFIRM_STEPS_MAX);
    *steps += frontier.steps();
    progress
}

fn contradiction<M: Model>(
    model: &M,
    small: &PartitionOf<M>,
    first: Tier,
    second: Tier,
    times: Times,
) -> String {
    let what = format!(
        "INTERNAL ERROR of the check: {first} says that these operations on {} {:?} are not linearizable, \
         {second} says that they are; please report this",
        model.name(),
        small.name,
    );
    super::render::list(model, &what, small, times)
}
