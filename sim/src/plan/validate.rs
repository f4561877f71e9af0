//! What no type can say: bounds, and how the tables of a scenario or schedule fit together.
//!
//! A check answers with the first [`Problem`], which names the key that is wrong; the loader looks up where
//! that key stands in the file.

use super::expect::expect;
use super::swarm::{FAULTS_OF_SWARM_MAX, SLOT_MS_MIN, is_possible};
use super::validate_workload::{KEYS_MAX, workload};
use super::{
    Action, ClockProfile, ClusterSpec, DiskProfile, ElectionSpec, FaultSpec, NetworkProfile, ReadsSpec,
    RedisHarm, SCHEDULE_FORMAT, Scenario, Schedule, SnapshotSpec, StorageKind, StorageSpec, TimingSpec,
};

/// Most nodes of a cluster.
pub const NODES_MAX: u64 = 31;
/// Most clients.
pub const CLIENTS_MAX: u64 = 1_000;
/// Longest run: an hour of virtual time, in milliseconds.
pub const END_MS_MAX: u64 = 3_600_000;
/// Most faults of a run.
pub const FAULTS_MAX: u64 = 10_000;
/// Greatest clock drift that can be simulated: from a tenth of true speed to nearly twice it.
pub const PPM_MAX: u64 = 900_000;
/// Longest delay of the network or a disk, in microseconds: a minute.
const LATENCY_US_MAX: u64 = 60_000_000;
/// The latest version that a node can speak.
pub const VERSION_MAX: u16 = 2;
/// Most entries between two snapshots, or behind one.
const SNAPSHOT_ENTRIES_MAX: u64 = 1_000_000_000;

/// Something wrong with a scenario or schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as a dotted path from the file's root, such as `faults.0.at_ms`; numbers index arrays.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

pub(super) type Judgement = Result<(), Problem>;

