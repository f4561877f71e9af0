//! Many runs in one view.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{OperationReport, Report, Verdict};

/// What a sweep over seeds, and maybe scenarios, came to. Runs are added in any order that is the same each
/// time; totals do not depend on it, the order of failures does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// What was swept, such as `leader-crash, seeds 0..100`.
    pub title: String,
    /// Whether they ran on real processes: then all times are real ones.
    #[serde(default, skip_serializing_if = "crate::report::is_simulated")]
    pub live: bool,
    /// Runs that were valid.
    pub valid: u64,
    /// Of the valid runs, those that showed a violation which their scenario is there to show.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub as_expected: u64,
    /// Runs that were invalid.
    pub invalid: u64,
    /// Runs that were unknown.
    pub unknown: u64,
    /// Every run that was not valid.
    pub failures: Vec<SweepFailure>,
    /// Faults by kind, over all runs.
    pub faults: BTreeMap<String, FaultTotals>,
    /// Operations by kind, over all runs.
    pub operations: BTreeMap<String, OperationReport>,
    /// Coverage marks, over all runs.
    pub marks: BTreeMap<String, u64>,
    /// Virtual time of all runs, in microseconds.
    pub virtual_us: u64,
    /// Frames delivered in all runs.
    pub frames_delivered: u64,
    /// Leaders elected in all runs.
    pub leaders_elected: u64,
}

/// A run that was not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepFailure {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Invalid or unknown.
    pub verdict: Verdict,
    /// The first reason.
    pub reason: String,
    /// The command that repeats it.
    pub replay: String,
}

/// Faults of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultTotals {
    /// How many there were.
    pub fired: u64,
    /// Of them, those that had effect.
    pub with_effect: u64,
    /// Of the others, those that another fault explains.
    pub absorbed: u64,
    /// Their counters' sums; of counters that are a maximum (`..._max`), the greatest.
    pub effects: BTreeMap<String, u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl SweepReport {
    /// An empty sweep.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        match report.verdict {
            Verdict::Valid => {
                self.valid += 1;
                self.as_expected += u64::from(report.shows_expected_violation());
            }
            Verdict::Invalid => self.invalid += 1,
            Verdict::Unknown => self.unknown += 1,
        }
        if report.verdict != Verdict::Valid {
            self.failures.push(SweepFailure {
                scenario: report.scenario.clone(),
                seed: report.seed,
                verdict: report.verdict,
                reason: report.reasons.first().cloned().unwrap_or_default(),
                replay: report.replay.clone(),
            });
        }
        self.add_faults(report);
        for row in &report.operations {
            let total = self.operations.entry(row.kind.clone()).or_default();
            total.kind.clone_from(&row.kind);
            total.ok += row.ok;
            total.fail += row.fail;
            total.unknown += row.unknown;
            total.open += row.open;
        }
        for (mark, count) in &report.marks {
            *self.marks.entry(mark.clone()).or_default() += count;
        }
        self.live |= report.live;
        self.virtual_us += report.statistics.virtual_us;
        self.frames_delivered += report.statistics.frames_delivered;
        self.leaders_elected += report.statistics.leaders_elected;
    }

    fn add_faults(&mut self, report: &Report) {
        for fault in &report.faults {
            let total = self.faults.entry(fault.kind.clone()).or_default();
            total.fired += 1;
            total.with_effect += u64::from(fault.had_effect);
            total.absorbed += u64::from(fault.absorbed);
            for counter in &fault.effects {
                let sum = total.effects.entry(counter.name.clone()).or_default();
                *sum = if counter.name.ends_with("_max") {
                    (*sum).max(counter.value)
                } else {
                    *sum + counter.value
                };
            }
        }
    }

    /// How many runs were added.
    #[must_use]
    pub const fn runs(&self) -> u64 {
        self.valid + self.invalid + self.unknown
    }

    /// Invalid if any run was, else unknown if any run was or there was none, else valid.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        if self.invalid > 0 {
            Verdict::Invalid
        } else if self.unknown > 0 || self.valid == 0 {
            Verdict::Unknown
        } else {
            Verdict::Valid
        }
    }
}
