//! The report of a run, of a sweep over many seeds, and of a history recorded elsewhere, and their renderers.
//!
//! # Contract
//! * A report is plain data. Times are integers with their unit in the name; no field is a float; every list
//!   has a fixed order. Two runs of one seed give the same report, to the byte.
//! * Nothing in a report was measured by a real clock, or of the machine's memory. The terminal renderer takes
//!   such figures as arguments of their own.
//! * Nothing here knows the simulator: this crate imports no other of the workspace.

mod history;
mod json;
mod report;
mod sweep;
pub mod terminal;
mod verdict;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod snapshot_tests;

pub use history::{HISTORY_REPORT_FORMAT, HistoryReport};
pub use json::{JsonError, from_json, to_json};
pub use report::{
    CheckReport, ClusterReport, Counter, FaultReport, LatencyReport, NearStatistics, OperationReport,
    REPORT_FORMAT, Report, Statistics,
};
pub use sweep::{FaultTotals, SweepFailure, SweepReport};
pub use verdict::Verdict;
