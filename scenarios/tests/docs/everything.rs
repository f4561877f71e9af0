//! A scenario, and so a schedule, in which every key is present. Whoever adds a key, a kind or a target is
//! stopped here by the compiler, and then reminded of the documents.

use stormglass_sim::nemesis::Effect;
use stormglass_sim::plan::{
    CacheSpec, ClusterSpec, ElectionSpec, ExpectSpec, FaultKind, FaultSpec, MsSpan, ReadsAt, ReadsSpec,
    RedisHarm, Repeat, Scenario, Selector, SnapshotSpec, StorageKind, StorageSpec, SwarmSpec, WorkloadKind,
    WorkloadSpec,
};

/// A fault with every setting that any kind takes.
pub(crate) fn overfull_fault() -> FaultSpec {
    FaultSpec {
        kind: FaultKind::Crash,
        at_ms: MsSpan::exactly(6_000),
        for_ms: MsSpan::exactly(1_000),
        target: Some(Selector::Leader),
        from: Some(Selector::Leader),
        to: Some(Selector::Others),
        down_ms: Some(100),
        up_ms: Some(100),
        loss: Some(0.5),
        duplicate: Some(0.5),
        delay_us: Some(100),
        jitter_us: Some(100),
        ppm: Some(50),
        beyond_bound: Some(false),
        add: Some(Selector::Spare),
        remove: Some(Selector::Leader),
        learner: Some(false),
        once_caught_up: Some(true),
        joint: Some(true),
        harm: Some(RedisHarm::Crash),
        serves_within_ms: Some(100),
        repeat: Some(Repeat { times: 2, every_ms: 3_000 }),
    }
}

/// A fault of a kind with all the settings that the kind takes, and no others.
fn full_fault(kind: FaultKind) -> FaultSpec {
    let takes = |name: &str| kind.settings().contains(&name);
    let all = overfull_fault();
    let target = if kind == FaultKind::DisconnectClients { Selector::Clients } else { Selector::Leader };
    // "The others" are meant only where a fault has two ends.
    let has_two_ends = matches!(kind, FaultKind::OneWay | FaultKind::Degrade);
    let to = if has_two_ends { Selector::Others } else { Selector::Follower };
    FaultSpec {
        kind,
        target: Some(target).filter(|_| takes("target")),
        from: all.from.filter(|_| takes("from")),
        to: Some(to).filter(|_| takes("to")),
        down_ms: all.down_ms.filter(|_| takes("down_ms")),
        up_ms: all.up_ms.filter(|_| takes("up_ms")),
        loss: all.loss.filter(|_| takes("loss")),
        duplicate: all.duplicate.filter(|_| takes("duplicate")),
        delay_us: all.delay_us.filter(|_| takes("delay_us")),
        jitter_us: all.jitter_us.filter(|_| takes("jitter_us")),
        ppm: all.ppm.filter(|_| takes("ppm")),
        beyond_bound: all.beyond_bound.filter(|_| takes("beyond_bound")),
        add: all.add.clone().filter(|_| takes("add")),
        remove: all.remove.clone().filter(|_| takes("remove")),
        learner: all.learner.filter(|_| takes("learner")),
        once_caught_up: all.once_caught_up.filter(|_| takes("once_caught_up")),
        joint: all.joint.filter(|_| takes("joint")),
        harm: all.harm.filter(|_| takes("harm")),
        ..all
    }
}

/// A valid scenario with every key, and every kind of fault with all of its settings.
pub(crate) fn scenario() -> Scenario {
    Scenario {
        name: "everything".to_owned(),
        claim: "Every key is there.".to_owned(),
        swarm: Some(SwarmSpec::default()),
        expect: Some(ExpectSpec { violation_of: vec!["cache safety".to_owned()] }),
        cluster: ClusterSpec {
            spares: 2,
            quiesce_after_intervals: Some(4),
            versions: vec![1],
            ..ClusterSpec::default()
        },
        election: ElectionSpec { priorities: vec![1], ..ElectionSpec::default() },
        snapshots: SnapshotSpec { every_entries: Some(100), trailing_entries: Some(10) },
        reads: ReadsSpec {
            at: ReadsAt::Any,
            lease_drift_ppm: Some(200),
            near_lease_ms: Some(100),
            near_lines_max: Some(2),
        },
        storage: StorageSpec { kind: StorageKind::Redis, ..StorageSpec::default() },
        workload: WorkloadSpec {
            kind: WorkloadKind::Mixed,
            think_ms: Some(MsSpan::exactly(5)),
            cache: CacheSpec { entries_max: Some(5), ..CacheSpec::default() },
            ..WorkloadSpec::default()
        },
        faults: FaultKind::ALL.map(full_fault).to_vec(),
        ..Scenario::default()
    }
}

/// Every target, with `N` for a number.
pub(crate) fn targets() -> Vec<String> {
    use Selector::{
        All, Any, Client, Clients, Each, Follower, Followers, HalfOfClients, Leader, LeaderAndMinority,
        Majority, MajorityWithoutLeader, Minority, Node, OneClient, Others, Spare, Union,
    };
    let all = [
        Leader,
        Follower,
        Followers,
        Any,
        Each,
        All,
        Minority,
        Majority,
        LeaderAndMinority,
        MajorityWithoutLeader,
        Spare,
        Others,
        Node(1),
        OneClient,
        Clients,
        HalfOfClients,
        Client(1),
    ];
    // A target that is missing above is missing here too, and that does not compile.
    let word = |target: &Selector| match target {
        Node(_) => "node-N".to_owned(),
        Client(_) => "client-N".to_owned(),
        Leader
        | Follower
        | Followers
        | Any
        | Each
        | All
        | Minority
        | Majority
        | LeaderAndMinority
        | MajorityWithoutLeader
        | Spare
        | Others
        | OneClient
        | Clients
        | HalfOfClients
        | Union(_) => target.to_string(),
    };
    all.iter().map(word).collect()
}

/// An effect in which nothing stayed 0.
pub(crate) const fn every_effect() -> Effect {
    Effect {
        frames_dropped: 1,
        frames_duplicated: 1,
        frames_delayed: 1,
        processes_killed: 1,
        processes_restarted: 1,
        unsynced_bytes_lost: 1,
        writes_torn: 1,
        processes_paused: 1,
        frames_awaiting: 1,
        disk_operations_held: 1,
        cuts: 1,
        clocks_strayed: 1,
        clock_strayed_us_max: 1,
        orders_done: 1,
        leaders_replaced: 1,
        members_changes: 1,
        disks_lost: 1,
        voters_replaced: 1,
        redis_uses_held: 1,
        stores_refused: 1,
        nodes_upgraded: 1,
        version_raised_to: 1,
        leaderless_us: 1,
        unserved_us: 1,
        campaigns: 1,
        leaders_elected: 1,
    }
}
