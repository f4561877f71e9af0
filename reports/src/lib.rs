//! The report of a run, and of a sweep over many seeds, and their renderers.
//!
//! # Contract
//! * A report is plain data. Times are integers with their unit in the name; no field is a float; every list
//!   has a fixed order. Two runs of one seed give the same report, to the byte.
//! * Nothing in a report was measured by a real clock. The terminal renderer takes wall time as an argument
//!   of its own.
//! * Nothing here knows the simulator: this crate imports no other of the workspace.

mod json;
mod report;
mod sweep;
pub mod terminal;
mod verdict;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod snapshot_tests;

pub use json::{JsonError, from_json, to_json};
pub use report::{
    CheckReport, ClusterReport, Counter, FaultReport, LatencyReport, OperationReport, REPORT_FORMAT, Report,
    Statistics,
};
pub use sweep::{FaultTotals, SweepFailure, SweepReport};
pub use verdict::Verdict;
