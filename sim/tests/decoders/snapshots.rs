//! Snapshots of the machine.

use stormglass_nodes::ids::{ClusterTime, LogIndex};
use stormglass_nodes::machine::Machine;

use crate::commands::commands;
use crate::harness::Target;

/// Length of the seal at the end.
const SEAL_BYTES: usize = 8;
/// Pieces of this size are put together.
const PIECE_BYTES: usize = 1_024;

/// Snapshots: what a machine is restored from, it writes again, and has the same state from then on.
pub(crate) struct Snapshots;

fn bytes_of(machine: &Machine) -> Vec<u8> {
    let mut frozen = machine.snapshot();
    std::iter::from_fn(|| frozen.next_piece(PIECE_BYTES)).flatten().collect()
}

impl Target for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    /// The machine after each of some commands.
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut machine = Machine::new();
        let mut seeds = vec![bytes_of(&machine)];
        for (index, command) in (1..).zip(commands()) {
            let _ = machine.apply(LogIndex(index), ClusterTime(index * 1_000), &command);
            seeds.push(bytes_of(&machine));
        }
        seeds
    }

    fn seal(&self, input: &mut Vec<u8>) {
        if let Some(end) = input.len().checked_sub(SEAL_BYTES) {
            let seal = xxhash_rust::xxh3::xxh3_64(&input[..end]);
            input[end..].copy_from_slice(&seal.to_le_bytes());
        }
    }

    fn memory_per_byte(&self) -> u64 {
        512
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let machine = Machine::restore(input).map_err(|error| error.to_string())?;
        let written = bytes_of(&machine);
        let again = Machine::restore(&written).map(|again| again.digest());
        assert_eq!(again.map_err(|error| error.to_string()), Ok(machine.digest()));
        Ok(written)
    }
}
