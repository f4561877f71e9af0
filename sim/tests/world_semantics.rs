//! What the world does to programs, lever by lever.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stormglass_nodes::env::{Disk, Env, FRAME_BYTES_MAX, File, Net};
use stormglass_nodes::ids::{Address, LocalTime, NodeId};
use stormglass_sim::history::{NodeEvent, NodeRole, VirtualTime};
use stormglass_sim::nemesis::{LinkAction, Process, RuleEffect, Surface};
use stormglass_sim::plan::NetworkProfile;
use stormglass_sim::world::{INBOX_FRAMES_MAX, SimEnv, World, WorldConfig, run_in_fresh_thread};

const ONE: Process = Process::Node(1);
const TWO: Process = Process::Node(2);

/// Nodes as the nemesis names them.
fn node_set<const N: usize>(nodes: [u64; N]) -> BTreeSet<Process> {
    nodes.into_iter().map(Process::Node).collect()
}

/// Runs `test` on a world of two nodes and one client without any drift.
fn in_world<F>(test: impl FnOnce(World) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let run = || -> BoxFuture<'static, ()> {
        let mut config = WorldConfig { seed: 1, nodes: 2, clients: 1, ..WorldConfig::default() };
        config.clocks.drift_ppm_max = 0;
        Box::pin(async move { test(World::new(config)).await })
    };
    if let Err(payload) = run_in_fresh_thread(1, run) {
        std::panic::resume_unwind(payload);
    }
}

fn to(node: u64) -> Address {
    Address::Node(NodeId(node))
}

/// Sends a frame to node 2 every millisecond.
fn ticker(env: SimEnv) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            env.net().send(to(2), Bytes::from_static(b"tick"));
            env.sleep_until(env.now().plus_us(1_000)).await;
        }
    })
}

