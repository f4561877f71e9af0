//! What was measured, as a table.

use stormglass_sim::check::Verdict;

use crate::measure::{Measured, Outcome, TIME_MAX};
use crate::{CHECKERS, OURS};

/// The columns.
pub(crate) fn head() {
    let names: Vec<&str> = CHECKERS.iter().map(|(name, _)| *name).collect();
    println!(
        "| history | operations | valid | invalid | {} | faster than the fastest other |",
        names.join(" | ")
    );
    println!("|---|---|---|---|{}---|", "---|".repeat(names.len()));
}

/// A row: what each checker took, and how much faster ours is than the fastest of the others.
pub(crate) fn row(shape: &str, operations: usize, found: &[(&'static str, Outcome)]) {
    let cell = |name: &str| {
        let outcome = found.iter().find(|(known, _)| *known == name).map(|(_, outcome)| outcome);
        outcome.map_or_else(|| "-".to_owned(), show)
    };
    let cells: Vec<String> = CHECKERS.iter().map(|(name, _)| cell(name)).collect();
    let measured = found.iter().find_map(|(_, outcome)| finished(outcome));
    let count = |wanted: Verdict| {
        measured.map_or(0, |one| one.verdicts.iter().filter(|verdict| **verdict == wanted).count())
    };
    println!(
        "| {shape} | {operations} | {} | {} | {} | {} |",
        count(Verdict::Valid),
        count(Verdict::Invalid),
        cells.join(" | "),
        ratio(found),
    );
}

fn ratio(found: &[(&'static str, Outcome)]) -> String {
    let ours = found.iter().find(|(name, _)| *name == OURS).and_then(|(_, outcome)| finished(outcome));
    let Some(ours) = ours else { return String::new() };
    let mut others: Vec<(f64, &str)> = found
        .iter()
        .filter(|(name, _)| !name.starts_with(OURS))
        .filter_map(|(name, outcome)| Some((finished(outcome)?.ms, *name)))
        .collect();
    others.sort_by(|one, other| one.0.total_cmp(&other.0));
    match others.first() {
        Some((ms, name)) => format!("{} times ({name})", digits(ms / ours.ms)),
        // Who ran out of memory might have been fast with more of it.
        None if found.iter().any(|(_, outcome)| matches!(outcome, Outcome::Died)) => {
            "no other finishes".to_owned()
        }
        None => format!("more than {} times", digits(TIME_MAX.as_secs_f64() * 1e3 / ours.ms)),
    }
}

fn finished(outcome: &Outcome) -> Option<&Measured> {
    if let Outcome::Measured(measured) = outcome { Some(measured) } else { None }
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured(one) => {
            format!("{} ms, {} MiB", digits(one.ms), digits(one.peak_kib as f64 / 1024.0))
        }
        Outcome::TooSlow => format!("more than {} s", TIME_MAX.as_secs()),
        Outcome::Died => "out of memory".to_owned(),
    }
}

/// Three digits that mean something.
fn digits(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
