//! Runs: one seed, many seeds, or the same seed again.
//!
//! This is where everything meets. [`execute`] builds a world, hosts our nodes and clients in it, lets the
//! nemesis loose, and judges what is left; [`in_order`] does that for many seeds; [`repeat`] proves that a
//! run is a function of its schedule; [`report`] puts the outcome into words and numbers. [`execute_live`] does
//! the same to real processes.
//!
//! Only `program` and `service` know that the nodes are ours: another service takes their place by a node
//! program that reports `NodeEvent`s and a client that implements `Service`.

mod execute;
mod expected;
mod folder;
mod gaps;
mod gate;
mod lines;
mod live;
mod operator;
mod program;
mod report;
mod seeds;
mod served;
mod service;
mod soak;
mod terms;
mod witnesses;

pub use execute::{Options, Outcome, execute};
pub use folder::{FolderError, leave, left_report};
pub use gate::{Fingerprint, fingerprint, repeat};
pub use live::{LiveError, LiveOptions, NodeArguments, execute_live, live_report, node_main};
pub use report::{report, reported_check, reported_verdict};
pub use seeds::{default_jobs, in_order};
pub use soak::{Round, Soak, repeatable, soak};
pub use stormglass_nodes::plant::Bug;
pub use terms::{EXPIRY_GRACE_NS, calm_of, strayed_ppm_max};
