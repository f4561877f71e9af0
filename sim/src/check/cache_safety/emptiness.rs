//! Where a key may have been empty.
//!
//! It is empty at first, after a delete, after the end of a life, and after an eviction. A read that finds nothing therefore
//! belongs behind one of these: behind one that is not older than what had been seen before the read began,
//! and not later than what is seen by who asks after it; and nobody sees afterwards what was over then.

use super::versions::{Key, Read, Write, may_write, text, written};
use crate::check::drift::Drift;
use crate::history::{Answer, Call, Outcome, VirtualTime};

/// Finds an answer that says of a key that it was empty, or that it was not, where that cannot have been so.
pub(super) fn wrong(key: &Key<'_>, drift: Drift, evicted_from: Option<VirtualTime>) -> Option<String> {
    key.reads
        .iter()
        .filter(|read| read.seen.is_none())
        .find_map(|read| wrongly_empty(key, drift, evicted_from, read))
        .or_else(|| {
            key.writes
                .iter()
                .find_map(|(version, write)| wrong_before(key, drift, evicted_from, *version, write))
        })
}

/// Whether something of unknown outcome can have left the key empty by then.
pub(super) fn unknown_emptied(key: &Key<'_>, drift: Drift, by: VirtualTime) -> bool {
    key.unknown.iter().any(|operation| match (&operation.call, written(&operation.call)) {
        (Call::CacheDelete { .. }, _) => operation.invoked_ns <= by,
        (_, (_, Some(ttl_us))) => drift.earliest(operation.invoked_ns, ttl_us) <= by,
        _ => false,
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

fn wrongly_empty(
    key: &Key<'_>,
    drift: Drift,
    evicted_from: Option<VirtualTime>,
    read: &Read<'_>,
) -> Option<String> {
    let Read { operation, returned_ns, .. } = *read;
    if unknown_emptied(key, drift, returned_ns) {
        return None;
    }
    let least = key.known_before(operation.invoked_ns);
    let next = key.named_after(returned_ns);
    // What is seen later is not what was over then.
    let fits = |version: u64, write: &Write<'_>| {
        next.is_none_or(|next| version < next.version) && emptied(write, drift, returned_ns)
    };
    let was_at_first = least == 0;
    let is_evicted =
        evicted_from.is_some_and(|from| from <= returned_ns) && next.is_none_or(|next| least < next.version);
    let is_possible =
        was_at_first || is_evicted || key.writes.range(least..).any(|(version, write)| fits(*version, write));
    (!is_possible).then(|| {
        let after = next.map_or_else(String::new, |next| {
            format!("; {} saw version {} after it", text(next.operation), next.version)
        });
        format!(
            "{} found nothing, but version {least} had been seen before and was not over{after}\n",
            text(operation)
        )
    })
}

/// What a conditional write or a counter says of the state that it found, right before its own version.
fn wrong_before(
    key: &Key<'_>,
    drift: Drift,
    evicted_from: Option<VirtualTime>,
    version: u64,
    write: &Write<'_>,
) -> Option<String> {
    let Outcome::Ok { answer } = &write.operation.outcome else { return None };
    let before = key.writes.range(..version).next_back();
    let returned_ns = write.returned_ns;
    let may_be_empty = before.is_none_or(|(_, before)| emptied(before, drift, returned_ns))
        || unknown_emptied(key, drift, returned_ns)
        || evicted_from.is_some_and(|from| from <= returned_ns);
    let may_be_full = before.is_some_and(|(_, before)| before.value.is_some())
        || key.unknown.iter().any(|unknown| {
            unknown.invoked_ns <= returned_ns && !matches!(unknown.call, Call::CacheDelete { .. })
        });
    let is_wrong = match (&write.operation.call, answer) {
        (Call::CacheSetIfAbsent { .. }, Answer::Written { .. })
        | (Call::CacheCompareAndSet { expected_version: None, .. }, Answer::Written { .. })
        | (Call::CacheDelete { .. }, Answer::Deleted { existed: false, .. }) => !may_be_empty,
        (Call::CacheDelete { .. }, Answer::Deleted { existed: true, .. }) => !may_be_full,
        (Call::CacheCompareAndSet { expected_version: Some(expected), .. }, Answer::Written { .. }) => {
            before.is_some_and(|(before, _)| before > expected) || *expected >= version
        }
        (Call::CacheIncrement { by, .. }, Answer::Counted { value, .. }) => {
            let found = value.saturating_sub(*by);
            let as_known = before.is_some_and(|(_, before)| before.value == Some(found));
            let began = found == 0 && may_be_empty;
            let is_open = key
                .unknown
                .iter()
                .any(|unknown| unknown.invoked_ns <= returned_ns && may_write(&unknown.call, found));
            !(as_known || began || is_open)
        }
        _ => false,
    };
    is_wrong.then(|| {
        let before = before.map_or_else(
            || "nothing".to_owned(),
            |(version, write)| format!("version {version} by {}", text(write.operation)),
        );
        format!(
            "{} wrote version {version} and was answered {answer:?}, but what came before it was {before}\n",
            text(write.operation)
        )
    })
}
