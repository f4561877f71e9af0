//! Clocks of processes: each has an origin and a rate of its own.
//!
//! A clock is a piecewise linear, strictly rising function of true time; a change of its rate begins a new
//! piece and never makes it jump. Conversions both ways are exact to the nanosecond of true time, because
//! checks compare what a process believed with what was true.
//!
//! A process that starts again gets a new origin: local times of two runs mean nothing to each other, and
//! a node that writes one to its disk is found out.

use stormglass_nodes::ids::LocalTime;

use crate::history::VirtualTime;
use crate::plant::{self, Flaw};

/// The slowest rate that a clock can be set to: a hundredth of true time.
pub const DRIFT_PPM_MIN: i64 = -990_000;
/// The fastest rate that a clock can be set to: a hundred times true time.
pub const DRIFT_PPM_MAX: i64 = 99_000_000;

/// Nanoseconds of local time per this many nanoseconds of true time.
const RATE_UNIT: u128 = 1_000_000;

/// A stretch of time in which a clock's rate was constant.
#[derive(Clone, Copy, Debug)]
struct Piece {
    true_ns: u64,
    local_ns: u128,
    /// Local nanoseconds per [`RATE_UNIT`] true ones. Positive.
    rate: u128,
}

impl Piece {
    fn local_ns_at(&self, true_ns: u64) -> u128 {
        self.local_ns + quotient(u128::from(true_ns.saturating_sub(self.true_ns)) * self.rate, RATE_UNIT)
    }

    /// The earliest true time at which the clock shows at least `local_ns`.
    fn true_ns_at(&self, local_ns: u128) -> u64 {
        let elapsed =
            quotient(local_ns.saturating_sub(self.local_ns) * RATE_UNIT + (self.rate - 1), self.rate);
        self.true_ns.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// One process's clock during one run of the process.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// In order of time; never empty; the last one holds for ever.
    pieces: Vec<Piece>,
    /// By how much the clock had strayed from true time, over all runs, when the last piece began.
    strayed_ns: i128,
    ppm: i64,
}

impl Clock {
    /// A clock that shows `origin_us` at `now`.
    pub(super) fn new(now: VirtualTime, origin_us: u64, ppm: i64) -> Self {
        let mut clock = Self { pieces: Vec::new(), strayed_ns: 0, ppm: 0 };
        clock.begin(now, origin_us, ppm);
        clock
    }

    fn begin(&mut self, now: VirtualTime, origin_us: u64, ppm: i64) {
        let (origin_us, ppm) = if plant::is(Flaw::ClockShared) { (now.as_us(), 0) } else { (origin_us, ppm) };
        self.ppm = ppm.clamp(DRIFT_PPM_MIN, DRIFT_PPM_MAX);
        self.pieces.clear();
        self.pieces.push(Piece {
            true_ns: now.0,
            local_ns: u128::from(origin_us) * 1_000,
            rate: rate(self.ppm),
        });
    }

    /// Gives the clock a new origin, as a new run of its process does. Its rate stays.
    pub(super) fn restart(&mut self, now: VirtualTime, origin_us: u64) {
        self.strayed_ns = self.strayed_ns_at(now);
        self.begin(now, origin_us, self.ppm);
    }

    /// Changes the rate from now on, within [`DRIFT_PPM_MIN`] and [`DRIFT_PPM_MAX`].
    pub(super) fn set_drift(&mut self, now: VirtualTime, ppm: i64) {
        let ppm = if plant::is(Flaw::ClockShared) { 0 } else { ppm };
        let local_ns = self.last().local_ns_at(now.0);
        self.strayed_ns = self.strayed_ns_at(now);
        self.ppm = ppm.clamp(DRIFT_PPM_MIN, DRIFT_PPM_MAX);
        self.pieces.push(Piece { true_ns: now.0, local_ns, rate: rate(self.ppm) });
    }

    /// What the clock shows.
    pub(super) fn local(&self, now: VirtualTime) -> LocalTime {
        let piece = self.pieces.iter().rfind(|piece| piece.true_ns <= now.0).unwrap_or(&self.pieces[0]);
        LocalTime(u64::try_from(quotient(piece.local_ns_at(now.0), 1_000)).unwrap_or(u64::MAX))
    }

    /// The earliest true time at which the clock showed or, at its present rate, will show `local`. Times
    /// before the process started map to its start; times beyond the end of time, to that.
    pub(super) fn true_time(&self, local: LocalTime) -> VirtualTime {
        let local_ns = u128::from(local.0) * 1_000;
        let piece = self.pieces.iter().rfind(|piece| piece.local_ns < local_ns).unwrap_or(&self.pieces[0]);
        VirtualTime(piece.true_ns_at(local_ns))
    }

