//! Frames per CPU-second through the simulated network: five nodes, each frame answered by a frame.
//!
//! What is measured is the CPU time of the run's own thread, as the scheduler accounts it, from the making
//! of the world to its end; other processes on the machine do not count.
#![expect(clippy::disallowed_methods, reason = "it reads its CPU time from the real system")]

use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::BoxFuture;
use stormglass_nodes::env::{Env, Net};
use stormglass_nodes::ids::{Address, NodeId};
use stormglass_sim::history::VirtualTime;
use stormglass_sim::nemesis::Process;
use stormglass_sim::world::{SimEnv, World, WorldConfig, run_in_fresh_thread};

const NODES: u64 = 5;
const FRAME_BYTES: usize = 64;

/// Sends `window` frames to each other node, and answers every frame that arrives.
fn echo(env: SimEnv, window: u64) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let Process::Node(me) = env.process() else { return };
        let frame = Bytes::from(vec![me as u8; FRAME_BYTES]);
        for peer in (1..=NODES).filter(|peer| *peer != me) {
            for _ in 0..window {
                env.net().send(Address::Node(NodeId(peer)), frame.clone());
            }
        }
        loop {
            let (from, frame) = env.net().receive().await;
            env.net().send(from, frame);
        }
    })
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    let ns =
        text.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("its first field is a number");
    Duration::from_nanos(ns)
}

/// Delivers at least `frames` frames; says how many, and the CPU time that they took.
fn deliver(window: u64, frames: u64) -> (u64, Duration) {
    run_in_fresh_thread(1, move || {
        Box::pin(async move {
            let before = cpu_time();
            let world = World::new(WorldConfig { seed: 1, nodes: NODES, ..WorldConfig::default() });
            for node in 1..=NODES {
                world.set_program(Process::Node(node), move |env| echo(env, window));
                world.start(Process::Node(node));
            }
            let mut delivered = 0;
            while delivered < frames {
                world.sleep_until(VirtualTime(world.now().0 + 1_000_000)).await;
                delivered = world.statistics().frames_delivered;
            }
            (delivered, cpu_time().saturating_sub(before))
        })
    })
    .expect("the run ends well")
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames_per_cpu_second");
    const FRAMES: u64 = 1_000_000;
    group.throughput(Throughput::Elements(FRAMES));
    group.sample_size(10);
    for window in [1, 16, 256] {
        group.bench_function(BenchmarkId::new("echo_window", window), |bencher| {
            bencher.iter_custom(|iterations| {
                let (delivered, time) = deliver(window, FRAMES * iterations);
                time.mul_f64((FRAMES * iterations) as f64 / delivered as f64)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
