//! The machine itself: it ties sessions, locks, registers and deadlines together, one entry at a time.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use super::expiry::{Deadlines, Due};
use super::limits::{Limits, check_name};
use super::lock::Locks;
use super::register::Registers;
use super::session::{Claim, Session, check_numbers};
use super::types::{
    Action, Command, LEASE_US_MAX, LEASE_US_MIN, LockAction, LockHolder, LockMode, LockWaiter, MachineError,
    MachineEvent, Outcome, Query, Reply, WAIT_US_MAX,
};
use super::{Name, Table};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::marks;
use crate::plant::{self, Bug};

/// What an entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer to the entry's own command.
    pub outcome: Outcome,
    /// What else happened, in order; what was due before the command comes first.
    pub events: Vec<MachineEvent>,
}

/// The replicated state: a function of the entries applied so far and of nothing else. A clone costs the
/// same however large the state is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// The last entry applied.
    pub(super) index: LogIndex,
    /// Its stamp.
    pub(super) time: ClusterTime,
    /// The open sessions.
    pub(super) sessions: Table<SessionId, Session>,
    /// The locks that are held.
    pub(super) locks: Locks,
    pub(super) registers: Registers,
    /// The deadlines of all sessions and waiters.
    pub(super) deadlines: Deadlines,
    #[serde(skip)]
    pub(super) limits: Limits,
}

impl Machine {
    /// The state before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with other bounds than the public ones.
    #[cfg(test)]
    pub(super) fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Applies the entry at `index`, stamped `time`. An entry without a command is applied as
    /// [`Command::Tick`].
    ///
    /// # Panics
    ///
    /// If `index` does not follow the last one applied, or `time` is less than the last stamp: the log
    /// promises both.
    pub fn apply(&mut self, index: LogIndex, time: ClusterTime, command: &Command) -> Applied {
        assert!(index == self.index.next(), "entry {index} applied after {}", self.index);
        assert!(time >= self.time, "stamp {time} applied after {}", self.time);
        self.index = index;
        self.time = time;
        let mut events = Vec::new();
        self.expire(&mut events);
        let outcome = match command {
            Command::Tick => Ok(Reply::Done),
            Command::OpenSession { lease_us } => self.open_session(*lease_us),
            Command::KeepAlive { session } => self.renew(*session).map(|()| Reply::Done),
            Command::CloseSession { session } => Ok(self.close_session(*session, &mut events)),
            Command::Once { session, sequence, lowest_open, action } => {
                self.once((*session, *sequence), *lowest_open, action, &mut events)
            }
        };
        Applied { outcome, events }
    }

    /// Answers a question from the state as it is.
    ///
    /// # Errors
    ///
    /// [`MachineError::InvalidArgument`] for a name that no command could have used.
    pub fn query(&self, query: &Query) -> Outcome {
        match query {
            Query::Register { key } => self.registers.read(key),
            Query::Lock { resource } => {
                check_name("resource", resource)?;
                Ok(Reply::Lock(self.locks.state(resource)))
            }
        }
    }

