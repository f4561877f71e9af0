//! Random valid scenarios, for property tests.

use proptest::prelude::*;

use super::{
    CacheSpec, ClusterSpec, ExpectSpec, FaultKind, FaultSpec, LocksSpec, Mix, MsSpan, QueueSpec, ReadsAt,
    ReadsSpec, RedisHarm, Repeat, Scenario, Selector, SnapshotSpec, StorageKind, StorageSpec, SwarmSpec,
    WorkloadKind, WorkloadSpec,
};

fn span(min_ms: u64, max_ms: u64) -> impl Strategy<Value = MsSpan> {
    (min_ms..=max_ms, min_ms..=max_ms)
        .prop_map(|(one, other)| MsSpan::between(one.min(other), one.max(other)))
}

fn target(kind: FaultKind) -> BoxedStrategy<Selector> {
    let nodes = [Selector::Leader, Selector::Follower, Selector::Minority, Selector::Each, Selector::Node(2)];
    let clients = [Selector::OneClient, Selector::Clients, Selector::HalfOfClients, Selector::Client(1)];
    match kind {
        FaultKind::DisconnectClients => prop::sample::select(clients.to_vec()).boxed(),
        FaultKind::Crash | FaultKind::Pause | FaultKind::ClockDrift | FaultKind::Degrade => {
            prop::sample::select([&nodes[..], &clients[..]].concat()).boxed()
        }
        _ => prop::sample::select(nodes.to_vec()).boxed(),
    }
}

fn fault() -> impl Strategy<Value = FaultSpec> {
    let repeat = prop::option::of((1..=5_u64, 1..=1_000_u64));
    prop::sample::select(FaultKind::ALL.to_vec())
        .prop_flat_map(move |kind| {
            let times = (span(5_000, 12_000), span(1, 6_000), repeat.clone());
            (Just(kind), target(kind), times, 0.01..=1.0_f64, 1..=1_000_u64, -100..=-1_i64)
        })
        .prop_map(|(kind, target, (at_ms, for_ms, repeat), chance, number, ppm)| {
            let mut spec = FaultSpec::new(kind, at_ms, for_ms);
            spec.repeat = repeat.map(|(times, every_ms)| Repeat { times, every_ms });
            match kind {
                FaultKind::OneWay => spec.from = Some(target),
                FaultKind::Degrade => {
                    spec.target = Some(target);
                    spec.loss = Some(chance);
                    spec.jitter_us = Some(number);
                }
                FaultKind::Flap => {
                    spec.target = Some(target);
                    spec.down_ms = Some(number);
                }
                FaultKind::ClockDrift => {
                    spec.target = Some(target);
                    spec.ppm = Some(ppm);
                }
                FaultKind::Transfer => spec.to = (number % 2 == 0).then_some(target),
                FaultKind::Members => {
                    spec.add = Some(if number % 3 == 0 { Selector::Spare } else { Selector::Node(4) });
                    spec.remove = (number % 2 == 0).then_some(target);
                    spec.joint = Some(number % 5 == 0);
                    spec.once_caught_up = Some(number % 7 == 0);
                }
                FaultKind::Redis => {
                    spec.target = Some(target);
                    spec.harm = Some(if number % 2 == 0 { RedisHarm::Cut } else { RedisHarm::Empty });
                }
                FaultKind::Replace if target == Selector::Minority => spec.target = Some(Selector::Any),
                _ => spec.target = Some(target),
            }
            spec
        })
}

fn workload() -> impl Strategy<Value = WorkloadSpec> {
    let kinds = vec![
        WorkloadKind::Register,
        WorkloadKind::Lock,
        WorkloadKind::Queue,
        WorkloadKind::Cache,
        WorkloadKind::Mixed,
    ];
    let parts = prop::sample::subsequence(
        vec![WorkloadKind::Register, WorkloadKind::Semaphore, WorkloadKind::Guarded, WorkloadKind::Queue],
        1..=4,
    );
    let think = prop::option::of(span(1, 100));
    let turns = (prop::sample::select(kinds), parts, 0.0..=4.0_f64, think);
    let mix = (1..9_u32, 0..9_u32).prop_map(|(get, set)| Mix { get, set, ..Mix::default() });
    let hold = span(0, 3_000);
    (turns, 1..100_u64, 0.5..100.0_f64, 100..5_000_u64, hold, 0.0..=1.0_f64, mix).prop_map(
        |((kind, parts, skew, think_ms), keys, rate_per_client_hz, lease_ms, hold_ms, share, mix)| {
            let queue = QueueSpec { crash: share, loops: share, groups: keys, ..QueueSpec::default() };
            let cache = CacheSpec {
                near: share,
                aged: share,
                entries_max: Some(keys),
                ttl_ms: MsSpan::exactly(keys),
                ..CacheSpec::default()
            };
            let locks = LocksSpec { upgrade: share, permits: keys, ..LocksSpec::default() };
            WorkloadSpec {
                kind,
                parts,
                keys,
                skew,
                rate_per_client_hz,
                think_ms,
                lease_ms,
                hold_ms,
                shared: share,
                mix,
                locks,
                queue,
                cache,
                ..WorkloadSpec::default()
            }
        },
    )
}

/// Any valid scenario, nearly.
pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    let swarm = prop::option::of((prop::sample::subsequence(SwarmSpec::default().kinds, 1..=13), 1..=20_u64));
    let cluster = (
        3..=9_u64,
        1..=20_u64,
        2..=4_u64,
        prop::option::of(1..9_u32),
        prop::collection::vec(1..=2_u16, 0..3),
    )
        .prop_map(|(nodes, clients, spares, quiesce_after_intervals, versions)| ClusterSpec {
            nodes,
            clients,
            spares,
            quiesce_after_intervals,
            versions,
        });
    let snapshots = (prop::option::of(1..999_u64), prop::option::of(0..999_u64))
        .prop_map(|(every_entries, trailing_entries)| SnapshotSpec { every_entries, trailing_entries });
    let at = prop::sample::select(vec![ReadsAt::Leader, ReadsAt::Any, ReadsAt::Near]);
    let reads = (at, prop::option::of(0..900_u32), prop::option::of(0..900_u64)).prop_map(
        |(at, lease_drift_ppm, near_lease_ms)| {
            let near_lines_max = near_lease_ms.filter(|ms| *ms > 0);
            ReadsSpec { at, lease_drift_ppm, near_lease_ms, near_lines_max }
        },
    );
    let faults = prop::collection::vec(fault(), 0..8);
    let expect = prop::option::of(prop::collection::vec("[a-z][a-z ]{0,20}", 1..4))
        .prop_map(|names| names.map(|violation_of| ExpectSpec { violation_of }));
    ("[a-zA-Z\"\\\\ ä]{1,20}\\.", cluster, workload(), faults, swarm, snapshots, reads, expect).prop_map(
        |(claim, cluster, workload, faults, swarm, snapshots, reads, expect)| Scenario {
            // Whatever befalls a Redis takes one.
            storage: StorageSpec { kind: StorageKind::Redis, ..StorageSpec::default() },
            name: "generated".to_owned(),
            claim,
            cluster,
            workload,
            faults,
            snapshots,
            reads,
            expect,
            swarm: swarm.map(|(kinds, faults_max)| SwarmSpec { kinds, faults_min: 1, faults_max }),
            ..Scenario::default()
        },
    )
}
