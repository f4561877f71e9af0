//! Every store keeps the contract in the simulated world: files on a simulated disk, and a Redis that is a process
//! of the world, both of which lose their power.

#[path = "storage_on_simdisk_support/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the log, which use all of it")]
mod support;

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use stormglass_nodes::env::{Disk, Env};
use stormglass_nodes::ids::{NodeId, Term};
use stormglass_nodes::marks;
use stormglass_nodes::raft::{HardState, Recovered, StoreRequest, StoreToken};
use stormglass_nodes::storage::conformance::{
    DiskUnderTest, StoreUnderTest, SuiteReport, run_contract_suite,
};
use stormglass_nodes::storage::{
    Identity, LogStore, RedisConfig, RedisStore, StorageError, StorageStatus, Wal, WalConfig,
};
use stormglass_sim::history::VirtualTime;
use stormglass_sim::nemesis::{CrashEffect, Process};
use stormglass_sim::world::redis::{AppendFsync, serve};
use stormglass_sim::world::{SimEnv, World, WorldConfig, run_in_fresh_thread};
use support::{LentDisk, Machine};
use tokio::sync::mpsc;

/// Parts of the suite.
const PARTS: u64 = 13;
const SEEDS: u64 = 3;
const IDENTITY: Identity = Identity { cluster: 7, node: NodeId(3) };
/// No test in a world takes longer, in its time. One that does has come to a standstill.
const TEST_MAX: VirtualTime = VirtualTime::from_ms(3_600_000);

fn in_world<T: Send + 'static>(
    config: WorldConfig,
    test: impl FnOnce(World) -> BoxFuture<'static, T> + Send + 'static,
) -> T {
    let run = move || -> BoxFuture<'static, T> { Box::pin(async move { test(World::new(config)).await }) };
    run_in_fresh_thread(config.seed, run).unwrap_or_else(|payload| {
        println!("failed on seed {}", config.seed);
        std::panic::resume_unwind(payload)
    })
}

struct OnSimDisk(Machine);

impl StoreUnderTest for OnSimDisk {
    type Store = Wal<LentDisk>;

    async fn open(&self, identity: Identity) -> Result<(Self::Store, Recovered), StorageError> {
        let small = WalConfig { segment_bytes: 4_096, preallocate_bytes: 1_024 };
        Wal::open(self.0.disk(), identity, small).await
    }

    async fn crash(&self) -> bool {
        self.0.crash()
    }
}

#[test]
fn the_log_keeps_the_contract_on_a_simulated_disk() {
    for seed in 1..=SEEDS {
        let config = WorldConfig { seed, nodes: PARTS, ..WorldConfig::default() };
        let report = in_world(config, |world| {
            Box::pin(async move {
                let losses = Arc::new(Mutex::new(CrashEffect::default()));
                let mut machines =
                    (1..=PARTS).map(|node| Machine::start(&world, Process::Node(node), &losses));
                run_contract_suite(|| {
                    let machine = machines.next().expect("a machine for each part");
                    async move { OnSimDisk(machine) }
                })
                .await
            })
        });
        expect_all(seed, report);
    }
}

fn expect_all(seed: u64, report: Result<SuiteReport, String>) {
    let report = report.unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    assert_eq!(report.skipped, Vec::<&str>::new(), "seed {seed}");
    assert_eq!(report.passed.len() as u64, PARTS, "seed {seed}");
}

/// A node's environment, and the number of the service that it uses.
struct InWorld {
    world: World,
    env: SimEnv,
    service: u64,
}

impl InWorld {
    fn config(&self) -> RedisConfig {
        RedisConfig {
            answer_within_us: 2_000_000,
            ..RedisConfig::new(self.world.service_address(self.service))
        }
    }

    async fn open_as(&self, identity: Identity) -> Result<(RedisStore<SimEnv>, Recovered), StorageError> {
        RedisStore::open(self.env.clone(), identity, self.config(), StorageStatus::default()).await
    }
}

impl StoreUnderTest for InWorld {
    type Store = RedisStore<SimEnv>;

    async fn open(&self, identity: Identity) -> Result<(Self::Store, Recovered), StorageError> {
        self.open_as(identity).await
    }

    async fn crash(&self) -> bool {
        let service = self.world.service(self.service);
        assert!(self.world.crash_process(service, true).killed, "the Redis runs");
        self.world.start(service)
    }
}

/// Runs `test` as the program of a node, in a world with as many Redis servers as it wants.
fn beside_redis<T: Send + 'static>(
    seed: u64,
    services: u64,
    policy: AppendFsync,
    test: impl Fn(World, SimEnv) -> BoxFuture<'static, T> + Send + Sync + 'static,
) -> T {
    let config = WorldConfig { seed, nodes: 1, services, ..WorldConfig::default() };
    in_world(config, move |world| {
        Box::pin(async move {
            for number in 1..=services {
                let service = world.service(number);
                world.set_program(service, move |env| Box::pin(serve(env, policy)));
                world.start(service);
            }
            let (results, mut result) = mpsc::unbounded_channel();
            let (test, inner) = (Arc::new(test), world.clone());
            world.set_program(Process::Node(1), move |env| {
                let (results, test, world) = (results.clone(), test.clone(), inner.clone());
                Box::pin(async move {
                    let _ = results.send(test(world, env).await);
                })
            });
            world.start(Process::Node(1));
            tokio::select! {
                biased;
                ended = result.recv() => ended.expect("the test ends"),
                () = world.sleep_until(TEST_MAX) => panic!("the test stands still"),
            }
        })
    })
}

