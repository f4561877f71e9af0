//! Where a key may have been empty.
//!
//! It is empty at first, after a delete, after the end of a life, and after an eviction. A read that finds nothing
//! therefore belongs behind one of these: behind one that is not older than what had been seen before the read began,
//! and not later than what is seen by who asks after it; and nobody sees afterwards what was over then. Where
//! none of them is known, one of unknown outcome must have been there, and each of those is in one place at
//! most ([`super::unknown`]).

use super::states::{State, found_by_counter};
use super::versions::{Key, Read, Write, text};
use crate::history::{Answer, Call, Operation, VirtualTime};

/// An emptiness that nothing known explains: after which version it began, before which it ended, by when it
/// had begun, and who says so.
type Gap<'a> = (u64, u64, VirtualTime, &'a Operation);

/// Finds an answer that says of a key that it was empty, or that it was not, where that cannot have been so.
pub(super) fn wrong(key: &Key<'_>, evicted_from: Option<VirtualTime>) -> Option<String> {
    let reads = key.reads.iter().filter(|read| read.seen.is_none());
    let is_evicted = |by: VirtualTime| evicted_from.is_some_and(|from| from <= by);
    let found = reads.filter_map(|read| gap_of_read(key, read, is_evicted(read.returned_ns)));
    let mut gaps: Vec<Gap<'_>> = found.collect();
    for (version, write) in &key.writes {
        match wrong_before(key, *version, write, is_evicted(write.returned_ns)) {
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

fn gap_of_read<'a>(key: &Key<'a>, read: &Read<'a>, may_be_evicted: bool) -> Option<Gap<'a>> {
    let Read { operation, returned_ns, own_before, .. } = *read;
    let least = key.known_before(operation.invoked_ns).max(own_before);
    // What is seen later is not what was over then.
    let next = key.named_after(read).map_or(u64::MAX, |next| next.version);
    let was_at_first = least == 0;
    let is_explained = least < next && (may_be_evicted || key.emptied_within(least, next, returned_ns));
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
fn wrong_before(key: &Key<'_>, version: u64, write: &Write<'_>, may_be_evicted: bool) -> Before {
    let Some(answer) = write.answer() else { return Before::Right };
    let before = key.state_before(version);
    let returned_ns = write.returned_ns;
    let is_over = |before: &State<'_>| before.over_ns.is_some_and(|over| over <= returned_ns);
    let left = before.filter(|before| !may_be_evicted && !is_over(before)).map(|left| left.version);
    let may_be_full =
        before.is_some_and(|before| before.value.is_some()) || key.unknown.may_have_filled(returned_ns);
    let is_wrong = match (&write.operation.call, answer) {
        (Call::CacheSetIfAbsent { .. }, Answer::Written { .. })
        | (Call::CacheCompareAndSet { expected_version: None, .. }, Answer::Written { .. })
        | (Call::CacheDelete { .. }, Answer::Deleted { existed: false, .. }) => {
            return left.map_or(Before::Right, Before::EmptyAfter);
        }
        (Call::CacheDelete { .. }, Answer::Deleted { existed: true, .. }) => !may_be_full,
        (Call::CacheCompareAndSet { expected_version: Some(expected), .. }, Answer::Written { .. }) => {
            let was_removed = key.writes.get(expected).is_some_and(|write| write.value.is_none());
            let is_known = key.writes.contains_key(expected) || key.unknown.may_have_filled(returned_ns);
            before.is_some_and(|before| before.version > *expected)
                || *expected >= version
                || was_removed
                || !is_known
        }
        _ => found_by_counter(write).is_some_and(|found| {
            // It went on from what is known, from nothing, or from what somebody wrote of whom nobody knows.
            let known = before.and_then(|before| before.value);
            let began = left.is_none() || key.unknown.may_have_emptied(returned_ns);
            let may_have_added =
                |from| key.unknown.may_have_added(from, found, returned_ns, key.used_before(version));
            let is_open = key.unknown.may_have_set(returned_ns);
            !(known.is_some_and(may_have_added) || began && may_have_added(0) || is_open)
        }),
    };
    if !is_wrong {
        return Before::Right;
    }
    let before = before.map_or_else(
        || "nothing".to_owned(),
        |before| format!("version {}, of which {} tells", before.version, text(before.operation)),
    );
    Before::Wrong(format!(
        "{} wrote version {version} and was answered {answer:?}, but what came before it was {before}\n",
        text(write.operation)
    ))
}
