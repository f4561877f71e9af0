//! `disk-stall`: a disk answers nothing for a while, as when a controller resets or a queue is full.
//!
//! **Legal:** every operation of the disk waits, then goes on as if nothing had happened; none fails, none
//! is lost, none overtakes another because of it. The process itself goes on.
//!
//! **Effect:** at least one operation was held up.

use std::collections::BTreeSet;

use super::family::{Active, Reach, nodes_of};
use super::{Effect, Process};

pub(super) struct DiskStall {
    nodes: Vec<u64>,
}

pub(super) fn begin(targets: &BTreeSet<Process>, reach: &mut Reach<'_>) -> DiskStall {
    let nodes = nodes_of(targets);
    for node in &nodes {
        reach.holds.stall(reach.surface, *node);
    }
    DiskStall { nodes }
}

impl Active for DiskStall {
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        let held = self.nodes.iter().map(|node| reach.holds.unstall(reach.surface, *node)).sum();
        (Effect { disk_operations_held: held, ..Effect::default() }, held > 0)
    }
}
