//! Commit in one's own term: a leader's commit index only ever moves to an entry of its own term. Entries of
//! earlier terms are committed along with it, never by being counted themselves.

use super::{Invariant, Judgement, Shadow};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct CommitInOwnTerm;

impl Invariant for CommitInOwnTerm {
    fn name(&self) -> &'static str {
        "commit in one's own term"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 8 and section 5.4.2"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        match event {
            NodeEvent::Committed { index } if own.role == NodeRole::Leader => match own.slot(*index) {
                Some(slot) if slot.slot.term == own.term => Ok(true),
                Some(slot) => Err(format!(
                    "the leader of term {} moved its commit index to entry {index} of term {}",
                    own.term, slot.slot.term
                )),
                None => Err(format!("the leader committed entry {index}, which its log does not hold")),
            },
            _ => Ok(false),
        }
    }
}
