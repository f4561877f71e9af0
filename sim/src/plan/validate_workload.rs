//! Bounds of what the clients do.

use super::validate::{END_MS_MAX, Judgement, chance, problem, within};
use super::{CacheSpec, LocksSpec, MsSpan, QueueSpec, WorkloadKind, WorkloadSpec};

/// Most keys, locks, topics or groups of a workload.
pub const KEYS_MAX: u64 = 100_000;
/// Highest rate of a client, per second.
pub const RATE_HZ_MAX: f64 = 10_000.0;
/// Most parts of a mixed workload.
pub const PARTS_MAX: u64 = 64;
/// Greatest skew.
pub const SKEW_MAX: f64 = 4.0;
/// Most operations that a client process has open at a time.
pub const OPEN_MAX: u64 = 16;
/// Most resources of one acquisition.
pub const RESOURCES_MAX: u64 = 16;
/// Most permits of a semaphore.
pub const PERMITS_MAX: u64 = 1_000_000;
/// Most messages of one batch.
pub const BATCH_MAX: u64 = 100;
/// Most priorities.
pub const PRIORITIES_MAX: u64 = 256;
/// Most attempts to deliver a message.
pub const ATTEMPTS_MAX: u64 = 10_000;
/// Shortest and longest lease of a session, in milliseconds.
const LEASE_MS: (u64, u64) = (100, 3_600_000);

pub(super) fn workload(workload: &WorkloadSpec) -> Judgement {
    within("workload.keys", workload.keys, 1, KEYS_MAX)?;
    parts(&workload.parts)?;
    if !(0.0..=SKEW_MAX).contains(&workload.skew) {
        let hint = format!("it is a number from 0 to {SKEW_MAX}");
        return problem("workload.skew", format!("the skew is {}", workload.skew), hint);
    }
    let rate = workload.rate_per_client_hz;
    if !(rate > 0.0 && rate <= RATE_HZ_MAX) {
        let hint = format!("it is a number above 0, to {RATE_HZ_MAX}");
        return problem("workload.rate_per_client_hz", format!("the rate is {rate}"), hint);
    }
    if let Some(think) = workload.think_ms {
        span("workload.think_ms", think, 1)?;
    }
    within("workload.timeout_ms", workload.timeout_ms, 1, END_MS_MAX)?;
    open(workload)?;
    within("workload.lease_ms", workload.lease_ms, LEASE_MS.0, LEASE_MS.1)?;
    within("workload.hold_ms", workload.hold_ms.max_ms, 0, END_MS_MAX)?;
    within("workload.wait_ms", workload.wait_ms.max_ms, 0, END_MS_MAX)?;
    chance("workload.shared", workload.shared)?;
    let mix = &workload.mix;
    weights("workload.mix", &[mix.get, mix.set, mix.compare_and_set, mix.delete])?;
    locks(&workload.locks)?;
    queue(&workload.queue)?;
    cache(&workload.cache)
}

/// Whoever holds locks or has messages in hand does one thing after the other.
fn open(workload: &WorkloadSpec) -> Judgement {
    within("workload.open_max", workload.open_max, 1, OPEN_MAX)?;
    let other = workload
        .turns()
        .iter()
        .find(|kind| !matches!(kind, WorkloadKind::Register | WorkloadKind::Cache))
        .filter(|_| workload.open_max > 1);
    other.map_or(Ok(()), |kind| {
        let message = format!("a client of kind `{}` has one operation open at a time", kind.name());
        problem("workload.open_max", message, "leave it out, or let clients do `register` or `cache`")
    })
}

fn parts(parts: &[WorkloadKind]) -> Judgement {
    if !(1..=PARTS_MAX).contains(&(parts.len() as u64)) {
        let message = format!("a mixed workload of {} parts", parts.len());
        return problem("workload.parts", message, format!("name 1 to {PARTS_MAX} kinds"));
    }
    if parts.contains(&WorkloadKind::Mixed) {
        return problem("workload.parts", "`mixed` is made of itself", "name other kinds");
    }
    Ok(())
}

fn span(key: &str, span: MsSpan, least: u64) -> Judgement {
    within(key, span.min_ms, least, END_MS_MAX)?;
    within(key, span.max_ms, least, END_MS_MAX)
}

fn weights(key: &str, weights: &[u32]) -> Judgement {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    if total == 0 {
        return problem(key, "no operation has a frequency above 0", "give one of them a weight");
    }
    Ok(())
}

fn locks(locks: &LocksSpec) -> Judgement {
    within("workload.locks.resources_max", locks.resources_max, 1, RESOURCES_MAX)?;
    chance("workload.locks.upgrade", locks.upgrade)?;
    chance("workload.locks.nested", locks.nested)?;
    chance("workload.locks.watch", locks.watch)?;
    chance("workload.locks.check", locks.check)?;
    chance("workload.locks.force", locks.force)?;
    within("workload.locks.permits", locks.permits, 1, PERMITS_MAX)
}

fn queue(queue: &QueueSpec) -> Judgement {
    within("workload.queue.batch_max", queue.batch_max, 1, BATCH_MAX)?;
    within("workload.queue.groups", queue.groups, 0, KEYS_MAX)?;
    chance("workload.queue.grouped", queue.grouped)?;
    within("workload.queue.priorities", queue.priorities, 1, PRIORITIES_MAX)?;
    chance("workload.queue.delayed", queue.delayed)?;
    span("workload.queue.delay_ms", queue.delay_ms, 0)?;
    chance("workload.queue.mortal", queue.mortal)?;
    span("workload.queue.ttl_ms", queue.ttl_ms, 1)?;
    within("workload.queue.visibility_ms", queue.visibility_ms, 1, END_MS_MAX)?;
    span("workload.queue.work_ms", queue.work_ms, 0)?;
    span("workload.queue.poll_ms", queue.poll_ms, 0)?;
    chance("workload.queue.reject", queue.reject)?;
    chance("workload.queue.extend", queue.extend)?;
    chance("workload.queue.crash", queue.crash)?;
    chance("workload.queue.counts", queue.counts)?;
    chance("workload.queue.loops", queue.loops)?;
    span("workload.queue.loop_ms", queue.loop_ms, 0)?;
    within("workload.queue.attempts_max", queue.attempts_max, 1, ATTEMPTS_MAX)
}

fn cache(cache: &CacheSpec) -> Judgement {
    chance("workload.cache.near", cache.near)?;
    chance("workload.cache.aged", cache.aged)?;
    span("workload.cache.age_ms", cache.age_ms, 0)?;
    within("workload.cache.entries_max", cache.entries_max.unwrap_or(1), 1, KEYS_MAX)?;
    chance("workload.cache.mortal", cache.mortal)?;
    span("workload.cache.ttl_ms", cache.ttl_ms, 1)?;
    weights("workload.cache", &cache.weights())
}
