//! Who and what there is beside the simple service.

use stormglass_sim::history::{LockMode, Operation};

use super::service::Told;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A thread does something.
    Next(usize),
    /// What was asked gets to the service, in the name of a session.
    Arrive(usize, u64),
    /// An answer gets back.
    Answer(usize),
    /// Whoever asked waits for the answer no longer.
    GiveUp(usize),
    /// A wait is over by the clock of the service.
    Deadline(u64),
    /// The clock of a client says that its lease is over.
    Lapse(usize),
    EndSession(u64),
    /// A client learns that an operator has taken something from it.
    Learn(usize, String, u64),
}

/// Something held, as its client believes.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) operation: u64,
    pub(crate) resource: String,
    pub(crate) mode: LockMode,
    pub(crate) token: u64,
    pub(crate) from_ns: u64,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) session: u64,
    pub(crate) held: Vec<Held>,
}

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) client: usize,
    pub(crate) number: u64,
    pub(crate) asked: u64,
}

/// An operation, and what it is about for the client that asked.
pub(crate) struct Open {
    pub(crate) operation: Operation,
    pub(crate) thread: usize,
    pub(crate) session: u64,
    /// What is used by it, or changed.
    pub(crate) used: Vec<Held>,
    pub(crate) answer: Option<Told>,
    pub(crate) is_closed: bool,
}

impl Client {
    /// What it believes to hold.
    pub(crate) fn held_by_it(&self) -> Vec<(String, LockMode, u64)> {
        self.held.iter().map(|held| (held.resource.clone(), held.mode, held.token)).collect()
    }
}
