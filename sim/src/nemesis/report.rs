//! The schedule and its timeline in the words of a report.

use std::collections::BTreeSet;

use stormglass_reports::{ClusterReport, Counter, FaultReport};

use super::{FaultRecord, Process, Timeline};
use crate::plan::{Appendfsync, Schedule, StorageKind, WorkloadKind};

/// What the report says about who took part.
#[must_use]
pub fn cluster_report(schedule: &Schedule) -> ClusterReport {
    let workload = &schedule.workload;
    let things = match workload.kind {
        WorkloadKind::Register => format!("{} keys", workload.keys),
        WorkloadKind::Lock => format!("{} locks, {} ms leases", workload.keys, workload.lease_ms),
        WorkloadKind::Semaphore => format!(
            "{} semaphores of {} permits, {} ms leases",
            workload.keys, workload.locks.permits, workload.lease_ms
        ),
        WorkloadKind::Queue => {
            format!("{} topics, {} ms leases of deliveries", workload.keys, workload.queue.visibility_ms)
        }
        WorkloadKind::Cache => format!("{} keys and {0} counters", workload.keys),
        WorkloadKind::Guarded => format!("{} topics and their locks", workload.keys),
        WorkloadKind::Mixed if workload.parts == [WorkloadKind::Register, WorkloadKind::Lock] => {
            format!("{0} keys, {0} locks, {1} ms leases", workload.keys, workload.lease_ms)
        }
        WorkloadKind::Mixed => {
            let parts: Vec<&str> = workload.parts.iter().map(|part| part.name()).collect();
            format!("of {}, {} of each, {} ms leases", parts.join(" and "), workload.keys, workload.lease_ms)
        }
    };
    let pace = match workload.think_ms {
        Some(think) => format!("an operation {think} ms after the other"),
        None => format!("up to {} operations/s per client", workload.rate_per_client_hz),
    };
    let network = &schedule.network;
    let mut network_text = format!("{} us + {} us tail", network.latency_us, network.latency_tail_us);
    for (chance, what) in [(network.loss, "loss"), (network.duplicate, "duplicates")] {
        if chance > 0.0 {
            network_text.push_str(&format!(", {what} {chance}"));
        }
    }
    ClusterReport {
        nodes: schedule.cluster.nodes,
        clients: schedule.cluster.clients,
        workload: format!("{}, {things}, {pace}", workload.kind.name()),
        network: network_text,
        disk: disk_text(schedule),
    }
}

fn disk_text(schedule: &Schedule) -> String {
    let disk = &schedule.disk;
    let text =
        format!("write {} us, sync {} us + {} us tail", disk.write_us, disk.sync_us, disk.sync_tail_us);
    redis_text(schedule).map_or(text.clone(), |redis| format!("{text}, {redis}"))
}

/// What the report says of the Redis servers in which nodes keep their logs; `None` if they keep them in files.
#[must_use]
pub fn redis_text(schedule: &Schedule) -> Option<String> {
    let storage = &schedule.storage;
    let whose = if storage.shared { "one Redis for all logs" } else { "a Redis for each log" };
    let policy = match storage.appendfsync {
        Appendfsync::Always => "always",
        Appendfsync::Everysec => "everysec",
    };
    (storage.kind == StorageKind::Redis).then(|| format!("{whose} (appendfsync {policy})"))
}

/// What the report says about each fault, by begin.
#[must_use]
pub fn fault_reports(timeline: &Timeline) -> Vec<FaultReport> {
    let mut records: Vec<&FaultRecord> = timeline.faults.iter().collect();
    records.sort_by_key(|record| (record.at, record.number));
    records.into_iter().map(fault_report).collect()
}

/// Why the run shows nothing, one reason for each fault that had no effect; empty if all is well.
#[must_use]
pub fn vacuous_reasons(timeline: &Timeline) -> Vec<String> {
    let reason = |record: &&FaultRecord| {
        let (kind, names) = (record.kind.name(), names(&record.targets));
        format!("fault {}, {kind} of {} = {names}, had no effect", record.number, record.selector)
    };
    timeline.vacuous().iter().map(reason).collect()
}

fn fault_report(record: &FaultRecord) -> FaultReport {
    let mut targets = names(&record.targets);
    if !record.towards.is_empty() {
        targets = format!("{targets} -> {}", names(&record.towards));
    }
    let counter = |(name, value): (&str, u64)| Counter { name: name.to_owned(), value };
    FaultReport {
        number: record.number as u64,
        kind: record.kind.name().to_owned(),
        selector: record.selector.clone(),
        targets,
        at_us: record.at.as_us(),
        until_us: record.until.as_us(),
        effects: record.effect.counters().into_iter().map(counter).collect(),
        had_effect: record.had_effect,
        absorbed: record.absorbed,
        note: record.note.clone(),
    }
}

fn names(processes: &BTreeSet<Process>) -> String {
    let name = |process: &Process| match process {
        Process::Node(number) => format!("n{number}"),
        Process::Client(number) => format!("c{number}"),
    };
    processes.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{cluster_report, fault_reports, vacuous_reasons};
    use crate::nemesis::{Effect, FaultRecord, Process, Timeline};
    use crate::plan::{FaultKind, Scenario, expand};

    #[test]
    fn a_fault_without_effect_is_named_as_a_reason() {
        let record = FaultRecord {
            number: 3,
            kind: FaultKind::OneWay,
            selector: "leader -> others".to_owned(),
            at: Default::default(),
            until: Default::default(),
            targets: [Process::Node(2)].into(),
            towards: [Process::Node(1), Process::Node(3)].into(),
            leader: None,
            effect: Effect { cuts: 1, ..Effect::default() },
            had_effect: false,
            absorbed: false,
            note: String::new(),
        };
        let timeline = Timeline { faults: vec![record], ..Timeline::default() };
        assert_eq!(vacuous_reasons(&timeline), ["fault 3, one-way of leader -> others = n2, had no effect"]);
        let report = &fault_reports(&timeline)[0];
        assert_eq!(report.targets, "n2 -> n1 n3");
        assert_eq!(report.effects.len(), 1, "counters that stayed 0 are left out");
    }

    #[test]
    fn the_cluster_is_described_in_one_line_each() {
        let scenario = Scenario { claim: "X.".to_owned(), ..Scenario::default() };
        let report = cluster_report(&expand(&scenario, 1));
        assert_eq!(report.workload, "register, 4 keys, up to 25 operations/s per client");
        assert_eq!(report.network, "200 us + 100 us tail");
    }
}
