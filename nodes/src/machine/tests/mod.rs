//! Tests of the machine as a whole: through `apply`, `query` and what they leave behind.

mod bounds;
mod deadlocks;
mod generate;
mod invariants;
mod model;
mod model_locks;
mod overdue;
#[cfg(feature = "planted-bugs")]
mod planted;
mod properties;
pub(super) mod script;
mod short_table;
mod snapshot;
mod transcripts;
mod transcripts_locks;

/// How many random commands each machine is compared over with its naive model, unless the environment asks for
/// another number.
const COMMANDS: usize = 200_000;
/// Sets that number, of all three.
const COMMANDS_VARIABLE: &str = "STORMGLASS_MODEL_COMMANDS";

/// How many random commands a machine is compared over with its naive model.
pub(super) fn commands() -> usize {
    std::env::var(COMMANDS_VARIABLE).map_or(COMMANDS, |asked| asked.parse().expect("a number of commands"))
}
