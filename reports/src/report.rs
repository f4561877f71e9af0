//! The report of one run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Verdict;

/// The version of the report's format.
pub const REPORT_FORMAT: u32 = 1;

/// One run: what was claimed, what befell the cluster, what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The format's version: [`REPORT_FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What it claims.
    pub claim: String,
    /// The seed.
    pub seed: u64,
    /// The checks of which one is to find a violation, because the scenario is there to show it; mostly none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expects: Vec<String>,
    /// Whether it ran on real processes: then all times are real ones. Absent from the reports of simulated runs.
    #[serde(default, skip_serializing_if = "is_simulated")]
    pub live: bool,
    /// The bug that was planted, if any.
    pub planted: Option<String>,
    /// Who took part.
    pub cluster: ClusterReport,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not valid, gravest first; empty if it is.
    pub reasons: Vec<String>,
    /// The faults, by begin.
    pub faults: Vec<FaultReport>,
    /// When nodes became leader, in microseconds of virtual time, ascending.
    pub elections_at_us: Vec<u64>,
    /// Operations by kind and outcome, by kind.
    pub operations: Vec<OperationReport>,
    /// Latencies of operations that succeeded, by kind.
    pub latencies: Vec<LatencyReport>,
    /// Every check that was made.
    pub checks: Vec<CheckReport>,
    /// How often each coverage mark was passed.
    pub marks: BTreeMap<String, u64>,
    /// The run in numbers.
    pub statistics: Statistics,
    /// Hash over every event of the run: equal if and only if two runs were the same.
    pub trace_hash: String,
    /// The command that repeats the run.
    pub replay: String,
}

impl Report {
    /// Whether this check found a violation that the scenario is there to show.
    #[must_use]
    pub fn is_expected(&self, check: &CheckReport) -> bool {
        check.verdict == Verdict::Invalid && self.expects.contains(&check.name)
    }

    /// Whether a violation was seen that the scenario is there to show.
    #[must_use]
    pub fn shows_expected_violation(&self) -> bool {
        self.checks.iter().any(|check| self.is_expected(check))
    }
}

pub(crate) fn is_simulated(live: &bool) -> bool {
    !live
}

/// The cluster in words and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Number of nodes.
    pub nodes: u64,
    /// Number of clients.
    pub clients: u64,
    /// The workload, such as `register, 4 keys, 25 operations/s per client`.
    pub workload: String,
    /// The network, such as `200 us + 100 us tail`.
    pub network: String,
    /// The disks, such as `sync 500 us + 300 us tail`.
    pub disk: String,
}

/// A named number; the name holds the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The name, such as `frames_dropped`.
    pub name: String,
    /// The number.
    pub value: u64,
}

/// One fault and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Its number in the schedule, from 0.
    pub number: u64,
    /// Its family, such as `power-loss`.
    pub kind: String,
    /// Its targets as the schedule names them.
    pub selector: String,
    /// Whom it hit, such as `n1 n3`.
    pub targets: String,
    /// When it took hold, in microseconds of virtual time.
    pub at_us: u64,
    /// When it was healed.
    pub until_us: u64,
    /// What it did; counters that stayed 0 are left out.
    pub effects: Vec<Counter>,
    /// Whether it did what it is there to do.
    pub had_effect: bool,
    /// Whether another fault explains that it did not.
    pub absorbed: bool,
    /// Something to know about it; mostly empty.
    pub note: String,
}

/// Operations of one kind by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationReport {
    /// The kind, such as `compare-and-set`.
    pub kind: String,
    /// Took effect and were answered.
    pub ok: u64,
    /// Had no effect and never will.
    pub fail: u64,
    /// May have had effect.
    pub unknown: u64,
    /// Of the unknown ones, those still open when the run ended.
    pub open: u64,
}

/// Latencies of one kind of operation, in microseconds of virtual time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// The kind.
    pub kind: String,
    /// How many were measured.
    pub count: u64,
    /// Half were as fast.
    pub p50_us: u64,
    /// 90 % were as fast.
    pub p90_us: u64,
    /// 99 % were as fast.
    pub p99_us: u64,
    /// 99.9 % were as fast.
    pub p999_us: u64,
    /// The slowest.
    pub max_us: u64,
}

/// One check and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Its name, such as `election-safety`.
    pub name: String,
    /// Where the property is from, such as `Raft paper, figure 3`.
    pub source: String,
    /// The result.
    pub verdict: Verdict,
    /// What it judged, in few words, or why there was nothing to judge; particulars after a semicolon.
    pub detail: String,
    /// Its cost in steps of its own: a number that is the same on every machine.
    pub cost_steps: u64,
    /// What shows the violation; may have many lines.
    pub counterexample: Option<String>,
}

/// A run in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Virtual time that passed, in microseconds.
    pub virtual_us: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames delivered.
    pub frames_delivered: u64,
    /// Frames dropped, for whatever reason.
    pub frames_dropped: u64,
    /// Disk syncs completed.
    pub syncs: u64,
    /// Campaigns for votes begun.
    pub campaigns: u64,
    /// Leaders elected.
    pub leaders_elected: u64,
    /// What near-caches counted; left out if nobody read from one, and of live runs.
    #[serde(default, skip_serializing_if = "NearStatistics::is_nothing")]
    pub near: NearStatistics,
}

/// What the near-caches of all nodes counted, over all their lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearStatistics {
    /// Reads answered from a line at once: no message, no log entry.
    pub hits: u64,
    /// Reads that found no line.
    pub misses: u64,
    /// Of these, reads that joined a question which was open already.
    pub joined: u64,
    /// Questions sent to a leader, renewals included.
    pub asks: u64,
    /// Of these, questions for a line whose lease was about to end.
    pub renewals: u64,
    /// Lines taken.
    pub grants: u64,
    /// Rounds by which leaders made sure of their leadership before they granted.
    pub rounds: u64,
    /// Invalidations received.
    pub invalidations: u64,
    /// Recalls received.
    pub recalls: u64,
    /// Lines dropped for want of room.
    pub evictions: u64,
    /// Writes that had to wait for a line or a recall.
    pub writes_held_back: u64,
    /// Lines given up for writes from where they were held.
    #[serde(default)]
    pub surrenders: u64,
    /// Leaders killed between an invalidation and the commit of the write that it was for.
    #[serde(default)]
    pub leaders_lost: u64,
}

impl NearStatistics {
    /// Whether nobody read from a near-cache.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.hits + self.misses == 0
    }
}
