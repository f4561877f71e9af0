//! Registers and caches, spoilt.

use std::collections::BTreeMap;

use rand::RngExt;
use stormglass_sim::history::{Answer, Call, History, Operation, VirtualTime};
use stormglass_sim::rng::StreamRng;

use super::edit::{answered, moved, pick, with_answer, without};
use super::{Kind, wrong};

pub(super) const KINDS: &[Kind] = &[
    wrong("a read of what had been overwritten", stale_read),
    wrong("a read of what had been deleted", resurrected),
    wrong("a read of a value that nobody wrote", invented),
    wrong("a read before the write", early_read),
    wrong("a write that was read, dropped", dropped_write),
    wrong("nothing, between two reads of one version", empty_read),
    wrong("a refused write that took place", refused_write),
    wrong("a counter that jumps", jumping_counter),
];

/// What an answer says of a key: its version, and the value unless it names none.
#[derive(Clone, Copy)]
struct Sight<'a> {
    operation: &'a Operation,
    returned_ns: VirtualTime,
    version: u64,
    value: Option<i64>,
    reads: bool,
    deletes: bool,
}

/// All sights, by key.
fn sights(history: &History) -> BTreeMap<&str, Vec<Sight<'_>>> {
    let mut keys: BTreeMap<&str, Vec<Sight<'_>>> = BTreeMap::new();
    for operation in &history.operations {
        let Some((answer, returned_ns)) = answered(operation) else { continue };
        let reads = matches!(operation.call, Call::Get { .. } | Call::CacheGet { .. });
        let (version, value, deletes) = match (answer, &operation.call) {
            (Answer::Value { value, version: Some(version) }, _) => {
                (*version, value.map(|v| v as i64), false)
            }
            (Answer::Cached { value, version: Some(version), .. }, _) => (*version, *value, false),
            (Answer::Written { version }, call) => (*version, written(call), false),
            (Answer::Deleted { version, .. }, _) => (*version, None, true),
            (Answer::Counted { value, version }, _) => (*version, Some(*value), false),
            _ => continue,
        };
        let sight = Sight { operation, returned_ns, version, value, reads, deletes };
        keys.entry(operation.call.object()).or_default().push(sight);
    }
    keys
}

fn written(call: &Call) -> Option<i64> {
    match call {
        Call::Set { value, .. } | Call::CompareAndSet { value, .. } => Some(*value as i64),
        Call::CacheSet { value, .. }
        | Call::CacheSetIfAbsent { value, .. }
        | Call::CacheCompareAndSet { value, .. } => Some(*value),
        _ => None,
    }
}

/// A read's answer with this value and version.
fn reading(operation: &Operation, value: i64, version: u64) -> Option<Answer> {
    match &operation.call {
        Call::Get { .. } => Some(Answer::Value { value: Some(value as u64), version: Some(version) }),
        Call::CacheGet { .. } => {
            Some(Answer::Cached { value: Some(value), version: Some(version), local: false })
        }
        _ => None,
    }
}

/// All reads that were answered.
fn reads(history: &History) -> Vec<&Operation> {
    let is_read = |operation: &&Operation| {
        matches!(operation.call, Call::Get { .. } | Call::CacheGet { .. }) && answered(operation).is_some()
    };
    history.operations.iter().filter(is_read).collect()
}

/// Wrong, because somebody had been told of a later version before the read was asked for.
fn older(history: &History, rng: &mut StreamRng, only_deleted: bool) -> Option<History> {
    let sights = sights(history);
    let mut choices = Vec::new();
    for read in reads(history) {
        let Some(sights) = sights.get(read.call.object()) else { continue };
        let known = sights.iter().filter(|sight| sight.returned_ns < read.invoked_ns);
        let Some(latest) = known.max_by_key(|sight| (sight.version, sight.deletes)) else { continue };
        if only_deleted && !latest.deletes {
            continue;
        }
        let old = sights.iter().rfind(|sight| sight.version < latest.version && sight.value.is_some());
        choices.extend(old.map(|old| (read, *old)));
    }
    let (read, old) = pick(&choices, rng)?;
    Some(with_answer(history, read.id, reading(read, old.value?, old.version)?))
}

fn stale_read(history: &History, rng: &mut StreamRng) -> Option<History> {
    older(history, rng, false)
}

fn resurrected(history: &History, rng: &mut StreamRng) -> Option<History> {
    older(history, rng, true)
}

