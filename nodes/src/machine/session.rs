//! The session table: leases, remembered outcomes, and which commands wait (Raft thesis 6.3).
//!
//! A session remembers outcomes for the numbers that are *open*: from its `lowest_open` on, and below it those of
//! a short list. A client may run at most [`OPEN_COMMANDS_MAX`] numbers ahead of the `lowest_open` that it sends
//! *with the command*, and name at most [`OPEN_BELOW_MAX`] below, so the bound on what is remembered holds and yet
//! a refusal depends on nothing but the command: no later copy of a refused command can slip in.
//!
//! A number that was let go of stays so. Commands may overtake each other, and each says what was open when it was
//! sent: a number is open if none of those that have come said otherwise.
//!
//! What a session holds in a service is the service's affair. The table knows of a command that waits only
//! in which service it does, so that the service can be told when its client lets go of it, and what a retry is told.

use std::borrow::Cow;

use imbl::OrdSet;
use serde::Serialize;

use super::Table;
use super::cache::VALUE_BYTES_MAX;
use super::expiry::Deadlines;
use super::remembered::Remembered;
use super::service::{Asker, Service};
use super::short_table::ShortTable;
use super::snapshot::beyond;
use super::types::{MachineError, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX, Opener, Reply, SESSIONS_MAX};
use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::marks;
use crate::plant::{self, Bug};

/// Bytes of values that a session remembers with refused writes. A refusal beyond is not remembered: whoever asks again
/// is told that, and does not know what came of it. Otherwise what was overwritten long ago would be kept a thousand
/// times.
pub(super) const FOUND_BYTES_MAX: usize = VALUE_BYTES_MAX;

/// One open session.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Session {
    /// How long it lives without a renewal.
    pub(super) lease_us: u64,
    /// When its lease ends.
    pub(super) deadline: ClusterTime,
    /// Under which name it was opened, if under any.
    pub(super) opener: Option<Opener>,
    /// The client has let go of all replies below, but for those of `open_below`.
    pub(super) lowest_open: Sequence,
    /// The numbers below that are open all the same: at most [`OPEN_BELOW_MAX`].
    pub(super) open_below: OrdSet<Sequence>,
    /// Remembered outcomes of open numbers, but for those of commands that wait.
    pub(super) outcomes: ShortTable<Sequence, Remembered>,
    /// Bytes of values among them: see [`FOUND_BYTES_MAX`].
    #[serde(skip)]
    found_bytes: usize,
    /// The commands that wait: what is remembered of them is that they do. None is among the outcomes.
    pub(super) waits: ShortTable<Sequence, Awaiting>,
}

/// What is remembered of a command that waits: there may be a million, so it is less than an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Awaiting {
    /// How many were before it when it came: lines are bounded far below.
    pub(super) ahead: u32,
    /// Where it waits.
    pub(super) service: Service,
}

impl Awaiting {
    fn outcome(self) -> Remembered {
        Remembered::Said(Ok(Reply::Waiting { ahead: self.ahead.into() }))
    }
}

impl Session {
    /// A session of which nothing is remembered.
    pub(super) fn new(
        lease_us: u64,
        deadline: ClusterTime,
        opener: Option<Opener>,
        lowest_open: Sequence,
        open_below: OrdSet<Sequence>,
    ) -> Self {
        Self {
            lease_us,
            deadline,
            opener,
            lowest_open,
            open_below,
            outcomes: ShortTable::default(),
            found_bytes: 0,
            waits: ShortTable::default(),
        }
    }

    /// A session opened by an entry stamped `time`.
    fn open(lease_us: u64, opener: Option<Opener>, time: ClusterTime) -> Self {
        let mut session = Self::new(lease_us, time, opener, Sequence(1), OrdSet::new());
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
        let is_below = self.waits.get_min().is_some_and(|&(oldest, _)| oldest < self.lowest_open);
        is_below && (self.open_below.is_empty() || !self.given_up().is_empty())
    }

    /// Whether the client may still wait for the reply to this number.
    pub(super) fn is_open(&self, sequence: Sequence) -> bool {
        sequence >= self.lowest_open || self.open_below.contains(&sequence)
    }

    /// The commands that wait though their client has let go of them.
    pub(super) fn given_up(&self) -> Vec<(Sequence, Service)> {
        let below = self.waits.range(..self.lowest_open).map(|(&sequence, wait)| (sequence, wait.service));
        below.filter(|&(sequence, _)| !self.is_open(sequence)).collect()
    }

