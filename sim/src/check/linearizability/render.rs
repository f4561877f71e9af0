//! A violation as a person reads it: the end of the longest linearizable prefix, and what cannot follow.

use std::fmt::Write;

use super::search::Deepest;
use super::{EntryOf, Model, Partition, PartitionOf, Times};

/// Operations of the prefix that are shown: the last so many.
const PREFIX_SHOWN_MAX: usize = 8;
/// Operations that cannot be placed of which so many are shown.
const STUCK_SHOWN_MAX: usize = 16;

/// Renders a violation.
pub(super) fn render<M: Model>(
    model: &M,
    partition: &PartitionOf<M>,
    times: Times,
    deepest: &Deepest<M::State>,
) -> String {
    let Partition { name, entries } = partition;
    let mut text = format!(
        "{} {name:?}: {} operations, of which {} can be put in an order, and then none can follow\n",
        model.name(),
        entries.len(),
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
