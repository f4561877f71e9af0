//! The session table: leases, remembered outcomes, and which commands wait (Raft thesis 6.3).
//!
//! A session remembers outcomes for the numbers from its `lowest_open` on. A client may run at most
//! [`OPEN_COMMANDS_MAX`] numbers ahead of the `lowest_open` that it sends *with the command*, so the bound
//! on what is remembered holds and yet a refusal depends on nothing but the command: no later copy of a
//! refused command can slip in.
//!
//! What a session holds in a service is the service's affair. The table knows of a command that waits only
//! in which service it does, so that the service can be told when its client lets go of it.

use serde::Serialize;

use super::Table;
use super::expiry::Deadlines;
use super::service::{Asker, Service};
use super::types::{MachineError, OPEN_COMMANDS_MAX, Outcome, SESSIONS_MAX};
use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::marks;
use crate::plant::{self, Bug};

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
    /// The commands that wait: their remembered outcomes say so.
    pub(super) waits: Table<Sequence, Service>,
}

impl Session {
    /// A session opened by an entry stamped `time`.
    fn open(lease_us: u64, time: ClusterTime) -> Self {
        let mut session = Self {
            lease_us,
            deadline: time,
            lowest_open: Sequence(1),
            outcomes: Table::new(),
            waits: Table::new(),
        };
        session.renew(time);
        session
    }

    /// Counts the lease from `time` on. Never moves the deadline back.
    fn renew(&mut self, time: ClusterTime) {
        let lease_us = if plant::is(Bug::LockGrantOverLease) { self.lease_us / 2 } else { self.lease_us };
        self.deadline = self.deadline.max(time.plus_us(lease_us));
    }

    /// Whether a command still waits that its client has let go of.
    pub(super) fn awaits_what_it_let_go(&self) -> bool {
        self.waits.get_min().is_some_and(|&(oldest, _)| oldest < self.lowest_open)
    }

    /// The commands that wait though their client has let go of them.
    pub(super) fn given_up(&self) -> Vec<(Sequence, Service)> {
        self.waits.range(..self.lowest_open).map(|(&sequence, &service)| (sequence, service)).collect()
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
        if plant::is(Bug::SessionEvictedEarly)
            && self.outcomes.len() > 2
            && let Some(&(oldest, _)) = self.outcomes.get_min()
            && !self.waits.contains_key(&oldest)
        {
            self.outcomes.remove(&oldest);
        }
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

/// All open sessions and the ends of their leases.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sessions {
    pub(super) open: Table<SessionId, Session>,
    deadlines: Deadlines<SessionId>,
    #[serde(skip)]
    max: usize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::within(SESSIONS_MAX)
    }
}

impl Sessions {
    /// An empty table for at most `max` sessions.
    pub(super) fn within(max: usize) -> Self {
        Self { open: Table::new(), deadlines: Deadlines::default(), max }
    }

    /// How many sessions there may be.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Opens a session by an entry stamped `time`.
    pub(super) fn open(
        &mut self,
        id: SessionId,
        lease_us: u64,
        time: ClusterTime,
    ) -> Result<(), MachineError> {
        if self.open.len() >= self.max {
            marks::hit("machine.sessions_full");
            return Err(MachineError::TooManySessions);
        }
        self.insert(id, Session::open(lease_us, time));
        Ok(())
    }

    /// Adds a session as it is.
    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        self.deadlines.add(session.deadline, id);
        self.open.insert(id, session);
    }

    /// Counts a session's lease from `time` on.
    ///
    /// # Errors
    ///
    /// [`MachineError::SessionExpired`] if it is not open.
    pub(super) fn renew(&mut self, id: SessionId, time: ClusterTime) -> Result<&mut Session, MachineError> {
        let session = self.open.get_mut(&id).ok_or(MachineError::SessionExpired)?;
        let before = session.deadline;
        session.renew(time);
        if session.deadline != before {
            self.deadlines.remove(before, id);
            self.deadlines.add(session.deadline, id);
        }
        Ok(session)
    }

    /// Takes a session out; whether it was open. The services are the caller's to tell.
    pub(super) fn close(&mut self, id: SessionId) -> bool {
        let Some(session) = self.open.remove(&id) else { return false };
        self.deadlines.remove(session.deadline, id);
        true
    }

    /// Takes out a session whose lease ends at `time` or earlier. The services are the caller's to tell.
    pub(super) fn take_expired(&mut self, time: ClusterTime) -> Option<SessionId> {
        let id = self.deadlines.take_due(time)?;
        self.open.remove(&id).expect("a deadline names an open session");
        Some(id)
    }

    /// The earliest end of a lease.
    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        self.deadlines.next()
    }

    /// A command has its outcome: it waits in `service`, if that outcome is [`Reply::Waiting`].
    ///
    /// [`Reply::Waiting`]: super::Reply::Waiting
    pub(super) fn waits_in(&mut self, by: Asker, service: Service) {
        let session = self.open.get_mut(&by.session).expect("who waits is open");
        session.waits.insert(by.sequence, service);
    }

    /// Commands that waited are complete.
    pub(super) fn settle(&mut self, completions: &mut Vec<(Asker, Outcome)>) {
        for (Asker { session, sequence }, outcome) in completions.drain(..) {
            let Some(session) = self.open.get_mut(&session) else { continue };
            session.waits.remove(&sequence);
            session.remember(sequence, outcome);
        }
    }

    /// How many deadlines there are.
    #[cfg(test)]
    pub(super) fn deadlines(&self) -> usize {
        self.deadlines.len()
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
