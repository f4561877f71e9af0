//! Settling what was not answered, without losing what came first.

use std::collections::{BTreeMap, BTreeSet};

use super::{EntryOf, Model};

/// As [`Model::settle`]. What followed an operation that is dropped, of the same process and at the same moment, follows
/// from then on what that one had followed.
pub(super) fn settle<M: Model>(model: &M, entries: &mut Vec<EntryOf<M>>) {
    if entries.iter().all(|entry| entry.after.is_none()) {
        model.settle(entries);
        return;
    }
    let followed: BTreeMap<u64, Option<u64>> = entries.iter().map(|entry| (entry.id, entry.after)).collect();
    model.settle(entries);
    let left: BTreeSet<u64> = entries.iter().map(|entry| entry.id).collect();
    for entry in entries {
        let before = std::iter::successors(entry.after, |id| followed.get(id).copied().flatten());
        entry.after = before.take(followed.len()).find(|id| left.contains(id));
    }
}
