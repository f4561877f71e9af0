//! The properties, over fixed ranges of seeds. A failure prints its seed and size: everything follows.

use crate::schedule::{self, Kind, Summary};

/// Steps of a storm.
pub(crate) const STEPS: u64 = 3_000;

fn storm(kind: Kind, size: u64, seeds: std::ops::Range<u64>) -> Summary {
    let mut sum = Summary::default();
    for seed in seeds {
        let summary = schedule::run(kind, seed, size, STEPS, true)
            .unwrap_or_else(|violation| panic!("size {size}, seed {seed}: {violation}"));
        sum.elections += summary.elections;
        sum.committed += summary.committed;
        sum.reads_ready += summary.reads_ready;
        sum.truncations += summary.truncations;
        sum.crashes += summary.crashes;
        sum.changes += summary.changes;
        sum.snapshots += summary.snapshots;
    }
    sum
}

#[test]
fn a_single_node_is_safe_and_live_under_random_schedules() {
    let sum = storm(Kind::Plain, 1, 0..60);
    assert!(sum.elections > 150 && sum.committed > 1000 && sum.reads_ready > 600, "{sum:?}");
    assert!(sum.crashes > 1200, "{sum:?}");
}

#[test]
fn two_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(Kind::Plain, 2, 0..60);
    assert!(sum.elections > 120 && sum.committed > 600 && sum.reads_ready > 300, "{sum:?}");
    assert!(sum.crashes > 1200, "{sum:?}");
}

#[test]
fn three_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(Kind::Plain, 3, 0..300);
    assert!(sum.elections > 900 && sum.committed > 4000 && sum.reads_ready > 2000, "{sum:?}");
    assert!(sum.truncations > 100 && sum.crashes > 7000, "{sum:?}");
}

#[test]
fn four_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(Kind::Plain, 4, 0..90);
    assert!(sum.elections > 120 && sum.committed > 600 && sum.reads_ready > 400, "{sum:?}");
    assert!(sum.truncations > 8 && sum.crashes > 1200, "{sum:?}");
}

#[test]
fn five_nodes_are_safe_and_live_under_random_schedules() {
    let sum = storm(Kind::Plain, 5, 0..200);
    assert!(sum.elections > 450 && sum.committed > 2200 && sum.reads_ready > 1200, "{sum:?}");
    assert!(sum.truncations > 90 && sum.crashes > 4500, "{sum:?}");
}

#[test]
fn three_nodes_are_safe_and_live_while_members_change_and_logs_are_compacted() {
    let sum = storm(Kind::Mixed, 3, 0..400);
    assert!(sum.elections > 900 && sum.committed > 4000 && sum.reads_ready > 2000, "{sum:?}");
    assert!(sum.changes > 1000 && sum.snapshots > 100 && sum.truncations > 100, "{sum:?}");
}

#[test]
fn one_node_grows_and_shrinks_safely() {
    let sum = storm(Kind::Mixed, 1, 0..300);
    assert!(sum.changes > 300 && sum.snapshots > 30, "{sum:?}");
}

#[test]
fn five_nodes_are_safe_and_live_while_members_change_and_logs_are_compacted() {
    let sum = storm(Kind::Mixed, 5, 0..200);
    assert!(sum.changes > 500 && sum.snapshots > 50, "{sum:?}");
}

/// Prints what happens in one schedule: for whoever looks for the cause of a failure.
#[test]
fn a_schedule_can_be_told() {
    let wanted = std::env::var("STORM").unwrap_or_else(|_| "plain 3 1".to_owned());
    let mut words = wanted.split(' ');
    let kind = if words.next() == Some("mixed") { Kind::Mixed } else { Kind::Plain };
    let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    let (told, result) = schedule::tell(kind, numbers[1], numbers[0], STEPS);
    if std::env::var("STORM").is_ok() {
        println!("{told}\n{result:?}");
    }
    assert!(told.contains("is leader in"), "a run in which nobody ever leads is no run");
}
