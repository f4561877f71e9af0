//! Keys of the cache that are no registers, for the general search.

use super::super::linearizability::{
    CacheAnswer, CacheAsk, CacheModel, CacheOp, Entry, EntryOf, Life, entries_of,
};
use super::versions::written;
use crate::check::drift::{Calm, Drift};
use crate::history::{Answer, Call, Operation, Outcome, VirtualTime};

const NEVER: u64 = u64::MAX;

/// The operations on one key that is no register.
pub(super) fn as_cache_key(
    operations: &[&Operation],
    evicted_from: u64,
    drift: Drift,
    calm: Option<Calm>,
) -> Vec<EntryOf<CacheModel>> {
    let is_mortal = |operation: &&Operation| written(&operation.call).1.is_some();
    let is_timed = evicted_from != NEVER || operations.iter().any(is_mortal);
    let mut entries = entries_of(operations, |operation| op(operation, is_timed, drift, calm), answer);
    add_vanishing(&mut entries, evicted_from);
    entries
}

fn op(operation: &Operation, is_timed: bool, drift: Drift, calm: Option<Calm>) -> Option<CacheOp> {
    let Operation { call, invoked_ns, returned_ns, .. } = operation;
    let returned_ns = returned_ns.filter(|_| matches!(operation.outcome, Outcome::Ok { .. }));
    let life = written(call).1.map_or(Life::ENDLESS, |ttl_us| {
        let over_by = returned_ns.zip(calm).map_or(NEVER, |(by, calm)| calm.certainly_over(by, ttl_us).0);
        Life { over_from: drift.earliest(*invoked_ns, ttl_us).0, over_by }
    });
    let ask = match call {
        Call::CacheGet { .. } => CacheAsk::Get,
        Call::CacheSet { value, .. } => CacheAsk::Set { value: *value, life },
        Call::CacheSetIfAbsent { value, .. } => CacheAsk::Compare { expected: None, value: *value, life },
        Call::CacheCompareAndSet { expected_version, value, .. } => {
            CacheAsk::Compare { expected: *expected_version, value: *value, life }
        }
        Call::CacheDelete { .. } => CacheAsk::Delete,
        Call::CacheIncrement { by, .. } => CacheAsk::Add(*by),
        _ => return None,
    };
    let timed = returned_ns.filter(|_| is_timed);
    let VirtualTime(from) = *invoked_ns;
    Some(timed.map_or(CacheOp::at_any_time(ask), |VirtualTime(until)| CacheOp { ask, from, until }))
}

fn answer(answer: &Answer) -> CacheAnswer {
    match *answer {
        Answer::Cached { value, version, .. } => CacheAnswer::Found(value.zip(version)),
        Answer::Refused { value, version } => CacheAnswer::Refused(value.zip(version)),
        Answer::Written { version } => CacheAnswer::Written { version },
        Answer::Counted { value, version } => CacheAnswer::Counted { value, version },
        Answer::Deleted { existed, version } => CacheAnswer::Deleted { existed, version },
        _ => CacheAnswer::Foreign,
    }
}

/// Before each operation of which nobody knows what it found, what was there may have vanished.
fn add_vanishing(entries: &mut Vec<EntryOf<CacheModel>>, evicted_from: u64) {
    let over_from = |entry: &Entry<CacheOp, CacheAnswer>| match entry.op.ask {
        CacheAsk::Set { life, .. } | CacheAsk::Compare { life, .. } => life.over_from,
        _ => NEVER,
    };
    let from = entries.iter().map(over_from).min().unwrap_or(NEVER).min(evicted_from);
    if from == NEVER {
        return;
    }
    let finds =
        |entry: &&Entry<CacheOp, CacheAnswer>| entry.answer.is_none() && entry.op.ask.may_begin_anew();
    let count = entries.iter().filter(finds).count() as u64;
    let at = entries.partition_point(|entry| entry.invoked <= from);
    let ask = CacheOp::at_any_time(CacheAsk::Vanish);
    let vanish = |number| Entry::unanswered(NEVER - number, NEVER, from, ask);
    entries.splice(at..at, (0..count).map(vanish));
}
