//! One seed is one run: an echo program under every fault, twice, hash by hash.

mod world_common;

use std::collections::BTreeSet;

use stormglass_sim::history::VirtualTime;
use stormglass_sim::nemesis::{LinkAction, Process, Surface};
use stormglass_sim::plan::NetworkProfile;
use stormglass_sim::world::{Trace, World, WorldConfig, WorldStatistics, run_in_fresh_thread};
use world_common::{chatter, node_set};

/// Pulls every lever while three nodes and two clients talk, sleep and write.
async fn stormy_run(seed: u64, keep_trace: bool) -> (Trace, WorldStatistics) {
    let network = NetworkProfile { loss: 0.01, duplicate: 0.01, ..NetworkProfile::default() };
    let world =
        World::new(WorldConfig { seed, nodes: 3, clients: 2, network, keep_trace, ..WorldConfig::default() });
    let everybody = [1, 2, 3].map(Process::Node).into_iter().chain([1, 2].map(Process::Client));
    for process in everybody {
        world.set_program(process, chatter);
        assert!(world.start(process));
    }
    let at = |ms| world.sleep_until(VirtualTime::from_ms(ms));
    at(20).await;
    let cut = world.add_link_rule(&node_set([1]), &node_set([2, 3]), LinkAction::Cut);
    let everyone: BTreeSet<Process> = node_set([1, 2, 3]);
    let degrade = LinkAction::Degrade { loss: 0.2, duplicate: 0.1, extra_delay_us: 500, jitter_us: 2_000 };
    let slow = world.add_link_rule(&everyone, &everyone, degrade);
    at(40).await;
    assert!(world.remove_link_rule(cut).dropped > 0);
    let effect = world.remove_link_rule(slow);
    assert!(effect.dropped > 0 && effect.duplicated > 0 && effect.delayed > 0, "{effect:?}");
    world.crash(2, true);
    world.pause(Process::Client(1));
    world.stall_disk(3);
    world.set_clock_drift(Process::Node(1), 200_000);
    at(60).await;
    assert!(world.restart(2));
    assert!(world.resume(Process::Client(1)) > 0);
    assert!(world.resume_disk(3) > 0);
    world.crash(1, false);
    at(70).await;
    assert!(world.restart(1));
    at(100).await;
    (world.trace(), world.statistics())
}

fn storm(seed: u64) -> (Trace, WorldStatistics) {
    run_in_fresh_thread(seed, move || Box::pin(stormy_run(seed, true))).expect("the run ends well")
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_is_another() {
    let mut hashes = BTreeSet::new();
    for seed in 0..20 {
        let (first, statistics) = storm(seed);
        let (second, again) = storm(seed);
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(statistics, again);
        assert_eq!(first.length, first.records.len() as u64);
        assert!(statistics.frames_delivered > 1_000, "{statistics:?}");
        assert!(statistics.disk_syncs > 50, "{statistics:?}");
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 20);
}

#[test]
fn keeping_the_records_does_not_change_the_run() {
    let kept = storm(3).0;
    let hashed = run_in_fresh_thread(3, || Box::pin(stormy_run(3, false))).expect("the run ends well").0;
    assert_eq!(kept.hash, hashed.hash);
    assert!(hashed.records.is_empty());
}

#[test]
fn concurrent_runs_do_not_disturb_one_another() {
    let alone = storm(5).0.hash;
    let together = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| storm(5).0.hash)).collect();
        runs.into_iter().map(|run| run.join().expect("the run ends well")).collect::<Vec<_>>()
    });
    assert_eq!(together, vec![alone; 3]);
}

#[test]
fn a_second_process_sees_the_same_run() {
    const IN_CHILD: &str = "STORMGLASS_TEST_CHILD";
    let here = format!("trace {}", storm(8).0.hash);
    if std::env::var_os(IN_CHILD).is_some() {
        println!("{here}");
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().expect("the test knows its own path"))
        .args(["--exact", "a_second_process_sees_the_same_run", "--nocapture"])
        .env(IN_CHILD, "1")
        .output()
        .expect("the test starts itself");
    assert!(child.status.success());
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(printed.contains(&here), "{here} is not in {printed}");
}
