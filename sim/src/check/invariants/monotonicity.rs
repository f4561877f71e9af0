//! Terms never go back, across restarts too, as far as they were durable. Within one life of a node its commit
//! index, its applied index, the index of the members that it goes by, what it has let go of, and the version
//! that it speaks never go back; nor does a node ever speak a version that its program does not know.

use super::{Invariant, Judgement, Shadow};
use crate::history::NodeEvent;

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct Monotonicity;

impl Invariant for Monotonicity {
    fn name(&self) -> &'static str {
        "monotonic terms and indexes"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 2 (state) and section 5.1"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        match event {
            NodeEvent::Started { term, .. } => rises("the recovered term", own.durable_term, *term),
            NodeEvent::RoleChanged { term, .. } => rises("the term", own.term, *term),
            NodeEvent::Voted { term, .. } => rises("the term of its vote", own.term, *term),
            NodeEvent::Durable { term, .. } => rises("the durable term", own.durable_term, *term),
            NodeEvent::Committed { index } => rises("the commit index", own.commit, *index),
            NodeEvent::Applied { index, .. } => rises("the applied index", own.applied, *index),
            NodeEvent::SnapshotReceived { snapshot } => rises("the commit index", own.commit, snapshot.index),
            NodeEvent::Installed { index, .. } => rises("the applied index", own.applied, *index),
            NodeEvent::MembershipChanged { index, .. } => {
                rises("the index of its members", own.members_index, *index)
            }
            NodeEvent::Compacted { to } => rises("the end of what it let go of", own.compacted, *to),
            NodeEvent::VersionRaised { version } if *version > own.version_max => Err(format!(
                "it is to speak version {version}, but its program knows none above {}",
                own.version_max
            )),
            NodeEvent::VersionRaised { version } => {
                rises("the version", u64::from(own.version), u64::from(*version))
            }
            _ => Ok(false),
        }
    }
}

fn rises(what: &str, before: u64, now: u64) -> Judgement {
    if now >= before { Ok(true) } else { Err(format!("{what} went back from {before} to {now}")) }
}