#[test]
fn a_redis_in_the_world_keeps_the_contract_by_either_policy() {
    for policy in [AppendFsync::Always, AppendFsync::EverySecond] {
        for seed in 1..=SEEDS {
            let report = beside_redis(seed, PARTS, policy, |world, env| {
                Box::pin(async move {
                    let mut service = 0;
                    run_contract_suite(|| {
                        service += 1;
                        let fresh = InWorld { world: world.clone(), env: env.clone(), service };
                        async move {
                            // Each part has a Redis of its own, and a node that has never had another.
                            let _ = fresh.env.disk().remove("redis-mark").await;
                            fresh
                        }
                    })
                    .await
                })
            });
            expect_all(seed, report);
        }
    }
}

fn vote(term: u64) -> StoreRequest {
    let hard_state = Some(HardState { term: Term(term), voted_for: Some(NodeId(1)) });
    StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(term)) }
}

/// The Redis dies at random while one request after another is stored. Each is stored all the same, once, and in
/// the end the store holds the last one.
#[test]
fn a_store_outlives_any_death_of_its_redis() {
    const REQUESTS: u64 = 150;
    let mut seen = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 1..=SEEDS {
        for policy in [AppendFsync::Always, AppendFsync::EverySecond] {
            let marks = beside_redis(seed, 1, policy, move |world, env| {
                Box::pin(async move {
                    let there = InWorld { world: world.clone(), env: env.clone(), service: 1 };
                    let (mut store, _) = there.open_as(IDENTITY).await.expect("the store opens");
                    // A Redis that syncs each second, but never lives that long, stores nothing for certain.
                    let lives_us_max = match policy {
                        AppendFsync::EverySecond => 2_000_000,
                        AppendFsync::Always => 60_000,
                    };
                    let killer = env.clone();
                    env.spawn("killer", async move {
                        loop {
                            let lives_us = 5_000 + killer.entropy() % lives_us_max;
                            killer.sleep_until(killer.now().plus_us(lives_us)).await;
                            let service = world.service(1);
                            world.crash_process(service, killer.entropy() % 2 == 0);
                            killer.sleep_until(killer.now().plus_us(killer.entropy() % 50_000)).await;
                            world.start(service);
                        }
                    });
                    for term in 1..=REQUESTS {
                        store.store(&vote(term)).await.expect("a Redis that comes back has not failed");
                    }
                    drop(store);
                    let (_, recovered) = there.open_as(IDENTITY).await.expect("the store opens again");
                    assert_eq!(recovered.hard_state.term, Term(REQUESTS));
                    marks::counts()
                })
            });
            for (mark, count) in marks {
                *seen.entry(mark).or_default() += count;
            }
        }
    }
    for mark in ["redis.found_again", "redis.request_found_done"] {
        assert!(seen.contains_key(mark), "never seen: {mark} among {seen:?}");
    }
}

/// A node that is cut off from its Redis asks again over another connection; what it had sent over the first one
/// arrives when the cut has healed, and is refused.
#[test]
fn late_copies_of_a_request_are_refused() {
    const REQUESTS: u64 = 60;
    let mut seen = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 1..=SEEDS {
        let marks = beside_redis(seed, 1, AppendFsync::Always, move |world, env| {
            Box::pin(async move {
                let there = InWorld { world: world.clone(), env: env.clone(), service: 1 };
                let (mut store, _) = there.open_as(IDENTITY).await.expect("the store opens");
                let cutter = env.clone();
                env.spawn("cutter", async move {
                    let (node, service) = (Process::Node(1), world.service(1));
                    loop {
                        cutter.sleep_until(cutter.now().plus_us(100_000 + cutter.entropy() % 300_000)).await;
                        world.cut_streams(node, service);
                        cutter.sleep_until(cutter.now().plus_us(cutter.entropy() % 6_000_000)).await;
                        world.heal_streams(node, service);
                    }
                });
                for term in 1..=REQUESTS {
                    store.store(&vote(term)).await.expect("a Redis that can be reached again has not failed");
                    env.sleep_until(env.now().plus_us(40_000)).await;
                }
                drop(store);
                let (_, recovered) = there.open_as(IDENTITY).await.expect("the store opens again");
                assert_eq!(recovered.hard_state.term, Term(REQUESTS));
                marks::counts()
            })
        });
        for (mark, count) in marks {
            *seen.entry(mark).or_default() += count;
        }
    }
    for mark in ["redis.found_again", "world.redis_transaction_overtaken"] {
        assert!(seen.contains_key(mark), "never seen: {mark} among {seen:?}");
    }
}
