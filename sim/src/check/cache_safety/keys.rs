//! The operations of a history on the cache, key by key.

use super::super::linearizability::{CacheModel, Entry, Partition, PartitionOf, RegisterModel};
use super::general::as_cache_key;
use super::registers::{as_register, is_register};
use crate::check::by_name::ByName;
use crate::check::drift::{Calm, Drift};
use crate::history::{Call, History, Operation, Outcome, VirtualTime};

/// The operations on each key.
#[derive(Debug)]
pub struct CacheKeys<'h> {
    pub(super) by_key: ByName<'h, Vec<&'h Operation>>,
    /// From when on keys may be evicted, if ever.
    pub(super) evicted_from: Option<VirtualTime>,
    /// Operations of the history, whatever they were asked of.
    pub(super) operations: u64,
}

impl<'h> CacheKeys<'h> {
    /// Those of this history.
    #[must_use]
    pub fn of(history: &'h History) -> Self {
        let mut by_key: ByName<'h, Vec<&Operation>> = ByName::default();
        for operation in history.operations.iter().filter(|operation| is_of_cache(&operation.call)) {
            by_key.or_default(operation.call.object()).push(operation);
        }
        let evicted_from = evicted_from(history);
        Self { by_key, evicted_from, operations: history.operations.len() as u64 }
    }

    /// Those keys that no life, no counter, no eviction and no unknown version touches, in the words of the register, which
    /// knows values where the cache knows versions.
    pub fn registers(&self) -> impl Iterator<Item = PartitionOf<RegisterModel>> {
        // What may be evicted is no register.
        let keys = self.by_key.iter().filter(|_| self.evicted_from.is_none());
        keys.filter_map(|(name, operations)| partition(name, as_register(operations)?))
    }

    /// The other keys, and the specification of them.
    pub fn others(
        &self,
        drift: Drift,
        calm: Option<Calm>,
    ) -> (CacheModel, impl Iterator<Item = PartitionOf<CacheModel>>) {
        let model = CacheModel { evicted_from: self.evicted_from.map_or(u64::MAX, |from| from.0) };
        let is_other = |operations: &[&Operation]| self.evicted_from.is_some() || !is_register(operations);
        let keys = self.by_key.iter().filter(move |(_, operations)| is_other(operations));
        let entries = move |operations| as_cache_key(operations, model.evicted_from, drift, calm);
        (model, keys.filter_map(move |(name, operations)| partition(name, entries(operations))))
    }
}

/// What is left of a key if anything is.
fn partition<Op, Answer>(name: &str, entries: Vec<Entry<Op, Answer>>) -> Option<Partition<Op, Answer>> {
    (!entries.is_empty()).then(|| Partition { name: name.to_owned(), entries })
}

fn evicted_from(history: &History) -> Option<VirtualTime> {
    let bounds = |call: &Call| matches!(call, Call::CacheConfigure { .. });
    let mut bounding = history.operations.iter().filter(|operation| bounds(&operation.call));
    let first = bounding.find(|operation| !matches!(operation.outcome, Outcome::Fail { .. }));
    first.map(|operation| operation.invoked_ns)
}

const fn is_of_cache(call: &Call) -> bool {
    matches!(
        call,
        Call::CacheGet { .. }
            | Call::CacheGetWithin { .. }
            | Call::CacheSet { .. }
            | Call::CacheSetIfAbsent { .. }
            | Call::CacheCompareAndSet { .. }
            | Call::CacheDelete { .. }
            | Call::CacheIncrement { .. }
    )
}
