//! `partition`, `one-way` and `disconnect-clients`: links are cut.
//!
//! **Legal:** any link, in one direction or both, at any time, frames on their way included. A partition
//! cuts every link between its targets and the nodes that are no targets, both ways; clients that are not
//! targets still reach everybody, which is the harder case: they see both sides. Clients that are targets
//! reach target nodes only. `disconnect-clients` is the same with clients as targets: they reach no node.
//! `one-way` cuts the frames from one end to the other, and none that go back.
//!
//! **Effect:** at least one frame was dropped.

use std::collections::BTreeSet;

use super::family::{Active, Reach};
use super::{Effect, LinkAction, Process, RuleId};
use crate::plant::{self, Flaw};

pub(super) struct Cut {
    rules: Vec<RuleId>,
    effect: Effect,
}

pub(super) fn begin_both_ways(targets: &BTreeSet<Process>, reach: &mut Reach<'_>) -> Cut {
    let rest: BTreeSet<Process> =
        (1..=reach.surface.nodes()).map(Process::Node).filter(|node| !targets.contains(node)).collect();
    if plant::is(Flaw::FaultInert) {
        return Cut { rules: Vec::new(), effect: Effect { cuts: 1, ..Effect::default() } };
    }
    let rules = vec![
        reach.surface.add_link_rule(targets, &rest, LinkAction::Cut),
        reach.surface.add_link_rule(&rest, targets, LinkAction::Cut),
    ];
    Cut { rules, effect: Effect { cuts: 1, ..Effect::default() } }
}

pub(super) fn begin_one_way(from: &BTreeSet<Process>, to: &BTreeSet<Process>, reach: &mut Reach<'_>) -> Cut {
    let to: BTreeSet<Process> = to.difference(from).copied().collect();
    let rules = vec![reach.surface.add_link_rule(from, &to, LinkAction::Cut)];
    Cut { rules, effect: Effect { cuts: 1, ..Effect::default() } }
}

impl Active for Cut {
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        for rule in self.rules.drain(..) {
            self.effect.add_rule(reach.surface.remove_link_rule(rule));
        }
        (self.effect, self.effect.frames_dropped > 0)
    }
}
