//! On what terms a history comes about, and is to be judged.

use rand::RngExt;
use rand::seq::IndexedRandom;
use stormglass_sim::check::{Calm, Drift};
use stormglass_sim::history::VirtualTime;
use stormglass_sim::rng::StreamRng;

/// How long a lease is.
pub(crate) const LEASE_US: u64 = 12;

/// What is drawn once for a history.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) drift_ppm: u64,
    /// Times are multiples of this.
    pub(crate) grain_ns: u64,
    pub(crate) lost_percent: u32,
    /// Who cannot tell what it holds gives up all of it.
    pub(crate) gives_up: bool,
    /// Who waits for an answer no longer goes on under another number.
    pub(crate) is_renumbered: bool,
    pub(crate) records_holds: bool,
    pub(crate) lapses: bool,
    pub(crate) operations: u64,
}

impl Terms {
    pub(crate) fn draw(rng: &mut StreamRng) -> Self {
        Self {
            drift_ppm: if rng.random_bool(0.3) { 250_000 } else { 0 },
            grain_ns: *[1, 200, 1_000].choose(rng).expect("there are some"),
            lost_percent: *[0, 5, 20].choose(rng).expect("there are some"),
            gives_up: rng.random_bool(0.6),
            is_renumbered: rng.random_bool(0.3),
            records_holds: rng.random_bool(0.7),
            lapses: rng.random_bool(0.5),
            operations: rng.random_range(8..60),
        }
    }

    pub(crate) const fn drift(&self) -> Drift {
        Drift { fast_ppm_max: self.drift_ppm }
    }

    /// Leases end in time. Where sessions are kept of which nobody knows what they hold, nothing is certain.
    pub(crate) fn calm(&self) -> Option<Calm> {
        let calm = Calm { from: VirtualTime(0), grace_ns: 0, slow_ppm_max: 0, lease_us: LEASE_US };
        self.gives_up.then_some(calm)
    }
}
