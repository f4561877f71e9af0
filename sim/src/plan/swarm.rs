//! Random faults from the seed, in the manner of swarm testing (Groce et al., ISSTA 2012): each seed
//! enables a random subset of the kinds, so that some runs see much of one kind and nothing of another,
//! which finds more than every run seeing a little of everything.
//!
//! Faults are dealt to lanes by what they touch. Within a lane they follow one another; lanes overlap. Two
//! lanes harm processes and disks, so that a node may fall while another is down; one lane harms links, one
//! clocks. Whole-cluster faults are kept short, so that a link fault always has somebody to harm.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Action, ClusterSpec, FaultKind, ScheduledFault, Selector, TimingSpec};
use crate::rng::StreamRng;

/// Most faults that a swarm may ask for.
pub const FAULTS_OF_SWARM_MAX: u64 = 1_000;
/// Least stretch of virtual time that each fault of a swarm needs in the faults' window.
pub(super) const SLOT_MS_MIN: u64 = 600;
/// Longest fault of a swarm, but for paused clients.
const FAULT_US_MAX: u64 = 4_000_000;
/// Longest fault that takes all nodes.
const WHOLE_CLUSTER_US_MAX: u64 = 900_000;
/// Shortest fault of a swarm: longer than the longest election timeout by default, so that a node which is
/// cut off hears from a leader or campaigns, and the fault has something to do.
const FAULT_US_MIN: u64 = 700_000;
/// Shortest fault that cuts clients off: even one that waits in line for a lock says something every second,
/// so that the cut has something to drop.
const CLIENTS_CUT_OFF_US_MIN: u64 = 1_200_000;
const LANES: usize = 5;
/// Changes of the members follow one another, so that one lost disk is replaced before the next is lost.
const OPERATOR_LANE: usize = 4;
/// Least time for an operator to carry out what it wants, while other faults go on.
const OPERATION_US_MIN: u64 = 1_500_000;

/// `[swarm]`: how random the faults are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwarmSpec {
    /// The kinds from which each seed enables some. Default: all but `upgrade`, of which there is one at most.
    pub kinds: Vec<FaultKind>,
    /// Least number of faults, 1 or more. Default 4.
    pub faults_min: u64,
    /// Most faults, up to [`FAULTS_OF_SWARM_MAX`]. Default 12.
    pub faults_max: u64,
}

impl Default for SwarmSpec {
    fn default() -> Self {
        let is_general = |kind: &FaultKind| !matches!(kind, FaultKind::Upgrade | FaultKind::Redis);
        let kinds = FaultKind::ALL.into_iter().filter(is_general).collect();
        Self { kinds, faults_min: 4, faults_max: 12 }
    }
}

/// Draws a swarm's faults. `drift_ppm_max` bounds its clock faults.
pub(super) fn draw(
    spec: &SwarmSpec,
    timing: &TimingSpec,
    cluster: &ClusterSpec,
    drift_ppm_max: u64,
    stream: &mut StreamRng,
) -> Vec<ScheduledFault> {
    let possible: Vec<FaultKind> =
        spec.kinds.iter().copied().filter(|kind| is_possible(*kind, cluster, drift_ppm_max)).collect();
    if possible.is_empty() {
        return Vec::new();
    }
    let mut enabled: Vec<FaultKind> = possible.iter().copied().filter(|_| stream.random_bool(0.5)).collect();
    if enabled.is_empty() {
        enabled.push(possible[stream.random_range(0..possible.len())]);
    }
    let count = stream.random_range(spec.faults_min..=spec.faults_max);
    let mut lanes: [Vec<FaultKind>; LANES] = Default::default();
    let mut disks_to_lose = cluster.spares.saturating_sub(1);
    for _ in 0..count {
        let mut kind = enabled[stream.random_range(0..enabled.len())];
        if kind == FaultKind::Replace {
            kind = if disks_to_lose > 0 { kind } else { FaultKind::Transfer };
            disks_to_lose = disks_to_lose.saturating_sub(1);
        }
        lanes[lane_of(kind, stream)].push(kind);
    }
    let mut faults = Vec::new();
    for lane in lanes {
        fill_lane(&lane, timing, cluster.nodes, drift_ppm_max, stream, &mut faults);
    }
    faults
}

