//! Commit is learnt: a node that does not lead never commits beyond what some leader has committed.
//!
//! Only a leader decides that an entry is committed; a follower whose commit index runs ahead guesses, and
//! applies what may yet be overwritten. Logs that happen to agree hide such a guess from every invariant
//! that compares entries. A snapshot says that what it covers is committed.

use super::{Invariant, Judgement, Shadow};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct CommitIsLearnt {
    /// The highest index that a leader has committed.
    decided: u64,
}

impl Invariant for CommitIsLearnt {
    fn name(&self) -> &'static str {
        "commit is learnt"
    }

    fn source(&self) -> &'static str {
        "Raft paper, section 5.3 and Figure 2 (AppendEntries, rule 5)"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let index = match event {
            NodeEvent::Committed { index } => index,
            NodeEvent::SnapshotReceived { snapshot } => &snapshot.index,
            _ => return Ok(false),
        };
        if shadow.node(node).role == NodeRole::Leader && matches!(event, NodeEvent::Committed { .. }) {
            self.decided = self.decided.max(*index);
            return Ok(true);
        }
        if *index <= self.decided {
            Ok(true)
        } else {
            Err(format!("it commits up to {index}, but leaders have committed up to {} only", self.decided))
        }
    }
}
