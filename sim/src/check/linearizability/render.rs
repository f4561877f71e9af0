//! A violation as a person reads it: the end of the longest linearizable prefix, and what cannot follow.

use std::fmt::{self, Write};

use super::limits::{CONFIRM_STEPS_MAX, Refutation};
use super::search::Deepest;
use super::{EntryOf, Model, Partition, PartitionOf, Times};

/// Operations of the prefix that are shown: the last so many.
const PREFIX_SHOWN_MAX: usize = 8;
/// Operations that cannot be placed of which so many are shown.
const STUCK_SHOWN_MAX: usize = 16;

/// Operations that are listed if tiers contradict each other.
const LISTED_MAX: usize = 64;

/// What a violation rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footing<'r>(&'r Refutation);

impl<'r> Footing<'r> {
    pub(super) const fn of(refutation: &'r Refutation) -> Self {
        Self(refutation)
    }
}

impl fmt::Display for Footing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found by {}", self.0.found_by)?;
        match self.0.confirmed_by {
            Some(tier) => write!(f, ", confirmed by {tier}"),
            None => write!(f, ", not confirmed within {CONFIRM_STEPS_MAX} steps"),
        }
    }
}

/// Renders a violation.
pub(super) fn render<M: Model>(
    model: &M,
    partition: &PartitionOf<M>,
    times: Times,
    deepest: &Deepest<M::State>,
    footing: Footing<'_>,
) -> String {
    let Partition { name, entries } = partition;
    let all = footing.0.operations;
    let shown = footing.0.operations_shown;
    let which = if all > shown { format!("{shown} of {all}") } else { all.to_string() };
    let mut text = format!(
        "{} {name:?}: {which} operations, of which {} can be put in an order, and then none can follow\n",
        model.name(),
        deepest.prefix.len(),
    );
    let hidden = deepest.prefix.len().saturating_sub(PREFIX_SHOWN_MAX);
    if hidden > 0 {
        line(&mut text, &format!("  ({hidden} before)"));
    }
    for position in &deepest.prefix[hidden..] {
        line(&mut text, &format!("  then  {}", describe(model, &entries[*position], times)));
    }
    line(&mut text, &format!("  state {}", model.describe_state(&deepest.state)));
    for position in deepest.stuck.iter().take(STUCK_SHOWN_MAX) {
        line(&mut text, &format!("  stuck {}", describe(model, &entries[*position], times)));
    }
    let more = deepest.stuck.len().saturating_sub(STUCK_SHOWN_MAX);
    if more > 0 {
        line(&mut text, &format!("  ({more} more are stuck)"));
    }
    line(&mut text, &format!("  {footing}"));
    text
}

/// Some operations under a headline.
pub(super) fn list<M: Model>(model: &M, headline: &str, partition: &PartitionOf<M>, times: Times) -> String {
    let mut text = format!("{headline}\n");
    for entry in partition.entries.iter().take(LISTED_MAX) {
        line(&mut text, &format!("  {}", describe(model, entry, times)));
    }
    let more = partition.entries.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        line(&mut text, &format!("  ({more} more)"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn describe<M: Model>(model: &M, entry: &EntryOf<M>, times: Times) -> String {
    let answer = match &entry.answer {
        Some(answer) => model.describe_answer(answer),
        None => "no answer".to_owned(),
    };
    let until = entry.returned.map_or_else(|| "open".to_owned(), |at| times.show(at));
    format!(
        "#{} c{} {} -> {answer}  [{}, {until}]",
        entry.id,
        entry.process,
        model.describe_op(&entry.op),
        times.show(entry.invoked),
    )
}