/// Whether a cluster this small, with clocks this good, can suffer the kind at all.
pub(super) fn is_possible(kind: FaultKind, cluster: &ClusterSpec, drift_ppm_max: u64) -> bool {
    let nodes = cluster.nodes;
    match kind {
        FaultKind::Transfer => nodes >= 2,
        FaultKind::Members => nodes >= 3 && cluster.spares >= 1,
        // One spare is left for changes of the members.
        FaultKind::Replace => nodes >= 3 && cluster.spares >= 2,
        // A version is raised once in a run, after the last node is new.
        FaultKind::Upgrade | FaultKind::Redis => false,
        FaultKind::Partition | FaultKind::OneWay | FaultKind::Flap => nodes >= 3,
        FaultKind::ClockDrift => drift_ppm_max > 0,
        _ => true,
    }
}

fn lane_of(kind: FaultKind, stream: &mut StreamRng) -> usize {
    match kind {
        FaultKind::Crash | FaultKind::PowerLoss | FaultKind::Pause | FaultKind::DiskStall => {
            stream.random_range(0..2)
        }
        FaultKind::Partition
        | FaultKind::OneWay
        | FaultKind::Flap
        | FaultKind::Degrade
        | FaultKind::DisconnectClients => 2,
        FaultKind::ClockDrift | FaultKind::Redis => 3,
        FaultKind::Transfer | FaultKind::Members | FaultKind::Replace | FaultKind::Upgrade => OPERATOR_LANE,
    }
}

/// Gives each fault of a lane a slot of the faults' window, all of one length.
fn fill_lane(
    lane: &[FaultKind],
    timing: &TimingSpec,
    nodes: u64,
    drift_ppm_max: u64,
    stream: &mut StreamRng,
    faults: &mut Vec<ScheduledFault>,
) {
    let from_us = timing.faults_from_ms * 1_000;
    let window_us = timing.faults_until_ms * 1_000 - from_us;
    let slot_us = window_us / (lane.len() as u64).max(1);
    for (slot, kind) in lane.iter().enumerate() {
        let action = draw_action(*kind, nodes, drift_ppm_max, stream);
        let targets_all = action.selectors().iter().any(|(_, target)| **target == Selector::All);
        let stops_all = targets_all && *kind != FaultKind::Degrade;
        let longest_us = if stops_all { WHOLE_CLUSTER_US_MAX } else { longest_us(&action) };
        let begin_us = stream.random_range(0..=slot_us.saturating_sub(FAULT_US_MIN) / 2);
        let room_us = slot_us - begin_us;
        let for_us = stream.random_range(shortest_us(&action).min(room_us)..=longest_us.min(room_us));
        faults.push(ScheduledFault {
            at_us: from_us + slot_us * slot as u64 + begin_us,
            for_us,
            pick: stream.random_range(0..=u32::MAX),
            serves_within_us: None,
            action,
        });
    }
}

const fn shortest_us(action: &Action) -> u64 {
    match action {
        Action::DisconnectClients { .. } => CLIENTS_CUT_OFF_US_MIN,
        Action::Transfer { .. } | Action::Members { .. } | Action::Replace { .. } => OPERATION_US_MIN,
        _ => FAULT_US_MIN,
    }
}

/// Clients may stand still for longer than any lease.
fn longest_us(action: &Action) -> u64 {
    match action {
        Action::Pause { target } if target.has_clients() => 3 * FAULT_US_MAX,
        _ => FAULT_US_MAX,
    }
}

