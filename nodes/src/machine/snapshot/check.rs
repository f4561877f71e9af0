//! What must hold between the parts of a snapshot: that it is a state to which entries lead.
//!
//! Whatever a later apply relies on is here, and what else is cheap to see: bounds, order, references, and
//! that nothing lies in the future of the last entry but deadlines.

use super::{RestoreError, SessionHead};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::limits::check_name;
use crate::machine::lock::Lock;
use crate::machine::{
    LEASE_US_MAX, LEASE_US_MIN, LockHolder, LockWaiter, Machine, Name, OPEN_COMMANDS_MAX, VALUE_BYTES_MAX,
    Versioned, WAIT_US_MAX,
};

/// An error with this text unless it holds.
pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(RestoreError::Inconsistent(otherwise())) }
}

/// Tokens are made of indexes, which leaves room for a bounded number of them.
pub(super) fn last_applied(index: LogIndex, time: ClusterTime) -> Result<(), RestoreError> {
    ensure(index.0 >> (u64::BITS - FenceToken::ORDINAL_BITS) == 0, || {
        format!("no log reaches the index {index}")
    })?;
    ensure(index.0 > 0 || time.0 == 0, || "it has a stamp and no entry".to_owned())
}

/// The keys of a table come in their order, each once.
pub(super) fn rises<K: Ord, V>(what: &str, last: Option<&(K, V)>, next: &K) -> Result<(), RestoreError> {
    ensure(last.is_none_or(|(last, _)| last < next), || format!("its {what} are out of order"))
}

pub(super) fn name(what: &str, name: &str) -> Result<(), RestoreError> {
    check_name(what, name).map_err(|error| RestoreError::Inconsistent(error.to_string()))
}

pub(super) fn session(machine: &Machine, head: &SessionHead) -> Result<(), RestoreError> {
    let SessionHead { id, lease_us, deadline, lowest_open } = *head;
    rises("sessions", machine.sessions.get_max(), &id)?;
    applied(machine, "a session", LogIndex(id.0))?;
    ensure((LEASE_US_MIN..=LEASE_US_MAX).contains(&lease_us), || {
        format!("the lease of {id} is {lease_us} us")
    })?;
    ensure(lowest_open.0 > 0, || format!("{id} has no lowest open number"))?;
    ahead(machine, "a lease", deadline, lease_us)
}

/// `last` is the outcome before it.
pub(super) fn remembered<V>(
    lowest_open: Sequence,
    last: Option<&(Sequence, V)>,
    sequence: Sequence,
) -> Result<(), RestoreError> {
    rises("outcomes", last, &sequence)?;
    let beyond = sequence.0.checked_sub(lowest_open.0);
    ensure(beyond.is_some_and(|beyond| beyond < OPEN_COMMANDS_MAX as u64), || {
        format!("{sequence} is remembered, and {lowest_open} is the lowest open")
    })
}

/// `lock` has the holders before this one.
pub(super) fn holder(machine: &Machine, lock: &Lock, holder: &LockHolder) -> Result<(), RestoreError> {
    let LockHolder { session, mode, token } = *holder;
    rises("holders of a lock", lock.holders.get_max(), &token)?;
    ensure(token <= lock.last_token, || format!("{token} is later than the latest token"))?;
    ensure(lock.goes_with_holders(mode), || format!("{session} holds a lock beside others"))?;
    applied(machine, "a grant", token.granting_index())?;
    after_opening(session, token.granting_index())
}

/// `lock` has the holders and the waiters before this one.
pub(super) fn waiter(
    machine: &Machine,
    lock: &Lock,
    ticket: LogIndex,
    waiter: &LockWaiter,
) -> Result<(), RestoreError> {
    rises("waiters for a lock", lock.line.get_max(), &ticket)?;
    applied(machine, "a wait", ticket)?;
    after_opening(waiter.session, ticket)?;
    ahead(machine, "a wait", waiter.deadline, WAIT_US_MAX)
}

/// With all its holders and waiters.
pub(super) fn lock(machine: &Machine, name: &Name, lock: &Lock) -> Result<(), RestoreError> {
    applied(machine, "a token", lock.last_token.granting_index())?;
    ensure(!lock.holders.is_empty(), || format!("nobody holds {name}"))?;
    let head = lock.line.get_min();
    ensure(head.is_none_or(|(_, waiter)| !lock.goes_with_holders(waiter.mode)), || {
        format!("the head of the line for {name} waits for nothing")
    })
}

pub(super) fn register(machine: &Machine, key: &Name, register: &Versioned) -> Result<(), RestoreError> {
    let bytes = register.value.len();
    ensure(bytes <= VALUE_BYTES_MAX, || format!("the value of {key} has {bytes} bytes"))?;
    applied(machine, "a write", register.version)
}

/// What an entry did was done by one that has been applied.
fn applied(machine: &Machine, what: &str, at: LogIndex) -> Result<(), RestoreError> {
    ensure((1..=machine.index.0).contains(&at.0), || {
        format!("{what} is of the entry {at}, and {} was the last", machine.index)
    })
}

/// A session does nothing before the entry that opened it, nor by it.
fn after_opening(session: SessionId, at: LogIndex) -> Result<(), RestoreError> {
    ensure(session.0 < at.0, || format!("{session} did something by the entry {at}"))
}

/// A deadline has not passed, or its entry would have gone, and is no longer off than its span.
fn ahead(machine: &Machine, what: &str, deadline: ClusterTime, span_us: u64) -> Result<(), RestoreError> {
    let is_saturated = deadline.0 == u64::MAX;
    let fits = (deadline > machine.time || is_saturated) && deadline <= machine.time.plus_us(span_us);
    ensure(fits, || {
        format!("the end of {what} is {deadline}, and the stamp of the last entry {}", machine.time)
    })
}
