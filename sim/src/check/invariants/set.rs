//! All invariants, fed together.

use std::fmt;

use thiserror::Error;

use super::acknowledged_is_durable::AcknowledgedIsDurable;
use super::agreed_members::AgreedMembers;
use super::change_in_order::ChangeInOrder;
use super::commit_in_own_term::CommitInOwnTerm;
use super::commit_is_learnt::CommitIsLearnt;
use super::committed_is_durable::CommittedIsDurable;
use super::durable_log::DurableLog;
use super::durable_vote::DurableVote;
use super::election_safety::ElectionSafety;
use super::leader_append_only::LeaderAppendOnly;
use super::leader_completeness::LeaderCompleteness;
use super::log_matching::LogMatching;
use super::monotonicity::Monotonicity;
use super::shadow::Settled;
use super::state_machine_safety::StateMachineSafety;
use super::{Invariant, Judgement, Shadow};
use crate::check::{CheckReport, Verdict};
use crate::history::{NodeEvent, VirtualTime};

const WELL_FORMED: &str = "well-formed events";

/// An invariant that does not hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{invariant} at {at}, node {node}: {message}")]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// When.
    pub at: VirtualTime,
    /// The node whose event showed it.
    pub node: u64,
    /// What is wrong.
    pub message: String,
}

/// What one invariant has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvariantReport {
    /// Its name.
    pub name: &'static str,
    /// Where it is written down.
    pub source: &'static str,
    /// How many events it judged. One that judged none knows nothing.
    pub judged: u64,
    /// The first violation.
    pub violation: Option<Violation>,
}

impl InvariantReport {
    /// Its verdict.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match (&self.violation, self.judged) {
            (Some(_), _) => Verdict::Invalid,
            (None, 0) => Verdict::Unknown,
            (None, _) => Verdict::Valid,
        }
    }
}

impl From<&InvariantReport> for CheckReport {
    fn from(report: &InvariantReport) -> Self {
        let detail = match report.judged {
            0 => "no event to judge".to_owned(),
            judged => format!("{judged} events judged"),
        };
        Self {
            name: report.name.to_owned(),
            source: report.source.to_owned(),
            verdict: report.verdict(),
            detail,
            cost_steps: report.judged,
            counterexample: report.violation.as_ref().map(ToString::to_string),
        }
    }
}

/// An invariant and what it has seen.
struct Watched<I> {
    invariant: I,
    report: InvariantReport,
}

impl<I: Invariant + Default> Default for Watched<I> {
    fn default() -> Self {
        let invariant = I::default();
        let (name, source) = (invariant.name(), invariant.source());
        Self { invariant, report: InvariantReport { name, source, judged: 0, violation: None } }
    }
}

impl<I> fmt::Debug for Watched<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

/// Makes a set of invariants with each in a field of its own type. There are many events, and most are none
/// of an invariant's business: so that is found out without a call.
macro_rules! all_invariants {
    ($($field:ident: $invariant:ty),+ $(,)?) => {
        #[derive(Debug, Default)]
        struct All {
            $($field: Watched<$invariant>),+
        }

        impl All {
            fn before(&mut self, shadow: &Shadow, at: VirtualTime, node: u64, event: &NodeEvent) -> Result<(), Violation> {
                let mut result = Ok(());
                $(
                    let judgement = self.$field.invariant.before(shadow, node, event);
                    self.$field.report.note(at, node, judgement, &mut result);
                )+
                result
            }

            fn after(&mut self, shadow: &Shadow, at: VirtualTime, node: u64, event: &NodeEvent) -> Result<(), Violation> {
                let mut result = Ok(());
                $(
                    let judgement = self.$field.invariant.after(shadow, node, event);
                    self.$field.report.note(at, node, judgement, &mut result);
                )+
                result
            }

            fn forget_before(&mut self, settled: Settled) {
                $(self.$field.invariant.forget_before(settled);)+
            }

            fn reports(&self) -> Vec<&InvariantReport> {
                vec![$(&self.$field.report),+]
            }
        }
    };
}

all_invariants! {
    election_safety: ElectionSafety,
    durable_vote: DurableVote,
    leader_append_only: LeaderAppendOnly,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    state_machine_safety: StateMachineSafety,
    monotonicity: Monotonicity,
    durable_log: DurableLog,
    committed_is_durable: CommittedIsDurable,
    commit_in_own_term: CommitInOwnTerm,
    commit_is_learnt: CommitIsLearnt,
    acknowledged_is_durable: AcknowledgedIsDurable,
    agreed_members: AgreedMembers,
    change_in_order: ChangeInOrder,
}

/// All invariants and the shadow that they judge by.
#[derive(Debug)]
pub struct InvariantSet {
    shadow: Shadow,
    well_formed: InvariantReport,
    all: All,
}

impl InvariantSet {
    /// All invariants, for a cluster whose first voters are these; no node has started, and others may join.
    #[must_use]
    pub fn new(voters: impl IntoIterator<Item = u64>) -> Self {
        Self {
            shadow: Shadow::new(voters),
            well_formed: InvariantReport {
                name: WELL_FORMED,
                source: "the contract of the event stream",
                judged: 0,
                violation: None,
            },
            all: All::default(),
        }
    }

    /// The cluster as the events so far tell it.
    #[must_use]
    pub const fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// Judges an event. After a violation the set may be fed on; each invariant keeps its first one.
    ///
    /// # Errors
    /// The first violation that this event shows. An event that cannot follow those before it is a
    /// violation of its own, and is otherwise ignored.
    pub fn observe(&mut self, at: VirtualTime, node: u64, event: &NodeEvent) -> Result<(), Violation> {
        let possible = self.shadow.can_follow(node, event).map(|()| true);
        let mut well_formed = Ok(());
        self.well_formed.note(at, node, possible, &mut well_formed);
        well_formed?;
        let before = self.all.before(&self.shadow, at, node, event);
        self.shadow.take(node, event);
        before.and(self.all.after(&self.shadow, at, node, event))
    }

    /// Forgets what is settled: entries that all nodes have put into snapshots, and terms that all have left. As
    /// long as no node loses its disk, or starts from an older snapshot than the one that let it forget, nothing is judged otherwise for it, and a long run takes no more memory than
    /// a short one.
    pub fn forget_settled(&mut self) {
        let settled = self.shadow.settled();
        self.shadow.forget_before(settled);
        self.all.forget_before(settled);
    }

    /// What each invariant has seen so far.
    #[must_use]
    pub fn report(&self) -> Vec<InvariantReport> {
        std::iter::once(&self.well_formed).chain(self.all.reports()).cloned().collect()
    }
}

impl InvariantReport {
    /// Takes note of a judgement. `result` keeps the first violation.
    #[inline]
    pub(in crate::check) fn note(
        &mut self,
        at: VirtualTime,
        node: u64,
        judgement: Judgement,
        result: &mut Result<(), Violation>,
    ) {
        match judgement {
            Ok(judged) => self.judged += u64::from(judged),
            Err(message) => {
                self.judged += 1;
                let violation = Violation { invariant: self.name, at, node, message };
                self.violation.get_or_insert_with(|| violation.clone());
                if result.is_ok() {
                    *result = Err(violation);
                }
            }
        }
    }
}
