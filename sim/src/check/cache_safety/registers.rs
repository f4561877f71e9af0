//! Keys of the cache as registers, for the general search.

use std::collections::{BTreeMap, BTreeSet};

use super::versions::written;
use crate::history::{Answer, Call, History, Operation, Outcome};

/// The operations on those keys that no time to live, no counter and no unknown version touches, in the words
/// of the register.
#[must_use]
pub fn as_registers(history: &History) -> History {
    // What may be evicted is no register.
    if super::evicted_from(history).is_some() {
        return History::default();
    }
    let values = values_of_versions(history);
    let mut others: BTreeSet<&str> = BTreeSet::new();
    for operation in &history.operations {
        let is_mortal = written(&operation.call).1.is_some();
        let is_counter = matches!(operation.call, Call::CacheIncrement { .. });
        if is_mortal || is_counter || has_unknown_version(operation, &values) {
            others.insert(operation.call.object());
        }
    }
    let mut operations: Vec<Operation> = history
        .operations
        .iter()
        .filter(|operation| !others.contains(operation.call.object()))
        .filter_map(|operation| translated(operation, &values))
        .collect();
    (0..).zip(&mut operations).for_each(|(id, operation)| operation.id = id);
    History { operations, holds: Vec::new() }
}

/// What each version of each key is worth.
fn values_of_versions(history: &History) -> BTreeMap<(&str, u64), i64> {
    let mut values = BTreeMap::new();
    for operation in &history.operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        let found = match answer {
            Answer::Written { version } => written(&operation.call).0.zip(Some(*version)),
            Answer::Cached { value, version, .. } | Answer::Refused { value, version } => value.zip(*version),
            _ => None,
        };
        if let Some((value, version)) = found {
            values.insert((operation.call.object(), version), value);
        }
    }
    values
}

fn has_unknown_version(operation: &Operation, values: &BTreeMap<(&str, u64), i64>) -> bool {
    match &operation.call {
        Call::CacheCompareAndSet { key, expected_version: Some(version), .. } => {
            !values.contains_key(&(key.as_str(), *version))
        }
        _ => false,
    }
}

fn translated(operation: &Operation, values: &BTreeMap<(&str, u64), i64>) -> Option<Operation> {
    let number = |value: i64| value as u64;
    let call = match &operation.call {
        Call::CacheGet { key, .. } => Call::Get { key: key.clone() },
        Call::CacheSet { key, value, .. } => Call::Set { key: key.clone(), value: number(*value) },
        Call::CacheSetIfAbsent { key, value, .. } => {
            Call::CompareAndSet { key: key.clone(), expected: None, value: number(*value) }
        }
        Call::CacheCompareAndSet { key, expected_version, value, .. } => {
            let expected = expected_version.and_then(|version| values.get(&(key.as_str(), version)));
            let expected = expected.map(|value| number(*value));
            Call::CompareAndSet { key: key.clone(), expected, value: number(*value) }
        }
        Call::CacheDelete { key } => Call::Delete { key: key.clone() },
        _ => return None,
    };
    let outcome = match &operation.outcome {
        Outcome::Ok { answer: Answer::Cached { value, version, .. } } => {
            Outcome::Ok { answer: Answer::Value { value: value.map(number), version: *version } }
        }
        Outcome::Ok { answer: Answer::Refused { value, version } } => {
            Outcome::Ok { answer: Answer::Mismatch { value: value.map(number), version: *version } }
        }
        outcome => outcome.clone(),
    };
    Some(Operation { call, outcome, ..operation.clone() })
}