    /// The index of the last entry applied: 0 before the first.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.index
    }

    /// The stamp of the last entry applied: 0 before the first.
    #[must_use]
    pub fn time(&self) -> ClusterTime {
        self.time
    }

    /// What the session table remembers of a command: nothing if the session is not open, or never applied
    /// it, or has let go of it.
    #[must_use]
    pub fn outcome_of(&self, session: SessionId, sequence: Sequence) -> Option<&Outcome> {
        self.sessions.get(&session)?.outcome(sequence)
    }

    /// The earliest end of a lease or of a wait. The leader proposes [`Command::Tick`] once cluster time
    /// reaches it, so that it takes effect though no other command comes.
    #[must_use]
    pub fn next_deadline(&self) -> Option<ClusterTime> {
        self.deadlines.next()
    }

    /// XXH3 over the whole state in a canonical order: equal on all nodes that applied the same entries.
    /// Costs time in proportion to the state.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let written = postcard::to_io(self, HashWriter(Xxh3::new()));
        written.expect("the state is plain data, and a hash takes any length").0.digest()
    }

    /// Ends all that is due, then hands on the locks that this set free.
    fn expire(&mut self, events: &mut Vec<MachineEvent>) {
        let mut freed = BTreeSet::new();
        while let Some(due) = self.deadlines.take_due(self.time) {
            match due {
                Due::Session(session) => {
                    marks::hit("machine.session_expired");
                    self.end_session(session, true, &mut freed, events);
                }
                Due::Wait(session, sequence) => {
                    marks::hit("machine.wait_timed_out");
                    self.end_wait(session, sequence, &mut freed, events);
                }
            }
        }
        self.hand_off(&freed, events);
    }

    fn open_session(&mut self, lease_us: u64) -> Outcome {
        if !(LEASE_US_MIN..=LEASE_US_MAX).contains(&lease_us) {
            return Err(MachineError::InvalidArgument(format!(
                "the lease must be {LEASE_US_MIN} to {LEASE_US_MAX} us, not {lease_us}"
            )));
        }
        if self.sessions.len() >= self.limits.sessions {
            marks::hit("machine.sessions_full");
            return Err(MachineError::TooManySessions);
        }
        let id = SessionId(self.index.0);
        let session = Session::open(lease_us, self.time);
        self.deadlines.add(session.deadline, Due::Session(id));
        self.sessions.insert(id, session);
        Ok(Reply::SessionOpened { session: id })
    }

    fn renew(&mut self, id: SessionId) -> Result<(), MachineError> {
        let session = self.sessions.get_mut(&id).ok_or(MachineError::SessionExpired)?;
        session.renew_listed(id, self.time, &mut self.deadlines);
        Ok(())
    }

    fn close_session(&mut self, session: SessionId, events: &mut Vec<MachineEvent>) -> Reply {
        if self.sessions.contains_key(&session) {
            let mut freed = BTreeSet::new();
            self.end_session(session, false, &mut freed, events);
            self.hand_off(&freed, events);
        }
        Reply::Done
    }

    /// Takes a session out with all that it holds and awaits, resource by resource in the order of names.
    fn end_session(
        &mut self,
        id: SessionId,
        expired: bool,
        freed: &mut BTreeSet<Name>,
        events: &mut Vec<MachineEvent>,
    ) {
        let session = self.sessions.remove(&id).expect("a deadline names an open session");
        self.deadlines.remove(session.deadline, Due::Session(id));
        for (resource, claim) in session.claims {
            match claim {
                Claim::Held(token) => {
                    let holder = self.locks.release(&resource, token);
                    events.push(MachineEvent::LockReleased { resource: resource.to_string(), holder });
                }
                Claim::Waiting(ticket) => {
                    let LockWaiter { sequence, deadline, .. } = self.locks.leave(&resource, ticket);
                    self.deadlines.remove(deadline, Due::Wait(id, sequence));
                    let outcome = Err(MachineError::SessionExpired);
                    events.push(MachineEvent::Completed { session: id, sequence, outcome });
                }
            }
            freed.insert(resource);
        }
        events.push(MachineEvent::SessionEnded { session: id, expired });
    }

    /// Takes a waiter out of its line: its time has run out, or its client has let go of it. Does nothing
    /// if its session ended by the same entry.
    fn end_wait(
        &mut self,
        id: SessionId,
        sequence: Sequence,
        freed: &mut BTreeSet<Name>,
        events: &mut Vec<MachineEvent>,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let resource = session.waits.remove(&sequence).expect("a deadline names a waiter in line");
        let Some(Claim::Waiting(ticket)) = session.claims.remove(&resource) else {
            unreachable!("who waits has a claim that says so")
        };
        let waiter = self.locks.leave(&resource, ticket);
        self.deadlines.remove(waiter.deadline, Due::Wait(id, sequence));
        let outcome = Err(MachineError::LockTimeout);
        session.remember(sequence, outcome.clone());
        events.push(MachineEvent::Completed { session: id, sequence, outcome });
        freed.insert(resource);
    }

    /// Lets the lines of these resources move up.
    fn hand_off(&mut self, freed: &BTreeSet<Name>, events: &mut Vec<MachineEvent>) {
        for resource in freed {
            for (waiter, holder) in self.locks.hand_off(resource, self.index) {
                marks::hit("machine.lock_handed_off");
                let LockWaiter { session: id, sequence, deadline, .. } = waiter;
                self.deadlines.remove(deadline, Due::Wait(id, sequence));
                let session = self.sessions.get_mut(&id).expect("only open sessions wait");
                session.waits.remove(&sequence);
                session.claims.insert(resource.clone(), Claim::Held(holder.token));
                let outcome = Ok(Reply::LockGranted { token: holder.token });
                session.remember(sequence, outcome.clone());
                events.push(MachineEvent::LockGranted { resource: resource.to_string(), holder });
                events.push(MachineEvent::Completed { session: id, sequence, outcome });
            }
        }
    }

    /// Carries an action out unless an earlier copy of the same command has been applied.
    fn once(
        &mut self,
        (id, sequence): (SessionId, Sequence),
        lowest_open: Sequence,
        action: &Action,
        events: &mut Vec<MachineEvent>,
    ) -> Outcome {
        let session = self.sessions.get_mut(&id).ok_or(MachineError::SessionExpired)?;
        session.renew_listed(id, self.time, &mut self.deadlines);
        check_numbers(sequence, lowest_open)?;
        session.let_go(lowest_open);
        let session = if session.awaits_what_it_let_go() {
            self.give_up_waits(id, events);
            self.sessions.get_mut(&id).expect("giving up waits ends no session")
        } else {
            session
        };
        if sequence < session.lowest_open {
            marks::hit("machine.sequence_too_old");
            return Err(MachineError::SequenceTooOld);
        }
        if let Some(remembered) = session.outcome(sequence).cloned() {
            marks::hit("machine.retry_answered_from_table");
            if plant::is(Bug::RetryAppliedTwice) {
                let _ = self.act((id, sequence), action, events);
            }
            return remembered;
        }
        if let Action::Register(write) = action {
            // As `act` does, but without looking the session up again.
            let outcome = self.registers.write(self.index, write, self.limits.keys);
            session.remember(sequence, outcome.clone());
            return outcome;
        }
        let outcome = self.act((id, sequence), action, events);
        let session = self.sessions.get_mut(&id).expect("no action ends its own session");
        session.remember(sequence, outcome.clone());
        outcome
    }

    /// Takes a session's waits that its client has let go of out of their lines.
    fn give_up_waits(&mut self, id: SessionId, events: &mut Vec<MachineEvent>) {
        marks::hit("machine.wait_given_up");
        let session = &self.sessions[&id];
        let given_up: Vec<Sequence> =
            session.waits.range(..session.lowest_open).map(|(&sequence, _)| sequence).collect();
        let mut freed = BTreeSet::new();
        for sequence in given_up {
            self.end_wait(id, sequence, &mut freed, events);
        }
        self.hand_off(&freed, events);
    }

    fn act(&mut self, by: (SessionId, Sequence), action: &Action, events: &mut Vec<MachineEvent>) -> Outcome {
        match action {
            Action::Lock(LockAction::Acquire { resource, mode, wait_us }) => {
                self.acquire(by, resource, *mode, *wait_us, events)
            }
            Action::Lock(LockAction::Release { resource, token }) => {
                self.release(by.0, resource, *token, events)
            }
            Action::Register(write) => self.registers.write(self.index, write, self.limits.keys),
        }
    }

    fn acquire(
        &mut self,
        (id, sequence): (SessionId, Sequence),
        resource: &str,
        mode: LockMode,
        wait_us: u64,
        events: &mut Vec<MachineEvent>,
    ) -> Outcome {
        check_name("resource", resource)?;
        if wait_us > WAIT_US_MAX {
            return Err(MachineError::InvalidArgument(format!(
                "the wait must be at most {WAIT_US_MAX} us, not {wait_us}"
            )));
        }
        let session = self.sessions.get_mut(&id).expect("the caller has just renewed it");
        if session.claims.contains_key(resource) {
            return Err(MachineError::LockReentrant);
        }
        let name = Name::from(resource);
        if self.locks.admits(resource, mode) {
            if self.locks.len() >= self.limits.locks && !self.locks.contains(resource) {
                marks::hit("machine.locks_full");
                return Err(MachineError::TooManyResources);
            }
            let holder = self.locks.grant(&name, self.index, id, mode);
            session.claims.insert(name, Claim::Held(holder.token));
            events.push(MachineEvent::LockGranted { resource: resource.to_owned(), holder });
            return Ok(Reply::LockGranted { token: holder.token });
        }
        let ahead = self.locks.line_len(resource);
        if wait_us == 0 {
            return Err(MachineError::LockTimeout);
        }
        if ahead >= self.limits.waiters {
            marks::hit("machine.line_full");
            return Err(MachineError::TooManyWaiters);
        }
        let deadline = self.time.plus_us(wait_us);
        self.locks.enqueue(resource, self.index, LockWaiter { session: id, sequence, mode, deadline });
        self.deadlines.add(deadline, Due::Wait(id, sequence));
        session.claims.insert(name.clone(), Claim::Waiting(self.index));
        session.waits.insert(sequence, name);
        Ok(Reply::LockQueued { ahead: ahead as u64 })
    }

    fn release(
        &mut self,
        id: SessionId,
        resource: &str,
        token: FenceToken,
        events: &mut Vec<MachineEvent>,
    ) -> Outcome {
        check_name("resource", resource)?;
        let session = self.sessions.get_mut(&id).expect("the caller has just renewed it");
        if session.claims.get(resource) != Some(&Claim::Held(token)) {
            return Err(MachineError::LockNotHeld);
        }
        let (name, _) = session.claims.remove_with_key(resource).expect("it was there a line ago");
        let holder: LockHolder = self.locks.release(resource, token);
        events.push(MachineEvent::LockReleased { resource: resource.to_owned(), holder });
        self.hand_off(&BTreeSet::from([name]), events);
        Ok(Reply::Done)
    }
}

/// Lets the encoder write straight into the hash.
struct HashWriter(Xxh3);

impl io::Write for HashWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