    /// The remembered outcome of a command.
    pub(super) fn outcome(&self, sequence: Sequence) -> Option<Remembered> {
        let waits = || self.waits.get(&sequence).map(|wait| wait.outcome());
        self.outcomes.get(&sequence).cloned().or_else(waits)
    }

    /// What is remembered of all commands after this one, in the order of their numbers.
    pub(super) fn outcomes_beyond(
        &self,
        after: Option<Sequence>,
    ) -> impl Iterator<Item = (Sequence, Cow<'_, Remembered>)> {
        let mut outcomes = self.outcomes.range(beyond(after)).peekable();
        let mut waits = self.waits.range(beyond(after)).peekable();
        std::iter::from_fn(move || match (outcomes.peek(), waits.peek()) {
            (Some((number, _)), Some((waiting, _))) if waiting < number => {
                waits.next().map(|(&number, wait)| (number, Cow::Owned(wait.outcome())))
            }
            (Some(_), _) => outcomes.next().map(|(&number, outcome)| (number, Cow::Borrowed(outcome))),
            (None, _) => waits.next().map(|(&number, wait)| (number, Cow::Owned(wait.outcome()))),
        })
    }

    /// A command waits: that is what is remembered of it.
    fn await_in(&mut self, sequence: Sequence, wait: Awaiting) {
        // There is an outcome only if a retry was applied twice, which is a planted bug.
        self.forget(sequence);
        self.waits.insert(sequence, wait);
        self.evict_early();
    }

    /// Remembers the outcome of a command, in place of an earlier one, unless the client has let go of it.
    pub(super) fn remember(&mut self, sequence: Sequence, outcome: Remembered) {
        if !self.is_open(sequence) {
            return;
        }
        let found_bytes = outcome.found_bytes();
        if found_bytes > 0 && self.found_bytes + found_bytes > FOUND_BYTES_MAX {
            marks::hit("machine.refusal_not_kept");
            self.keep(sequence, Remembered::lost());
        } else {
            self.keep(sequence, outcome);
        }
        self.evict_early();
        assert!(
            self.remembered() <= OPEN_COMMANDS_MAX + OPEN_BELOW_MAX,
            "the window of open commands is bounded"
        );
    }

    /// Keeps an outcome as it is, in place of an earlier one.
    pub(super) fn keep(&mut self, sequence: Sequence, outcome: Remembered) {
        self.found_bytes += outcome.found_bytes();
        if let Some(earlier) = self.outcomes.insert(sequence, outcome) {
            self.found_bytes -= earlier.found_bytes();
        }
    }

    fn forget(&mut self, sequence: Sequence) {
        if let Some(outcome) = self.outcomes.remove(&sequence) {
            self.found_bytes -= outcome.found_bytes();
        }
    }

    fn evict_early(&mut self) {
        if plant::is(Bug::SessionEvictedEarly)
            && self.remembered() > 2
            && let Some(&(oldest, _)) = self.outcomes.get_min()
            && self.waits.get_min().is_none_or(|&(waiting, _)| waiting > oldest)
        {
            self.forget(oldest);
        }
    }

    /// The client waits for nothing below `lowest_open` but these: forgets the outcomes of the others, if that
    /// is news. Waits among them are the caller's to end.
    pub(super) fn let_go(&mut self, lowest_open: Sequence, open_below: &[Sequence]) {
        if self.open_below.is_empty() && (lowest_open <= self.lowest_open || open_below.is_empty()) {
            return self.let_go_of_all_below(lowest_open);
        }
        // Of these the command says nothing, if it was overtaken by the one that named them.
        let beyond: Vec<Sequence> = self.open_below.range(lowest_open..).copied().collect();
        let named = open_below.iter().copied().filter(|&number| self.is_open(number));
        self.open_below = named.chain(beyond).collect();
        self.lowest_open = self.lowest_open.max(lowest_open);
        let below = self.outcomes.range(..self.lowest_open).map(|(&number, _)| number);
        let forgotten: Vec<Sequence> = below.filter(|&number| !self.is_open(number)).collect();
        for number in forgotten {
            self.forget(number);
        }
    }

    fn let_go_of_all_below(&mut self, lowest_open: Sequence) {
        if lowest_open <= self.lowest_open {
            return;
        }
        self.lowest_open = lowest_open;
        while let Some(&(oldest, _)) = self.outcomes.get_min()
            && oldest < lowest_open
        {
            self.forget(oldest);
        }
    }

    /// Of how many commands something is remembered.
    pub(super) fn remembered(&self) -> usize {
        self.outcomes.len() + self.waits.len()
    }
}