fn draw_action(kind: FaultKind, nodes: u64, drift_ppm_max: u64, stream: &mut StreamRng) -> Action {
    use Selector::{
        All, Any, Clients, Follower, HalfOfClients, Leader, LeaderAndMinority, MajorityWithoutLeader,
        Minority, OneClient, Others,
    };
    let mut one_of = |choices: &[Selector]| {
        let small: Vec<&Selector> = choices.iter().filter(|choice| fits(choice, nodes)).collect();
        small[stream.random_range(0..small.len())].clone()
    };
    match kind {
        FaultKind::Crash => Action::Crash {
            target: one_of(&[Any, Leader, Follower, Minority, Leader, All, OneClient, HalfOfClients]),
        },
        FaultKind::PowerLoss => {
            Action::PowerLoss { target: one_of(&[Any, Leader, Follower, Minority, LeaderAndMinority, All]) }
        }
        FaultKind::Pause => Action::Pause {
            target: one_of(&[Any, Leader, Leader, Follower, Minority, OneClient, HalfOfClients]),
        },
        FaultKind::DiskStall => Action::DiskStall { target: one_of(&[Any, Leader, Follower, Minority]) },
        FaultKind::Partition => {
            Action::Partition { target: one_of(&[Leader, LeaderAndMinority, Minority, Any]) }
        }
        FaultKind::OneWay => {
            let (from, to) = match stream.random_range(0..5) {
                0 => (Leader, Others),
                1 => (Others, Leader),
                2 => (Follower, Others),
                // Some fall behind, whom the others may yet be asked to vote for.
                3 if nodes >= 3 => (Leader, Minority),
                _ => (Leader, MajorityWithoutLeader),
            };
            Action::OneWay { from, to }
        }
        FaultKind::Flap => {
            let target = one_of(&[Leader, Any, Minority]);
            let down_ms = stream.random_range(50..=800);
            Action::Flap { target, down_ms, up_ms: stream.random_range(50..=800) }
        }
        FaultKind::Degrade => {
            let target = one_of(&[All, All, Leader, Minority]);
            draw_degrade(target, stream)
        }
        FaultKind::DisconnectClients => {
            Action::DisconnectClients { target: one_of(&[OneClient, HalfOfClients, Clients]) }
        }
        FaultKind::ClockDrift => {
            let target = one_of(&[Any, Leader, Minority, OneClient, HalfOfClients]);
            let bound = i64::try_from(drift_ppm_max).unwrap_or(i64::MAX);
            let ppm = if stream.random_bool(0.5) { bound } else { -bound };
            Action::ClockDrift { target, ppm, beyond_bound: false }
        }
        FaultKind::Transfer => {
            let to = one_of(&[Follower, Follower, Any]);
            Action::Transfer { to: (to == Follower).then_some(to) }
        }
        FaultKind::Members => draw_members(stream),
        FaultKind::Replace => Action::Replace { target: one_of(&[Follower, Leader, Any]) },
        FaultKind::Upgrade | FaultKind::Redis => unreachable!("a swarm neither upgrades nor knows a Redis"),
    }
}

/// Changes that keep as many voters as there were: who leaves makes room for who comes, or comes back.
fn draw_members(stream: &mut StreamRng) -> Action {
    let remove = if stream.random_bool(0.5) { Selector::Follower } else { Selector::Leader };
    let once_caught_up = stream.random_bool(0.5);
    let joint = stream.random_bool(0.5);
    Action::Members {
        add: Some(Selector::Spare),
        remove: Some(remove),
        learner: false,
        once_caught_up,
        joint,
    }
}

fn fits(selector: &Selector, nodes: u64) -> bool {
    match selector {
        Selector::Minority => nodes >= 3,
        Selector::Follower => nodes >= 2,
        _ => true,
    }
}

fn draw_degrade(target: Selector, stream: &mut StreamRng) -> Action {
    let percent = |chance: u32| f64::from(chance) / 100.0;
    let loss = if stream.random_bool(0.5) { percent(stream.random_range(5..=30)) } else { 0.0 };
    let duplicate = if stream.random_bool(0.5) { percent(stream.random_range(5..=30)) } else { 0.0 };
    let delay_us = if stream.random_bool(0.5) { stream.random_range(500..=40_000) } else { 0 };
    let jitter_us = stream.random_range(200..=80_000);
    Action::Degrade { target, to: None, loss, duplicate, delay_us, jitter_us }
}

/// Reads `swarm = true` as the defaults and a table as settings.
pub(super) mod true_or_table {
    use std::fmt;

    use serde::de::value::MapAccessDeserializer;
    use serde::de::{Deserializer, Error, MapAccess, Visitor};
    use serde::{Deserialize, Serialize, Serializer};

    use super::SwarmSpec;

    pub(in crate::plan) fn serialize<S: Serializer>(
        swarm: &Option<SwarmSpec>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        swarm.serialize(serializer)
    }

    pub(in crate::plan) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SwarmSpec>, D::Error> {
        deserializer.deserialize_any(SwarmVisitor)
    }

    struct SwarmVisitor;

    impl<'de> Visitor<'de> for SwarmVisitor {
        type Value = Option<SwarmSpec>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false, or a table of settings")
        }

        fn visit_bool<E: Error>(self, wanted: bool) -> Result<Self::Value, E> {
            Ok(wanted.then(SwarmSpec::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            SwarmSpec::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
}
