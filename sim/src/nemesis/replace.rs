//! `replace`: a node loses its disk for good, and an operator puts a spare in its place.
//!
//! **Legal:** for as many nodes as are a minority. The process dies with its disk and is never started again:
//! under its old id it would have forgotten its votes. The operator removes it and adds a node with an empty
//! disk under an id of its own, which votes once it has caught up. Nothing is undone at the end.
//!
//! **Effect:** a live process was killed, its spare came into force as a voter, the lost node left, and the
//! spare has applied the entry that made it a voter.

use std::collections::BTreeSet;

use super::family::{Active, Reach, nodes_of};
use super::operator::{MemberStep, Order};
use super::{Effect, Process};

/// How often the nemesis looks how far the spare is.
const POLL_US: u64 = 10_000;

pub(super) struct Replace {
    number: usize,
    lost: Vec<u64>,
    spares: Vec<u64>,
    effect: Effect,
    changes_before: u64,
    /// Each spare, with the index of the members that made it a voter.
    voters_since: Vec<(u64, u64)>,
    caught_up: BTreeSet<u64>,
}

/// Destroys the targets, as far as a majority of the voters keeps its disks and there are spares.
pub(super) fn begin(number: usize, targets: &BTreeSet<Process>, reach: &mut Reach<'_>) -> Replace {
    let members = reach.surface.members();
    let voters = reach.surface.voters();
    let already_lost = voters.iter().filter(|node| reach.holds.is_lost(**node)).count();
    let room = (voters.len().saturating_sub(1) / 2).saturating_sub(already_lost);
    let outsiders = super::target::outsiders(reach.surface, reach.holds);
    let lost: Vec<u64> =
        nodes_of(targets).into_iter().filter(|node| !reach.holds.is_lost(*node)).take(room).collect();
    let spares: Vec<u64> = outsiders.into_iter().take(lost.len()).collect();
    let mut replace = Replace {
        number,
        lost: lost.into_iter().take(spares.len()).collect(),
        spares,
        effect: Effect::default(),
        changes_before: members.changes,
        voters_since: Vec::new(),
        caught_up: BTreeSet::new(),
    };
    let mut steps = Vec::new();
    for (node, spare) in replace.lost.iter().zip(&replace.spares) {
        let crash = reach.holds.destroy(reach.surface, *node);
        replace.effect.processes_killed += u64::from(crash.killed);
        replace.effect.disks_lost += 1;
        steps.push(MemberStep { remove: vec![*node], ..MemberStep::default() });
        steps.push(MemberStep { add_once_caught_up: vec![*spare], ..MemberStep::default() });
    }
    if !steps.is_empty() {
        reach.operator.order(number, Order::Members(steps), reach.until());
    }
    replace
}

impl Active for Replace {
    fn turn(&mut self, reach: &mut Reach<'_>) -> Option<u64> {
        let now = reach.surface.members();
        for spare in &self.spares {
            let is_known = self.voters_since.iter().any(|(node, _)| node == spare);
            if !is_known && now.members.voters.contains(spare) {
                self.voters_since.push((*spare, now.index));
            }
        }
        for (spare, index) in &self.voters_since {
            if reach.surface.applied(*spare) >= *index {
                self.caught_up.insert(*spare);
            }
        }
        Some(reach.now_us.saturating_add(POLL_US))
    }

    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        self.turn(reach);
        let now = reach.surface.members();
        let is_done = reach.operator.is_done(self.number);
        self.effect.orders_done = u64::from(is_done);
        self.effect.members_changes = now.changes.saturating_sub(self.changes_before);
        self.effect.voters_replaced = self.caught_up.len() as u64;
        let all_gone = self.lost.iter().all(|node| !now.members.voters.contains(node));
        let all_came = self.caught_up.len() == self.lost.len();
        (self.effect, is_done && self.effect.processes_killed > 0 && all_gone && all_came)
    }
}
