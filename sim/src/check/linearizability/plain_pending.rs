//! What becomes of operations of unknown outcome on a register without versions, before any search.
//!
//! * *Reads* say nothing: dropped.
//! * *A write whose effect nobody can have noticed* is dropped: nobody that can follow it read its value,
//!   swapped it, or was refused because something else was there. An order with it is as good without.
//! * *A write whose value was seen, when it alone could have written it*, did take effect, before the first
//!   who saw it returned.

use super::{Entry, PlainRegisterAnswer, PlainRegisterOp};

type PlainEntry = Entry<PlainRegisterOp, PlainRegisterAnswer>;

/// What answers say about one value.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// When the last operation that may depend on it returned; `u64::MAX` for one that never did.
    latest: Option<u64>,
    /// When the first operation that certainly depended on it returned.
    earliest: Option<u64>,
    /// How many operations may have written it.
    writers: u64,
}

/// Settles what can be settled. Does not change whether the entries are linearizable.
pub(super) fn settle(entries: &mut Vec<PlainEntry>) {
    let unanswered = || entries.iter().filter(|entry| entry.answer.is_none());
    if unanswered().next().is_none() {
        return;
    }
    // Only what is asked for below.
    let mut seen: Vec<(Option<i64>, Seen)> =
        unanswered().filter_map(written).map(|value| (value, Seen::default())).collect();
    seen.sort_unstable_by_key(|(value, _)| *value);
    seen.dedup_by_key(|(value, _)| *value);
    let place =
        |seen: &[(Option<i64>, Seen)], value| seen.binary_search_by_key(&value, |(value, _)| *value).ok();
    let mut refused: Option<u64> = None;
    for entry in entries.iter() {
        let mut saw = |value| {
            let Some(place) = place(&seen, value) else { return };
            let seen = &mut seen[place].1;
            seen.latest = seen.latest.max(Some(entry.returned.unwrap_or(u64::MAX)));
            if let Some(returned) = entry.returned {
                seen.earliest = Some(seen.earliest.map_or(returned, |at| at.min(returned)));
            }
        };
        match (entry.op, entry.answer) {
            (_, Some(PlainRegisterAnswer::Value(value))) => saw(value),
            (_, Some(PlainRegisterAnswer::Refused)) => refused = refused.max(entry.returned),
            (PlainRegisterOp::CompareAndSet { from, .. }, _) => saw(from),
            _ => {}
        }
        if let Some(place) = written(entry).and_then(|value| place(&seen, value)) {
            seen[place].1.writers += 1;
        }
    }
    entries.retain_mut(|entry| {
        if entry.answer.is_some() {
            return true;
        }
        let Some(value) = written(entry) else { return false };
        let seen = place(&seen, value).map_or_else(Seen::default, |place| seen[place].1);
        let alone = seen.writers == 1 && value.is_some();
        if let Some(bound) = seen.earliest.filter(|at| alone && *at >= entry.invoked) {
            entry.returned = Some(bound);
            entry.answer = Some(PlainRegisterAnswer::Done);
            return true;
        }
        seen.latest.max(refused).is_some_and(|at| at >= entry.invoked)
    });
}

/// The value that an operation wrote, or would have.
fn written(entry: &PlainEntry) -> Option<Option<i64>> {
    match (entry.op, entry.answer) {
        (_, Some(PlainRegisterAnswer::Refused)) => None,
        (PlainRegisterOp::Write(value) | PlainRegisterOp::CompareAndSet { to: value, .. }, _) => Some(value),
        (PlainRegisterOp::Read, _) => None,
    }
}
