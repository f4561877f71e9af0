//! Every decoder of bytes from outside, fed with valid inputs that were bent: it may refuse them, and it must
//! not panic, hang, take more memory than in proportion to the input, or take for good what does not come back
//! the same when it is written and read again.
//!
//! Nothing here knows what a decoder looks at inside. An input whose answer is of a kind not seen before is
//! kept, and bent further; checksums are made right again most of the time, so that what lies behind them is
//! reached. [`harness::ROUNDS`] inputs are tried of each decoder, the same ones every time.
//! `STORMGLASS_FUZZ_SECONDS=60 cargo test -p stormglass-sim --test decoders -- --test-threads=4` goes on for a
//! minute with each; `STORMGLASS_FUZZ_SEED` draws other inputs. A finding says which seed and round it was, and
//! shows the input.

mod commands;
mod disk;
mod foreign;
mod frames;
mod harness;
mod histories;
mod logs;
mod memory;
mod plans;
mod replies;
mod replies_env;
mod snapshots;

use harness::fuzz;

#[test]
fn frames_of_the_wire() {
    fuzz(&frames::Frames);
}

#[test]
fn commands_in_the_log() {
    fuzz(&commands::Commands);
}

#[test]
fn segments_of_the_log() {
    fuzz(&logs::Logs::new());
}

#[test]
fn snapshots_of_the_machine() {
    fuzz(&snapshots::Snapshots);
}

#[test]
fn replies_of_a_redis() {
    fuzz(&replies::Replies::new());
}

#[test]
fn scenarios() {
    fuzz(&plans::Scenarios);
}

#[test]
fn schedules() {
    fuzz(&plans::Schedules);
}

#[test]
fn histories_as_json_lines() {
    fuzz(&histories::Histories);
}

#[test]
fn histories_as_jepsen_logs() {
    fuzz(&foreign::JepsenLogs);
}

#[test]
fn histories_as_edn() {
    fuzz(&foreign::EdnHistories);
}
