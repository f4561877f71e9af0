//! Reads that may be stale, and say how much.
//!
//! An answer of age `a` is from a state that contains all that was committed `a` before the node answered, by the
//! node's clock. The node answered after it was asked, and its clock may have run slow; so in true time the state
//! contains all that was answered earlier than the question less the longest time that any clock counts as `a`.
//! It may contain anything later, too. An age beyond what the client allowed is allowed only if the node asked
//! around first: then the state is no older than the question.

use super::versions::{Key, Read, text};
use crate::check::drift::{Calm, Drift};
use crate::history::{Call, VirtualTime};

const MILLION: u128 = 1_000_000;

/// Finds a read whose state was older than it says, or older than the client allowed. Without a bound on how slow
/// clocks run, nothing can be said of a state of any age but 0.
pub(super) fn wrong(
    key: &Key<'_>,
    drift: Drift,
    calm: Option<Calm>,
    evicted_from: Option<VirtualTime>,
) -> Option<String> {
    key.aged.iter().find_map(|(read, age_us)| {
        too_old(read, *age_us, drift).or_else(|| {
            // No clock takes any time to count nothing.
            let back_ns = match calm {
                Some(calm) => most_ns(*age_us, calm.slow_ppm_max),
                None if *age_us == 0 => 0,
                None => return None,
            };
            let horizon = VirtualTime(read.operation.invoked_ns.0.saturating_sub(back_ns));
            stale(key, evicted_from, read, *age_us, horizon)
        })
    })
}

/// The most true time in which a clock that runs so slow counts so many microseconds, in nanoseconds.
fn most_ns(us: u64, slow_ppm_max: u64) -> u64 {
    let left_ppm = MILLION.saturating_sub(u128::from(slow_ppm_max)).max(1);
    u64::try_from((u128::from(us) * 1_000 * MILLION).div_ceil(left_ppm)).unwrap_or(u64::MAX)
}

fn too_old(read: &Read<'_>, age_us: u64, drift: Drift) -> Option<String> {
    let Call::CacheGetWithin { age_us_max, .. } = read.operation.call else { return None };
    let took_ns = read.returned_ns.since_ns(read.operation.invoked_ns);
    let is_too_old = age_us > age_us_max && drift.least_ns(age_us) > took_ns;
    is_too_old.then(|| {
        format!(
            "{} was answered from a state {age_us} us old, but allowed {age_us_max} us\n",
            text(read.operation)
        )
    })
}

fn stale(
    key: &Key<'_>,
    evicted_from: Option<VirtualTime>,
    read: &Read<'_>,
    age_us: u64,
    horizon: VirtualTime,
) -> Option<String> {
    let own = if horizon == read.operation.invoked_ns { read.own_before } else { 0 };
    let least = key.known_before(horizon).max(own);
    let is_possible = match read.seen {
        Some((_, version)) => version >= least,
        None => {
            least == 0
                || key.unknown.may_have_emptied(read.returned_ns)
                || evicted_from.is_some_and(|from| from <= read.returned_ns)
                || key.emptied_within(least, u64::MAX, read.returned_ns)
        }
    };
    let seen = || read.seen.map_or_else(|| "nothing".to_owned(), |(_, version)| format!("version {version}"));
    (!is_possible).then(|| {
        format!(
            "{} saw {} and called it {age_us} us old, but version {least} had been seen by {horizon}\n",
            text(read.operation),
            seen()
        )
    })
}
