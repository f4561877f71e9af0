//! The session table: leases, remembered outcomes, and what each session claims (Raft thesis 6.3).
//!
//! A session remembers outcomes for the numbers from its `lowest_open` on. A client may run at most
//! [`OPEN_COMMANDS_MAX`] numbers ahead of the `lowest_open` that it sends *with the command*, so the bound
//! on what is remembered holds and yet a refusal depends on nothing but the command: no later copy of a
//! refused command can slip in.

use serde::Serialize;

use super::expiry::{Deadlines, Due};
use super::types::{MachineError, OPEN_COMMANDS_MAX, Outcome};
use super::{Name, Table};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
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
    pub(super) lease_us: u64,
    /// When its lease ends.
    pub(super) deadline: ClusterTime,
    /// The client has let go of all replies below.
    pub(super) lowest_open: Sequence,
    /// Remembered outcomes, all from `lowest_open` on.
    pub(super) outcomes: Table<Sequence, Outcome>,
    /// The locks that it holds or awaits.
    pub(super) claims: Table<Name, Claim>,
    /// The resources that it awaits, by the command that does.
    pub(super) waits: Table<Sequence, Name>,
}

impl Session {
    /// A session opened by an entry stamped `time`.
    pub(super) fn open(lease_us: u64, time: ClusterTime) -> Self {
        let mut session = Self {
            lease_us,
            deadline: time,
            lowest_open: Sequence(1),
            outcomes: Table::new(),
            claims: Table::new(),
            waits: Table::new(),
        };
        session.renew(time);
        session
    }

    /// Counts the lease from `time` on. Never moves the deadline back.
    pub(super) fn renew(&mut self, time: ClusterTime) {
        let lease_us = if plant::is(Bug::LockGrantOverLease) { self.lease_us / 2 } else { self.lease_us };
        self.deadline = self.deadline.max(time.plus_us(lease_us));
    }

    /// The same, and moves its entry in the index of deadlines along.
    pub(super) fn renew_listed(&mut self, id: SessionId, time: ClusterTime, deadlines: &mut Deadlines) {
        let before = self.deadline;
        self.renew(time);
        if self.deadline != before {
            deadlines.remove(before, Due::Session(id));
            deadlines.add(self.deadline, Due::Session(id));
        }
    }

    /// Whether it still awaits a lock with a command that its client has let go of.
    pub(super) fn awaits_what_it_let_go(&self) -> bool {
        self.waits.get_min().is_some_and(|&(oldest, _)| oldest < self.lowest_open)
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
        while let Some(&(oldest, _)) = self.outcomes.get_min()
            && oldest < lowest_open
        {
            self.outcomes.remove(&oldest);
        }
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
