//! Terms never go back, across restarts too, as far as they were durable; commit index and applied index
//! never go back within one life of a node.

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
            NodeEvent::Stopped | NodeEvent::Truncated { .. } | NodeEvent::Appended { .. } => Ok(false),
        }
    }
}

fn rises(what: &str, before: u64, now: u64) -> Judgement {
    if now >= before { Ok(true) } else { Err(format!("{what} went back from {before} to {now}")) }
}
