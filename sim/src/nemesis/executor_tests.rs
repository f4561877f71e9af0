//! The nemesis against a cluster that only has levers.

use std::collections::BTreeSet;

use futures_util::FutureExt;

use super::model_cluster::ModelCluster;
use super::{Process, Timeline, execute, resolve};
use crate::plan::{Action, FaultKind, RedisHarm, SCHEDULE_FORMAT, Schedule, ScheduledFault, Selector};

fn fault(at_ms: u64, for_ms: u64, action: Action) -> ScheduledFault {
    ScheduledFault { at_us: at_ms * 1_000, for_us: for_ms * 1_000, pick: 7, serves_within_us: None, action }
}

fn schedule(faults: Vec<ScheduledFault>) -> Schedule {
    Schedule {
        format: SCHEDULE_FORMAT,
        scenario: "test".to_owned(),
        claim: "A test.".to_owned(),
        seed: 1,
        expect: None,
        cluster: Default::default(),
        network: Default::default(),
        disk: Default::default(),
        clocks: Default::default(),
        workload: Default::default(),
        timing: Default::default(),
        election: Default::default(),
        snapshots: Default::default(),
        reads: Default::default(),
        storage: Default::default(),
        faults,
    }
}

fn run(cluster: &ModelCluster, faults: Vec<ScheduledFault>) -> Timeline {
    execute(&schedule(faults), cluster, cluster, cluster).now_or_never().expect("the model never waits")
}

fn node(number: u64) -> Selector {
    Selector::Node(number)
}

#[test]
fn a_client_is_killed_and_another_takes_its_place_when_the_last_fault_that_holds_it_ends() {
    let cluster = ModelCluster::new(3, 4, Some(1));
    let crash = |client| Action::Crash { target: Selector::Client(client) };
    let timeline = run(&cluster, vec![fault(1_000, 3_000, crash(2)), fault(2_000, 3_000, crash(2))]);
    assert_eq!(cluster.log(), ["   1000 crash c2", "   2000 crash c2", "   5000 restart c2"]);
    let killed: Vec<u64> = timeline.faults.iter().map(|fault| fault.effect.processes_killed).collect();
    assert_eq!(killed, [1, 0]);
    assert!(timeline.faults[1].absorbed, "it was down already");
}

fn harm(harm: RedisHarm, target: Selector) -> Action {
    Action::Redis { target, harm }
}

#[test]
fn harm_to_a_redis_that_did_nothing_counts_for_nothing() {
    for what in [RedisHarm::Stall, RedisHarm::Cut, RedisHarm::Empty] {
        for inert in [false, true] {
            let cluster = ModelCluster::new(3, 1, Some(1));
            cluster.with(|state| state.inert = inert);
            // Nodes of the model do not refuse by themselves.
            let mut faults = vec![fault(1_000, 3_000, harm(what, node(2)))];
            if what == RedisHarm::Empty && !inert {
                faults.push(fault(2_000, 3_000, Action::Crash { target: node(2) }));
            }
            let timeline = run(&cluster, faults);
            assert_eq!(timeline.faults[0].had_effect, !inert, "{what:?}: {:#?}", timeline.faults);
        }
    }
}

#[test]
fn a_redis_is_started_again_when_the_last_fault_that_holds_it_ends() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    let faults = vec![
        fault(1_000, 3_000, harm(RedisHarm::Crash, node(2))),
        fault(2_000, 3_000, harm(RedisHarm::PowerLoss, node(2))),
    ];
    let timeline = run(&cluster, faults);
    let server = "Client(3)";
    assert_eq!(
        cluster.log(),
        [
            format!("   1000 crash redis {server}"),
            format!("   2000 crash redis {server} power"),
            format!("   5000 start redis {server}")
        ]
    );
    let killed: Vec<u64> = timeline.faults.iter().map(|fault| fault.effect.processes_killed).collect();
    assert_eq!(killed, [1, 0]);
}

#[test]
fn a_minority_of_the_voters_at_most_loses_its_redis() {
    let cluster = ModelCluster::new(5, 1, Some(1));
    let empties = [1, 2, 3].map(|number| fault(1_000 * number, 10_000, harm(RedisHarm::Empty, node(number))));
    let timeline = run(&cluster, empties.to_vec());
    let lost: Vec<u64> = timeline.faults.iter().map(|fault| fault.effect.disks_lost).collect();
    assert_eq!(lost, [1, 1, 0]);
}

#[test]
fn overlapping_crashes_of_one_node_restart_it_once_after_the_last() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    let timeline = run(
        &cluster,
        vec![
            fault(1_000, 2_000, Action::Crash { target: node(2) }),
            fault(2_000, 3_000, Action::PowerLoss { target: node(2) }),
        ],
    );
    assert_eq!(cluster.log(), ["   1000 crash n2", "   2000 crash n2 power", "   5000 restart n2"]);
    assert!(timeline.faults[0].had_effect);
    assert!(!timeline.faults[1].had_effect && timeline.faults[1].absorbed);
    assert!(timeline.vacuous().is_empty());
    assert_eq!(timeline.faults[0].effect.processes_restarted, 0);
    assert_eq!(timeline.faults[1].effect.processes_restarted, 1);
}

