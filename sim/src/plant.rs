//! Flaws of the testbed itself, kept where they would live, to prove that a testbed which has them is found out.
//!
//! They exist only under the `planted-bugs` feature; without it [`is`] is the constant `false`. A flaw is selected
//! per OS thread: a run has a thread of its own, and so has whoever judges it. Checks, faults and world know
//! nothing of the nodes, so these are no part of the nodes' planted bugs; `run` selects them by the same names.

/// One flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The check of linearizability discards operations of unknown outcome.
    CheckerDropsPending,
    /// A history in which nothing was answered passes the check of linearizability.
    CheckerEmptyPasses,
    /// A partition cuts no link.
    FaultInert,
    /// All processes read one clock.
    ClockShared,
}

impl Flaw {
    /// The flaw of this name, if it is one of the testbed's.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "checker-drops-pending" => Some(Self::CheckerDropsPending),
            "checker-empty-passes" => Some(Self::CheckerEmptyPasses),
            "fault-inert" => Some(Self::FaultInert),
            "clock-shared" => Some(Self::ClockShared),
            _ => None,
        }
    }
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static SELECTED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

/// Selects the flaw of this thread, or none.
#[cfg(feature = "planted-bugs")]
pub fn select(flaw: Option<Flaw>) {
    SELECTED.set(flaw);
}

/// Whether `flaw` is selected on this thread.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn is(flaw: Flaw) -> bool {
    SELECTED.get() == Some(flaw)
}

/// Whether `flaw` is selected: never, in a build without planted bugs.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
#[inline(always)]
pub const fn is(_flaw: Flaw) -> bool {
    false
}
