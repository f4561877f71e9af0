//! Keys of the cache as registers, for the general search.

use std::collections::{BTreeMap, BTreeSet};

use super::super::linearizability::{
    PartitionOf, RegisterAnswer, RegisterModel, RegisterOp, ServiceModel, partitions_by,
};
use super::versions::written;
use crate::history::{Answer, Call, History, Operation, Outcome};

/// The operations on those keys that no time to live, no counter and no unknown version touches, in the words
/// of the register. None if anything may be evicted.
pub fn as_registers(history: &History) -> impl Iterator<Item = PartitionOf<RegisterModel>> {
    // What may be evicted is no register.
    let operations = if super::evicted_from(history).is_some() { &[] } else { history.operations.as_slice() };
    let values = values_of_versions(operations);
    let mut others: BTreeSet<&str> = BTreeSet::new();
    for operation in operations {
        let is_mortal = written(&operation.call).1.is_some();
        let is_counter = matches!(operation.call, Call::CacheIncrement { .. });
        if is_mortal || is_counter || has_unknown_version(operation, &values) {
            others.insert(operation.call.object());
        }
    }
    let op = move |call: &Call| if others.contains(call.object()) { None } else { op(call, &values) };
    partitions_by::<RegisterModel>(operations, op, answer)
}

/// What each version of each key is worth.
fn values_of_versions(operations: &[Operation]) -> BTreeMap<(&str, u64), i64> {
    let mut values = BTreeMap::new();
    for operation in operations {
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

fn op(call: &Call, values: &BTreeMap<(&str, u64), i64>) -> Option<RegisterOp> {
    Some(match call {
        Call::CacheGet { .. } => RegisterOp::Get,
        Call::CacheSet { value, .. } => RegisterOp::Set(number(*value)),
        Call::CacheSetIfAbsent { value, .. } => {
            RegisterOp::CompareAndSet { expected: None, value: number(*value) }
        }
        Call::CacheCompareAndSet { key, expected_version, value, .. } => {
            let expected = expected_version.and_then(|version| values.get(&(key.as_str(), version)));
            let expected = expected.map(|value| number(*value));
            RegisterOp::CompareAndSet { expected, value: number(*value) }
        }
        Call::CacheDelete { .. } => RegisterOp::Delete,
        _ => return None,
    })
}

fn answer(answer: &Answer) -> RegisterAnswer {
    match *answer {
        Answer::Cached { value, version, .. } => RegisterAnswer::Value { value: value.map(number), version },
        Answer::Refused { value, version } => RegisterAnswer::Mismatch { value: value.map(number), version },
        ref other => RegisterModel.answer(other),
    }
}

const fn number(value: i64) -> u64 {
    value as u64
}