/// Wrong: no workload writes such a value.
fn invented(history: &History, rng: &mut StreamRng) -> Option<History> {
    let read = pick(&reads(history), rng)?;
    let version = rng.random_range(1..1_000);
    Some(with_answer(history, read.id, reading(read, i64::MAX - 7, version)?))
}

/// Wrong: every value is written once, and this one is read before anybody asked for that.
fn early_read(history: &History, rng: &mut StreamRng) -> Option<History> {
    let mut choices = Vec::new();
    for sights in sights(history).values() {
        let writes: BTreeMap<u64, &Operation> = sights
            .iter()
            .filter(|sight| !sight.reads && !matches!(sight.operation.call, Call::CacheIncrement { .. }))
            .map(|sight| (sight.version, sight.operation))
            .collect();
        choices.extend(sights.iter().filter(|sight| sight.reads).filter_map(|sight| {
            let asked_ns = writes.get(&sight.version)?.invoked_ns;
            (asked_ns.0 > 1_000).then_some((sight.operation.id, asked_ns))
        }));
    }
    let (read, asked_ns) = pick(&choices, rng)?;
    Some(moved(history, read, VirtualTime(asked_ns.0 - 1_000), VirtualTime(asked_ns.0 - 1)))
}

/// Wrong: every value is written once, and this one was read.
fn dropped_write(history: &History, rng: &mut StreamRng) -> Option<History> {
    let mut choices = Vec::new();
    for sights in sights(history).values() {
        let read: Vec<u64> = sights.iter().filter(|sight| sight.reads).map(|sight| sight.version).collect();
        let is_read = |sight: &&Sight<'_>| {
            !sight.reads && written(&sight.operation.call).is_some() && read.contains(&sight.version)
        };
        choices.extend(sights.iter().filter(is_read).map(|sight| sight.operation.id));
    }
    Some(without(history, pick(&choices, rng)?))
}

/// Wrong: what was there before and is there after was there in between. (A counter's version says as much.)
fn empty_read(history: &History, rng: &mut StreamRng) -> Option<History> {
    let mut choices = Vec::new();
    for sights in sights(history).values() {
        for read in sights.iter().filter(|sight| sight.reads) {
            let same = |sight: &&Sight<'_>| sight.version == read.version && !sight.deletes;
            let before =
                sights.iter().filter(same).any(|other| other.returned_ns < read.operation.invoked_ns);
            let after = sights
                .iter()
                .filter(same)
                .any(|other| other.reads && other.operation.invoked_ns > read.returned_ns);
            if before && after {
                choices.push(read.operation);
            }
        }
    }
    let read = pick(&choices, rng)?;
    let answer = match &read.call {
        Call::Get { .. } => Answer::Value { value: None, version: None },
        _ => Answer::Cached { value: None, version: None, local: false },
    };
    Some(with_answer(history, read.id, answer))
}

/// Wrong: it wrote a version later than what it found, and somebody who asked after it saw that again.
fn refused_write(history: &History, rng: &mut StreamRng) -> Option<History> {
    let sights = sights(history);
    let mut choices = Vec::new();
    for operation in &history.operations {
        let Some((answer, returned_ns)) = answered(operation) else { continue };
        let (Answer::Mismatch { version: Some(found), .. } | Answer::Refused { version: Some(found), .. }) =
            answer
        else {
            continue;
        };
        let Some(sights) = sights.get(operation.call.object()) else { continue };
        let seen_again = sights
            .iter()
            .any(|sight| sight.reads && sight.version == *found && sight.operation.invoked_ns > returned_ns);
        if seen_again && sights.iter().all(|sight| sight.version != found + 1) {
            choices.push((operation.id, found + 1));
        }
    }
    let (id, version) = pick(&choices, rng)?;
    Some(with_answer(history, id, Answer::Written { version }))
}

/// Wrong: all additions of a run together come to less.
fn jumping_counter(history: &History, rng: &mut StreamRng) -> Option<History> {
    let counted: Vec<&Operation> = history
        .operations
        .iter()
        .filter(|operation| matches!(answered(operation), Some((Answer::Counted { .. }, _))))
        .collect();
    let operation = pick(&counted, rng)?;
    let Some((Answer::Counted { value, version }, _)) = answered(operation) else { return None };
    Some(with_answer(history, operation.id, Answer::Counted { value: value + 1_000_000, version: *version }))
}