/// All open sessions and the ends of their leases.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sessions {
    pub(super) open: Table<SessionId, Session>,
    deadlines: Deadlines<SessionId>,
    /// The sessions that were opened under a name, by it.
    #[serde(skip)]
    by_opener: Table<Opener, SessionId>,
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
        Self { open: Table::new(), deadlines: Deadlines::default(), by_opener: Table::new(), max }
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
        opener: Option<Opener>,
        time: ClusterTime,
    ) -> Result<(), MachineError> {
        if self.open.len() >= self.max {
            marks::hit("machine.sessions_full");
            return Err(MachineError::TooManySessions);
        }
        self.insert(id, Session::open(lease_us, opener, time));
        Ok(())
    }

    /// Adds a session as it is.
    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        self.deadlines.add(session.deadline, id);
        if let Some(opener) = session.opener {
            self.by_opener.insert(opener, id);
        }
        self.open.insert(id, session);
    }

    /// The session in the table that was opened under this name. It may be overdue.
    pub(super) fn opened_by(&self, opener: Opener) -> Option<SessionId> {
        self.by_opener.get(&opener).copied()
    }

    /// Counts a session's lease from `time` on.
    ///
    /// # Errors
    ///
    /// [`MachineError::SessionExpired`] if it is not open, or overdue: its end has come, though no entry has had
    /// room for it yet.
    pub(super) fn renew(&mut self, id: SessionId, time: ClusterTime) -> Result<&mut Session, MachineError> {
        let session = self.open.get_mut(&id).ok_or(MachineError::SessionExpired)?;
        let before = session.deadline;
        if before <= time {
            marks::hit("machine.session_overdue");
            return Err(MachineError::SessionExpired);
        }
        session.renew(time);
        if session.deadline != before {
            self.deadlines.remove(before, id);
            self.deadlines.add(session.deadline, id);
        }
        Ok(session)
    }

    /// Takes a session out; whether it was open. The services are the caller's to tell.
    pub(super) fn close(&mut self, id: SessionId) -> bool {
        let Some(session) = self.take(id) else { return false };
        self.deadlines.remove(session.deadline, id);
        true
    }

    /// Takes a session out of the table and out of the index of names.
    fn take(&mut self, id: SessionId) -> Option<Session> {
        let session = self.open.remove(&id)?;
        if let Some(opener) = session.opener {
            self.by_opener.remove(&opener);
        }
        Some(session)
    }

    /// Takes out a session whose lease ends at `time` or earlier. The services are the caller's to tell.
    pub(super) fn take_expired(&mut self, time: ClusterTime) -> Option<SessionId> {
        let id = self.deadlines.take_due(time)?;
        self.take(id).expect("a deadline names an open session");
        Some(id)
    }

    /// The earliest end of a lease.
    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        self.deadlines.next()
    }

    /// A command waits, as its outcome [`Reply::Waiting`] says.
    pub(super) fn waits_in(&mut self, by: Asker, wait: Awaiting) {
        let session = self.open.get_mut(&by.session).expect("who waits is open");
        session.await_in(by.sequence, wait);
    }

    /// Commands that waited are complete.
    pub(super) fn settle(&mut self, completions: &mut Vec<(Asker, Remembered)>) {
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
pub(super) fn check_numbers(
    sequence: Sequence,
    lowest_open: Sequence,
    open_below: &[Sequence],
) -> Result<(), MachineError> {
    if sequence.0 == 0 || lowest_open > sequence {
        return Err(MachineError::InvalidArgument(format!(
            "a sequence number is at least 1 and at least the lowest open one; got {sequence} with {lowest_open}"
        )));
    }
    if sequence.0 - lowest_open.0 >= OPEN_COMMANDS_MAX as u64 || open_below.len() > OPEN_BELOW_MAX {
        return Err(MachineError::TooManyOpenCommands);
    }
    check_open_below(lowest_open, open_below)
}

/// Refuses a list of open numbers below `lowest_open` that is no such list.
pub(super) fn check_open_below(lowest_open: Sequence, open_below: &[Sequence]) -> Result<(), MachineError> {
    let numbers = open_below.iter().copied().chain([lowest_open]);
    if open_below.first().is_some_and(|number| number.0 == 0) || !numbers.is_sorted_by(|one, next| one < next)
    {
        return Err(MachineError::InvalidArgument(format!(
            "the open numbers below {lowest_open} are at least 1 and rise to below it"
        )));
    }
    Ok(())
}
