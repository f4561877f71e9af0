//! The production log on the simulated disk, through power losses.
//!
//! The conformance suite that the log passes on real files and on a small hostile disk must pass here too,
//! with nothing skipped: what the simulator says of a cluster is worth no more than its disk is. After it, a
//! log is written at random while the power fails at random times, during recovery too.

#[path = "storage_on_simdisk_support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use rand::RngExt;
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::marks;
use stormglass_nodes::raft::StoreRequest;
use stormglass_nodes::storage::conformance::{SuiteReport, run_suite};
use stormglass_nodes::storage::{Identity, LogStore, Wal, WalConfig};
use stormglass_sim::nemesis::{CrashEffect, Process};
use stormglass_sim::rng::{StreamRng, Streams};
use stormglass_sim::world::{SimEnv, World, WorldConfig, run_in_fresh_thread};
use support::{Ledger, Machine, random_request};

/// Runs of each test, from seeds of their own.
const SEEDS: u64 = 6;
/// Parts of the suite, each of which gets a machine of its own.
const PARTS: u64 = 44;
/// Lives of the process in one run of the workload.
const LIVES: u64 = 60;
/// The process dies within this time of its start: between none and some twenty requests.
const LIFE_US_MAX: u64 = 40_000;
/// One death in this many leaves the machine running: the page cache survives.
const PROCESS_DEATHS_ONE_IN: u64 = 4;

/// Runs `test` on the seed's own thread and world.
fn in_world<T: Send + 'static>(
    seed: u64,
    nodes: u64,
    test: impl FnOnce(World) -> BoxFuture<'static, T> + Send + 'static,
) -> T {
    let run = move || -> BoxFuture<'static, T> {
        let config = WorldConfig { seed, nodes, clients: 0, ..WorldConfig::default() };
        Box::pin(async move { test(World::new(config)).await })
    };
    run_in_fresh_thread(seed, run).unwrap_or_else(|payload| {
        println!("failed on seed {seed}");
        std::panic::resume_unwind(payload)
    })
}

#[test]
fn the_log_conforms_on_the_simulated_disk_with_every_power_loss_staged() {
    let mut lost = CrashEffect::default();
    for seed in 1..=SEEDS {
        let (report, effect) = in_world(seed, PARTS, |world| Box::pin(conform(world)));
        let report = report.unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        assert_eq!(report.skipped, Vec::<&str>::new(), "seed {seed}");
        assert_eq!(report.passed.len() as u64, PARTS, "seed {seed}");
        lost.unsynced_bytes_lost += effect.unsynced_bytes_lost;
        lost.writes_torn += effect.writes_torn;
    }
    assert!(lost.unsynced_bytes_lost > 0 && lost.writes_torn > 0, "no power loss cost anything: {lost:?}");
}

async fn conform(world: World) -> (Result<SuiteReport, String>, CrashEffect) {
    let losses = Arc::new(Mutex::new(CrashEffect::default()));
    let mut machines = (1..=PARTS).map(|node| Machine::start(&world, Process::Node(node), &losses));
    let report = run_suite(|| machines.next().expect("a machine for each part")).await;
    let effect = *losses.lock().unwrap();
    (report, effect)
}

/// What happened in one run of the workload.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    survived: u64,
    withdrawn: u64,
    recoveries: u64,
    lost: CrashEffect,
    marks: BTreeMap<&'static str, u64>,
}

#[test]
fn a_log_under_random_power_losses_recovers_exactly_what_was_acknowledged() {
    let mut total = Tally::default();
    for seed in 1..=SEEDS {
        let tally = in_world(seed, 1, move |world| Box::pin(live_and_die(world, seed)));
        assert!(tally.recoveries > LIVES / 2, "seed {seed}: most lives last beyond recovery: {tally:?}");
        assert!(tally.acknowledged > LIVES, "seed {seed}: {tally:?}");
        total.survived += tally.survived;
        total.withdrawn += tally.withdrawn;
        total.lost.unsynced_bytes_lost += tally.lost.unsynced_bytes_lost;
        total.lost.writes_torn += tally.lost.writes_torn;
        for (mark, count) in tally.marks {
            *total.marks.entry(mark).or_default() += count;
        }
    }
    // Every kind of end must have been seen, or the test has shown less than it says.
    assert!(total.survived > 0 && total.withdrawn > 0, "requests in flight go either way: {total:?}");
    assert!(total.lost.unsynced_bytes_lost > 0 && total.lost.writes_torn > 0, "{total:?}");
    for mark in [
        "wal.torn_tail_cut",
        "wal.unused_segment_removed",
        "wal.segment_rolled",
        "wal.segment_removed",
        "wal.returned_segment_removed",
        "wal.snapshot_superseded",
        "wal.nameless_snapshot_removed",
        "wal.interrupted_file_removed",
    ] {
        assert!(total.marks.contains_key(mark), "never reached {mark}: {total:?}");
    }
}

/// Starts and kills the one process again and again, at random times.
async fn live_and_die(world: World, seed: u64) -> Tally {
    let mut random = Streams::new(seed).stream("test/deaths");
    let config = WalConfig {
        segment_bytes: random.random_range(500..20_000),
        preallocate_bytes: [0, 512, 4_096][random.random_range(0..3)],
    };
    let ledger = Arc::new(Mutex::new(Ledger::new(Streams::new(seed).stream("test/requests"))));
    let of_process = ledger.clone();
    world.set_program(Process::Node(1), move |env| Box::pin(write_on(env, config, of_process.clone())));
    let mut tally = Tally::default();
    for _ in 0..LIVES {
        assert!(world.start(Process::Node(1)), "it was down");
        let mut until = world.now();
        until.0 += random.random_range(0..LIFE_US_MAX) * 1_000;
        world.sleep_until(until).await;
        let power_loss = random.random_range(0..PROCESS_DEATHS_ONE_IN) > 0;
        let effect = world.crash_process(Process::Node(1), power_loss);
        assert!(effect.killed, "the process came to an end by itself");
        tally.lost.unsynced_bytes_lost += effect.unsynced_bytes_lost;
        tally.lost.writes_torn += effect.writes_torn;
    }
    let ledger = ledger.lock().unwrap();
    tally.acknowledged = ledger.acknowledged_requests;
    tally.survived = ledger.survived;
    tally.withdrawn = ledger.withdrawn;
    tally.recoveries = ledger.recoveries;
    tally.marks = marks::counts();
    tally
}

/// One life: recover, compare, and write on.
async fn write_on(env: SimEnv, config: WalConfig, ledger: Arc<Mutex<Ledger<StreamRng>>>) {
    let identity = Identity { cluster: 5, node: NodeId(1) };
    let opened = Wal::open(env.disk().clone(), identity, config).await;
    let (mut wal, recovered) = opened.expect("no power loss makes the log unreadable");
    ledger.lock().unwrap().recovered(recovered);
    loop {
        let request: StoreRequest = {
            let mut ledger = ledger.lock().unwrap();
            let request = random_request(&mut ledger);
            ledger.begins(request.clone());
            request
        };
        wal.store(&request).await.expect("this disk reports no errors");
        ledger.lock().unwrap().acknowledged();
    }
}
