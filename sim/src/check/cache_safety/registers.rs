//! Keys of the cache as registers, for the general search.

use std::collections::{BTreeMap, BTreeSet};

use super::super::linearizability::{
    PartitionOf, RegisterAnswer, RegisterModel, RegisterOp, ServiceModel, partitions_by,
};
use super::versions::written;
use crate::history::{Answer, Call, History, Operation, Outcome};

/// The value that no version is of which nobody knows.
const OF_NO_VERSION: u64 = u64::MAX;

/// The keys of a history, sorted for the general search.
pub struct SearchedKeys<'h> {
    pub(super) history: &'h History,
    values: Values<'h>,
    /// Those that are no registers.
    pub(super) others: BTreeSet<&'h str>,
}

impl<'h> SearchedKeys<'h> {
    /// Those of this history.
    #[must_use]
    pub fn of(history: &'h History) -> Self {
        // What may be evicted is no register.
        let may_be_evicted = super::evicted_from(history).is_some();
        let operations = || history.operations.iter();
        let is_other = |operation: &&Operation| {
            let is_mortal = written(&operation.call).1.is_some();
            may_be_evicted || is_mortal || matches!(operation.call, Call::CacheIncrement { .. })
        };
        let mut others: BTreeSet<&str> =
            operations().filter(is_other).map(|operation| operation.call.object()).collect();
        let values = values_of_versions(operations().filter(|one| !others.contains(one.call.object())));
        let no_compares = operations().filter(|operation| is_no_compare_of_values(operation, &values));
        others.extend(no_compares.map(|operation| operation.call.object()));
        Self { history, others, values }
    }

    /// The operations on those keys that no life, no counter, no eviction and no unknown version touches, in the words of
    /// the register, which knows values where the cache knows versions.
    ///
    /// To be asked for once: what versions are worth is forgotten then, since there may be many.
    pub fn registers(&mut self) -> impl Iterator<Item = PartitionOf<RegisterModel>> {
        let values = std::mem::take(&mut self.values);
        let others = &self.others;
        let op = move |operation: &Operation| {
            let call = &operation.call;
            if others.contains(call.object()) { None } else { op(call, &values) }
        };
        partitions_by::<RegisterModel>(&self.history.operations, op, answer)
    }
}

/// What versions are worth.
#[derive(Default)]
struct Values<'a> {
    of: BTreeMap<(&'a str, u64), i64>,
    /// How many versions of a key have this value.
    alike: BTreeMap<(&'a str, i64), usize>,
}

fn values_of_versions<'h>(operations: impl Iterator<Item = &'h Operation>) -> Values<'h> {
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
/// nobody knows of this one, and it may have been there all the same; or it is not the earlier one.
fn is_no_compare_of_values(operation: &Operation, values: &Values<'_>) -> bool {
    let Call::CacheCompareAndSet { key, expected_version: Some(version), .. } = &operation.call else {
        return false;
    };
    let is_late = |written: u64| written <= *version;
    match values.of.get(&(key.as_str(), *version)) {
        _ if written_version(operation).is_some_and(is_late) => true,
        Some(value) => values.alike.get(&(key.as_str(), *value)).is_some_and(|&alike| alike > 1),
        None => !matches!(operation.outcome, Outcome::Ok { answer: Answer::Refused { .. } }),
    }
}

const fn written_version(operation: &Operation) -> Option<u64> {
    match operation.outcome {
        Outcome::Ok { answer: Answer::Written { version } } => Some(version),
        _ => None,
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
