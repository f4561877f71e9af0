//! The nemesis: carries out a schedule's faults on a cluster, and measures what each one did.
//!
//! # Contract
//! * It touches the cluster through [`Surface`] and [`Operator`], and time through [`Pacer`] alone; it draws
//!   nothing.
//! * Faults begin and end at their virtual times, in the order (time, ends before begins, number).
//! * Faults may overlap on one process. It stays down, paused or stalled until the last of them ends.
//! * When [`execute`] returns, every fault is healed and every node runs whose disk is not lost for good.
//!   What an operator did stays done.
//! * A fault that changed nothing must not pass for one: [`FaultRecord::had_effect`] is decided from
//!   counters, by a rule that each family's file states. Where a fault found its targets already harmed by
//!   another one, it is *absorbed*: without effect, and rightly so.
//!
//! One file per family: `crash` (and power loss), `pause`, `partition` (and clients disconnected, and one
//! way), `flap`, `degrade`, `disk_stall`, `clock_drift`, `redis`; and what an operator does: `transfer`, `members`,
//! `replace`, `upgrade`.

mod clock_drift;
mod crash;
mod degrade;
mod disk_stall;
mod executor;
mod family;
mod flap;
mod holds;
mod members;
mod operator;
mod partition;
mod pause;
mod redis;
mod replace;
mod report;
mod surface;
mod target;
mod timeline;
mod transfer;
mod upgrade;
mod view;

#[cfg(test)]
mod executor_tests;
#[cfg(test)]
mod model_cluster;
#[cfg(test)]
mod operation_tests;

pub use executor::{ATTRIBUTION_US, LEADER_WAIT_US_MAX, Pacer, execute};
pub use operator::{MemberStep, Operator, Order};
pub use report::{cluster_report, fault_reports, redis_text, vacuous_reasons};
pub use surface::*;
pub use target::{Resolved, resolve};
pub use timeline::{Effect, FaultRecord, Timeline};
pub use view::View;