#[test]
fn everything_is_healed_and_every_node_runs_at_the_end() {
    let cluster = ModelCluster::new(5, 4, Some(1));
    cluster.with(|state| state.down.insert(5));
    let harms = FaultKind::ALL.into_iter().filter(|kind| !kind.is_operation()).count() as u64;
    let timeline = run(
        &cluster,
        vec![
            fault(1_000, 900, Action::Crash { target: Selector::Leader }),
            fault(1_100, 900, Action::PowerLoss { target: Selector::Minority }),
            fault(1_200, 900, Action::Pause { target: Selector::Clients }),
            fault(1_300, 900, Action::Partition { target: Selector::LeaderAndMinority }),
            fault(1_400, 900, Action::OneWay { from: node(1), to: Selector::Others }),
            fault(1_500, 900, Action::Flap { target: node(2), down_ms: 100, up_ms: 100 }),
            fault(
                1_600,
                900,
                Action::Degrade {
                    target: Selector::All,
                    to: None,
                    loss: 0.1,
                    duplicate: 0.1,
                    delay_us: 100,
                    jitter_us: 100,
                },
            ),
            fault(1_700, 900, Action::DisconnectClients { target: Selector::HalfOfClients }),
            fault(1_800, 900, Action::DiskStall { target: Selector::Majority }),
            fault(1_900, 900, Action::ClockDrift { target: Selector::All, ppm: 100, beyond_bound: false }),
            fault(2_000, 900, harm(RedisHarm::Crash, Selector::Majority)),
        ],
    );
    assert_eq!(timeline.faults.len() as u64, harms);
    assert_eq!(timeline.died_by_themselves, BTreeSet::from([5]));
    for record in &timeline.faults {
        assert!(record.had_effect, "{record:?}");
        assert!(record.effect.campaigns > 0);
    }
    cluster.with(|state| {
        assert!(state.down.is_empty() && state.paused.is_empty() && state.stalled.is_empty());
        assert!(state.rules.is_empty() && state.servers_down.is_empty());
        assert!(state.drift.values().all(|(ppm, _, _)| *ppm == 0));
    });
}

fn degrade(target: Selector, to: Option<Selector>) -> Action {
    Action::Degrade { target, to, loss: 0.0, duplicate: 0.0, delay_us: 9, jitter_us: 0 }
}

#[test]
fn links_are_degraded_in_one_direction_alone_where_the_other_end_is_named() {
    let cluster = ModelCluster::new(3, 0, Some(2));
    run(&cluster, vec![fault(1_000, 500, degrade(Selector::Followers, Some(Selector::Leader)))]);
    let log = cluster.log().join("\n");
    assert!(log.contains("degrade {Node(1), Node(3)} -> {Node(2)}"), "{log}");
    assert_eq!(log.matches("degrade").count(), 1, "{log}");
}

#[test]
fn a_fault_that_changes_nothing_is_vacuous() {
    for action in [
        Action::Partition { target: node(1) },
        Action::OneWay { from: node(1), to: node(2) },
        Action::Flap { target: node(1), down_ms: 50, up_ms: 50 },
        degrade(Selector::All, None),
        degrade(node(1), Some(Selector::Others)),
        Action::DisconnectClients { target: Selector::Clients },
        Action::DiskStall { target: node(1) },
        Action::ClockDrift { target: node(1), ppm: 100, beyond_bound: false },
    ] {
        let cluster = ModelCluster::new(3, 2, Some(1));
        cluster.with(|state| state.inert = true);
        let timeline = run(&cluster, vec![fault(1_000, 1_000, action)]);
        assert_eq!(timeline.vacuous().len(), 1, "{timeline:?}");
    }
    for action in [Action::Crash { target: node(2) }, Action::Pause { target: node(2) }] {
        let cluster = ModelCluster::new(3, 2, Some(1));
        cluster.with(|state| state.down.insert(2));
        let timeline = run(&cluster, vec![fault(1_000, 1_000, action)]);
        assert_eq!(timeline.vacuous().len(), 1, "{timeline:?}");
    }
}

#[test]
fn a_fault_on_the_leader_waits_for_one_and_says_when_there_was_none() {
    let cluster = ModelCluster::new(3, 1, None);
    cluster.with(|state| state.leader_at_us = Some((1_255_000, 3)));
    let timeline = run(&cluster, vec![fault(1_000, 4_000, Action::Crash { target: Selector::Leader })]);
    assert_eq!(cluster.log(), ["   1260 crash n3", "   5000 restart n3"]);
    assert_eq!(timeline.faults[0].note, "");

    let cluster = ModelCluster::new(3, 1, None);
    let timeline = run(&cluster, vec![fault(1_000, 600, Action::Crash { target: Selector::Leader })]);
    assert_eq!(timeline.faults[0].targets.len(), 1);
    assert_eq!(timeline.faults[0].at.as_us(), 1_290_000);
    assert_eq!(timeline.faults[0].note, "nobody led: another node was taken");
}

