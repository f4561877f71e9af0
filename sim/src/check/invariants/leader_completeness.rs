//! Leader completeness: an entry committed in some term is in the logs of the leaders of all later terms.

use super::{Invariant, Judgement, Shadow};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct LeaderCompleteness;

impl Invariant for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "leader completeness"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 3 and section 5.4"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let NodeEvent::RoleChanged { role: NodeRole::Leader, term } = event else { return Ok(false) };
        let index = shadow.committed_before_term(*term);
        let Some(committed) = shadow.committed_at(index) else { return Ok(true) };
        match shadow.node(node).slot(index) {
            Some(slot) if slot.prefix == committed.slot.prefix => Ok(true),
            Some(_) => Err(format!(
                "node {node} leads in term {term}, but its log differs from what was committed up to {index} \
                 in earlier terms"
            )),
            None => Err(format!(
                "node {node} leads in term {term} with a log that ends at {}, but entries up to {index} were \
                 committed in earlier terms",
                shadow.node(node).last_index()
            )),
        }
    }
}
