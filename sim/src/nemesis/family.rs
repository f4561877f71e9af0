//! What every family of faults can do: take hold, and end.

use std::collections::BTreeSet;

use super::holds::Holds;
use super::operator::Operator;
use super::{
    Effect, Process, Surface, clock_drift, crash, degrade, disk_stall, flap, members, partition, pause,
    redis, replace, transfer, upgrade,
};
use crate::history::VirtualTime;
use crate::plan::Action;

/// What a fault may touch.
pub(super) struct Reach<'a> {
    pub(super) surface: &'a dyn Surface,
    pub(super) operator: &'a dyn Operator,
    pub(super) holds: &'a mut Holds,
    /// True time, in microseconds since the run began.
    pub(super) now_us: u64,
    /// When the fault ends, in the same terms.
    pub(super) until_us: u64,
}

impl Reach<'_> {
    /// When the fault ends.
    pub(super) const fn until(&self) -> VirtualTime {
        VirtualTime(self.until_us.saturating_mul(1_000))
    }
}

/// The two ends of a fault's links, or in `first` alone whom it hits.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    pub(super) first: BTreeSet<Process>,
    pub(super) second: BTreeSet<Process>,
}

/// A fault that has taken hold.
pub(super) trait Active: Send {
    /// For faults that come and go: called at the times that it asked for; says when next, if at all.
    fn turn(&mut self, _reach: &mut Reach<'_>) -> Option<u64> {
        None
    }

    /// Undoes the fault. Says what it did, and whether that counts by the family's rule.
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool);
}

/// Makes a fault take hold.
pub(super) fn begin(number: usize, action: &Action, ends: Ends, reach: &mut Reach<'_>) -> Box<dyn Active> {
    match action {
        Action::Crash { .. } => Box::new(crash::begin(&ends.first, false, reach)),
        Action::PowerLoss { .. } => Box::new(crash::begin(&ends.first, true, reach)),
        Action::Pause { .. } => Box::new(pause::begin(ends.first, reach)),
        Action::Partition { .. } | Action::DisconnectClients { .. } => {
            Box::new(partition::begin_both_ways(&ends.first, reach))
        }
        Action::OneWay { .. } => Box::new(partition::begin_one_way(&ends.first, &ends.second, reach)),
        Action::Flap { down_ms, up_ms, .. } => Box::new(flap::begin(ends.first, *down_ms, *up_ms, reach)),
        Action::Degrade { to, loss, duplicate, delay_us, jitter_us, .. } => {
            let wanted = degrade::Wanted {
                loss: *loss,
                duplicate: *duplicate,
                delay_us: *delay_us,
                jitter_us: *jitter_us,
            };
            let towards = to.is_some().then_some(&ends.second);
            Box::new(degrade::begin(&ends.first, towards, wanted, reach))
        }
        Action::DiskStall { .. } => Box::new(disk_stall::begin(&ends.first, reach)),
        Action::Transfer { .. } => Box::new(transfer::begin(number, ends.second.first().copied(), reach)),
        Action::Members { learner, once_caught_up, joint, .. } => {
            let manner =
                members::Manner { learner: *learner, once_caught_up: *once_caught_up, joint: *joint };
            Box::new(members::begin(number, &ends, manner, reach))
        }
        Action::Replace { .. } => Box::new(replace::begin(number, &ends.first, reach)),
        Action::Redis { harm, .. } => Box::new(redis::begin(&ends.first, *harm, reach)),
        Action::Upgrade { .. } => Box::new(upgrade::begin(&ends.first, reach)),
        Action::ClockDrift { ppm, .. } => Box::new(clock_drift::begin(number, ends.first, *ppm, reach)),
    }
}

/// The numbers of the nodes among some processes.
pub(super) fn nodes_of(processes: &BTreeSet<Process>) -> Vec<u64> {
    let node = |process: &Process| match process {
        Process::Node(number) => Some(*number),
        Process::Client(_) => None,
    };
    processes.iter().filter_map(node).collect()
}

/// The numbers of the clients among some processes.
pub(super) fn clients_of(processes: &BTreeSet<Process>) -> Vec<u64> {
    let client = |process: &Process| match process {
        Process::Client(number) => Some(*number),
        Process::Node(_) => None,
    };
    processes.iter().filter_map(client).collect()
}

/// Every process of the cluster.
pub(super) fn everyone(surface: &dyn Surface) -> BTreeSet<Process> {
    let nodes = (1..=surface.nodes()).map(Process::Node);
    nodes.chain((1..=surface.clients()).map(Process::Client)).chain(surface.operator()).collect()
}
