//! `stormglass measure`: how long leaders are missed, over many seeds.
//!
//! What is measured is virtual time, so it depends on seeds, links, disks and timeouts, and not on the machine.

use std::process::ExitCode;

use hdrhistogram::Histogram;

use super::output::{print, say};
use super::{UsageError, args};
use crate::check::Verdict;
use crate::plan::{MsSpan, expand};
use crate::run::{Options, default_jobs, execute, in_order};

/// Significant decimal digits of what is measured.
const DIGITS: u8 = 3;

/// What is measured of each fault that cost a leader: from what to what.
const MEASURED: [(&str, &str); 2] = [
    ("leaderless_us", "from the loss of the leader to the next one's election"),
    ("unserved_us", "from the loss of the leader to the first operation completed under the next one"),
];

/// What was measured over all seeds.
struct Measured {
    gaps: [Histogram<u64>; 2],
    faults: u64,
    verdicts: [u64; 3],
}

/// Runs and measures.
pub(super) fn measure(arguments: &args::Measure) -> Result<ExitCode, UsageError> {
    if arguments.jobs == Some(0) {
        return Err(UsageError::new("--jobs 0 would run nothing", "give 1 or more, or leave it out"));
    }
    let scenario = super::load_named(&arguments.scenario, &arguments.catalog)?;
    let seeds: Vec<u64> = arguments.seeds.seeds().collect();
    let histogram = || Histogram::new(DIGITS).expect("the number of digits is allowed");
    let mut measured = Measured { gaps: [histogram(), histogram()], faults: 0, verdicts: [0; 3] };
    let work = |seed: &u64| {
        let outcome = execute(&expand(&scenario, *seed), Options::default());
        (outcome.verdict, outcome.timeline)
    };
    in_order(&seeds, arguments.jobs.unwrap_or_else(default_jobs), work, |_, (verdict, timeline)| {
        let place =
            [Verdict::Valid, Verdict::Invalid, Verdict::Unknown].iter().position(|other| *other == verdict);
        measured.verdicts[place.unwrap_or(2)] += 1;
        for fault in timeline.faults {
            measured.faults += 1;
            let gaps = [fault.effect.leaderless_us, fault.effect.unserved_us];
            for (histogram, gap_us) in measured.gaps.iter_mut().zip(gaps).filter(|(_, gap_us)| *gap_us > 0) {
                histogram.record(gap_us).expect("the histogram grows");
            }
        }
        true
    });
    let [valid, invalid, unknown] = measured.verdicts;
    let seeds = arguments.seeds;
    say!("{}, seeds {}..{}", scenario.name, seeds.first, seeds.last);
    say!("  {valid} runs valid, {invalid} invalid, {unknown} unknown; {} faults", measured.faults);
    for ((name, meaning), histogram) in MEASURED.iter().zip(&measured.gaps) {
        print(&rows(name, meaning, histogram, scenario.election.timeout_ms));
    }
    let nothing = measured.gaps.iter().any(Histogram::is_empty);
    Ok(ExitCode::from(if invalid > 0 { 1 } else { u8::from(unknown > 0 || nothing) * 2 }))
}

/// The figures of one measure, in milliseconds and as multiples of election timeouts.
fn rows(name: &str, meaning: &str, histogram: &Histogram<u64>, timeout_ms: MsSpan) -> String {
    let mut text = format!("  {name}: {meaning}\n");
    if histogram.is_empty() {
        return text + "    never measured: no leader was lost and replaced\n";
    }
    let mean_us = (timeout_ms.min_ms + timeout_ms.max_ms) as f64 * 500.0;
    let least_us = timeout_ms.min_ms as f64 * 1_000.0;
    for (quantile, named) in [(0.5, "median"), (0.99, "99th percentile"), (1.0, "longest")] {
        let gap_us = histogram.value_at_quantile(quantile) as f64;
        text += &format!(
            "    {named:16}{:>10.2} ms  {:>6.2} of the mean election timeout  {:>6.2} of the least\n",
            gap_us / 1_000.0,
            gap_us / mean_us,
            gap_us / least_us
        );
    }
    text + &format!("    of {} times\n", histogram.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_in_milliseconds_and_in_timeouts() {
        let mut histogram = Histogram::new(DIGITS).unwrap();
        for gap_us in [150_000, 225_000, 450_000] {
            histogram.record(gap_us).unwrap();
        }
        let text = rows("leaderless_us", "x", &histogram, MsSpan::between(150, 300));
        let median = text.lines().nth(1).unwrap();
        assert!(median.contains("median") && median.contains("1.00 of the mean"), "{text}");
        assert!(median.contains("1.50 of the least"), "{text}");
        assert!(text.ends_with("of 3 times\n"));
    }

    #[test]
    fn what_was_never_measured_is_said_to_be() {
        let histogram = Histogram::new(DIGITS).unwrap();
        assert!(rows("x", "y", &histogram, MsSpan::exactly(9)).contains("never measured"));
    }
}
