//! Leader append-only: a leader never removes or overwrites an entry of its log.

use super::{Invariant, Judgement, Shadow};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct LeaderAppendOnly;

impl Invariant for LeaderAppendOnly {
    fn name(&self) -> &'static str {
        "leader append-only"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 3 and section 5.3"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let state = shadow.node(node);
        if state.role != NodeRole::Leader {
            return Ok(false);
        }
        match event {
            // Entries enter at the end: the contract of the event stream sees to that.
            NodeEvent::Appended { slot, .. } if slot.term == state.term => Ok(true),
            NodeEvent::Appended { index, slot } => {
                Err(format!("the leader of term {} created entry {index} in term {}", state.term, slot.term))
            }
            NodeEvent::Truncated { from } => {
                Err(format!("the leader of term {} cut its log from {from} on", state.term))
            }
            NodeEvent::SnapshotReceived { snapshot } => {
                let covered = snapshot.index;
                Err(format!(
                    "the leader of term {} put a snapshot up to {covered} in place of its log",
                    state.term
                ))
            }
            _ => Ok(false),
        }
    }
}
