//! The world's queues stay within their bounds, and events keep their order.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::poll;
use stormglass_nodes::env::{Env, Net};
use stormglass_nodes::ids::{Address, NodeId};
use stormglass_nodes::marks;

use super::{LINK_FRAMES_MAX, Process, VirtualTime, World, WorldConfig, run_in_fresh_thread};
use crate::nemesis::Surface;
use crate::plan::NetworkProfile;

const ONE: Process = Process::Node(1);

fn world() -> World {
    let network = NetworkProfile { latency_tail_us: 0, ..NetworkProfile::default() };
    World::new(WorldConfig { seed: 1, nodes: 2, network, ..WorldConfig::default() })
}

#[test]
fn cancelled_sleeps_are_swept_from_the_queue() {
    let (left, sweeps) = run_in_fresh_thread(1, || {
        Box::pin(async {
            let world = world();
            world.set_program(ONE, |env| {
                Box::pin(async move {
                    for _ in 0..100_000 {
                        let sleep = env.sleep_until(env.now().plus_us(3_600_000_000));
                        let mut sleep = std::pin::pin!(sleep);
                        assert!(poll!(sleep.as_mut()).is_pending());
                    }
                    std::future::pending::<()>().await;
                })
            });
            world.start(ONE);
            world.sleep_until(VirtualTime::from_ms(5)).await;
            let left = world.shared.lock().queue.len();
            (left, marks::count("world.stale_alarms_swept"))
        })
    })
    .expect("the run ends well");
    assert!(left < 2_048, "{left}");
    assert!(sweeps > 10);
}

#[test]
fn sleeps_are_re_evaluated_at_every_change_of_a_clock_and_end_once() {
    let fired = run_in_fresh_thread(1, || {
        Box::pin(async {
            let world = world();
            world.set_program(ONE, |env| {
                Box::pin(async move {
                    env.sleep_until(env.now().plus_us(50_000)).await;
                    std::future::pending::<()>().await;
                })
            });
            world.start(ONE);
            for ms in 1..10 {
                world.sleep_until(VirtualTime::from_ms(ms)).await;
                world.set_clock_drift(ONE, if ms % 2 == 0 { 500_000 } else { -500_000 });
            }
            world.sleep_until(VirtualTime::from_ms(1_000)).await;
            world.statistics().timers_fired
        })
    })
    .expect("the run ends well");
    assert_eq!(fired, 1);
}

#[test]
fn a_link_without_a_tail_keeps_frames_in_order_and_is_bounded() {
    let (numbers, full) = run_in_fresh_thread(1, || {
        Box::pin(async {
            let world = world();
            world.set_program(ONE, |env| {
                Box::pin(async move {
                    for number in 0..LINK_FRAMES_MAX + 5 {
                        let frame = Bytes::from(number.to_le_bytes().to_vec());
                        env.net().send(Address::Node(NodeId(2)), frame);
                    }
                    std::future::pending::<()>().await;
                })
            });
            let received = Arc::new(Mutex::new(Vec::new()));
            let log = received.clone();
            world.set_program(Process::Node(2), move |env| {
                let log = log.clone();
                Box::pin(async move {
                    loop {
                        let (_, frame) = env.net().receive().await;
                        let number = u32::from_le_bytes(frame.as_ref().try_into().expect("four bytes"));
                        log.lock().expect("no panic").push(number);
                    }
                })
            });
            world.start(Process::Node(2));
            world.start(ONE);
            world.sleep_until(VirtualTime::from_ms(50)).await;
            let numbers = received.lock().expect("no panic").clone();
            (numbers, world.statistics().frames_dropped.link_full)
        })
    })
    .expect("the run ends well");
    assert_eq!(full, 5);
    assert!(numbers.len() > 1_000);
    assert!(numbers.is_sorted(), "frames that are due at one time arrive in the order of sending");
}
