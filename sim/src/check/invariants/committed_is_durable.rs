//! Committed is durable: when a leader's commit index rises, a majority of the nodes, itself perhaps
//! included, has reported the log up to it durable.

use super::{Invariant, Judgement, Shadow, ShadowNode};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct CommittedIsDurable;

impl Invariant for CommittedIsDurable {
    fn name(&self) -> &'static str {
        "committed is durable"
    }

    fn source(&self) -> &'static str {
        "Raft paper, sections 5.3 and 5.4; thesis, section 10.2.1"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        let NodeEvent::Committed { index } = event else { return Ok(false) };
        if own.role != NodeRole::Leader {
            return Ok(false);
        }
        let Some(slot) = own.slot(*index) else {
            return Err(format!(
                "the leader commits up to {index}, but its log ends at {}",
                own.last_index()
            ));
        };
        let holds = |(_, state): &(u64, &ShadowNode)| {
            state.durable_possible >= *index
                && state.slot(*index).is_some_and(|held| held.prefix == slot.prefix)
        };
        let holders: Vec<u64> = shadow.nodes().filter(holds).map(|(holder, _)| holder).collect();
        if holders.len() >= shadow.majority() {
            Ok(true)
        } else {
            Err(format!("the leader commits up to {index}, which is durable on nodes {holders:?} only"))
        }
    }
}
