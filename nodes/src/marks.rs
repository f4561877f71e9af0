//! Coverage marks: proof that a test or a simulated run reached a place in the code.
//!
//! A mark is hit with [`hit`] and read with [`counts`]. Counts are kept per OS thread; a simulated run has
//! a thread of its own, so its counts are its own and the same on every replay. On production threads they
//! cost one thread-local increment and nobody reads them.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static COUNTS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts one passage through the place called `name`, such as `raft.conflict_hint_used`.
pub fn hit(name: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(name).or_default() += 1);
}

/// How often each mark was hit on this thread so far.
#[must_use]
pub fn counts() -> BTreeMap<&'static str, u64> {
    COUNTS.with_borrow(Clone::clone)
}

/// How often one mark was hit on this thread so far.
#[must_use]
pub fn count(name: &str) -> u64 {
    COUNTS.with_borrow(|counts| counts.get(name).copied().unwrap_or(0))
}
