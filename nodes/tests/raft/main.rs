//! The Raft core under test: whole clusters of cores in memory, without network, disk or clock.
//!
//! * `transcripts`: golden scripts, one behaviour each, input and output interleaved.
//! * `properties`: random schedules, every invariant checked after every step, liveness at the end.
//! * `corners`: messages that come at the worst moment, one at a time.
//! * `outcomes`: what becomes of transfers and reads, told to who asked.
//! * `hostile`: messages that no sound core sends, at random: nothing panics.
//! * `planted`: under the `planted-bugs` feature, proof that the properties notice each planted bug.

mod checks;
mod cluster;
mod corners;
mod hostile;
mod outcomes;
#[cfg(feature = "planted-bugs")]
mod planted;
mod properties;
mod schedule;
mod script;
mod show;
mod transcripts;
