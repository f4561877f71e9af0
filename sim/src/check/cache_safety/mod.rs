//! The cache: each key is one linearizable object, whoever answers, near caches included.
//!
//! Every write has a version, and a read says which version it saw, so what happened to a key can be read off
//! the answers ([`versions`]): versions rise in true time; nothing is read that was not written; nobody reads
//! what was overwritten or deleted before it asked; a key is found empty only where something can have emptied
//! it, and what is gone does not come back.
//!
//! A time to live is an internal operation with a window in time: from the moment at which it may be over by
//! the fastest clock ([`Drift`]), and in the calm after the last fault not much later than it is over by the
//! slowest. While nobody leads, stamps stand still and nothing expires.
//!
//! From the moment on at which somebody bounds the number of keys, any key may be evicted at any time: a key may
//! be found empty then wherever it was not written since, but what was evicted does not come back.
//!
//! All keys are judged once more by the general search: as registers those that no time to live, no counter and no
//! eviction touches ([`CacheKeys::registers`]), the others by a specification that knows of
//! these ([`CacheKeys::others`]).
//!
//! A read that may be stale states an age ([`aged`]): it shows no less than all that was over so long before it
//! was asked for.

mod aged;
mod emptiness;
mod general;
mod keys;
mod registers;
mod states;
mod unknown;
mod versions;

use super::drift::{Calm, Drift};
use super::{CheckReport, Verdict};
use crate::history::History;
pub use keys::CacheKeys;
use versions::Key;

/// Checks a history whose promises hold. Without any answered read the verdict is unknown.
#[must_use]
pub fn check(history: &History, drift: Drift, calm: Option<Calm>) -> CheckReport {
    check_keys(&CacheKeys::of(history), drift, calm)
}

/// As [`check`], of a history that is looked through once.
#[must_use]
pub fn check_keys(keys: &CacheKeys<'_>, drift: Drift, calm: Option<Calm>) -> CheckReport {
    let CacheKeys { by_key, evicted_from, operations: history_operations } = keys;
    let (count, evicted_from) = (by_key.names().count(), *evicted_from);
    let (mut reads, mut local, mut aged) = (0_u64, 0_u64, 0_u64);
    let mut problem = None;
    for (name, operations) in by_key.iter() {
        let key = Key::of(operations, drift, evicted_from.is_some());
        reads += key.reads.len() as u64;
        local += key.reads.iter().filter(|read| read.local).count() as u64;
        aged += key.aged.len() as u64;
        let what = || {
            key.out_of_order()
                .or_else(|| key.unwritten(|by| evicted_from.is_some_and(|from| from <= by)))
                .or_else(|| emptiness::wrong(&key, evicted_from))
                .or_else(|| aged::wrong(&key, drift, calm, evicted_from))
                .or_else(|| key.outlived(calm))
        };
        problem = problem.or_else(|| what().map(|what| format!("key {name:?}: {what}")));
    }
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if reads + aged == 0 => Verdict::Unknown,
        None => Verdict::Valid,
    };
    CheckReport {
        name: "cache safety".to_owned(),
        source: "linearizability by versions; expiry as an internal operation".to_owned(),
        verdict,
        detail: format!(
            "{} reads judged, {local} of them from near caches; {aged} that may be stale; {count} keys",
            reads + aged
        ),
        cost_steps: *history_operations,
        counterexample: problem,
    }
}
