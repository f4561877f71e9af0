//! Durable vote: a node votes for at most one candidate in a term, restarts included, and a leader has the
//! durable votes of a majority of the voters that it goes by; of both halves of them while they are joint.
//!
//! A vote that was not durable when its node died may vanish: it was never announced. What was reported
//! durable must be recovered. A vote given in a term also stands once a later term is durable, because the
//! node can then never vote in the earlier one again.

use std::collections::BTreeMap;

use super::members::{is_quorum, show};
use super::shadow::Settled;
use super::{Invariant, Judgement, Shadow};
use crate::history::{NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct DurableVote {
    /// Votes that stand, by voter and term.
    given: BTreeMap<(u64, u64), u64>,
}

impl Invariant for DurableVote {
    fn name(&self) -> &'static str {
        "durable vote"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 2 (persistent state), sections 5.2 and 6"
    }

    fn forget_before(&mut self, settled: Settled) {
        self.given.retain(|(_, term), _| *term >= settled.term);
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        match event {
            NodeEvent::Voted { term, candidate } => self.vote(node, *term, *candidate),
            NodeEvent::Started { term, voted_for, .. } => self.recover(shadow, node, *term, *voted_for),
            NodeEvent::RoleChanged { role: NodeRole::Leader, term } => self.elected(shadow, node, *term),
            _ => Ok(false),
        }
    }
}

impl DurableVote {
    fn vote(&mut self, node: u64, term: u64, candidate: u64) -> Judgement {
        match self.given.insert((node, term), candidate) {
            Some(before) if before != candidate => Err(format!(
                "node {node} votes for node {candidate} in term {term}, in which it has voted for node {before}"
            )),
            _ => Ok(true),
        }
    }

    fn recover(&mut self, shadow: &Shadow, node: u64, term: u64, voted_for: Option<u64>) -> Judgement {
        let state = shadow.node(node);
        let given = self.given.get(&(node, term)).copied();
        // Votes that were not durable are gone, and may be given to another.
        self.given.retain(|(voter, voted_in), candidate| {
            *voter != node || *voted_in < term || (*voted_in == term && Some(*candidate) == voted_for)
        });
        if let Some(candidate) = voted_for {
            self.given.insert((node, term), candidate);
        }
        if state.durable_term == term && state.durable_vote.is_some() && state.durable_vote != voted_for {
            return Err(format!(
                "the vote for node {} in term {term} was durable, but {voted_for:?} was recovered",
                state.durable_vote.unwrap_or_default()
            ));
        }
        match (given, voted_for) {
            (Some(given), Some(recovered)) if given != recovered => Err(format!(
                "in term {term} the node voted for node {given}, but recovered a vote for node {recovered}"
            )),
            _ => Ok(true),
        }
    }

    fn elected(&self, shadow: &Shadow, leader: u64, term: u64) -> Judgement {
        let backs = |voter| {
            let state = shadow.node(voter);
            let durable = state.durable_term > term
                || (state.durable_term == term && state.durable_vote == Some(leader));
            durable && self.given.get(&(voter, term)) == Some(&leader)
        };
        let members = &shadow.node(leader).members;
        if is_quorum(members, backs) {
            return Ok(true);
        }
        let voters: Vec<u64> = shadow.nodes().map(|(node, _)| node).filter(|node| backs(*node)).collect();
        Err(format!(
            "node {leader} leads in term {term} by the durable votes of {voters:?} only, of {}",
            show(members)
        ))
    }
}
