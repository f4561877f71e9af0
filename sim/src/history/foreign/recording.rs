//! What was read of a file.

use super::Format;

/// One operation, from its invocation to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<C, A> {
    /// The process, under a number of our own: one that ended in `:info` never comes back.
    pub process: u64,
    /// The process as the file numbers it.
    pub process_in_file: u64,
    /// The line of the invocation, counted from 1.
    pub line: u64,
    /// The object, by its place in [`Recording::objects`].
    pub object: usize,
    /// The moment of its invocation. Moments rise from event to event; where there is at most one event on a
    /// line, they are the lines.
    pub invoked: u64,
    /// The moment of the event that ended it; `None` if nobody knows when or whether it takes effect.
    pub returned: Option<u64>,
    /// What was asked.
    pub call: C,
    /// What was answered; there if and only if it returned.
    pub answer: Option<A>,
}

/// What else was seen in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Lines of the file.
    pub lines: u64,
    /// Events of processes without a number, such as `:nemesis`.
    pub of_nemesis: u64,
    /// Lines that are known to be no part of a history: blank ones, those of other loggers.
    pub skipped: u64,
}

/// The history of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording<C, A> {
    /// The format in which it was.
    pub format: Format,
    /// In the order of invocation. Those that had no effect and say nothing are left out.
    pub operations: Vec<Recorded<C, A>>,
    /// The objects, in the order of their first appearance.
    pub objects: Vec<String>,
    /// Operations that had no effect and say nothing.
    pub failed: u64,
    /// Processes, those that were replaced among them.
    pub processes: u64,
    /// What else was in the file.
    pub seen: Seen,
}
