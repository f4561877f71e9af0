//! What a run is asked to do, as plain data: [`Scenario`] and [`Schedule`].
//!
//! A **scenario** is what a person writes: a claim, a cluster, a workload, and faults whose times and
//! targets may be left to the seed. A **schedule** is what runs: scenario and seed expanded, before the run
//! begins, into an explicit list of timed faults. It is written beside every failing run, can be edited and
//! shrunk, and replays without drawing anything for the faults, so it outlives changes to this code.
//!
//! # Contract
//! * [`expand`] is a pure function: the same scenario and seed give the same schedule, on every machine.
//! * Each entry of `[[faults]]` draws from a stream of its own: editing one does not move the others.
//! * Every fault begins and ends between `timing.faults_from_ms` and `timing.faults_until_ms`.
//! * No input makes this module panic. What is wrong with a file is said in one line with its place, and a
//!   hint ([`PlanError`]).
//!
//! Deliberately absent: who is the leader. A target such as `leader` stays a [`Selector`] in the schedule
//! and is resolved when the fault fires, by the cluster's state at that time and a number drawn here.

mod action;
mod action_check;
mod error;
mod expand;
mod expect;
mod fault;
mod load;
mod profile;
mod scenario;
mod schedule;
mod seed;
mod selector;
mod settings;
mod span;
mod swarm;
mod validate;
mod validate_workload;
mod workload;

#[cfg(test)]
mod bad_files_tests;
#[cfg(test)]
mod generators;
#[cfg(test)]
mod property_tests;

pub use action::{Action, ActionError};
pub use error::{PlanError, Position, did_you_mean};
pub use expand::expand;
pub use expect::{EXPECTED_CHECKS_MAX, ExpectSpec};
pub use fault::{FaultKind, FaultSpec, RedisHarm, Repeat};
pub use load::{FILE_BYTES_MAX, load_scenario, load_schedule, parse_scenario, parse_schedule, read_text};
pub use profile::{ClockProfile, DiskProfile, NetworkProfile};
pub use scenario::Scenario;
pub use schedule::{SCHEDULE_FORMAT, Schedule, ScheduledFault};
pub use selector::{Selector, SelectorError};
pub use settings::{
    Appendfsync, ClusterSpec, ElectionSpec, ReadsAt, ReadsSpec, SnapshotSpec, StorageKind, StorageSpec,
    TimingSpec,
};
pub use span::MsSpan;
pub use swarm::{FAULTS_OF_SWARM_MAX, SwarmSpec};
pub use validate::{CLIENTS_MAX, END_MS_MAX, FAULTS_MAX, NODES_MAX, PPM_MAX, Problem, VERSION_MAX};
pub use validate_workload::{
    ATTEMPTS_MAX, BATCH_MAX, KEYS_MAX, OPEN_MAX, PARTS_MAX, PERMITS_MAX, PRIORITIES_MAX, RATE_HZ_MAX,
    RESOURCES_MAX, SKEW_MAX,
};
pub use workload::{CacheSpec, LocksSpec, Mix, QueueSpec, WorkloadKind, WorkloadSpec};
