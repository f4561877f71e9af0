//! What clocks that may drift say of true time.

use crate::history::VirtualTime;

const PPM: u128 = 1_000_000;

/// How far clocks may stray: no clock of the run runs faster than true time by more than this, so stamps do
/// not either. How slow they run, or for how long stamps stand still, is not bounded: a time that was counted
/// by stamps may have taken any time longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Parts per million.
    pub fast_ppm_max: u64,
}

impl Drift {
    /// The least true time that passes while some clock counts so many microseconds, in nanoseconds.
    #[must_use]
    pub fn least_ns(self, us: u64) -> u64 {
        let ns = u128::from(us) * 1_000 * PPM / (PPM + u128::from(self.fast_ppm_max));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// The earliest true time at which something is over that began no earlier than `from` and lasts so many
    /// microseconds by some clock.
    #[must_use]
    pub fn earliest(self, from: VirtualTime, us: u64) -> VirtualTime {
        VirtualTime(from.0.saturating_add(self.least_ns(us)))
    }
}

/// What is known of the time in which stamps go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calm {
    /// From here on nothing disturbs the cluster.
    pub from: VirtualTime,
    /// So long after it is over by the slowest clock, a time is over for whoever asks, in nanoseconds.
    pub grace_ns: u64,
    /// No clock runs slower than true time by more than this, in parts per million, below 1,000,000.
    pub slow_ppm_max: u64,
    /// The longest lease of a session: so long after its client gave it up it is over, in microseconds.
    pub lease_us: u64,
}

impl Calm {
    /// The latest true time at which something is over that began by `from` and lasts so many microseconds by some
    /// clock, whatever disturbs the cluster.
    #[must_use]
    pub fn latest(self, from: VirtualTime, us: u64) -> VirtualTime {
        let slow = PPM.saturating_sub(u128::from(self.slow_ppm_max)).max(1);
        let ns = u64::try_from(u128::from(us) * 1_000 * PPM / slow).unwrap_or(u64::MAX);
        VirtualTime(from.0.saturating_add(ns))
    }

    /// When something is over for certain that began by `from` and lasts so many microseconds by some clock.
    #[must_use]
    pub fn certainly_over(self, from: VirtualTime, us: u64) -> VirtualTime {
        VirtualTime(self.latest(from.max(self.from), us).0.saturating_add(self.grace_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::{Calm, Drift};
    use crate::history::VirtualTime;

    #[test]
    fn a_slow_clock_counts_a_second_in_more_than_one_and_none_before_the_calm() {
        let calm = Calm { from: VirtualTime(5), grace_ns: 7, slow_ppm_max: 500_000, lease_us: 0 };
        assert_eq!(calm.certainly_over(VirtualTime(1), 1), VirtualTime(2_012));
        assert_eq!(calm.certainly_over(VirtualTime(9), 1), VirtualTime(2_016));
        assert_eq!(calm.certainly_over(VirtualTime(9), u64::MAX), VirtualTime(u64::MAX));
    }

    #[test]
    fn a_fast_clock_counts_a_second_in_less_than_one() {
        assert_eq!(Drift::default().least_ns(1_000_000), 1_000_000_000);
        assert_eq!(Drift { fast_ppm_max: 250_000 }.least_ns(1_000_000), 800_000_000);
        assert_eq!(Drift { fast_ppm_max: 1 }.least_ns(u64::MAX), u64::MAX);
    }
}
