//! Election safety: at most one leader is elected in a term, ever, restarts included.

use std::collections::BTreeMap;

use super::shadow::Settled;
use super::{Invariant, Judgement, Shadow};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<u64, u64>,
}

impl Invariant for ElectionSafety {
    fn name(&self) -> &'static str {
        "election safety"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 3 and section 5.2"
    }

    fn forget_before(&mut self, settled: Settled) {
        self.leaders.retain(|term, _| *term >= settled.term);
    }

    fn before(&mut self, _shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let NodeEvent::RoleChanged { role: NodeRole::Leader, term } = event else { return Ok(false) };
        let leader = *self.leaders.entry(*term).or_insert(node);
        if leader == node {
            Ok(true)
        } else {
            Err(format!("node {node} leads in term {term}, in which node {leader} has led"))
        }
    }
}
