//! All checks over one run.

use std::collections::{BTreeMap, BTreeSet};

use super::cache_safety::{self, CacheKeys};
use super::coherence::Coherence;
use super::invariants::InvariantSet;
use super::linearizability::{
    Limits, Linearizability, LockModel, RegisterModel, ServiceModel, Times, check_as, check_operations,
};
use super::side_by_side::both;
use super::{Calm, CheckReport, Drift, Verdict, exercise, guarded, liveness, lock_safety, queue_safety};
use crate::history::{Answer, Call, History, Operation, Outcome};

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
    #[must_use]
    pub const fn of(call: &Call) -> Self {
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
            | Call::Handle { .. }
            | Call::StopConsumer { .. }
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
    /// The rules of near-caches, likewise.
    pub coherence: &'a Coherence,
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

impl<'a> Evidence<'a> {
    /// What a history is judged on, without the rest of the run.
    const fn terms(&self) -> Terms<'a> {
        let Self { history, drift, calm, budget_steps, .. } = *self;
        Terms { history, drift, calm, budget_steps, at_once: false }
    }
}

/// What the history of clients is judged on, wherever it was recorded.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// What the clients did. Its promises hold.
    pub history: &'a History,
    /// How far clocks strayed at most.
    pub drift: Drift,
    /// From when on nothing disturbed the cluster, if there was such a time and it is known.
    pub calm: Option<Calm>,
    /// Steps that each linearizability check may spend.
    pub budget_steps: u64,
    /// Whether two checks may run at one time, each on a thread. It makes no difference to what they find.
    pub at_once: bool,
}

/// Judges a run. The run's verdict is [`Verdict::of_all`] over the reports.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Vec<CheckReport> {
    let (invariants, coherence) = (evidence.invariants.report(), evidence.coherence.report());
    let mut reports: Vec<CheckReport> = invariants.iter().chain(&coherence).map(CheckReport::from).collect();
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
    if evidence.expects.contains(&Subject::Guarded) {
        // Who guards a consumer consumes.
        subjects.insert(Subject::Queue);
    }
    for subject in subjects {
        reports.extend(judge_subject(subject, &evidence.terms()));
    }
    // Several subjects need locks, topics or keys.
    let mut named = BTreeSet::new();
    reports.retain(|report| named.insert(report.name.clone()));
    reports.push(exercise::check(history, &evidence.expects));
    reports.push(liveness::check(history, &evidence.times));
    reports
}

/// Judges what a history says about one subject.
#[must_use]
pub fn judge_subject(subject: Subject, terms: &Terms<'_>) -> Vec<CheckReport> {
    let Terms { history, drift, calm, at_once, .. } = *terms;
    match subject {
        Subject::Register => {
            vec![linearizable(&RegisterModel, "linearizable registers", &history.operations, terms)]
        }
        Subject::Lock => {
            let is_single = |call: &Call| matches!(call, Call::Acquire { .. });
            let is_several = |call: &Call| matches!(call, Call::AcquireAll { .. });
            let any = |which: &dyn Fn(&Call) -> bool| history.operations.iter().any(|op| which(&op.call));
            // Several at a time are not locks one by one; lock safety judges all of them.
            let is_searched = any(&is_single) || !any(&is_several);
            let search =
                || linearizable(&LockModel, "linearizable locks", released_by_acquirers(history), terms);
            let by_rules = || {
                [lock_safety::check_by(history, drift, calm, at_once)]
                    .into_iter()
                    .chain(lock_safety::check_views(history, drift, calm))
            };
            let (searched, by_rules) = both(at_once, || is_searched.then(search), by_rules);
            searched.into_iter().chain(by_rules).collect()
        }
        Subject::Semaphore => vec![lock_safety::check(history, drift, calm)],
        Subject::Queue => queue_safety::check_all(history, drift, calm, at_once).into(),
        Subject::Cache => {
            let keys = CacheKeys::of(history);
            let search = || linearizable_cache(&keys, terms);
            let by_versions = || cache_safety::check_keys(&keys, drift, calm);
            let (searched, by_versions) = both(at_once, search, by_versions);
            [by_versions].into_iter().chain(searched).collect()
        }
        // Locks guard what they guard without topics too.
        Subject::Guarded => [Subject::Queue, Subject::Cache]
            .into_iter()
            .filter(|subject| {
                *subject != Subject::Queue
                    || history.operations.iter().any(|operation| Subject::of(&operation.call) == *subject)
            })
            .flat_map(|subject| judge_subject(subject, terms))
            .chain([lock_safety::check(history, drift, calm), guarded::check(history)])
            .collect(),
    }
}

/// The general search over the keys of a cache: those that are registers, and the others.
fn linearizable_cache(keys: &CacheKeys<'_>, terms: &Terms<'_>) -> Vec<CheckReport> {
    let limits = Limits { steps: terms.budget_steps };
    let mut registers = keys.registers().peekable();
    let registers = registers.peek().is_some().then(|| {
        let result = check_as(&RegisterModel, registers, &limits, Times::Nanoseconds);
        linearizability_report("linearizable cache", result)
    });
    let (model, others) = keys.others(terms.drift, terms.calm);
    let mut others = others.peekable();
    let others = others.peek().is_some().then(|| {
        let result = check_as(&model, others, &limits, Times::Nanoseconds);
        linearizability_report("linearizable counters and lives", result)
    });
    registers.into_iter().chain(others).collect()
}

/// The operations without releases under tokens that no single acquisition granted, of locks that are also asked for
/// in other ways: those are tokens of upgrades, downgrades and grants of several, of which [`LockModel`] does not
/// know. Lock safety judges them.
fn released_by_acquirers(history: &History) -> impl Iterator<Item = &Operation> {
    // Locks that are asked for in other ways, and what single acquisitions of them were granted.
    let mut others: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for Operation { call, .. } in &history.operations {
        match call {
            Call::Upgrade { resource, .. } | Call::Downgrade { resource, .. } => {
                others.entry(resource).or_default();
            }
            Call::AcquireAll { wants, .. } => {
                for want in wants {
                    others.entry(&want.resource).or_default();
                }
            }
            _ => {}
        }
    }
    for Operation { call, outcome, .. } in &history.operations {
        if let Call::Acquire { resource, .. } = call
            && let Outcome::Ok { answer: Answer::Granted { token } } = outcome
            && let Some(granted) = others.get_mut(resource.as_str())
        {
            granted.insert(*token);
        }
    }
    history.operations.iter().filter(move |operation| match &operation.call {
        Call::Release { resource, token } => {
            others.get(resource.as_str()).is_none_or(|granted| granted.contains(token))
        }
        _ => true,
    })
}

fn linearizable<'h, M: ServiceModel>(
    model: &M,
    name: &str,
    operations: impl IntoIterator<Item = &'h Operation>,
    terms: &Terms<'_>,
) -> CheckReport {
    linearizability_report(name, check_operations(model, operations, terms.budget_steps))
}

/// The result of a check of linearizability as a report.
#[must_use]
pub fn linearizability_report(name: &str, result: Linearizability) -> CheckReport {
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
