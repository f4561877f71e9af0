//! The replica driver: everything between the sans-IO core and the world.
//!
//! One task per node owns the core and the machine and runs the loop *receive, step, obey*: it feeds what
//! arrives into the core and then carries out the effects in the order that [`crate::raft::Effects`]
//! prescribes. A second task owns the store, so that the core goes on stepping while a write is on its way
//! to the disk; all that gathers meanwhile becomes the next write, with one sync (group commit).
//!
//! Invariants:
//! * No message leaves before what it promises is durable. The core says which message waits for which
//!   write; [`DurabilityGuard`] checks every departing message once more against what the store has
//!   confirmed, and stops the node rather than let a false promise out.
//! * A failed write stops the node. Nothing is retried as if nothing had happened.
//! * A client is answered exactly when the outcome of *its* entry, at its index and term, is applied here,
//!   or told that the outcome is unknown. Indefinite is the default: only refusals by the core before an
//!   append are definite.
//! * Whatever waits for an answer is bounded by [`NodeConfig::pending_requests_max`].
//!
//! Deliberately absent: any timer of its own besides the core's and the machine's next deadline, and any
//! knowledge of where it runs.

#[cfg(test)]
mod ages_tests;
mod applying;
mod config;
mod driver;
mod events;
mod freshness;
mod guard;
mod near;
mod pending;
#[cfg(all(test, feature = "planted-bugs"))]
mod planted_tests;
mod probe;
#[cfg(test)]
mod read_tests;
mod replica;
mod requests;
#[cfg(test)]
mod retry_tests;
mod snapshots;
#[cfg(test)]
mod tests;
mod traffic;
mod under_way;
mod unordered;
mod watching;

pub use crate::coherence::Settings as NearSettings;
pub use crate::machine::{NEAR_DRIFT_PPM_MAX, NEAR_LEASE_US_MAX};
pub use config::{NodeConfig, NodeError};
pub use driver::{run, run_until};
pub use events::channels;
pub use guard::DurabilityGuard;
pub use probe::{Observed, Probe, Silent};
