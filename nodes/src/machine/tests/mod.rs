//! Tests of the machine as a whole: through `apply`, `query` and what they leave behind.

mod bounds;
mod generate;
mod invariants;
mod model;
#[cfg(feature = "planted-bugs")]
mod planted;
mod properties;
mod script;
mod snapshot;
mod transcripts;
