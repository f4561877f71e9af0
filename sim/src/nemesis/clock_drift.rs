//! `clock-drift`: a process's clock runs fast or slow.
//!
//! **Legal:** within the bound that the nodes are told of, `clocks.drift_ppm_max`. Beyond it only if the
//! scenario says so: latency and clock-based reads may suffer then, safety may not. Clocks never jump and
//! never go back. At the end the clock runs true again; the distance that it gained or lost stays.
//!
//! **Effect:** every target's clock strayed, in the direction asked for, by at least half of what the drift
//! makes in that time. Where two faults drive one clock, the later one counts while it lasts.

use std::collections::BTreeSet;

use super::family::{Active, Reach};
use super::{Effect, Process};

pub(super) struct ClockDrift {
    number: usize,
    ppm: i64,
    begun_us: u64,
    /// Each target with the distance from true time that it had before.
    strayed_before_us: Vec<(Process, i64)>,
}

pub(super) fn begin(
    number: usize,
    targets: BTreeSet<Process>,
    ppm: i64,
    reach: &mut Reach<'_>,
) -> ClockDrift {
    let mut strayed_before_us = Vec::new();
    for process in targets {
        strayed_before_us.push((process, reach.holds.drift(reach.surface, process, number, ppm)));
    }
    ClockDrift { number, ppm, begun_us: reach.now_us, strayed_before_us }
}

impl Active for ClockDrift {
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        let lasted_us = i128::from(reach.now_us.saturating_sub(self.begun_us));
        let due_us = lasted_us * i128::from(self.ppm) / 1_000_000;
        let mut effect = Effect::default();
        for (process, before_us) in &self.strayed_before_us {
            let after_us = reach.holds.undrift(reach.surface, *process, self.number);
            let strayed_us = i128::from(after_us) - i128::from(*before_us);
            let in_direction_us = strayed_us * i128::from(self.ppm.signum());
            effect.clocks_strayed += u64::from(in_direction_us > 0 && in_direction_us * 2 >= due_us.abs());
            let distance_us = u64::try_from(strayed_us.unsigned_abs()).unwrap_or(u64::MAX);
            effect.clock_strayed_us_max = effect.clock_strayed_us_max.max(distance_us);
        }
        let targets = self.strayed_before_us.len() as u64;
        (effect, targets > 0 && effect.clocks_strayed == targets)
    }
}
