//! What the parts of a snapshot are written and read with.
//!
//! A part is a table in the order of its keys: how many items, then each. Its writer is called with a place,
//! writes from there until the buffer holds as much as was asked for, and says where it stopped; the last key
//! stands for the place, so that no iterator need live from one piece to the next.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RestoreError;
use crate::ids::{ClusterTime, LogIndex, SessionId};
use crate::machine::Name;
use crate::machine::limits::check_name;
use crate::machine::service::{Asker, Service};
use crate::machine::session::{Awaiting, Sessions};

/// The keys that come after this one: all of them if there is none.
pub(in crate::machine) fn beyond<K>(after: Option<K>) -> (Bound<K>, Bound<K>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// Appends an item.
pub(in crate::machine) fn put<T: Serialize>(buffer: &mut Vec<u8>, item: &T) {
    let encoded = postcard::to_extend(item, std::mem::take(buffer));
    *buffer = encoded.expect("the state is plain data, and memory takes any length");
}

/// An error with this text unless it holds.
pub(in crate::machine) fn ensure(
    holds: bool,
    otherwise: impl FnOnce() -> String,
) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(RestoreError::Inconsistent(otherwise())) }
}

/// The keys of a table come in their order, each once. `last` is the item before.
pub(in crate::machine) fn rises<K: Ord, V>(
    what: &str,
    last: Option<&(K, V)>,
    next: &K,
) -> Result<(), RestoreError> {
    ensure(last.is_none_or(|(last, _)| last < next), || format!("its {what} are out of order"))
}

/// What has not been read yet.
pub(in crate::machine) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    /// The next item.
    pub(in crate::machine) fn item<T: DeserializeOwned>(&mut self) -> Result<T, RestoreError> {
        let (item, rest) = postcard::take_from_bytes(self.rest)
            .map_err(|error| RestoreError::Undecodable(error.to_string()))?;
        self.rest = rest;
        Ok(item)
    }

    /// How many of something follow. No room is made for them before they are read.
    pub(in crate::machine) fn count(&mut self, what: &str, max: usize) -> Result<usize, RestoreError> {
        let count: u64 = self.item()?;
        ensure(count <= max as u64, || format!("it has {count} {what}, and there are {max} at most"))?;
        Ok(count as usize)
    }

    /// A name within its bounds. `what` is "key" or "resource".
    pub(in crate::machine) fn name(&mut self, what: &str) -> Result<Name, RestoreError> {
        let name: Name = self.item()?;
        check_name(what, &name).map_err(|error| RestoreError::Inconsistent(error.to_string()))?;
        Ok(name)
    }
}

/// What a service's part is checked against: what has been read before it.
pub(in crate::machine) struct Restoring<'a> {
    /// The last entry applied.
    pub(in crate::machine) index: LogIndex,
    /// Its stamp.
    pub(in crate::machine) time: ClusterTime,
    /// The open sessions, which learn on the way which of their commands wait.
    pub(in crate::machine) sessions: &'a mut Sessions,
    /// Commands that wait by their remembered outcomes, and behind how many, whose waits have not been read yet.
    pub(super) awaiting: BTreeMap<Asker, u32>,
}

impl Restoring<'_> {
    /// What an entry did was done by one that has been applied.
    pub(in crate::machine) fn applied(&self, what: &str, at: LogIndex) -> Result<(), RestoreError> {
        ensure((1..=self.index.0).contains(&at.0), || {
            format!("{what} is of the entry {at}, and {} was the last", self.index)
        })
    }

    /// A session is open and did `what` by an entry that has been applied, after the one that opened it.
    pub(in crate::machine) fn done_by(
        &self,
        session: SessionId,
        what: &str,
        at: LogIndex,
    ) -> Result<(), RestoreError> {
        self.applied(what, at)?;
        ensure(session.0 < at.0, || format!("{session} did something by the entry {at}"))?;
        ensure(self.sessions.open.contains_key(&session), || {
            format!("{what} is of {session}, which is not open")
        })
    }

    /// The end of something that may be overdue is no longer off than its span.
    pub(in crate::machine) fn within(
        &self,
        what: &str,
        end: ClusterTime,
        span_us: u64,
    ) -> Result<(), RestoreError> {
        ensure(end <= self.time.plus_us(span_us), || {
            format!("the end of {what} is {end}, and the stamp of the last entry {}", self.time)
        })
    }

    /// A command waits in this service, as its session remembers.
    pub(in crate::machine) fn waits(&mut self, by: Asker, service: Service) -> Result<(), RestoreError> {
        let Asker { session: id, sequence } = by;
        let session = self.sessions.open.get_mut(&id);
        let session = session
            .ok_or_else(|| RestoreError::Inconsistent(format!("a wait is of {id}, which is not open")))?;
        ensure(!session.waits.contains_key(&sequence), || format!("{id} waits twice with {sequence}"))?;
        let says_not = || format!("{id} waits with {sequence}, and its table does not say so");
        let ahead = self.awaiting.remove(&by).ok_or_else(|| RestoreError::Inconsistent(says_not()))?;
        session.waits.insert(sequence, Awaiting { ahead, service });
        Ok(())
    }
}
