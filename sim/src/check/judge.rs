//! All checks over one run.

use std::collections::BTreeSet;

use super::invariants::InvariantSet;
use super::linearizability::{self, LockModel, Model, RegisterModel};
use super::{CheckReport, Verdict, exercise, liveness, lock_safety};
use crate::history::History;

/// What the clients of a run work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Keys of the register.
    Register,
    /// Locks.
    Lock,
}

/// What a run leaves to be judged.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// What the clients did.
    pub history: &'a History,
    /// The invariants, having observed every event of the run.
    pub invariants: &'a InvariantSet,
    /// What the run was to exercise. A subject that is expected but has no operations makes the run
    /// unknown; one that is not expected is judged if it has any.
    pub expects: BTreeSet<Subject>,
    /// The times that liveness is judged by.
    pub times: liveness::Times,
    /// Steps that each linearizability check may spend, such as
    /// [`STEPS_MAX`](linearizability::STEPS_MAX).
    pub budget_steps: u64,
}

/// Judges a run. The run's verdict is [`Verdict::of_all`] over the reports.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Vec<CheckReport> {
    let mut reports: Vec<CheckReport> = evidence.invariants.report().iter().map(CheckReport::from).collect();
    let history = evidence.history;
    if let Err(malformed) = history.verify() {
        reports.push(CheckReport {
            name: "history".to_owned(),
            source: "the contract of histories".to_owned(),
            verdict: Verdict::Unknown,
            detail: format!("the record is no history, so nothing can be said of it: {malformed}"),
            cost_steps: 0,
            counterexample: None,
        });
        return reports;
    }
    let on = |subject, model: &dyn Fn(&crate::history::Call) -> bool| {
        evidence.expects.contains(&subject) || history.operations.iter().any(|op| model(&op.call))
    };
    if on(Subject::Register, &|call| RegisterModel.applies(call)) {
        reports.push(linearizable(&RegisterModel, "linearizable registers", evidence));
    }
    if on(Subject::Lock, &|call| LockModel.applies(call)) {
        reports.push(linearizable(&LockModel, "linearizable locks", evidence));
        reports.push(lock_safety::check(history));
    }
    reports.push(exercise::check(history, &evidence.expects));
    reports.push(liveness::check(history, &evidence.times));
    reports
}

fn linearizable<M: Model>(model: &M, name: &str, evidence: &Evidence<'_>) -> CheckReport {
    let result = linearizability::check(model, evidence.history, evidence.budget_steps);
    CheckReport {
        name: name.to_owned(),
        source: "Herlihy and Wing 1990".to_owned(),
        verdict: result.verdict,
        detail: format!(
            "{} operations; objects decided by replay {}, by search {}, undecided {}",
            result.operations, result.by_replay, result.by_search, result.undecided
        ),
        cost_steps: result.steps,
        counterexample: result.counterexample,
    }
}
