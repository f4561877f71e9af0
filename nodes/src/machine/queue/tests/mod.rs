//! Tests of the queue, driven through the machine.

mod again;
mod bounds;
mod burial;
mod generate;
mod model;
mod model_actions;
mod overdue;
#[cfg(feature = "planted-bugs")]
mod planted;
mod properties;
mod script;
mod snapshot;
mod transcripts;

use super::{NewMessage, QueueLimits};
use crate::ids::{ClusterTime, LogIndex};
use crate::machine::limits::Limits;
use crate::machine::{Applied, Command, Machine};
use bytes::Bytes;

/// Bounds that a few commands reach.
const SMALL: QueueLimits = QueueLimits { topics: 4, waiting: 3, producers: 2, purge: 4 };
/// What one entry ends by itself: less than fall due together now and then.
const ENDS: usize = 3;

/// A machine whose queue has the small bounds.
fn small_machine() -> Machine {
    Machine::with_limits(small_limits())
}

fn small_limits() -> Limits {
    Limits { queue: SMALL, ends: ENDS, ..Limits::default() }
}

/// Applies a command at this stamp.
fn apply(machine: &mut Machine, time_us: u64, command: &Command) -> (LogIndex, Applied) {
    let index = machine.index().next();
    (index, machine.apply(index, ClusterTime(time_us), command))
}

/// The whole snapshot of a machine.
fn bytes_of(machine: &Machine, piece_bytes_max: usize) -> Vec<u8> {
    let mut snapshot = machine.snapshot();
    let mut bytes = Vec::new();
    while let Some(piece) = snapshot.next_piece(piece_bytes_max) {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// A message that says this and nothing else.
fn plain(payload: &str) -> NewMessage {
    NewMessage { payload: Bytes::copy_from_slice(payload.as_bytes()), ..NewMessage::default() }
}
