//! Where a key may have been empty.
//!
//! It is empty at first, after a delete, after the end of a life, and after an eviction. A read that finds nothing
//! therefore belongs behind one of these: behind one that is not older than what had been seen before the read began,
//! and not later than what is seen by who asks after it; and nobody sees afterwards what was over then. Where
//! none of them is known, one of unknown outcome must have been there, and each of those is in one place at
//! most ([`super::unknown`]).

use super::versions::{Key, Read, Write, text};
use crate::check::drift::Drift;
use crate::history::{Answer, Call, Operation, VirtualTime};

/// An emptiness that nothing known explains: after which version it began, before which it ended, by when it
/// had begun, and who says so.
type Gap<'a> = (u64, u64, VirtualTime, &'a Operation);

/// Finds an answer that says of a key that it was empty, or that it was not, where that cannot have been so.
pub(super) fn wrong(key: &Key<'_>, drift: Drift, evicted_from: Option<VirtualTime>) -> Option<String> {
    let reads = key.reads.iter().filter(|read| read.seen.is_none());
    let is_evicted = |by: VirtualTime| evicted_from.is_some_and(|from| from <= by);
    let found = reads.filter_map(|read| gap_of_read(key, drift, read, is_evicted(read.returned_ns)));
    let mut gaps: Vec<Gap<'_>> = found.collect();
    for (version, write) in &key.writes {
        match wrong_before(key, drift, *version, write, is_evicted(write.returned_ns)) {
            Before::Right => {}
            Before::EmptyAfter(before) => {
                gaps.push((before, *version, write.returned_ns, write.operation));
            }
            Before::Wrong(what) => return Some(what),
        }
    }
    key.unknown.unexplained(gaps).map(|operation| {
        format!(
            "{} found nothing, but what came before it was not over, and nobody can have removed it\n",
            text(operation)
        )
    })
}

/// Whether this write can have left the key empty by then.
pub(super) fn emptied(write: &Write<'_>, drift: Drift, by: VirtualTime) -> bool {
    match (write.value, write.ttl_us) {
        (None, _) => write.operation.invoked_ns <= by,
        (Some(_), Some(ttl_us)) => drift.earliest(write.operation.invoked_ns, ttl_us) <= by,
        (Some(_), None) => false,
    }
}

fn gap_of_read<'a>(key: &Key<'a>, drift: Drift, read: &Read<'a>, may_be_evicted: bool) -> Option<Gap<'a>> {
    let Read { operation, returned_ns, .. } = *read;
    let least = key.known_before(operation.invoked_ns);
    // What is seen later is not what was over then.
    let next = key.named_after(returned_ns).map_or(u64::MAX, |next| next.version);
    let was_at_first = least == 0;
    let fits = || key.writes.range(least..next).any(|(_, write)| emptied(write, drift, returned_ns));
    let is_explained = least < next && (may_be_evicted || fits());
    (!was_at_first && !is_explained).then_some((least, next, returned_ns, operation))
}

/// What is to be said of the state that a conditional write or a counter found.
enum Before {
    /// It can have been so.
    Right,
    /// It was empty, although this version, the last one known before it, had not been emptied.
    EmptyAfter(u64),
    /// It cannot have been so.
    Wrong(String),
}

/// What a conditional write or a counter says of the state that it found, right before its own version.
fn wrong_before(
    key: &Key<'_>,
    drift: Drift,
    version: u64,
    write: &Write<'_>,
    may_be_evicted: bool,
) -> Before {
    let Some(answer) = write.answer() else { return Before::Right };
    let before = key.writes.range(..version).next_back();
    let returned_ns = write.returned_ns;
    let is_left = |write: &Write<'_>| !may_be_evicted && !emptied(write, drift, returned_ns);
    let left = before.filter(|(_, before)| is_left(before)).map(|(left, _)| *left);
    let may_be_full =
        before.is_some_and(|(_, before)| before.value.is_some()) || key.unknown.may_have_filled(returned_ns);
    let is_wrong = match (&write.operation.call, answer) {
        (Call::CacheSetIfAbsent { .. }, Answer::Written { .. })
        | (Call::CacheCompareAndSet { expected_version: None, .. }, Answer::Written { .. })
        | (Call::CacheDelete { .. }, Answer::Deleted { existed: false, .. }) => {
            return left.map_or(Before::Right, Before::EmptyAfter);
        }
        (Call::CacheDelete { .. }, Answer::Deleted { existed: true, .. }) => !may_be_full,
        (Call::CacheCompareAndSet { expected_version: Some(expected), .. }, Answer::Written { .. }) => {
            let was_removed = key.writes.get(expected).is_some_and(|write| write.value.is_none());
            before.is_some_and(|(before, _)| before > expected) || *expected >= version || was_removed
        }
        (Call::CacheIncrement { by, .. }, Answer::Counted { value, .. }) => {
            let found = value.saturating_sub(*by);
            // It went on from what is known, from nothing, or from what somebody wrote of whom nobody knows.
            let known = before.and_then(|(_, before)| before.value);
            let began = left.is_none() || key.unknown.may_have_emptied(returned_ns);
            let from_known = known.is_some_and(|from| key.unknown.may_have_added(from, found, returned_ns));
            let from_nothing = began && key.unknown.may_have_added(0, found, returned_ns);
            let is_open = key.unknown.may_have_set(returned_ns);
            !(from_known || from_nothing || is_open)
        }
        _ => false,
    };
    if !is_wrong {
        return Before::Right;
    }
    let before = before.map_or_else(
        || "nothing".to_owned(),
        |(version, write)| format!("version {version} by {}", text(write.operation)),
    );
    Before::Wrong(format!(
        "{} wrote version {version} and was answered {answer:?}, but what came before it was {before}\n",
        text(write.operation)
    ))
}
