//! `flap`: a partition that comes and goes, as with a loose cable or a route that never settles.
//!
//! **Legal:** as a partition. Targets are resolved once: a flapping leader's links go on flapping after
//! another node was elected. Begins cut; each cut and each pause between lasts as long as asked.
//!
//! **Effect:** at least one frame was dropped, and the links were cut twice or more, or else once because
//! the fault was too short for a second cut.

use std::collections::BTreeSet;

use super::family::{Active, Reach};
use super::partition::{self, Cut};
use super::{Effect, Process};

pub(super) struct Flap {
    targets: BTreeSet<Process>,
    down_us: u64,
    up_us: u64,
    begun_us: u64,
    cut: Option<Cut>,
    next_us: u64,
    effect: Effect,
}

pub(super) fn begin(targets: BTreeSet<Process>, down_ms: u64, up_ms: u64, reach: &mut Reach<'_>) -> Flap {
    let down_us = down_ms.saturating_mul(1_000);
    let cut = partition::begin_both_ways(&targets, reach);
    Flap {
        targets,
        down_us,
        up_us: up_ms.saturating_mul(1_000),
        begun_us: reach.now_us,
        cut: Some(cut),
        next_us: reach.now_us.saturating_add(down_us),
        effect: Effect::default(),
    }
}

impl Flap {
    fn mend(&mut self, reach: &mut Reach<'_>) {
        if let Some(mut cut) = self.cut.take() {
            let (effect, _) = cut.heal(reach);
            self.effect.frames_dropped += effect.frames_dropped;
            self.effect.cuts += effect.cuts;
        }
    }
}

impl Active for Flap {
    fn turn(&mut self, reach: &mut Reach<'_>) -> Option<u64> {
        if reach.now_us >= self.next_us {
            let stays_us = if self.cut.is_some() {
                self.mend(reach);
                self.up_us
            } else {
                self.cut = Some(partition::begin_both_ways(&self.targets, reach));
                self.down_us
            };
            self.next_us = reach.now_us.saturating_add(stays_us);
        }
        Some(self.next_us)
    }

    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        self.mend(reach);
        let lasted_us = reach.now_us.saturating_sub(self.begun_us);
        let cuts_min = if lasted_us > self.down_us.saturating_add(self.up_us) { 2 } else { 1 };
        (self.effect, self.effect.frames_dropped > 0 && self.effect.cuts >= cuts_min)
    }
}
