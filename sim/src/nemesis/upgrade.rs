//! `upgrade`: an operator stops node after node, and starts it again as a newer program on the same disk.
//!
//! **Legal:** one node at a time; each is told to stop, hands over first if it leads, and ends by itself. The
//! next one's turn comes when this one runs again and has applied what the others had.
//!
//! **Effect:** every target stopped by itself and runs again, and the version that the cluster speaks rose
//! after the last one had started, and not before.

use std::collections::{BTreeSet, VecDeque};

use super::family::{Active, Reach, nodes_of};
use super::{Effect, Process};

/// How often the nemesis looks how far the node is.
const POLL_US: u64 = 10_000;

enum Stage {
    /// Nobody is being restarted.
    Next,
    /// This node was told to stop.
    Stopping(u64),
    /// This node was started again, and is to apply up to here.
    Starting(u64, u64),
}

pub(super) struct Upgrade {
    waiting: VecDeque<u64>,
    stage: Stage,
    effect: Effect,
    targets: u64,
    version_before: u16,
    raised_too_early: bool,
}

pub(super) fn begin(targets: &BTreeSet<Process>, reach: &mut Reach<'_>) -> Upgrade {
    let nodes = nodes_of(targets);
    Upgrade {
        targets: nodes.len() as u64,
        waiting: nodes.into(),
        stage: Stage::Next,
        effect: Effect::default(),
        version_before: reach.surface.version(),
        raised_too_early: false,
    }
}

impl Upgrade {
    fn go_on(&mut self, reach: &mut Reach<'_>) {
        match self.stage {
            Stage::Next => {
                let Some(node) = self.waiting.pop_front() else { return };
                reach.holds.keep_down(node);
                reach.operator.stop_for_upgrade(node);
                self.stage = Stage::Stopping(node);
            }
            Stage::Stopping(node) if !reach.surface.is_up(node) => {
                let started = reach.holds.restart(reach.surface, node);
                self.effect.processes_restarted += u64::from(started);
                let furthest = (1..=reach.surface.nodes()).map(|other| reach.surface.applied(other)).max();
                self.stage = Stage::Starting(node, furthest.unwrap_or(0));
            }
            Stage::Starting(node, index)
                if reach.surface.is_up(node) && reach.surface.applied(node) >= index =>
            {
                self.effect.nodes_upgraded += 1;
                self.stage = Stage::Next;
            }
            Stage::Stopping(_) | Stage::Starting(..) => {}
        }
    }

    fn all_started(&self) -> bool {
        self.waiting.is_empty() && !matches!(self.stage, Stage::Stopping(_))
    }
}

impl Active for Upgrade {
    fn turn(&mut self, reach: &mut Reach<'_>) -> Option<u64> {
        let is_raised = reach.surface.version() > self.version_before;
        self.raised_too_early |= is_raised && !self.all_started();
        self.go_on(reach);
        Some(reach.now_us.saturating_add(POLL_US))
    }

    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        self.turn(reach);
        if let Stage::Stopping(node) = self.stage {
            reach.surface.crash(node, false);
            reach.holds.restart(reach.surface, node);
        }
        let version = reach.surface.version();
        let is_raised = version > self.version_before;
        self.effect.version_raised_to = if is_raised { u64::from(version) } else { 0 };
        let all = self.effect.nodes_upgraded == self.targets;
        (self.effect, all && is_raised && !self.raised_too_early)
    }
}
