//! Keys of the cache as registers, for the general search.

use std::collections::{BTreeMap, BTreeSet};

use super::super::linearizability::{
    PartitionOf, RegisterAnswer, RegisterModel, RegisterOp, ServiceModel, partitions_by,
};
use super::versions::written;
use crate::history::{Answer, Call, History, Operation, Outcome};

/// The value that no version is of which nobody knows.
const OF_NO_VERSION: u64 = u64::MAX;

/// The operations on those keys that no time to live, no counter and no unknown version touches, in the words
/// of the register, which knows values where the cache knows versions. None if anything may be evicted.
pub fn as_registers(history: &History) -> impl Iterator<Item = PartitionOf<RegisterModel>> {
    // What may be evicted is no register.
    let operations = if super::evicted_from(history).is_some() { &[] } else { history.operations.as_slice() };
    let values = values_of_versions(operations);
    let mut others: BTreeSet<&str> = BTreeSet::new();
    for operation in operations {
        let is_mortal = written(&operation.call).1.is_some();
        let is_counter = matches!(operation.call, Call::CacheIncrement { .. });
        if is_mortal || is_counter || is_no_compare_of_values(operation, &values) {
            others.insert(operation.call.object());
        }
    }
    let op = move |call: &Call| if others.contains(call.object()) { None } else { op(call, &values) };
    partitions_by::<RegisterModel>(operations, op, answer)
}

/// What versions are worth.
#[derive(Default)]
struct Values<'a> {
    of: BTreeMap<(&'a str, u64), i64>,
    /// How many versions of a key have this value.
    alike: BTreeMap<(&'a str, i64), usize>,
}

fn values_of_versions(operations: &[Operation]) -> Values<'_> {
    let mut values = Values::default();
    for operation in operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        let found = match answer {
            Answer::Written { version } => written(&operation.call).0.zip(Some(*version)),
            Answer::Cached { value, version, .. } | Answer::Refused { value, version } => value.zip(*version),
            _ => None,
        };
        if let Some((value, version)) = found {
            let key = operation.call.object();
            if values.of.insert((key, version), value).is_none() {
                *values.alike.entry((key, value)).or_default() += 1;
            }
        }
    }
    values
}

/// Whether to compare versions here is something else than to compare values: another version has the same value, or
/// nobody knows of this one, and it may have been there all the same.
fn is_no_compare_of_values(operation: &Operation, values: &Values<'_>) -> bool {
    let Call::CacheCompareAndSet { key, expected_version: Some(version), .. } = &operation.call else {
        return false;
    };
    match values.of.get(&(key.as_str(), *version)) {
        Some(value) => values.alike.get(&(key.as_str(), *value)).is_some_and(|&alike| alike > 1),
        None => !matches!(operation.outcome, Outcome::Ok { answer: Answer::Refused { .. } }),
    }
}

fn op(call: &Call, values: &Values<'_>) -> Option<RegisterOp> {
    Some(match call {
        Call::CacheGet { .. } => RegisterOp::Get,
        Call::CacheSet { value, .. } => RegisterOp::Set(number(*value)),
        Call::CacheSetIfAbsent { value, .. } => {
            RegisterOp::CompareAndSet { expected: None, value: number(*value) }
        }
        Call::CacheCompareAndSet { key, expected_version, value, .. } => {
            let value_of =
                |version| values.of.get(&(key.as_str(), version)).map_or(OF_NO_VERSION, |v| number(*v));
            let expected = expected_version.map(value_of);
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
