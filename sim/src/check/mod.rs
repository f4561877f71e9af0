//! The checks: what a run's history and its nodes' events say about safety and liveness.
//!
//! They share no code with what they check. They see the clients' [`History`](crate::history::History), the
//! times of the faults, and the stream of [`NodeEvent`](crate::history::NodeEvent)s; their models are small
//! independent specifications.
//!
//! * [`invariants`]: what Raft promises of its nodes, judged at every event;
//! * [`linearizability`]: what clients were answered;
//! * [`lock_safety`]: what clients believed about their locks;
//! * [`liveness`]: that operations complete again once faults have ended;
//! * [`exercise`]: that the clients did what puts the service to the test.
//!
//! A check has three verdicts. One that found nothing to judge is unknown, never valid.

pub mod exercise;
pub mod invariants;
mod judge;
pub mod linearizability;
pub mod liveness;
pub mod lock_safety;
mod report;

pub use judge::{Evidence, Subject, judge};
pub use report::{CheckReport, Verdict};