/// A program that counts the frames it receives.
fn counter(count: &Arc<AtomicU64>) -> impl Fn(SimEnv) -> BoxFuture<'static, ()> + Send + Sync + 'static {
    let count = count.clone();
    move |env| {
        let count = count.clone();
        Box::pin(async move {
            loop {
                env.net().receive().await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

fn ticking(world: &World) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    world.set_program(ONE, ticker);
    world.set_program(TWO, counter(&count));
    assert!(world.start(ONE) && world.start(TWO));
    count
}

async fn wait_ms(world: &World, ms: u64) {
    world.sleep_until(VirtualTime(world.now().0 + ms * 1_000_000)).await;
}

#[test]
fn sleeps_end_within_a_few_microseconds_of_their_deadline() {
    in_world(|world| async move {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let log = woken.clone();
        world.set_program(ONE, move |env| {
            let log = log.clone();
            Box::pin(async move {
                for wait_us in [1, 7, 50, 999, 1_001, 20_000] {
                    let deadline = env.now().plus_us(wait_us);
                    env.sleep_until(deadline).await;
                    log.lock().unwrap().push(env.now().since_us(deadline));
                    assert!(env.now() >= deadline);
                }
                std::future::pending::<()>().await;
            })
        });
        world.start(ONE);
        wait_ms(&world, 50).await;
        let late = woken.lock().unwrap().clone();
        assert_eq!(late.len(), 6);
        assert!(late.iter().all(|us| *us <= 1), "{late:?}");
    });
}

#[test]
fn a_cut_drops_frames_one_way_and_those_on_the_way() {
    in_world(|world| async move {
        let count = ticking(&world);
        wait_ms(&world, 10).await;
        assert!(count.load(Ordering::Relaxed) >= 8);
        let rule = world.add_link_rule(&node_set([1]), &node_set([2]), LinkAction::Cut);
        let back = world.add_link_rule(&node_set([2]), &node_set([1]), LinkAction::Cut);
        let before = count.load(Ordering::Relaxed);
        wait_ms(&world, 10).await;
        assert_eq!(count.load(Ordering::Relaxed), before);
        let effect = world.remove_link_rule(rule);
        assert!((9..=11).contains(&effect.dropped), "{effect:?}");
        assert_eq!(world.remove_link_rule(back), RuleEffect::default(), "nothing went that way");
        assert_eq!(world.remove_link_rule(rule), RuleEffect::default(), "it is gone");
        assert_eq!(world.statistics().frames_dropped.rule, effect.dropped);
        wait_ms(&world, 10).await;
        assert!(count.load(Ordering::Relaxed) > before + 8);
    });
}

#[test]
fn the_shortest_cut_loses_the_frame_that_is_on_the_way() {
    in_world(|world| async move {
        let count = Arc::new(AtomicU64::new(0));
        world.set_program(TWO, counter(&count));
        world.set_program(ONE, |env| {
            Box::pin(async move {
                env.net().send(to(2), Bytes::from_static(b"once"));
                std::future::pending::<()>().await;
            })
        });
        world.start(TWO);
        world.start(ONE);
        world.sleep_until(VirtualTime(world.now().0 + 20_000)).await;
        let rule = world.add_link_rule(&node_set([1]), &node_set([2]), LinkAction::Cut);
        assert_eq!(world.remove_link_rule(rule).dropped, 1);
        wait_ms(&world, 10).await;
        assert_eq!(count.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_degraded_link_loses_doubles_and_delays() {
    in_world(|world| async move {
        let count = ticking(&world);
        let action = |loss, duplicate, extra_delay_us| LinkAction::Degrade {
            loss,
            duplicate,
            extra_delay_us,
            jitter_us: 0,
        };
        let (one, two) = (node_set([1]), node_set([2]));
        let rule = world.add_link_rule(&one, &two, action(1.0, 0.0, 0));
        wait_ms(&world, 10).await;
        assert!(world.remove_link_rule(rule).dropped >= 9);
        let rule = world.add_link_rule(&one, &two, action(0.0, 1.0, 0));
        let before = count.load(Ordering::Relaxed);
        wait_ms(&world, 10).await;
        assert!(world.remove_link_rule(rule).duplicated >= 9);
        assert!(count.load(Ordering::Relaxed) >= before + 17);
        let rule = world.add_link_rule(&one, &two, action(0.0, 0.0, 100_000));
        wait_ms(&world, 5).await;
        let before = count.load(Ordering::Relaxed);
        wait_ms(&world, 50).await;
        assert_eq!(count.load(Ordering::Relaxed), before);
        assert!(world.remove_link_rule(rule).delayed >= 50);
        wait_ms(&world, 110).await;
        assert!(count.load(Ordering::Relaxed) > before + 100, "late is not lost");
    });
}

#[test]
fn frames_reach_oneself_even_behind_a_cut_and_bad_ones_are_counted() {
    in_world(|world| async move {
        let everybody = node_set([1, 2]);
        world.add_link_rule(&everybody, &everybody, LinkAction::Cut);
        world.set_program(ONE, |env| {
            Box::pin(async move {
                env.net().send(to(1), Bytes::from_static(b"self"));
                assert_eq!(env.net().receive().await, (to(1), Bytes::from_static(b"self")));
                env.net().send(to(9), Bytes::new());
                env.net().send(to(1), Bytes::from(vec![0; FRAME_BYTES_MAX + 1]));
                std::future::pending::<()>().await;
            })
        });
        world.start(ONE);
        wait_ms(&world, 5).await;
        let drops = world.statistics().frames_dropped;
        assert_eq!((drops.no_such_receiver, drops.too_long, drops.total()), (1, 1, 2));
        assert_eq!(world.statistics().frames_delivered, 1);
    });
}

#[test]
fn a_crashed_process_stops_and_a_restarted_one_begins_with_an_empty_inbox() {
    in_world(|world| async move {
        let count = ticking(&world);
        wait_ms(&world, 10).await;
        let effect = world.crash(2, false);
        assert!(effect.killed);
        assert!(!world.is_up(2) && world.is_up(1));
        assert!(!world.crash(2, false).killed, "it was down");
        let before = count.load(Ordering::Relaxed);
        wait_ms(&world, 10).await;
        assert_eq!(count.load(Ordering::Relaxed), before);
        assert!(world.statistics().frames_dropped.receiver_down >= 9);
        assert!(world.restart(2));
        assert!(!world.restart(2), "it is up");
        wait_ms(&world, 10).await;
        let after = count.load(Ordering::Relaxed);
        assert!((8..=11).contains(&(after - before)), "{before} {after}");
    });
}

#[test]
fn a_paused_process_stands_still_while_its_inbox_fills_and_its_clock_runs() {
    in_world(|world| async move {
        let count = ticking(&world);
        wait_ms(&world, 10).await;
        assert!(world.pause(TWO));
        assert!(!world.pause(TWO), "it is paused already");
        assert!(world.is_up(2));
        let (before, clock) = (count.load(Ordering::Relaxed), world.local_time(TWO));
        wait_ms(&world, 20).await;
        assert_eq!(count.load(Ordering::Relaxed), before);
        assert!(world.local_time(TWO).since_us(clock) >= 20_000);
        let waiting = world.resume(TWO);
        assert!((19..=21).contains(&waiting), "{waiting}");
        assert_eq!(world.resume(TWO), 0, "it runs already");
        world.sleep_until(VirtualTime(world.now().0 + 10_000)).await;
        assert_eq!(count.load(Ordering::Relaxed), before + waiting);
        world.pause(TWO);
        assert!(world.crash(2, false).killed, "a paused process can be killed");
        assert!(world.restart(2));
        wait_ms(&world, 10).await;
        assert!(count.load(Ordering::Relaxed) > before + waiting + 5, "and comes back running");
    });
}

#[test]
fn a_paused_inbox_is_bounded_and_what_exceeds_it_is_counted() {
    in_world(|world| async move {
        world.set_program(TWO, counter(&Arc::default()));
        world.set_program(ONE, |env| {
            Box::pin(async move {
                for _ in 0..INBOX_FRAMES_MAX + 10 {
                    env.net().send(to(2), Bytes::new());
                }
                std::future::pending::<()>().await;
            })
        });
        world.start(TWO);
        world.pause(TWO);
        world.start(ONE);
        wait_ms(&world, 20).await;
        assert_eq!(world.statistics().frames_dropped.inbox_full, 10);
        assert_eq!(world.resume(TWO), INBOX_FRAMES_MAX as u64);
    });
}

#[test]
fn handles_of_a_dead_run_are_inert() {
    in_world(|world| async move {
        let stolen: Arc<Mutex<Option<SimEnv>>> = Arc::default();
        let keep = stolen.clone();
        world.set_program(ONE, move |env| {
            keep.lock().unwrap().get_or_insert(env);
            Box::pin(std::future::pending())
        });
        world.start(ONE);
        wait_ms(&world, 1).await;
        world.crash(1, false);
        world.restart(1);
        wait_ms(&world, 1).await;
        let ghost = stolen.lock().unwrap().take().unwrap();
        ghost.net().send(to(1), Bytes::from_static(b"boo"));
        ghost.spawn("ghost", async { panic!("a dead run's task ran") });
        assert_eq!(world.statistics().frames_sent, 0);
        let slept = Arc::new(AtomicU64::new(0));
        let awake = slept.clone();
        world.set_program(TWO, move |_| {
            let (ghost, awake) = (ghost.clone(), awake.clone());
            Box::pin(async move {
                ghost.sleep_until(LocalTime(0)).await;
                awake.fetch_add(1, Ordering::Relaxed);
            })
        });
        world.start(TWO);
        wait_ms(&world, 10).await;
        assert_eq!(slept.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn clocks_differ_and_convert_both_ways() {
    let run = || -> BoxFuture<'static, ()> {
        Box::pin(async {
            let mut config = WorldConfig { seed: 4, nodes: 2, ..WorldConfig::default() };
            config.clocks.drift_ppm_max = 1_000;
            let world = World::new(config);
            ticking(&world);
            wait_ms(&world, 1_000).await;
            let (one, two) = (world.local_time(ONE), world.local_time(TWO));
            assert!(one.0.abs_diff(two.0) > 1_000_000, "origins are far apart");
            wait_ms(&world, 10_000).await;
            let elapsed = [(ONE, one), (TWO, two)].map(|(p, then)| world.local_time(p).since_us(then));
            assert_ne!(elapsed[0], elapsed[1], "rates differ");
            assert!(elapsed.iter().all(|us| us.abs_diff(10_000_000) <= 10_001), "{elapsed:?}");
            let now = world.now();
            let back = world.true_time_of(ONE, world.local_time(ONE));
            assert!(back <= now && now.since_ns(back) < 1_100);
        })
    };
    run_in_fresh_thread(4, run).expect("the run ends well");
}

#[test]
fn a_clock_that_is_made_fast_wakes_its_sleepers_early() {
    in_world(|world| async move {
        let woken = Arc::new(AtomicU64::new(0));
        let (log, watch) = (woken.clone(), world.clone());
        world.set_program(ONE, move |env| {
            let (log, watch) = (log.clone(), watch.clone());
            Box::pin(async move {
                env.sleep_until(env.now().plus_us(100_000)).await;
                log.store(watch.now().as_us(), Ordering::Relaxed);
                std::future::pending::<()>().await;
            })
        });
        world.start(ONE);
        world.sleep_until(VirtualTime::from_ms(10)).await;
        assert_eq!(world.set_clock_drift(ONE, 1_000_000), 0);
        wait_ms(&world, 200).await;
        let at = woken.load(Ordering::Relaxed);
        assert!((54_900..=55_100).contains(&at), "{at}");
        let strayed = world.set_clock_drift(ONE, 0);
        assert!((199_990..=200_010).contains(&strayed), "{strayed}");
    });
}

/// Appends numbered bytes to a file, and syncs every third.
fn appender(env: SimEnv) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let file = env.disk().open("log", true).await.unwrap();
        env.disk().sync_names().await.unwrap();
        let mut length = file.len().await.unwrap();
        loop {
            for _ in 0..3 {
                file.write_at(length, Bytes::from(vec![length as u8])).await.unwrap();
                length += 1;
            }
            file.sync().await.unwrap();
            env.net().send(to(2), Bytes::from(length.to_le_bytes().to_vec()));
        }
    })
}

#[test]
fn power_loss_loses_nothing_that_was_synced_and_a_process_crash_nothing_at_all() {
    in_world(|world| async move {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let log = acknowledged.clone();
        world.set_program(TWO, move |env| {
            let log = log.clone();
            Box::pin(async move {
                loop {
                    let (_, frame) = env.net().receive().await;
                    let length = u64::from_le_bytes(frame.as_ref().try_into().unwrap());
                    log.fetch_max(length, Ordering::Relaxed);
                }
            })
        });
        world.start(TWO);
        let (mut lost, mut losses) = (0, 0);
        for round in 0..40 {
            world.set_program(ONE, appender);
            world.start(ONE);
            world.sleep_until(VirtualTime(world.now().0 + 4_000_000 + round * 37_000)).await;
            let effect = world.crash(1, true);
            assert!(effect.killed);
            lost += effect.unsynced_bytes_lost;
            losses += u64::from(effect.unsynced_bytes_lost > 0);
            let promised = acknowledged.clone();
            let checked = Arc::new(AtomicU64::new(0));
            let done = checked.clone();
            world.set_program(ONE, move |env| {
                let (promised, done) = (promised.clone(), done.clone());
                Box::pin(async move {
                    let file = env.disk().open("log", false).await.unwrap();
                    let content = file.read_at(0, usize::MAX).await.unwrap();
                    let promised = promised.load(Ordering::Relaxed) as usize;
                    assert!(content.len() >= promised, "{} of {promised}", content.len());
                    assert!((0..promised).all(|place| content[place] == place as u8));
                    // What was not promised is dropped, so that the next round appends to known content.
                    file.set_len(promised as u64).await.unwrap();
                    file.sync().await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                })
            });
            world.restart(1);
            wait_ms(&world, 20).await;
            assert_eq!(checked.load(Ordering::Relaxed), 1);
            assert!(!world.is_up(1), "its program came to its end");
        }
        assert!(lost > 5, "{lost}");
        assert!(losses > 15, "a program that always has something unsynced lost some {losses} times in 40");
        assert!(acknowledged.load(Ordering::Relaxed) > 100);
        let quiet = world.crash(1, true);
        assert_eq!((quiet.killed, quiet.unsynced_bytes_lost), (false, 0), "all was synced");
    });
}

#[test]
fn a_stalled_disk_answers_only_after_the_stall() {
    in_world(|world| async move {
        world.set_program(ONE, appender);
        world.start(ONE);
        wait_ms(&world, 20).await;
        let syncs = world.counters().syncs;
        assert!(syncs > 10);
        world.stall_disk(1);
        wait_ms(&world, 20).await;
        assert_eq!(world.counters().syncs, syncs);
        assert_eq!(world.resume_disk(1), 1, "the appender does one thing at a time");
        wait_ms(&world, 20).await;
        assert!(world.counters().syncs > syncs + 10);
    });
}

#[test]
fn roles_and_counters_follow_what_nodes_report_and_the_observer_hears_all() {
    in_world(|world| async move {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, lever) = (heard.clone(), world.clone());
        world.set_program(ONE, |_| Box::pin(std::future::pending()));
        world.start(ONE);
        world.set_observer(Box::new(move |_, node, event| {
            log.lock().unwrap().push((node, event.clone()));
            if matches!(event, NodeEvent::RoleChanged { role: NodeRole::Leader, term: 7 }) {
                lever.crash(1, false);
            }
        }));
        let change = |role, term| NodeEvent::RoleChanged { role, term };
        world.record_event(1, change(NodeRole::Candidate, 3));
        world.record_event(1, change(NodeRole::Leader, 3));
        assert_eq!(world.leader(), Some(1));
        let counters = world.counters();
        assert_eq!((counters.campaigns, counters.leaders_elected), (1, 1));
        world.record_event(1, change(NodeRole::Leader, 7));
        assert_eq!(world.leader(), None, "the observer killed it");
        let heard = heard.lock().unwrap();
        assert_eq!(heard.len(), 4);
        assert_eq!(heard[3], (1, NodeEvent::Stopped));
        assert_eq!((world.nodes(), world.clients()), (2, 1));
    });
}

#[test]
fn a_panic_ends_the_run_and_says_whose_it_was_and_when() {
    let run = || -> BoxFuture<'static, ()> {
        Box::pin(async {
            let world = World::new(WorldConfig { seed: 1, nodes: 2, ..WorldConfig::default() });
            world.set_program(TWO, |env| {
                Box::pin(async move {
                    let late = env.clone();
                    env.spawn("applier", async move {
                        late.sleep_until(late.now().plus_us(5_000)).await;
                        panic!("index {} is gone", 12);
                    });
                    std::future::pending::<()>().await;
                })
            });
            world.start(TWO);
            wait_ms(&world, 1_000).await;
        })
    };
    let payload = run_in_fresh_thread(1, run).expect_err("the panic is not swallowed");
    let message = payload.downcast_ref::<String>().expect("the message is text");
    let (whose, what) = message.split_once(" panicked at 0.005").unwrap_or_else(|| panic!("{message}"));
    assert_eq!(whose, "n2, task \"applier\",");
    assert!(what.ends_with("index 12 is gone"), "{message}");
}

#[test]
fn the_median_delay_is_what_the_profile_says_and_frames_overtake() {
    in_world(|world| async move {
        let arrivals: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let (log, watch) = (arrivals.clone(), world.clone());
        world.set_program(TWO, move |env| {
            let (log, watch) = (log.clone(), watch.clone());
            Box::pin(async move {
                loop {
                    let (_, frame) = env.net().receive().await;
                    let sent = u64::from_le_bytes(frame.as_ref().try_into().unwrap());
                    log.lock().unwrap().push((sent, watch.now().0 - sent));
                }
            })
        });
        let watch = world.clone();
        world.set_program(ONE, move |env| {
            let watch = watch.clone();
            Box::pin(async move {
                for _ in 0..5_000 {
                    env.net().send(to(2), Bytes::from(watch.now().0.to_le_bytes().to_vec()));
                    env.sleep_until(env.now().plus_us(20)).await;
                }
                std::future::pending::<()>().await;
            })
        });
        world.start(TWO);
        world.start(ONE);
        wait_ms(&world, 300).await;
        let arrivals = arrivals.lock().unwrap();
        assert_eq!(arrivals.len(), 5_000);
        let mut delays: Vec<u64> = arrivals.iter().map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        let median_us = delays[2_500] / 1_000;
        let profile = NetworkProfile::default();
        assert!(median_us.abs_diff(profile.latency_us) <= 10, "{median_us}");
        assert!(arrivals.windows(2).any(|pair| pair[0].0 > pair[1].0), "some frame overtook another");
        let distinct: BTreeSet<u64> = delays.iter().copied().collect();
        assert!(distinct.len() > 4_000);
    });
}

#[test]
fn a_task_that_spins_ends_the_run_instead_of_hanging_it() {
    let run = || -> BoxFuture<'static, ()> {
        Box::pin(async {
            let world = World::new(WorldConfig { seed: 1, nodes: 1, ..WorldConfig::default() });
            world.set_program(ONE, |env| {
                Box::pin(async move {
                    loop {
                        env.net().send(Address::Node(NodeId(1)), Bytes::new());
                    }
                })
            });
            world.start(ONE);
            wait_ms(&world, 1_000).await;
        })
    };
    let payload = run_in_fresh_thread(1, run).expect_err("the run does not hang");
    let message = payload.downcast_ref::<String>().expect("the message is text");
    assert!(message.contains("a task spins"), "{message}");
}
