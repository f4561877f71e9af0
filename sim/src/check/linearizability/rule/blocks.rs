//! A register without versions to which every value is written once (Gibbons and Korach 1997, 4.2).
//!
//! The operations on one value, its write and its reads, stand together in every linearization; so do those
//! of values that one compare-and-set makes of another. A chain of such values is a block, whose inner
//! order is known. Of two blocks, one comes first; it cannot if some operation of it was invoked after one
//! of the other had returned. With `r` the earliest return and `c` the latest invocation in a block, A must
//! come before B if `r(A) < c(B)`. If that holds both ways there is no linearization; if it does so for no
//! two blocks, then sorting them gives one.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Entry, PlainRegisterAnswer, PlainRegisterOp};
use super::Ruling;

type PlainEntry = Entry<PlainRegisterOp, PlainRegisterAnswer>;

/// The operations on one value.
#[derive(Default)]
struct Cluster {
    writer: Option<usize>,
    /// The value that the writer swapped, if it is a compare-and-set.
    made_of: Option<Option<i64>>,
    reads: Vec<usize>,
    /// The value that a compare-and-set made of this one.
    next: Option<i64>,
}

type Clusters = BTreeMap<Option<i64>, Cluster>;

/// Rules on a register; `None` if a value is written twice, or if operations were refused, which says only
/// what was not there.
pub(in super::super) fn rule(entries: &[PlainEntry]) -> Option<Ruling> {
    let clusters = match clusters(entries)? {
        Ok(clusters) => clusters,
        Err(ruling) => return Some(ruling),
    };
    let roots = clusters.iter().filter(|(value, cluster)| value.is_none() || cluster.made_of.is_none());
    let mut blocks = Vec::new();
    let mut clusters_placed = 0;
    for (value, _) in roots {
        let mut block = Block::new(value.is_none());
        let mut at = Some(*value);
        while let Some(value) = at {
            let cluster = clusters.get(&value)?;
            clusters_placed += 1;
            if !block.add(entries, cluster) {
                return Some(Ruling::Impossible);
            }
            at = cluster.next.map(Some);
        }
        blocks.push(block);
    }
    // Values that were made of one another in a circle hang on nothing.
    if clusters_placed < clusters.len() {
        return Some(Ruling::Impossible);
    }
    blocks.sort_by_key(Block::key);
    if conflict(&blocks) {
        return Some(Ruling::Impossible);
    }
    Some(Ruling::Order(blocks.into_iter().flat_map(|block| block.order).collect()))
}

/// The operations by value; or at once that they are impossible.
fn clusters(entries: &[PlainEntry]) -> Option<Result<Clusters, Ruling>> {
    if entries.iter().any(|entry| entry.answer == Some(PlainRegisterAnswer::Refused)) {
        return None;
    }
    let mut clusters = Clusters::from([(None, Cluster::default())]);
    let written = |entry: &PlainEntry| match (entry.op, entry.answer) {
        (PlainRegisterOp::Write(value), None | Some(PlainRegisterAnswer::Done)) => Some((value, None)),
        (PlainRegisterOp::CompareAndSet { from, to }, None | Some(PlainRegisterAnswer::Done)) => {
            Some((to, Some(from)))
        }
        _ => None,
    };
    for (at, entry) in entries.iter().enumerate() {
        let Some((value, made_of)) = written(entry) else { continue };
        let cluster = clusters.entry(value).or_default();
        if value.is_none() || cluster.writer.is_some() {
            return None;
        }
        (cluster.writer, cluster.made_of) = (Some(at), made_of);
    }
    let mut observed = BTreeSet::new();
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.returned.is_some()) {
        let seen = match (entry.op, entry.answer) {
            (PlainRegisterOp::Read, Some(PlainRegisterAnswer::Value(value))) => value,
            (PlainRegisterOp::CompareAndSet { from, .. }, None | Some(PlainRegisterAnswer::Done)) => from,
            (PlainRegisterOp::Write(_), None | Some(PlainRegisterAnswer::Done)) => continue,
            _ => return Some(Err(Ruling::Impossible)),
        };
        let Some(cluster) = clusters.get_mut(&seen) else { return Some(Err(Ruling::Impossible)) };
        observed.insert(seen);
        match written(entry) {
            None => cluster.reads.push(at),
            Some((value, _)) if cluster.next.is_none() => cluster.next = value,
            // Two operations swapped one value.
            Some(_) => return Some(Err(Ruling::Impossible)),
        }
    }
    for entry in entries.iter().filter(|entry| entry.returned.is_none()) {
        let Some((value, _)) = written(entry) else { continue };
        if observed.contains(&value) {
            // Its being seen does not bound it: whoever saw it returned before it was invoked. Or it is
            // not certain that it is needed, which only a search can tell.
            return None;
        }
        clusters.remove(&value);
    }
    Some(Ok(clusters))
}

/// A chain of values.
struct Block {
    first: bool,
    order: Vec<usize>,
    earliest_return: u64,
    latest_invocation: u64,
}

impl Block {
    const fn new(first: bool) -> Self {
        Self { first, order: Vec::new(), earliest_return: u64::MAX, latest_invocation: 0 }
    }

    /// Adds the operations on the chain's next value; says whether they may follow those before.
    fn add(&mut self, entries: &[PlainEntry], cluster: &Cluster) -> bool {
        for group in [cluster.writer.as_slice(), &cluster.reads] {
            let returned = |at: &usize| entries[*at].returned.unwrap_or(u64::MAX);
            let earliest_return = group.iter().map(returned).min().unwrap_or(u64::MAX);
            if !self.order.is_empty() && earliest_return < self.latest_invocation {
                return false;
            }
            self.earliest_return = self.earliest_return.min(earliest_return);
            let latest = group.iter().map(|at| entries[*at].invoked).max().unwrap_or(0);
            self.latest_invocation = self.latest_invocation.max(latest);
            self.order.extend(group);
        }
        true
    }

    fn is_forward(&self) -> bool {
        self.earliest_return < self.latest_invocation
    }

    /// Blocks sorted by this are in an order that is right if any is.
    fn key(&self) -> (bool, u64, bool) {
        (!self.first, self.earliest_return.min(self.latest_invocation), self.is_forward())
    }
}

/// Whether of some two blocks each would have to come before the other. They are sorted, the first one first.
fn conflict(blocks: &[Block]) -> bool {
    let Some((first, rest)) = blocks.split_first() else { return false };
    // The block of what was there at first comes first, whatever is in it.
    if rest.iter().any(|block| block.earliest_return < first.latest_invocation) {
        return true;
    }
    let mut forward: Option<&Block> = None;
    let mut rest = rest.iter();
    rest.any(|block| {
        let before = forward.is_some_and(|before| {
            before.earliest_return < block.latest_invocation
                && block.earliest_return < before.latest_invocation
        });
        if block.is_forward() {
            forward = Some(block);
        }
        before
    })
}
