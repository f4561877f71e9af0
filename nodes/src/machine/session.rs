//! The session table: leases, remembered outcomes, and what each session claims (Raft thesis 6.3).
//!
//! A session remembers outcomes for the numbers from its `lowest_open` on. A client may run at most
//! [`OPEN_COMMANDS_MAX`] numbers ahead of the `lowest_open` that it sends *with the command*, so the bound
//! on what is remembered holds and yet a refusal depends on nothing but the command: no later copy of a
//! refused command can slip in.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Name;
use super::types::{MachineError, OPEN_COMMANDS_MAX, Outcome};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence};
use crate::plant::{self, Bug};

/// What a session has to do with one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Claim {
    /// It holds it under this token.
    Held(FenceToken),
    /// It waits, since the entry at this index.
    Waiting(LogIndex),
}

/// One open session.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Session {
    /// How long it lives without a renewal.
    lease_us: u64,
    /// When its lease ends.
    pub(super) deadline: ClusterTime,
    /// The client has let go of all replies below.
    pub(super) lowest_open: Sequence,
    /// Remembered outcomes, all from `lowest_open` on.
    outcomes: BTreeMap<Sequence, Outcome>,
    /// The locks that it holds or awaits.
    pub(super) claims: BTreeMap<Name, Claim>,
    /// The resources that it awaits, by the command that does.
    pub(super) waits: BTreeMap<Sequence, Name>,
}

impl Session {
    /// A session opened by an entry stamped `time`.
    pub(super) fn open(lease_us: u64, time: ClusterTime) -> Self {
        let mut session = Self {
            lease_us,
            deadline: time,
            lowest_open: Sequence(1),
            outcomes: BTreeMap::new(),
            claims: BTreeMap::new(),
            waits: BTreeMap::new(),
        };
        session.renew(time);
        session
    }

    /// Counts the lease from `time` on. Never moves the deadline back.
    pub(super) fn renew(&mut self, time: ClusterTime) {
        let lease_us = if plant::is(Bug::LockGrantOverLease) { self.lease_us / 2 } else { self.lease_us };
        self.deadline = self.deadline.max(time.plus_us(lease_us));
    }

    /// The remembered outcome of a command.
    pub(super) fn outcome(&self, sequence: Sequence) -> Option<&Outcome> {
        self.outcomes.get(&sequence)
    }

    /// Remembers the outcome of a command, in place of an earlier one, unless the client has let go of it.
    pub(super) fn remember(&mut self, sequence: Sequence, outcome: Outcome) {
        if sequence < self.lowest_open {
            return;
        }
        self.outcomes.insert(sequence, outcome);
        assert!(self.outcomes.len() <= OPEN_COMMANDS_MAX, "the window of open commands is bounded");
    }

    /// Forgets the outcomes below `lowest_open`, if that is news. The waits below are the caller's to end.
    pub(super) fn let_go(&mut self, lowest_open: Sequence) {
        if lowest_open <= self.lowest_open {
            return;
        }
        self.lowest_open = lowest_open;
        self.outcomes = self.outcomes.split_off(&lowest_open);
    }

    /// How many outcomes are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.outcomes.len()
    }
}

/// Refuses numbers that no correct client sends. A function of the command alone: see above.
pub(super) fn check_numbers(sequence: Sequence, lowest_open: Sequence) -> Result<(), MachineError> {
    if sequence.0 == 0 || lowest_open > sequence {
        return Err(MachineError::InvalidArgument(format!(
            "a sequence number is at least 1 and at least the lowest open one; got {sequence} with {lowest_open}"
        )));
    }
    if sequence.0 - lowest_open.0 >= OPEN_COMMANDS_MAX as u64 {
        return Err(MachineError::TooManyOpenCommands);
    }
    Ok(())
}
