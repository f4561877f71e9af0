//! From scenario and seed to schedule.

use rand::RngExt;

use super::{Action, FaultSpec, SCHEDULE_FORMAT, Scenario, Schedule, ScheduledFault, Selector, swarm};
use crate::rng::{StreamRng, Streams};

/// Expands a valid scenario. Each `[[faults]]` entry draws from the stream `nemesis/fault-N` (N from 0, in
/// the file's order), the swarm from `nemesis/swarm`.
///
/// # Panics
/// If the scenario was not validated and one of its faults cannot be typed.
#[must_use]
pub fn expand(scenario: &Scenario, seed: u64) -> Schedule {
    let streams = Streams::new(seed);
    let nodes = scenario.cluster.nodes;
    let mut faults = Vec::new();
    for (position, spec) in scenario.faults.iter().enumerate() {
        let mut stream = streams.stream(&format!("nemesis/fault-{position}"));
        expand_one(spec, nodes, scenario.timing.faults_until_ms, &mut stream, &mut faults);
    }
    if let Some(spec) = &scenario.swarm {
        let mut stream = streams.stream("nemesis/swarm");
        let drift_ppm_max = scenario.clocks.drift_ppm_max;
        faults.extend(swarm::draw(spec, &scenario.timing, &scenario.cluster, drift_ppm_max, &mut stream));
    }
    faults.sort_by_key(|fault| fault.at_us);
    Schedule {
        format: SCHEDULE_FORMAT,
        scenario: scenario.name.clone(),
        claim: scenario.claim.clone(),
        seed,
        expect: scenario.expect.clone(),
        cluster: scenario.cluster.clone(),
        network: scenario.network,
        disk: scenario.disk,
        clocks: scenario.clocks,
        workload: scenario.workload.clone(),
        timing: scenario.timing.clone(),
        election: scenario.election.clone(),
        snapshots: scenario.snapshots,
        reads: scenario.reads,
        storage: scenario.storage,
        faults,
    }
}

fn expand_one(
    spec: &FaultSpec,
    nodes: u64,
    faults_until_ms: u64,
    stream: &mut StreamRng,
    faults: &mut Vec<ScheduledFault>,
) {
    let action = Action::from_spec(spec).expect("the scenario was validated");
    let rotation: u64 = stream.random_range(0..nodes);
    for occurrence in 0..spec.times() {
        let offset_ms = spec.repeat.map_or(0, |repeat| repeat.every_ms * occurrence);
        let at_us = spec.at_ms.draw_us(stream) + offset_ms * 1_000;
        let longest_us = faults_until_ms * 1_000 - at_us;
        let mut action = action.clone();
        action.replace_each(&Selector::Node((rotation + occurrence) % nodes + 1));
        faults.push(ScheduledFault {
            at_us,
            for_us: spec.for_ms.draw_us(stream).min(longest_us),
            pick: stream.random_range(0..=u32::MAX),
            serves_within_us: spec.serves_within_ms.map(|ms| ms * 1_000),
            action,
        });
    }
}
