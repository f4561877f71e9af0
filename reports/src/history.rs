//! The report of a check of a history that was recorded elsewhere.

use serde::{Deserialize, Serialize};

use crate::{CheckReport, Verdict};

/// The version of this report's format.
pub const HISTORY_REPORT_FORMAT: u32 = 1;

/// One history and what the checks say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// The format's version: [`HISTORY_REPORT_FORMAT`].
    pub format: u32,
    /// The file, as it was named.
    pub file: String,
    /// The format of the file: `jsonl`, `jepsen` or `edn`.
    pub from: String,
    /// What the history is taken to be of: `register`, `kv`, `lock`, `queue` or `cache`.
    pub model: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Operations of the model in the file, whatever became of them.
    pub operations: u64,
    /// Of these, operations without effect that say nothing.
    pub failed: u64,
    /// Of these, operations of which nobody knows whether they took effect.
    pub unknown: u64,
    /// Processes that asked for them.
    pub processes: u64,
    /// Objects that they were asked of: keys, resources, topics. Each is judged by itself where it can be.
    pub objects: u64,
    /// Lines of the file.
    pub lines: u64,
    /// Events of a nemesis: they say when faults came, and are no operations.
    pub nemesis_events: u64,
    /// What was skipped, because it is known to be no part of the history: blank lines and lines of other
    /// loggers; in the project's own format, operations of other models.
    pub skipped: u64,
    /// Steps of all checks together: the same for the same file on any machine.
    pub steps: u64,
    /// Every check that was made.
    pub checks: Vec<CheckReport>,
}
