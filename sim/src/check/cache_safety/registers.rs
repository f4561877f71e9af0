//! Keys of the cache as registers, for the general search.

use std::collections::{BTreeMap, BTreeSet};

use super::super::linearizability::{
    EntryOf, RegisterAnswer, RegisterModel, RegisterOp, ServiceModel, entries_of,
};
use super::versions::written;
use crate::history::{Answer, Call, Operation, Outcome};

/// The value that no version is of which nobody knows.
const OF_NO_VERSION: u64 = u64::MAX;

/// The operations on one key in the words of the register, if they are those of one.
pub(super) fn as_register(operations: &[&Operation]) -> Option<Vec<EntryOf<RegisterModel>>> {
    let values = values_of_register(operations)?;
    Some(entries_of(operations, |operation| op(&operation.call, &values), answer))
}

/// Whether the operations on one key are those of a register: no life, no counter and no unknown version touches it.
pub(super) fn is_register(operations: &[&Operation]) -> bool {
    values_of_register(operations).is_some()
}

fn values_of_register(operations: &[&Operation]) -> Option<Values> {
    let is_other = |operation: &&Operation| {
        written(&operation.call).1.is_some() || matches!(operation.call, Call::CacheIncrement { .. })
    };
    if operations.iter().any(is_other) {
        return None;
    }
    let values = Values::of(operations);
    let stands_for_none = |value: &i64| number(*value) == OF_NO_VERSION;
    let is_register = !operations.iter().any(|operation| values.is_no_compare_of_values(operation))
        && !values.of.values().any(stands_for_none);
    is_register.then_some(values)
}

/// What the versions of one key are worth.
#[derive(Default)]
struct Values {
    of: BTreeMap<u64, i64>,
    /// The values that several versions have.
    alike: BTreeSet<i64>,
}

impl Values {
    fn of(operations: &[&Operation]) -> Self {
        let mut values = Self::default();
        let mut different: BTreeSet<i64> = BTreeSet::new();
        for operation in operations {
            let Outcome::Ok { answer } = &operation.outcome else { continue };
            let found = match answer {
                Answer::Written { version } => written(&operation.call).0.zip(Some(*version)),
                Answer::Cached { value, version, .. } | Answer::Refused { value, version } => {
                    value.zip(*version)
                }
                _ => None,
            };
            if let Some((value, version)) = found
                && values.of.insert(version, value).is_none()
                && !different.insert(value)
            {
                values.alike.insert(value);
            }
        }
        values
    }

    /// Whether to compare versions here is something else than to compare values: another version has the same value,
    /// or nobody knows of this one, and it may have been there all the same; or it is not the earlier one.
    fn is_no_compare_of_values(&self, operation: &Operation) -> bool {
        let Call::CacheCompareAndSet { expected_version: Some(version), .. } = &operation.call else {
            return false;
        };
        if written_version(operation).is_some_and(|written| written <= *version) {
            return true;
        }
        match self.of.get(version) {
            Some(value) => self.alike.contains(value),
            None => !matches!(operation.outcome, Outcome::Ok { answer: Answer::Refused { .. } }),
        }
    }
}

const fn written_version(operation: &Operation) -> Option<u64> {
    match operation.outcome {
        Outcome::Ok { answer: Answer::Written { version } } => Some(version),
        _ => None,
    }
}

fn op(call: &Call, values: &Values) -> Option<RegisterOp> {
    Some(match call {
        Call::CacheGet { .. } => RegisterOp::Get,
        Call::CacheSet { value, .. } => RegisterOp::Set(number(*value)),
        Call::CacheSetIfAbsent { value, .. } => {
            RegisterOp::CompareAndSet { expected: None, value: number(*value) }
        }
        Call::CacheCompareAndSet { expected_version, value, .. } => {
            let value_of = |version| values.of.get(&version).map_or(OF_NO_VERSION, |value| number(*value));
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
