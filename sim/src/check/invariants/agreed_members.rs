//! Agreed members: after the same entry every node goes by the same members, which it has applied; and
//! members that follow each other in the log always overlap, so that no two quorums ever decide apart.
//!
//! A node goes by what it has applied when it campaigns, and is a voter there.

use super::members::{always_overlap, flaw, is_voter, show};
use super::{Invariant, Judgement, Shadow};
use crate::history::{MembersSeen, NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct AgreedMembers;

impl Invariant for AgreedMembers {
    fn name(&self) -> &'static str {
        "agreed members"
    }

    fn source(&self) -> &'static str {
        "Raft paper, section 6; thesis, section 4.1"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        match event {
            NodeEvent::MembershipChanged { index, members } => changed(shadow, node, *index, members),
            NodeEvent::RoleChanged { role: NodeRole::Candidate, .. } => campaigns(shadow, node),
            _ => Ok(false),
        }
    }
}

fn changed(shadow: &Shadow, node: u64, index: u64, members: &MembersSeen) -> Judgement {
    let applied = shadow.node(node).applied;
    if index > applied {
        return Err(format!("it goes by the members of entry {index}, but has applied up to {applied} only"));
    }
    if let Some(flaw) = flaw(members) {
        return Err(format!("it goes by {} from entry {index} on: {flaw}", show(members)));
    }
    let (since, before) = shadow.members_at(index);
    if shadow.brings_new_members(node, index) {
        if always_overlap(before, members) {
            return Ok(true);
        }
        return Err(format!(
            "{} of entry {index} can decide apart from {} of entry {since} before it",
            show(members),
            show(before)
        ));
    }
    if members == before {
        Ok(true)
    } else {
        Err(format!(
            "it goes by {} from entry {index} on, but the members then are those of entry {since}: {}",
            show(members),
            show(before)
        ))
    }
}

fn campaigns(shadow: &Shadow, node: u64) -> Judgement {
    let own = shadow.node(node);
    let (since, members) = shadow.members_at(own.applied);
    if own.members != *members {
        return Err(format!(
            "it campaigns by {}, but has applied up to {} and thus those of entry {since}: {}",
            show(&own.members),
            own.applied,
            show(members)
        ));
    }
    if is_voter(members, node) {
        Ok(true)
    } else {
        Err(format!("node {node} campaigns, but is no voter among {}", show(members)))
    }
}
