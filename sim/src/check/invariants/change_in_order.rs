//! Change in order: changes of the members and of the version are made one at a time, and nobody leads who
//! may not know who votes.
//!
//! Members come into force where their entry is applied, not where it is appended. That is safe because
//! a leader proposes no change before it has committed in its term and applied the change before; and because
//! no node campaigns while it knows of a committed change that it has not applied. So members that two nodes
//! go by when they decide are at most one change apart; a candidate's log, too, holds at most one change that
//! it has not applied.

use super::{Invariant, Judgement, Shadow, ShadowNode};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct ChangeInOrder;

impl Invariant for ChangeInOrder {
    fn name(&self) -> &'static str {
        "change in order"
    }

    fn source(&self) -> &'static str {
        "Raft thesis, section 4.1, and its correction of 2015: a change waits for a commit of the leader's term"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        match event {
            NodeEvent::Appended { index, slot } if own.role == NodeRole::Leader && slot.change.is_some() => {
                proposes(own, *index)
            }
            NodeEvent::RoleChanged { role: NodeRole::Candidate, .. } => campaigns(own),
            _ => Ok(false),
        }
    }
}

fn proposes(own: &ShadowNode, index: u64) -> Judgement {
    if let Some((before, _)) = own.changes_after(own.applied).next() {
        return Err(format!(
            "the leader proposes change {index}, but has applied up to {} and not change {before}",
            own.applied
        ));
    }
    match own.slot(own.commit) {
        Some(held) if held.slot.term == own.term => Ok(true),
        _ => Err(format!(
            "the leader proposes change {index}, but has committed up to {} and nothing in its term {}",
            own.commit, own.term
        )),
    }
}

fn campaigns(own: &ShadowNode) -> Judgement {
    let mut unapplied = own.changes_after(own.applied);
    match (unapplied.next(), unapplied.next()) {
        (Some((change, _)), _) if change <= own.commit => Err(format!(
            "it campaigns, but has applied up to {} only and knows change {change} to be committed",
            own.applied
        )),
        (Some((first, _)), Some((second, _))) => Err(format!(
            "it campaigns, but has applied neither change {first} nor change {second} of its log"
        )),
        _ => Ok(true),
    }
}
