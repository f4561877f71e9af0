//! `members`: an operator changes who belongs to the cluster.
//!
//! **Legal:** any change that leaves a voter, one member at a time or several through a joint state. Who is
//! removed goes on running, and may not know it. Nothing is undone at the end: what an operator changes, stays.
//!
//! **Effect:** the cluster answered that it is done, and members came into force, no joint state any more, with
//! all who were to be added (as voters, or as learners if asked for) and none who were to be removed. That was
//! not so before.

use std::collections::BTreeSet;

use super::family::{Active, Ends, Reach, nodes_of};
use super::operator::{MemberStep, Order};
use super::{Effect, MembersInForce};

/// How often the nemesis looks who belongs to the cluster.
const POLL_US: u64 = 10_000;

/// How members are changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) learner: bool,
    pub(super) once_caught_up: bool,
    pub(super) joint: bool,
}

pub(super) struct Members {
    number: usize,
    add: BTreeSet<u64>,
    remove: BTreeSet<u64>,
    learner: bool,
    changes_before: u64,
    was_so: bool,
    is_so: bool,
}

/// Removes the first end and adds the second.
pub(super) fn begin(number: usize, ends: &Ends, manner: Manner, reach: &mut Reach<'_>) -> Members {
    let (remove, add) = (nodes_of(&ends.first), nodes_of(&ends.second));
    let now = reach.surface.members();
    let mut members = Members {
        number,
        add: add.iter().copied().collect(),
        remove: remove.iter().copied().collect(),
        learner: manner.learner,
        changes_before: now.changes,
        was_so: false,
        is_so: false,
    };
    members.was_so = members.is_in_force(&now);
    if !add.is_empty() || !remove.is_empty() {
        reach.operator.order(number, Order::Members(steps(&add, &remove, manner)), reach.until());
    }
    members
}

/// Whoever comes, comes first: so a change that is left half done leaves more members and not fewer.
fn steps(add: &[u64], remove: &[u64], manner: Manner) -> Vec<MemberStep> {
    let adding = |nodes: &[u64]| {
        let nodes = nodes.to_vec();
        match manner {
            Manner { learner: true, .. } => MemberStep { add_learners: nodes, ..MemberStep::default() },
            Manner { once_caught_up: true, .. } => {
                MemberStep { add_once_caught_up: nodes, ..MemberStep::default() }
            }
            _ => MemberStep { add: nodes, ..MemberStep::default() },
        }
    };
    if manner.joint {
        return vec![MemberStep { remove: remove.to_vec(), joint: true, ..adding(add) }];
    }
    let removing = |node: &u64| MemberStep { remove: vec![*node], ..MemberStep::default() };
    add.iter().map(|node| adding(&[*node])).chain(remove.iter().map(removing)).collect()
}

impl Members {
    fn is_in_force(&self, now: &MembersInForce) -> bool {
        let seen = &now.members;
        let added_to = if self.learner { &seen.learners } else { &seen.voters };
        let gone = |node: &u64| !seen.voters.contains(node) && !seen.learners.contains(node);
        seen.outgoing.is_empty()
            && self.add.iter().all(|node| added_to.contains(node))
            && self.remove.iter().all(gone)
    }
}

impl Active for Members {
    fn turn(&mut self, reach: &mut Reach<'_>) -> Option<u64> {
        self.is_so |= self.is_in_force(&reach.surface.members());
        Some(reach.now_us.saturating_add(POLL_US))
    }

    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        self.turn(reach);
        let is_done = reach.operator.is_done(self.number);
        let changes = reach.surface.members().changes.saturating_sub(self.changes_before);
        let effect =
            Effect { orders_done: u64::from(is_done), members_changes: changes, ..Effect::default() };
        (effect, is_done && self.is_so && !self.was_so)
    }
}
