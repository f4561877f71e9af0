//! Tests that cannot be done on this machine: they are told of where nothing captures it, and counted.
//!
//! Whoever wants none skipped sets `STORMGLASS_SKIP_NOTHING`: then what cannot be done is a failure.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The variable that makes every skip a failure.
const SKIP_NOTHING: &str = "STORMGLASS_SKIP_NOTHING";

/// How many this program has skipped.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Says that this test is skipped, why, and how many have been.
///
/// # Panics
/// If nothing may be skipped.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os(SKIP_NOTHING).is_none(), "{SKIP_NOTHING} is set, and {why}");
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Written past what captures the output of tests.
    let line = format!("SKIPPED ({count} in this program): {test}: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}
