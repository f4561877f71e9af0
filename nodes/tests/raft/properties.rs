//! The properties, over fixed ranges of seeds. A failure prints its seed and size: everything follows.

use crate::schedule::{self, Summary};

/// Steps of a storm.
pub(crate) const STEPS: u64 = 3_000;

fn storm(size: u64, seeds: std::ops::Range<u64>) -> Summary {
    let mut sum = Summary::default();
    for seed in seeds {
        let summary = schedule::run(seed, size, STEPS, true)
            .unwrap_or_else(|violation| panic!("size {size}, seed {seed}: {violation}"));
        sum.elections += summary.elections;
        sum.committed += summary.committed;
        sum.reads_ready += summary.reads_ready;
        sum.truncations += summary.truncations;
        sum.crashes += summary.crashes;
    }
    sum
}

#[test]
fn a_single_node_is_safe_and_live_under_random_schedules() {
    let sum = storm(1, 0..60);
    assert!(sum.elections > 150 && sum.committed > 1000 && sum.reads_ready > 600, "{sum:?}");
    assert!(sum.crashes > 1200, "{sum:?}");
}

#[test]
fn two_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(2, 0..60);
    assert!(sum.elections > 120 && sum.committed > 600 && sum.reads_ready > 300, "{sum:?}");
    assert!(sum.crashes > 1200, "{sum:?}");
}

#[test]
fn three_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(3, 0..300);
    assert!(sum.elections > 900 && sum.committed > 4000 && sum.reads_ready > 2000, "{sum:?}");
    assert!(sum.truncations > 100 && sum.crashes > 7000, "{sum:?}");
}

#[test]
fn four_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(4, 0..60);
    assert!(sum.elections > 120 && sum.committed > 600 && sum.reads_ready > 400, "{sum:?}");
    assert!(sum.truncations > 8 && sum.crashes > 1200, "{sum:?}");
}

#[test]
fn five_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(5, 0..200);
    assert!(sum.elections > 450 && sum.committed > 2200 && sum.reads_ready > 1200, "{sum:?}");
    assert!(sum.truncations > 90 && sum.crashes > 4500, "{sum:?}");
}