#[test]
fn a_flap_cuts_and_mends_by_turns_and_ends_whole() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    let flap = Action::Flap { target: node(1), down_ms: 100, up_ms: 200 };
    let timeline = run(&cluster, vec![fault(1_000, 700, flap)]);
    let cuts = |log: &[String]| {
        log.iter()
            .filter(|line| line.contains("cut [Node(1)]") || line.contains("cut {Node(1)}"))
            .cloned()
            .collect::<Vec<_>>()
    };
    let log = cluster.log();
    let times: Vec<String> = cuts(&log).iter().map(|line| line.trim()[..4].to_owned()).collect();
    assert_eq!(times, ["1000", "1300", "1600"]);
    assert_eq!(timeline.faults[0].effect.cuts, 3);
    assert_eq!(timeline.faults[0].effect.frames_dropped, 30);
    assert_eq!(log.last().unwrap(), "   1700 mend");
}

#[test]
fn a_turn_that_would_come_after_the_end_does_not_prolong_the_run() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    run(&cluster, vec![fault(0, 500, Action::Flap { target: node(1), down_ms: 600_000, up_ms: 1 })]);
    assert_eq!(cluster.with(|state| state.now_us), 2_500_000);
}

#[test]
fn a_partition_leaves_unnamed_clients_with_both_sides() {
    let cluster = ModelCluster::new(3, 2, Some(1));
    run(&cluster, vec![fault(0, 500, Action::Partition { target: "leader+client-2".parse().unwrap() })]);
    assert_eq!(
        cluster.log()[..2],
        [
            "      0 cut {Node(1), Client(2)} -> {Node(2), Node(3)}",
            "      0 cut {Node(2), Node(3)} -> {Node(1), Client(2)}"
        ]
    );
}

#[test]
fn selectors_select_as_many_as_they_say() {
    let cluster = ModelCluster::new(5, 7, Some(2));
    let leader = Process::Node(2);
    let fit = |_: Process| true;
    let nobody = BTreeSet::new();
    for pick in 0..200 {
        let pick_of = |selector: &Selector| resolve(selector, pick, &cluster, &fit, &nobody).processes;
        for (selector, count, with_leader) in [
            (Selector::Leader, 1, Some(true)),
            (Selector::Follower, 1, Some(false)),
            (Selector::Followers, 4, Some(false)),
            (Selector::Any, 1, None),
            (Selector::All, 5, Some(true)),
            (Selector::Minority, 2, None),
            (Selector::Majority, 3, None),
            (Selector::LeaderAndMinority, 2, Some(true)),
            (Selector::MajorityWithoutLeader, 3, Some(false)),
            (Selector::OneClient, 1, Some(false)),
            (Selector::Clients, 7, Some(false)),
            (Selector::HalfOfClients, 4, Some(false)),
        ] {
            let chosen = pick_of(&selector);
            assert_eq!(chosen.len(), count, "{selector}");
            if let Some(expected) = with_leader {
                assert_eq!(chosen.contains(&leader), expected, "{selector}");
            }
        }
        let ends = BTreeSet::from([Process::Node(1), Process::Client(1)]);
        let others = resolve(&Selector::Others, pick, &cluster, &fit, &ends).processes;
        assert_eq!(others, (2..=5).map(Process::Node).collect());
    }
}

#[test]
fn choices_spread_over_all_and_prefer_the_fit() {
    let cluster = ModelCluster::new(5, 1, Some(2));
    let nobody = BTreeSet::new();
    let choose = |pick, fit: &dyn Fn(Process) -> bool| {
        resolve(&Selector::Any, pick, &cluster, fit, &nobody).processes.pop_first().unwrap()
    };
    let seen: BTreeSet<Process> = (0..200).map(|pick| choose(pick, &|_| true)).collect();
    assert_eq!(seen.len(), 5);
    assert!((0..200).all(|pick| choose(pick, &|process| process == Process::Node(4)) == Process::Node(4)));
    assert!((0..200).all(|pick| choose(pick, &|_| false) == choose(pick, &|_| true)));
}

#[test]
fn the_nemesis_can_be_spawned_as_a_task() {
    fn is_send(_: &impl Send) {}
    let cluster = ModelCluster::new(3, 1, Some(1));
    let schedule = schedule(Vec::new());
    let running = execute(&schedule, &cluster, &cluster, &cluster);
    is_send(&running);
    assert_eq!(running.now_or_never(), Some(Timeline::default()));
}

#[test]
fn a_run_that_is_cut_short_keeps_the_record_of_the_faults_that_had_begun() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    cluster.with(|state| state.cut_short_at_us = Some(2_500_000));
    let timeline = run(
        &cluster,
        vec![
            fault(1_000, 500, Action::Crash { target: node(2) }),
            fault(2_000, 1_000, Action::Pause { target: node(3) }),
            fault(9_000, 1_000, Action::Crash { target: node(1) }),
        ],
    );
    let numbers: Vec<usize> = timeline.faults.iter().map(|fault| fault.number).collect();
    assert_eq!(numbers, [0, 1]);
    assert!(timeline.faults.iter().all(|fault| fault.had_effect));
    assert_eq!(timeline.faults[1].effect.processes_paused, 1);
}
