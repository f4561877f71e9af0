//! `degrade`: links become slow, lossy, doubling, reordering.
//!
//! **Legal:** every frame from or to a target, other targets included, may be lost or doubled by chance and
//! delayed by a fixed and a random time; frames overtake one another by the random part. Contents stay
//! whole: a frame arrives as it was sent or not at all. Where the other end is named, too, only frames that
//! a target sends there are harmed: real routes have two directions that fail apart.
//!
//! **Effect:** each thing asked for was seen at least once: a loss if `loss` is above 0, a double if
//! `duplicate` is, a delay if `delay_us` or `jitter_us` is.

use std::collections::BTreeSet;

use super::family::{Active, Reach, everyone};
use super::{Effect, LinkAction, Process, RuleId};

/// What the scenario asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    pub(super) delay_us: u64,
    pub(super) jitter_us: u64,
}

pub(super) struct Degrade {
    rules: Vec<RuleId>,
    wanted: Wanted,
    effect: Effect,
}

/// Harms every link of `targets`, or, given `towards`, those from a target to one of these.
pub(super) fn begin(
    targets: &BTreeSet<Process>,
    towards: Option<&BTreeSet<Process>>,
    wanted: Wanted,
    reach: &mut Reach<'_>,
) -> Degrade {
    let action = LinkAction::Degrade {
        loss: wanted.loss,
        duplicate: wanted.duplicate,
        extra_delay_us: wanted.delay_us,
        jitter_us: wanted.jitter_us,
    };
    let effect = Effect::default();
    if let Some(towards) = towards {
        let rules = vec![reach.surface.add_link_rule(targets, towards, action)];
        return Degrade { rules, wanted, effect };
    }
    let everyone = everyone(reach.surface);
    let rest: BTreeSet<Process> = everyone.difference(targets).copied().collect();
    let mut rules = vec![reach.surface.add_link_rule(targets, &everyone, action)];
    if !rest.is_empty() {
        rules.push(reach.surface.add_link_rule(&rest, targets, action));
    }
    Degrade { rules, wanted, effect }
}

impl Active for Degrade {
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        for rule in self.rules.drain(..) {
            self.effect.add_rule(reach.surface.remove_link_rule(rule));
        }
        let Wanted { loss, duplicate, delay_us, jitter_us } = self.wanted;
        let lost = loss == 0.0 || self.effect.frames_dropped > 0;
        let doubled = duplicate == 0.0 || self.effect.frames_duplicated > 0;
        let delayed = (delay_us == 0 && jitter_us == 0) || self.effect.frames_delayed > 0;
        (self.effect, lost && doubled && delayed)
    }
}
