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
mod snapshot;
mod transcripts;
mod transcripts_locks;
