//! What Raft promises of its nodes (Raft paper, Figure 3 and sections 5 and 8), one invariant per file.
//!
//! Every [`NodeEvent`](crate::history::NodeEvent) goes through [`InvariantSet::observe`] at the moment it
//! happens. Each invariant judges it against a [`Shadow`] of the cluster, kept from the events alone, in
//! time that does not grow with the run (a restart costs as much as the log that it recovers).
//!
//! What the events must keep to, so that no invariant is blamed for a bad report: a node starts before
//! anything else and again after it stopped, and the first time on an empty disk unless it is one of the first
//! voters; entries enter a log at its end; a write is reported when it begins and, once it is durable, before
//! the node does anything that depends on it; an entry is reported applied before what it changes of the
//! cluster.
//!
//! The shadow keeps every log from index 1, whatever the node itself has let go of: what a snapshot covers
//! is what was committed, and is taken from there; if the snapshot's own index, term and members say
//! otherwise, that is a violation. Quorums are those of the members that the node in question goes by, and a
//! node that is none of them owes nothing.

mod acknowledged_is_durable;
mod agreed_members;
mod change_in_order;
mod commit_in_own_term;
mod commit_is_learnt;
mod committed_is_durable;
mod durable_log;
mod durable_vote;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod members;
mod monotonicity;
mod numbered;
mod set;
mod shadow;
mod shadow_node;
mod state_machine_safety;

pub use numbered::Numbered;
pub use set::{InvariantReport, InvariantSet, Violation};
pub use shadow::{Committed, Shadow};
pub use shadow_node::{ShadowNode, ShadowSlot, Write};

use std::fmt::Debug;

use crate::history::NodeEvent;
use shadow::Settled;

/// `Ok(true)` if the event was judged and is as it should be, `Ok(false)` if it was none of this
/// invariant's business, or what is wrong.
type Judgement = Result<bool, String>;

/// One invariant. An event is shown to it twice: before the shadow has taken it in, and after.
trait Invariant: Debug + Send {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Where it is written down.
    fn source(&self) -> &'static str;

    /// Judges an event against the cluster as it was.
    fn before(&mut self, _shadow: &Shadow, _node: u64, _event: &NodeEvent) -> Judgement {
        Ok(false)
    }

    /// Forgets what no event will ask for again.
    fn forget_before(&mut self, _settled: Settled) {}

    /// Judges an event against the cluster as it is with it.
    fn after(&mut self, _shadow: &Shadow, _node: u64, _event: &NodeEvent) -> Judgement {
        Ok(false)
    }
}
