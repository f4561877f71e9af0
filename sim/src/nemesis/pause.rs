//! `pause`: a process stands still, as under SIGSTOP, a long garbage collection or a frozen virtual machine.
//!
//! **Legal:** at any instant, between any two steps, for any time. Its clock goes on; frames pile up before
//! it, up to its inbox's bound. It wakes up believing what it believed.
//!
//! **Effect:** at least one running process was stopped.

use std::collections::BTreeSet;

use super::family::{Active, Reach};
use super::{Effect, Process};

pub(super) struct Pause {
    processes: BTreeSet<Process>,
    effect: Effect,
}

pub(super) fn begin(processes: BTreeSet<Process>, reach: &mut Reach<'_>) -> Pause {
    let mut effect = Effect::default();
    for process in &processes {
        effect.processes_paused += u64::from(reach.holds.pause(reach.surface, *process));
    }
    Pause { processes, effect }
}

impl Active for Pause {
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        for process in &self.processes {
            self.effect.frames_awaiting += reach.holds.resume(reach.surface, *process);
        }
        (self.effect, self.effect.processes_paused > 0)
    }
}
