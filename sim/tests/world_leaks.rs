//! A run that is over, well or badly, leaves nothing behind.
#![expect(clippy::disallowed_methods, reason = "it reads its own memory from the real system")]

mod world_common;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use stormglass_nodes::env::Env;
use stormglass_sim::history::VirtualTime;
use stormglass_sim::nemesis::{Process, Surface};
use stormglass_sim::world::{World, WorldConfig, run_in_fresh_thread};
use world_common::{chatter, node_set};

/// Runs chattering nodes for 20 ms of virtual time; every closure and task holds a clone of `guard`.
fn run(seed: u64, guard: &Arc<()>, panics: bool) -> std::thread::Result<()> {
    let guard = guard.clone();
    run_in_fresh_thread(seed, move || -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let world = World::new(WorldConfig { seed, nodes: 3, clients: 2, ..WorldConfig::default() });
            for process in [1, 2, 3].map(Process::Node).into_iter().chain([1, 2].map(Process::Client)) {
                let (held, handle) = (guard.clone(), world.clone());
                world.set_program(process, move |env| {
                    let (held, handle) = (held.clone(), handle.clone());
                    Box::pin(async move {
                        let inner = held.clone();
                        env.spawn("holder", async move {
                            std::future::pending::<()>().await;
                            drop((inner, handle));
                        });
                        chatter(env).await;
                        drop(held);
                    })
                });
                world.start(process);
            }
            let (held, handle) = (guard.clone(), world.clone());
            world.set_observer(Box::new(move |_, _, _| drop((held.clone(), handle.clone()))));
            let at = |ms| world.sleep_until(VirtualTime::from_ms(ms));
            at(5).await;
            world.pause(Process::Node(1));
            world.crash(2, true);
            world.stall_disk(3);
            let everybody = node_set([1, 2, 3]);
            world.add_link_rule(&everybody, &everybody, stormglass_sim::nemesis::LinkAction::Cut);
            at(20).await;
            assert!(!panics, "asked to panic");
        })
    })
}

/// One after the other: the report of a panic loads the program's symbols, which would count as growth.
#[test]
fn runs_leave_nothing_behind() {
    two_hundred_runs_do_not_grow_the_process();
    every_task_and_closure_of_a_run_is_dropped_even_if_it_panicked();
}

fn every_task_and_closure_of_a_run_is_dropped_even_if_it_panicked() {
    let guard = Arc::new(());
    for seed in 0..5 {
        run(seed, &guard, false).expect("the run ends well");
        assert_eq!(Arc::strong_count(&guard), 1, "seed {seed}");
        run(seed, &guard, true).expect_err("the run was asked to panic");
        assert_eq!(Arc::strong_count(&guard), 1, "seed {seed}");
    }
}

fn two_hundred_runs_do_not_grow_the_process() {
    let resident_kib = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's memory");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident set");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    };
    let guard = Arc::new(());
    let warm_up = 50;
    (0..warm_up).for_each(|seed| run(seed, &guard, false).expect("the run ends well"));
    let before = resident_kib();
    let runs = 200;
    (0..runs).for_each(|seed| run(seed, &guard, false).expect("the run ends well"));
    let grown = resident_kib().saturating_sub(before);
    // A runtime that is not cleaned up leaks 75 KiB and more; fragmentation stays far below a tenth of it.
    assert!(grown < runs * 7, "{grown} KiB over {runs} runs");
    println!("{grown} KiB over {runs} runs");
}
