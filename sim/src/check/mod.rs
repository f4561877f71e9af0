//! The checks: what a run's history and its nodes' events say about safety and liveness.
//!
//! They share no code with what they check. They see the clients' [`History`](crate::history::History), the
//! times of the faults, and the stream of [`NodeEvent`](crate::history::NodeEvent)s; their models are small
//! independent specifications.
//!
//! * [`invariants`]: what Raft promises of its nodes, judged at every event;
//! * [`linearizability`]: what clients were answered;
//! * [`OnlineChecks`]: what clients were answered, while they go on;
//! * [`lock_safety`]: what clients were granted and believed of locks and semaphores;
//! * [`queue_safety`]: what was delivered, when and in which order, and that nothing was lost;
//! * [`coherence`]: what near-caches promise each other, judged at every event;
//! * [`cache_safety`]: what was read, near caches and lives that end included;
//! * [`guarded`]: that no stale holder of a lock leaves a trace;
//! * [`liveness`]: that operations complete again once faults have ended;
//! * [`exercise`]: that the clients did what puts the service to the test.
//!
//! A check has three verdicts. One that found nothing to judge is unknown, never valid.

mod by_name;
pub mod cache_safety;
pub mod coherence;
mod drift;
pub mod exercise;
pub mod guarded;
pub mod invariants;
mod judge;
pub mod linearizability;
pub mod liveness;
pub mod lock_safety;
mod online;
pub mod queue_safety;
mod report;
mod side_by_side;
mod succession;
mod unanswered;

pub use drift::{Calm, Drift};
pub use judge::{Evidence, Subject, Terms, judge, judge_subject, linearizability_report};
pub use online::{Certain, OnlineChecks};
pub use report::{CheckReport, Verdict};