    /// By how many microseconds the clock has strayed from true time since the world began; positive if it
    /// ran fast. Origins do not count.
    pub(super) fn strayed_us(&self, now: VirtualTime) -> i64 {
        i64::try_from(self.strayed_ns_at(now) / 1_000).unwrap_or(i64::MAX)
    }

    fn strayed_ns_at(&self, now: VirtualTime) -> i128 {
        let piece = self.last();
        let elapsed = i128::from(now.0.saturating_sub(piece.true_ns));
        self.strayed_ns + elapsed * i128::from(self.ppm) / RATE_UNIT as i128
    }

    fn last(&self) -> &Piece {
        self.pieces.last().expect("a clock has at least one piece")
    }
}

/// Divides. Clocks are read all the time and almost always show numbers of 64 bits, whose division is many
/// times faster.
#[inline]
fn quotient(dividend: u128, divisor: u128) -> u128 {
    match (u64::try_from(dividend), u64::try_from(divisor)) {
        (Ok(dividend), Ok(divisor)) => u128::from(dividend / divisor),
        _ => dividend / divisor,
    }
}

fn rate(ppm: i64) -> u128 {
    u128::try_from(RATE_UNIT as i64 + ppm).expect("drift is clamped above -1,000,000 ppm")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Clock, LocalTime, VirtualTime};

    #[test]
    fn a_fast_clock_gains_what_its_drift_says() {
        let clock = Clock::new(VirtualTime(0), 5_000_000, 1_000);
        assert_eq!(clock.local(VirtualTime::from_ms(10_000)), LocalTime(5_000_000 + 10_010_000));
        assert_eq!(clock.strayed_us(VirtualTime::from_ms(10_000)), 10_000);
    }

    #[test]
    fn a_new_rate_does_not_make_the_clock_jump() {
        let mut clock = Clock::new(VirtualTime(0), 0, 0);
        clock.set_drift(VirtualTime::from_ms(1_000), -500_000);
        assert_eq!(clock.local(VirtualTime::from_ms(1_000)), LocalTime(1_000_000));
        assert_eq!(clock.local(VirtualTime::from_ms(3_000)), LocalTime(2_000_000));
        assert_eq!(clock.strayed_us(VirtualTime::from_ms(3_000)), -1_000_000);
        assert_eq!(clock.true_time(LocalTime(500_000)), VirtualTime::from_ms(500));
        assert_eq!(clock.true_time(LocalTime(1_500_000)), VirtualTime::from_ms(2_000));
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let clock = Clock::new(VirtualTime(7), u64::MAX / 2, -100);
        assert_eq!(clock.true_time(LocalTime(u64::MAX)), VirtualTime(u64::MAX));
        assert_eq!(clock.true_time(LocalTime(0)), VirtualTime(7));
    }

    proptest! {
        #[test]
        fn the_true_time_of_a_local_time_is_the_first_moment_that_shows_it(
            origin in 0..u64::MAX / 4,
            changes in prop::collection::vec((1..10_000_000_000_u64, -900_000..2_000_000_i64), 0..6),
            wait_us in 0..100_000_000_u64,
        ) {
            let mut clock = Clock::new(VirtualTime(11), origin, 37);
            let mut now = 11;
            for (elapsed, ppm) in changes {
                now += elapsed;
                clock.set_drift(VirtualTime(now), ppm);
            }
            let local = LocalTime(origin + wait_us);
            let truth = clock.true_time(local);
            prop_assert!(clock.local(truth) >= local);
            prop_assert!(truth.0 <= 11 || clock.local(VirtualTime(truth.0 - 1)) < local);
        }
    }

    #[cfg(feature = "planted-bugs")]
    #[test]
    fn clocks_that_are_one_are_told_from_clocks_that_differ() {
        use crate::plant::{self, Flaw};

        let differ = |flaw| {
            plant::select(flaw);
            let mut clocks = [Clock::new(VirtualTime(0), 5, 0), Clock::new(VirtualTime(0), 70_000, 0)];
            let apart = |clocks: &[Clock; 2], at| clocks[0].local(at) != clocks[1].local(at);
            let have_origins = apart(&clocks, VirtualTime(9));
            clocks[0].set_drift(VirtualTime(0), 100_000);
            let drifts = clocks[0].strayed_us(VirtualTime::from_ms(1_000)) > 0;
            plant::select(None);
            (have_origins, drifts)
        };
        assert_eq!(differ(None), (true, true));
        assert_eq!(differ(Some(Flaw::ClockShared)), (false, false));
    }
}
