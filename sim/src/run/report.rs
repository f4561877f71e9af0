//! An outcome in words and numbers: what the renderers show.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use stormglass_reports as reports;

use super::execute::{Options, Outcome};
use super::expected;
use crate::check::{CheckReport, Verdict};
use crate::history::{self, History};
use crate::nemesis;
use crate::plan::Schedule;
use crate::world::NearCounts;

/// Significant decimal digits of latencies.
const LATENCY_DIGITS: u8 = 3;

/// The report of a run. `replay` is the command that repeats it.
#[must_use]
pub fn report(schedule: &Schedule, options: Options, outcome: &Outcome, replay: String) -> reports::Report {
    reports::Report {
        format: reports::REPORT_FORMAT,
        scenario: schedule.scenario.clone(),
        claim: schedule.claim.clone(),
        seed: schedule.seed,
        expects: expected::names(schedule).to_vec(),
        live: false,
        planted: options.plant.map(|bug| bug.name().to_owned()),
        cluster: nemesis::cluster_report(schedule),
        verdict: reported_verdict(outcome.verdict),
        reasons: outcome.reasons.clone(),
        faults: nemesis::fault_reports(&outcome.timeline),
        elections_at_us: outcome.elections.iter().map(|at| at.as_us()).collect(),
        operations: operations(&outcome.history),
        latencies: latencies(&outcome.history),
        checks: outcome.checks.iter().map(reported_check).collect(),
        marks: outcome.marks.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        statistics: statistics(outcome),
        trace_hash: outcome
            .trace
            .as_ref()
            .map_or_else(|| "the run broke".to_owned(), |trace| trace.hash.to_string()),
        replay,
    }
}

/// A verdict as reports have it.
#[must_use]
pub const fn reported_verdict(verdict: Verdict) -> reports::Verdict {
    match verdict {
        Verdict::Valid => reports::Verdict::Valid,
        Verdict::Unknown => reports::Verdict::Unknown,
        Verdict::Invalid => reports::Verdict::Invalid,
    }
}

/// A check's result as reports have it.
#[must_use]
pub fn reported_check(check: &CheckReport) -> reports::CheckReport {
    reports::CheckReport {
        name: check.name.clone(),
        source: check.source.clone(),
        verdict: reported_verdict(check.verdict),
        detail: check.detail.clone(),
        cost_steps: check.cost_steps,
        counterexample: check.counterexample.clone(),
    }
}

fn operations(history: &History) -> Vec<reports::OperationReport> {
    let mut by_kind: BTreeMap<&str, reports::OperationReport> = BTreeMap::new();
    for operation in &history.operations {
        let kind = operation.call.kind();
        let row = by_kind.entry(kind).or_default();
        kind.clone_into(&mut row.kind);
        match operation.outcome {
            history::Outcome::Ok { .. } => row.ok += 1,
            history::Outcome::Fail { .. } => row.fail += 1,
            history::Outcome::Unknown { .. } => row.unknown += 1,
        }
        row.open += u64::from(operation.returned_ns.is_none());
    }
    by_kind.into_values().collect()
}

fn latencies(history: &History) -> Vec<reports::LatencyReport> {
    let mut by_kind: BTreeMap<&str, Histogram<u64>> = BTreeMap::new();
    for operation in &history.operations {
        let (Some(returned), history::Outcome::Ok { .. }) = (operation.returned_ns, &operation.outcome)
        else {
            continue;
        };
        let histogram = by_kind
            .entry(operation.call.kind())
            .or_insert_with(|| Histogram::new(LATENCY_DIGITS).expect("the number of digits is allowed"));
        histogram.record(returned.since_ns(operation.invoked_ns) / 1_000).expect("the histogram grows");
    }
    let row = |(kind, histogram): (&str, Histogram<u64>)| reports::LatencyReport {
        kind: kind.to_owned(),
        count: histogram.len(),
        p50_us: histogram.value_at_quantile(0.5),
        p90_us: histogram.value_at_quantile(0.9),
        p99_us: histogram.value_at_quantile(0.99),
        p999_us: histogram.value_at_quantile(0.999),
        max_us: histogram.max(),
    };
    by_kind.into_iter().map(row).collect()
}

fn statistics(outcome: &Outcome) -> reports::Statistics {
    let world = outcome.statistics.unwrap_or_default();
    reports::Statistics {
        virtual_us: outcome.ended.as_us(),
        frames_sent: world.frames_sent,
        frames_delivered: world.frames_delivered,
        frames_dropped: world.frames_dropped.total(),
        syncs: world.disk_syncs,
        campaigns: outcome.campaigns,
        leaders_elected: outcome.elections.len() as u64,
        near: near(world.near, outcome.leaders_lost),
    }
}

fn near(counts: NearCounts, leaders_lost: u64) -> reports::NearStatistics {
    reports::NearStatistics {
        hits: counts.hits,
        misses: counts.misses,
        joined: counts.joined,
        asks: counts.asks,
        renewals: counts.renewals,
        grants: counts.grants,
        rounds: counts.rounds,
        invalidations: counts.invalidations,
        recalls: counts.recalls,
        evictions: counts.evictions,
        writes_held_back: counts.writes_held_back,
        surrenders: counts.surrenders,
        leaders_lost,
    }
}
