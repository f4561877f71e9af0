//! All checks over one run.

use std::collections::BTreeSet;

use super::cache_safety::{self, Calm};
use super::invariants::InvariantSet;
use super::linearizability::{self, LockModel, RegisterModel, ServiceModel};
use super::{CheckReport, Drift, Verdict, exercise, guarded, liveness, lock_safety, queue_safety};
use crate::history::{Call, History};

/// What the clients of a run work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Keys of the register.
    Register,
    /// Locks.
    Lock,
    /// Semaphores.
    Semaphore,
    /// Topics.
    Queue,
    /// Keys of the cache.
    Cache,
    /// What locks guard.
    Guarded,
}

impl Subject {
    /// What a call works on.
    const fn of(call: &Call) -> Self {
        match call {
            Call::Get { .. } | Call::Set { .. } | Call::CompareAndSet { .. } | Call::Delete { .. } => {
                Self::Register
            }
            Call::Acquire { .. }
            | Call::Release { .. }
            | Call::AcquireAll { .. }
            | Call::Upgrade { .. }
            | Call::Downgrade { .. }
            | Call::LockState { .. }
            | Call::WatchLock { .. }
            | Call::CheckToken { .. }
            | Call::ForceRelease { .. }
            | Call::ReleaseAll { .. } => Self::Lock,
            Call::DeclareSemaphore { .. } => Self::Semaphore,
            Call::DeclareTopic { .. }
            | Call::Enqueue { .. }
            | Call::Dequeue { .. }
            | Call::Acknowledge { .. }
            | Call::Reject { .. }
            | Call::Extend { .. }
            | Call::TopicStats { .. } => Self::Queue,
            Call::CacheCompareAndSet { fence: Some(_), .. } => Self::Guarded,
            Call::CacheGet { .. }
            | Call::CacheGetWithin { .. }
            | Call::CacheConfigure { .. }
            | Call::CacheSet { .. }
            | Call::CacheSetIfAbsent { .. }
            | Call::CacheCompareAndSet { .. }
            | Call::CacheDelete { .. }
            | Call::CacheIncrement { .. } => Self::Cache,
        }
    }
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
    /// How far clocks strayed at most.
    pub drift: Drift,
    /// From when on nothing disturbed the cluster, if there was such a time.
    pub calm: Option<Calm>,
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
    let mut subjects: BTreeSet<Subject> =
        history.operations.iter().map(|operation| Subject::of(&operation.call)).collect();
    subjects.extend(&evidence.expects);
    for subject in subjects {
        reports.extend(judge_subject(subject, evidence));
    }
    // Several subjects need locks, topics or keys.
    let mut named = BTreeSet::new();
    reports.retain(|report| named.insert(report.name.clone()));
    reports.push(exercise::check(history, &evidence.expects));
    reports.push(liveness::check(history, &evidence.times));
    reports
}

fn judge_subject(subject: Subject, evidence: &Evidence<'_>) -> Vec<CheckReport> {
    let Evidence { history, drift, calm, .. } = *evidence;
    match subject {
        Subject::Register => vec![linearizable(&RegisterModel, "linearizable registers", history, evidence)],
        Subject::Lock => {
            let is_single = |call: &Call| LockModel.op(call).is_some();
            let is_several = |call: &Call| matches!(call, Call::AcquireAll { .. });
            let any = |which: &dyn Fn(&Call) -> bool| history.operations.iter().any(|op| which(&op.call));
            // Several at a time are not locks one by one; lock safety judges all of them.
            let linearizable = (any(&is_single) || !any(&is_several))
                .then(|| linearizable(&LockModel, "linearizable locks", history, evidence));
            let views = lock_safety::check_views(history, drift, calm);
            linearizable.into_iter().chain([lock_safety::check(history, drift)]).chain(views).collect()
        }
        Subject::Semaphore => vec![lock_safety::check(history, drift)],
        Subject::Queue => {
            vec![queue_safety::check(history, drift), queue_safety::check_accounts(history)]
        }
        Subject::Cache => {
            let registers = cache_safety::as_registers(history);
            let linearizable = (!registers.operations.is_empty())
                .then(|| linearizable(&RegisterModel, "linearizable cache", &registers, evidence));
            [cache_safety::check(history, drift, calm)].into_iter().chain(linearizable).collect()
        }
        Subject::Guarded => [Subject::Queue, Subject::Cache]
            .into_iter()
            .flat_map(|subject| judge_subject(subject, evidence))
            .chain([lock_safety::check(history, drift), guarded::check(history)])
            .collect(),
    }
}

fn linearizable<M: ServiceModel>(
    model: &M,
    name: &str,
    history: &History,
    evidence: &Evidence<'_>,
) -> CheckReport {
    let result = linearizability::check_history(model, history, evidence.budget_steps);
    CheckReport {
        name: name.to_owned(),
        source: "Herlihy and Wing 1990".to_owned(),
        verdict: result.verdict,
        detail: format!(
            "{} operations; objects decided {}, undecided {}",
            result.operations, result.decided, result.undecided
        ),
        cost_steps: result.steps,
        counterexample: result.counterexample,
    }
}