pub(super) fn problem(
    key: impl Into<String>,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Judgement {
    Err(Problem { key: key.into(), message: message.into(), hint: hint.into() })
}

/// Judges a scenario.
pub(super) fn scenario(scenario: &Scenario) -> Judgement {
    claim(&scenario.claim)?;
    expect(scenario.expect.as_ref())?;
    cluster(&scenario.cluster)?;
    profiles(&scenario.network, &scenario.disk, &scenario.clocks)?;
    workload(&scenario.workload)?;
    timing(&scenario.timing)?;
    election(&scenario.election, &scenario.cluster)?;
    snapshots_and_reads(&scenario.snapshots, &scenario.reads)?;
    storage(&scenario.storage)?;
    let mut count: u64 = 0;
    for (position, spec) in scenario.faults.iter().enumerate() {
        fault(scenario, position, spec)?;
        count = count.saturating_add(spec.times());
        if count > FAULTS_MAX {
            let message = format!("more than {FAULTS_MAX} faults");
            return problem(format!("faults.{position}"), message, "repeat less often");
        }
    }
    swarm(scenario)
}

/// Judges a schedule.
pub(super) fn schedule(schedule: &Schedule) -> Judgement {
    if schedule.format != SCHEDULE_FORMAT {
        let message =
            format!("format {} is not known: this program reads {SCHEDULE_FORMAT}", schedule.format);
        return problem("format", message, "replay it with the version that wrote it");
    }
    claim(&schedule.claim)?;
    expect(schedule.expect.as_ref())?;
    cluster(&schedule.cluster)?;
    profiles(&schedule.network, &schedule.disk, &schedule.clocks)?;
    workload(&schedule.workload)?;
    timing(&schedule.timing)?;
    election(&schedule.election, &schedule.cluster)?;
    snapshots_and_reads(&schedule.snapshots, &schedule.reads)?;
    storage(&schedule.storage)?;
    if schedule.faults.len() as u64 > FAULTS_MAX {
        return problem("faults", format!("more than {FAULTS_MAX} faults"), "keep fewer");
    }
    let timing = &schedule.timing;
    for (position, fault) in schedule.faults.iter().enumerate() {
        let key = |name: &str| format!("faults.{position}.{name}");
        if fault.for_us == 0 {
            return problem(key("for_us"), "the fault lasts 0 microseconds", "give it 1 or more");
        }
        let window_us = timing.faults_from_ms * 1_000..=timing.faults_until_ms * 1_000;
        if !window_us.contains(&fault.at_us) || !window_us.contains(&fault.until_us()) {
            let message = format!(
                "the fault lasts from {} us to {} us, outside timing.faults_from_ms to faults_until_ms",
                fault.at_us,
                fault.until_us()
            );
            return problem(key("at_us"), message, "move the fault, or widen [timing]");
        }
        action(&fault.action, &key("action"), &schedule.cluster, &schedule.clocks)?;
        redis_harm(&fault.action, &key("action"), &schedule.storage)?;
        if fault
            .action
            .selectors()
            .iter()
            .any(|(_, selector)| selector.parts().contains(&super::Selector::Each))
        {
            return problem(key("action"), "`each` has no meaning in a schedule", "name the node");
        }
    }
    Ok(())
}

fn claim(claim: &str) -> Judgement {
    if claim.trim().is_empty() || claim.contains('\n') {
        return problem(
            "claim",
            "the claim is not one sentence",
            "say in one line what holds in this scenario",
        );
    }
    Ok(())
}

fn cluster(cluster: &ClusterSpec) -> Judgement {
    within("cluster.nodes", cluster.nodes, 1, NODES_MAX)?;
    within("cluster.clients", cluster.clients, 1, CLIENTS_MAX)?;
    within("cluster.spares", cluster.spares, 0, NODES_MAX - cluster.nodes)?;
    if let Some(intervals) = cluster.quiesce_after_intervals {
        within("cluster.quiesce_after_intervals", u64::from(intervals), 1, u64::from(u32::MAX))?;
    }
    one_for_each_node("cluster.versions", cluster.versions.len(), cluster)?;
    for (position, version) in cluster.versions.iter().enumerate() {
        if !(1..=VERSION_MAX).contains(version) {
            let key = format!("cluster.versions.{position}");
            let message = format!("there is no version {version}");
            return problem(key, message, format!("it is a number from 1 to {VERSION_MAX}"));
        }
    }
    Ok(())
}

fn one_for_each_node(key: &str, count: usize, cluster: &ClusterSpec) -> Judgement {
    let nodes = cluster.nodes_in_all();
    if count as u64 <= nodes {
        return Ok(());
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    let message = format!("`{name}` has {count} numbers for {nodes} nodes");
    problem(key, message, "give one for each node, spares last, or fewer")
}

fn snapshots_and_reads(snapshots: &SnapshotSpec, reads: &ReadsSpec) -> Judgement {
    if let Some(entries) = snapshots.every_entries {
        within("snapshots.every_entries", entries, 1, SNAPSHOT_ENTRIES_MAX)?;
    }
    if let Some(entries) = snapshots.trailing_entries {
        within("snapshots.trailing_entries", entries, 0, SNAPSHOT_ENTRIES_MAX)?;
    }
    let drift_ppm = u64::from(reads.lease_drift_ppm.unwrap_or(0));
    within("reads.lease_drift_ppm", drift_ppm, 0, PPM_MAX)?;
    within("reads.near_lease_ms", reads.near_lease_ms.unwrap_or(0), 0, END_MS_MAX)?;
    within("reads.near_lines_max", reads.near_lines_max.unwrap_or(1), 1, KEYS_MAX)
}

fn storage(storage: &StorageSpec) -> Judgement {
    if storage.kind == StorageKind::Wal && !storage.is_default() {
        let message = "`appendfsync` and `shared` speak of a Redis";
        return problem("storage.kind", message, "say kind = \"redis\", or leave them out");
    }
    Ok(())
}

/// Whether there is a Redis to be harmed in this way.
fn redis_harm(action: &Action, prefix: &str, storage: &StorageSpec) -> Judgement {
    let Action::Redis { harm, .. } = action else { return Ok(()) };
    if storage.kind != StorageKind::Redis {
        let message = "there is no Redis to harm";
        return problem(
            format!("{prefix}.kind"),
            message,
            "keep the logs in one: [storage] kind = \"redis\"",
        );
    }
    if storage.shared && *harm == RedisHarm::Empty {
        let message = "an emptied Redis that all nodes share leaves nobody who remembers";
        return problem(format!("{prefix}.harm"), message, "give each node its own: storage.shared = false");
    }
    Ok(())
}

pub(super) fn within(key: &str, value: u64, least: u64, most: u64) -> Judgement {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    problem(key, format!("`{name}` is {value}"), format!("it is a number from {least} to {most}"))
}

pub(super) fn chance(key: &str, value: f64) -> Judgement {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    problem(key, format!("`{name}` is a probability, and {value} is not from 0 to 1"), "1 % is 0.01")
}

fn profiles(network: &NetworkProfile, disk: &DiskProfile, clocks: &ClockProfile) -> Judgement {
    within("network.latency_us", network.latency_us, 0, LATENCY_US_MAX)?;
    within("network.latency_tail_us", network.latency_tail_us, 0, LATENCY_US_MAX)?;
    chance("network.loss", network.loss)?;
    chance("network.duplicate", network.duplicate)?;
    within("disk.write_us", disk.write_us, 0, LATENCY_US_MAX)?;
    within("disk.sync_us", disk.sync_us, 0, LATENCY_US_MAX)?;
    within("disk.sync_tail_us", disk.sync_tail_us, 0, LATENCY_US_MAX)?;
    within("clocks.drift_ppm_max", clocks.drift_ppm_max, 0, PPM_MAX)
}

fn timing(timing: &TimingSpec) -> Judgement {
    within("timing.end_ms", timing.end_ms, 1, END_MS_MAX)?;
    if timing.faults_from_ms >= timing.faults_until_ms {
        let message =
            format!("faults end at {} ms, but begin at {} ms", timing.faults_until_ms, timing.faults_from_ms);
        return problem("timing.faults_until_ms", message, "let faults_until_ms come after faults_from_ms");
    }
    let calm_at_ms = timing.faults_until_ms.saturating_add(timing.recover_within_ms);
    if calm_at_ms >= timing.end_ms {
        let message = format!(
            "the run ends at {} ms, before the faults' end and recover_within_ms have passed, at {calm_at_ms} ms",
            timing.end_ms
        );
        return problem("timing.end_ms", message, format!("end it after {calm_at_ms} ms"));
    }
    Ok(())
}

fn election(election: &ElectionSpec, cluster: &ClusterSpec) -> Judgement {
    one_for_each_node("election.priorities", election.priorities.len(), cluster)?;
    within("election.timeout_ms", election.timeout_ms.min_ms, 2, END_MS_MAX)?;
    within("election.timeout_ms", election.timeout_ms.max_ms, 2, END_MS_MAX)?;
    if election.heartbeat_ms == 0 || election.heartbeat_ms.saturating_mul(2) > election.timeout_ms.min_ms {
        let message = format!(
            "a heartbeat every {} ms does not keep elections away that begin after {} ms of silence",
            election.heartbeat_ms, election.timeout_ms.min_ms
        );
        let hint = format!("it is from 1 to {} ms here", election.timeout_ms.min_ms / 2);
        return problem("election.heartbeat_ms", message, hint);
    }
    Ok(())
}

fn action(action: &Action, prefix: &str, cluster: &ClusterSpec, clocks: &ClockProfile) -> Judgement {
    action.check(cluster, clocks).map_err(|error| Problem {
        key: format!("{prefix}.{}", error.setting),
        message: error.message,
        hint: error.hint,
    })
}

fn fault(scenario: &Scenario, position: usize, spec: &FaultSpec) -> Judgement {
    let prefix = format!("faults.{position}");
    let key = |name: &str| format!("{prefix}.{name}");
    if spec.for_ms.min_ms == 0 {
        return problem(key("for_ms"), "the fault may last 0 milliseconds", "let it last 1 or more");
    }
    if let Some(repeat) = spec.repeat {
        within(&key("repeat.times"), repeat.times, 1, FAULTS_MAX)?;
        within(&key("repeat.every_ms"), repeat.every_ms, 1, END_MS_MAX)?;
    }
    if let Some(within_ms) = spec.serves_within_ms {
        let name = key("serves_within_ms");
        within(&name, within_ms, 1, END_MS_MAX)?;
        if within_ms.saturating_mul(2) >= spec.for_ms.min_ms {
            let message = format!("the fault may be over before {within_ms} ms have passed twice");
            return problem(name, message, "let the fault last longer, or ask for an earlier answer");
        }
    }
    let typed = Action::from_spec(spec).map_err(|error| Problem {
        key: key(error.setting),
        message: error.message,
        hint: error.hint,
    })?;
    action(&typed, &prefix, &scenario.cluster, &scenario.clocks)?;
    redis_harm(&typed, &prefix, &scenario.storage)?;
    let timing = &scenario.timing;
    let (from_ms, until_ms) = (timing.faults_from_ms, timing.faults_until_ms);
    if spec.at_ms.min_ms < from_ms {
        let message =
            format!("the fault may begin at {} ms, before faults begin at {from_ms} ms", spec.at_ms.min_ms);
        return problem(key("at_ms"), message, "begin it later, or lower timing.faults_from_ms");
    }
    let last_begin_ms = spec.repeat.map_or(0, |repeat| (repeat.times - 1).saturating_mul(repeat.every_ms));
    let last_end_ms = last_begin_ms.saturating_add(spec.at_ms.max_ms).saturating_add(spec.for_ms.max_ms);
    if last_end_ms > until_ms {
        let message =
            format!("the fault may last until {last_end_ms} ms, past the faults' end at {until_ms} ms");
        return problem(
            key("at_ms"),
            message,
            "begin it earlier, shorten it, or raise timing.faults_until_ms",
        );
    }
    Ok(())
}

fn swarm(scenario: &Scenario) -> Judgement {
    let Some(spec) = &scenario.swarm else { return Ok(()) };
    let drift_ppm_max = scenario.clocks.drift_ppm_max;
    if !spec.kinds.iter().any(|kind| is_possible(*kind, &scenario.cluster, drift_ppm_max)) {
        let hint = "name kinds that this cluster can suffer, such as \"crash\"";
        return problem("swarm.kinds", "no kind of fault is left to choose from", hint);
    }
    within("swarm.faults_max", spec.faults_max, 1, FAULTS_OF_SWARM_MAX)?;
    within("swarm.faults_min", spec.faults_min, 1, spec.faults_max)?;
    let window_ms = scenario.timing.faults_until_ms - scenario.timing.faults_from_ms;
    if window_ms / spec.faults_max < SLOT_MS_MIN {
        let message = format!("{} faults do not fit into {window_ms} ms", spec.faults_max);
        let hint = format!("allow {SLOT_MS_MIN} ms for each: fewer faults, or a longer [timing]");
        return problem("swarm.faults_max", message, hint);
    }
    Ok(())
}
