//! The determinism gate: runs that must not differ.

use stormglass_nodes::plant::Bug;
use xxhash_rust::xxh3::xxh3_64;

use super::execute::{Options, Outcome, execute};
use super::folder::history_bytes;
use crate::plan::Schedule;

/// What two runs of one schedule must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The trace hash, or that the run broke.
    pub trace: String,
    /// Hash over all that the clients recorded.
    pub history: u64,
    /// The verdict and its reasons.
    pub verdict: String,
}

impl Fingerprint {
    /// The fingerprint of a run.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let trace =
            outcome.trace.as_ref().map_or_else(|| "broken".to_owned(), |trace| trace.hash.to_string());
        Self {
            trace,
            history: xxh3_64(&history_bytes(&outcome.history)),
            verdict: format!("{} {}", outcome.verdict, outcome.reasons.join("; ")),
        }
    }

    /// One line that two processes can compare.
    #[must_use]
    pub fn line(&self, schedule: &Schedule) -> String {
        let verdict = xxh3_64(self.verdict.as_bytes());
        format!("{} {} {} {:016x} {verdict:016x}", schedule.scenario, schedule.seed, self.trace, self.history)
    }
}

/// Runs a schedule once, with this bug planted if there is one.
#[must_use]
pub fn fingerprint(schedule: &Schedule, plant: Option<Bug>) -> Fingerprint {
    Fingerprint::of(&execute(schedule, Options { plant, keep_trace: false }))
}

/// Runs a schedule twice, with this bug planted if there is one, and compares.
///
/// # Errors
/// Where the two runs part, in a few lines.
pub fn repeat(schedule: &Schedule, plant: Option<Bug>) -> Result<Fingerprint, String> {
    let (first, second) = (fingerprint(schedule, plant), fingerprint(schedule, plant));
    if first == second {
        return Ok(first);
    }
    Err(explain(schedule, plant, &first, &second))
}

fn explain(schedule: &Schedule, plant: Option<Bug>, first: &Fingerprint, second: &Fingerprint) -> String {
    let mut text = format!(
        "{} with seed {} does not repeat:\n  first  {}\n  second {}\n",
        schedule.scenario,
        schedule.seed,
        first.line(schedule),
        second.line(schedule)
    );
    let keep = Options { plant, keep_trace: true };
    let (one, other) = (execute(schedule, keep), execute(schedule, keep));
    match (one.trace, other.trace) {
        (Some(one), Some(other)) => match one.first_difference(&other) {
            Some(difference) => text += &format!("  they part at {difference:?}\n"),
            None => text.push_str("  two more runs agreed in what was kept of their traces\n"),
        },
        _ => text.push_str("  one of them broke\n"),
    }
    text
}
