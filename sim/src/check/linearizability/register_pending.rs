//! What becomes of register operations of unknown outcome before any search.
//!
//! Each such operation may take effect at any time or never, which makes a search slow. Most of them are
//! settled by what the others were answered:
//!
//! * *Reads* change nothing and answered nothing: dropped.
//! * *A write whose effect nobody can have noticed* is dropped. If some order contains it, no operation
//!   between it and the next effective write depends on what it wrote, so the order without it is just as
//!   good; versions after it stay high enough.
//! * *A write of which only the presence of some value can have been noticed* is kept, but marked: it is of
//!   use only where nothing is there, and any other such write is as good.
//! * *A write whose value was seen, when it alone could have written it*, did take effect, before the first
//!   who saw it returned; and its version is the one that they saw.
//!
//! Whatever does not fall under these stays open.

use std::collections::BTreeMap;

use super::{Entry, RegisterAnswer, RegisterOp};

type RegisterEntry = Entry<RegisterOp, RegisterAnswer>;

/// What answers say about one value, or about absence.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// When the last operation that may depend on it returned; `u64::MAX` for one that never did.
    latest: Option<u64>,
    /// When the first operation that certainly depended on it returned.
    earliest: Option<u64>,
    /// The version that was seen with it.
    version: Option<u64>,
}

impl Seen {
    fn by(&mut self, returned: Option<u64>, version: Option<u64>) {
        self.latest = self.latest.max(Some(returned.unwrap_or(u64::MAX)));
        if let Some(returned) = returned {
            self.earliest = Some(self.earliest.map_or(returned, |at| at.min(returned)));
        }
        self.version = self.version.or(version);
    }

    fn since(&self, invoked: u64) -> bool {
        self.latest.is_some_and(|latest| latest >= invoked)
    }
}

#[derive(Default)]
struct Sightings {
    /// By value; `None` is absence.
    seen: BTreeMap<Option<u64>, Seen>,
    /// Whether some value, no matter which, was there.
    presence: Seen,
    /// How many operations may have written each value.
    writers: BTreeMap<u64, u64>,
}

impl Sightings {
    fn of(entries: &[RegisterEntry]) -> Self {
        let mut sightings = Self::default();
        for entry in entries {
            sightings.add(entry);
        }
        sightings
    }

    fn add(&mut self, entry: &RegisterEntry) {
        let returned = entry.returned;
        let mut saw = |value, version| self.seen.entry(value).or_default().by(returned, version);
        match (entry.op, &entry.answer) {
            (
                _,
                Some(RegisterAnswer::Value { value, version } | RegisterAnswer::Mismatch { value, version }),
            ) => {
                saw(*value, *version);
            }
            (RegisterOp::CompareAndSet { expected, .. }, _) => saw(expected, None),
            (_, Some(RegisterAnswer::Deleted { existed: true, .. })) => self.presence.by(returned, None),
            (_, Some(RegisterAnswer::Deleted { existed: false, .. })) => saw(None, None),
            _ => {}
        }
        if let Some(value) = written(entry) {
            *self.writers.entry(value).or_default() += 1;
        }
    }

    fn of_value(&self, value: Option<u64>) -> Seen {
        self.seen.get(&value).copied().unwrap_or_default()
    }
}

/// The value that an operation wrote, or would have.
fn written(entry: &RegisterEntry) -> Option<u64> {
    match (entry.op, &entry.answer) {
        (_, Some(RegisterAnswer::Mismatch { .. })) => None,
        (RegisterOp::Set(value) | RegisterOp::CompareAndSet { value, .. }, _) => Some(value),
        _ => None,
    }
}

/// Settles what can be settled. Does not change whether the entries are linearizable.
pub(super) fn settle(entries: &mut Vec<RegisterEntry>) {
    let sightings = Sightings::of(entries);
    entries.retain_mut(|entry| {
        if entry.answer.is_some() {
            return true;
        }
        match written(entry) {
            Some(value) => settle_write(entry, value, &sightings),
            None => entry.op == RegisterOp::Delete && sightings.of_value(None).since(entry.invoked),
        }
    });
}

/// Bounds a write if it is known to have happened; returns whether it is to be kept.
fn settle_write(entry: &mut RegisterEntry, value: u64, sightings: &Sightings) -> bool {
    let seen = sightings.of_value(Some(value));
    let alone = sightings.writers.get(&value) == Some(&1);
    let bound = seen.earliest.filter(|at| alone && *at >= entry.invoked);
    if let Some(bound) = bound {
        entry.returned = Some(bound);
        entry.answer = seen.version.map(|version| RegisterAnswer::Written { version });
        return true;
    }
    if seen.since(entry.invoked) {
        return true;
    }
    let replaces = matches!(entry.op, RegisterOp::CompareAndSet { expected: Some(_), .. });
    entry.anonymous = !replaces;
    !replaces && sightings.presence.since(entry.invoked)
}
