//! Snapshots: what they promise, what they look like, and what is refused.

mod damage;
mod image;
mod inconsistent;
mod promises;

use crate::ids::{ClusterTime, LogIndex};
use crate::machine::{Machine, Snapshotter};

use super::generate::{Entry, limits};
use super::script::run_on;

/// Applies these entries to a machine with the small bounds.
fn machine_of(log: &[Entry]) -> Machine {
    let mut machine = Machine::with_limits(limits());
    for Entry { index, time, command } in log {
        machine.apply(*index, *time, command);
    }
    machine
}

/// All pieces of a snapshot, put together.
fn bytes_of(mut snapshot: Snapshotter, piece_bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = snapshot.next_piece(piece_bytes_max) {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// A machine in which every table has something in it.
fn furnished() -> Machine {
    let mut machine = Machine::new();
    run_on(
        &mut machine,
        "
        0ms open 10s
        0ms open 10s as c7 1
        0ms open 20s
        1ms s1 #1 acquire attic x 0s
        1ms s2 #1 acquire attic s 5s
        1ms s3 #1 acquire attic x 6s
        2ms s1 #2 acquire barn s 0s
        2ms s2 #2 acquire barn s 0s
        3ms s3 #2 set key one
        3ms s3 #3 set other two",
    );
    assert_eq!((machine.index(), machine.time()), (LogIndex(10), ClusterTime(3_000)));
    machine
}
