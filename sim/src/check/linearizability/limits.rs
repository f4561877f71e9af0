//! What a check may spend, and what it says in the end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Verdict;
use crate::history::VirtualTime;

/// The default budget of one check. Every step remembers at most one configuration, some 100 bytes, so
/// this also bounds memory.
pub const STEPS_MAX: u64 = 4_000_000;

/// What confirming a violation may cost, in steps.
pub const CONFIRM_STEPS_MAX: u64 = 1_000_000;
/// What making a violation small may cost, in steps.
pub const SHRINK_STEPS_MAX: u64 = 1_000_000;

/// What a check may spend. Steps are counted, never seconds: the same history gets the same verdict
/// everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps, over all objects; about so many, as each tier ends the step that it is in.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: STEPS_MAX }
    }
}

/// What the times of a history are, for showing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Nanoseconds of true virtual time.
    Nanoseconds,
    /// Places in the history: lines of a file, say.
    #[default]
    Places,
}

impl Times {
    pub(super) fn show(self, at: u64) -> String {
        match self {
            Self::Nanoseconds => VirtualTime(at).to_string(),
            Self::Places => at.to_string(),
        }
    }
}

/// The ways in which an object can be decided, from the cheapest to the most general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The order that the answers suggest was replayed.
    Replay,
    /// A rule for this kind of object.
    Rule,
    /// The frontier of configurations, operation by operation.
    Frontier,
    /// The depth-first search over orders.
    Search,
}

impl Tier {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Replay, Self::Rule, Self::Frontier, Self::Search];
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replay => "replay",
            Self::Rule => "rule",
            Self::Frontier => "frontier",
            Self::Search => "search",
        })
    }
}

/// How many objects each tier decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided([u64; Tier::ALL.len()]);

impl Decided {
    /// How many objects this tier decided.
    #[must_use]
    pub const fn by(&self, tier: Tier) -> u64 {
        self.0[tier as usize]
    }

    pub(super) const fn add(&mut self, tier: Tier) {
        self.0[tier as usize] += 1;
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, tier) in Tier::ALL.into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}by {tier} {}", self.by(tier))?;
        }
        Ok(())
    }
}

/// How a violation was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refutation {
    /// The tier that found it.
    pub found_by: Tier,
    /// The tier that found it again, in what is shown of it; `None` if that took more than
    /// [`CONFIRM_STEPS_MAX`] steps.
    pub confirmed_by: Option<Tier>,
    /// Operations on the object.
    pub operations: u64,
    /// Operations that are enough to show it.
    pub operations_shown: u64,
    /// Steps that it took to make it small and to find it again.
    pub steps: u64,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linearizability {
    /// Valid if all objects are; invalid if one is not; unknown if the budget ran out, or nothing was done
    /// that could be judged.
    pub verdict: Verdict,
    /// Operations judged: all but those that definitely failed.
    pub operations: u64,
    /// Objects judged.
    pub objects: u64,
    /// Objects decided, by tier.
    pub decided: Decided,
    /// Objects left undecided.
    pub undecided: u64,
    /// How the violation that is shown was found.
    pub refutation: Option<Refutation>,
    /// Steps of all tiers, up to the verdict.
    pub steps: u64,
    /// The violation on the object with the fewest operations, made small and rendered. If the verdict is
    /// unknown: two tiers contradicted each other over this, and one of them is wrong.
    pub counterexample: Option<String>,
}
