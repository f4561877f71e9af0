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

#[cfg(test)]
mod tests {
    use super::Drift;

    #[test]
    fn a_fast_clock_counts_a_second_in_less_than_one() {
        assert_eq!(Drift::default().least_ns(1_000_000), 1_000_000_000);
        assert_eq!(Drift { fast_ppm_max: 250_000 }.least_ns(1_000_000), 800_000_000);
        assert_eq!(Drift { fast_ppm_max: 1 }.least_ns(u64::MAX), u64::MAX);
    }
}
