//! Exercise: whether the clients did what shows anything.
//!
//! A history in which no compare-and-set ever succeeds, nobody reads what another wrote, or no two clients
//! want one lock at a time satisfies every specification and puts none to the test. Such a run is unknown.

mod services;

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckReport, Subject, Verdict};
use crate::history::{Answer, Call, History, Hold, LockMode, Outcome};

/// Attempts of a kind from which on it counts that none of them had the outcome looked for. Fewer may be
/// chance.
const ATTEMPTS_MIN: u64 = 100;

/// Of the holds that began before an acquisition, so many are looked at, latest first.
const HOLDS_LOOKED_AT: usize = 64;

/// Something that a run ought to have shown: how often it could have, and how often it did.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    attempts: u64,
    seen: u64,
    /// Whether it takes two clients.
    between_clients: bool,
}

impl Tally {
    fn between_clients() -> Self {
        Self { between_clients: true, ..Self::default() }
    }

    fn note(&mut self, seen: bool) {
        self.attempts += 1;
        self.seen += u64::from(seen);
    }
}

/// Checks that a history of these subjects shows what matters in each.
#[must_use]
pub fn check(history: &History, subjects: &BTreeSet<Subject>) -> CheckReport {
    let mut tallies = Vec::new();
    for subject in subjects {
        match subject {
            Subject::Register => tallies.extend(registers(history)),
            Subject::Lock | Subject::Semaphore => tallies.extend(locks(history)),
            Subject::Queue => tallies.extend(services::queues(history)),
            Subject::Cache => tallies.extend(services::caches(history)),
            Subject::Guarded => tallies.extend(services::guarded(history)),
        }
    }
    let clients: BTreeSet<u64> = history.operations.iter().map(|operation| operation.client).collect();
    if clients.len() < 2 {
        tallies.retain(|(_, tally)| !tally.between_clients);
    }
    let idle = |(_, tally): &&(&str, Tally)| tally.attempts >= ATTEMPTS_MIN && tally.seen == 0;
    let missing: Vec<&str> = tallies.iter().filter(idle).map(|(what, _)| *what).collect();
    let counted: Vec<String> =
        tallies.iter().map(|(what, tally)| format!("{what} {} of {}", tally.seen, tally.attempts)).collect();
    let (verdict, detail) = if missing.is_empty() {
        (Verdict::Valid, counted.join("; "))
    } else {
        (Verdict::Unknown, format!("the workload was trivial, not once: {}", missing.join(", ")))
    };
    CheckReport {
        name: "workload".to_owned(),
        source: "vacuity: a run that puts nothing to the test shows nothing".to_owned(),
        verdict,
        detail,
        cost_steps: history.operations.len() as u64,
        counterexample: None,
    }
}

/// Reads that found what another client wrote, and compare-and-sets of either outcome.
fn registers(history: &History) -> Vec<(&'static str, Tally)> {
    let writers: BTreeMap<u64, u64> = history
        .operations
        .iter()
        .filter_map(|operation| match operation.call {
            Call::Set { value, .. } | Call::CompareAndSet { value, .. } => Some((value, operation.client)),
            _ => None,
        })
        .collect();
    let (mut shared, mut swapped, mut refused) =
        (Tally::between_clients(), Tally::default(), Tally::between_clients());
    for operation in &history.operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        match (&operation.call, answer) {
            (Call::Get { .. }, Answer::Value { value, .. }) => {
                let writer = value.and_then(|value| writers.get(&value));
                shared.note(writer.is_some_and(|writer| *writer != operation.client));
            }
            (Call::CompareAndSet { .. }, answer) => {
                swapped.note(matches!(answer, Answer::Written { .. }));
                refused.note(matches!(answer, Answer::Mismatch { .. }));
            }
            _ => {}
        }
    }
    vec![
        ("reads of another client's write", shared),
        ("compare-and-sets that wrote", swapped),
        ("compare-and-sets that did not", refused),
    ]
}

/// Acquisitions asked for while another client held what they wanted in a way that conflicts, or held permits of
/// the same semaphore; and changes of mode.
fn locks(history: &History) -> Vec<(&'static str, Tally)> {
    let mut holds: BTreeMap<&str, Vec<&Hold>> = BTreeMap::new();
    for hold in &history.holds {
        holds.entry(&hold.resource).or_default().push(hold);
    }
    holds.values_mut().for_each(|holds| holds.sort_by_key(|hold| hold.from_ns));
    let (mut granted, mut contended) = (Tally::default(), Tally::between_clients());
    let (mut watched, mut checked, mut forced) =
        (Tally::between_clients(), Tally::between_clients(), Tally::between_clients());
    let (mut upgraded, mut downgraded) = (Tally::between_clients(), Tally::default());
    for operation in &history.operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        let is_granted = matches!(answer, Answer::Granted { .. } | Answer::GrantedAll { .. });
        match &operation.call {
            Call::Upgrade { .. } => upgraded.note(is_granted),
            Call::Downgrade { .. } => downgraded.note(is_granted),
            _ => {}
        }
        match (&operation.call, answer) {
            (Call::WatchLock { seen, .. }, Answer::Holders { version, .. }) => watched.note(version > seen),
            (Call::CheckToken { .. }, Answer::TokenIs { current, .. }) => checked.note(*current),
            (Call::ForceRelease { .. }, answer) => forced.note(*answer == Answer::Released),
            _ => {}
        }
        let wanted = wanted(&operation.call);
        if wanted.is_empty() {
            continue;
        }
        let stands_in_the_way = |(resource, mode): &(&str, LockMode)| {
            let holds = holds.get(resource).map_or(&[][..], Vec::as_slice);
            let begun = holds.partition_point(|hold| hold.from_ns < operation.invoked_ns);
            holds[..begun].iter().rev().take(HOLDS_LOOKED_AT).any(|hold| {
                hold.client != operation.client
                    && (hold.exclusive || *mode != LockMode::Shared)
                    && operation.invoked_ns < hold.until_ns
            })
        };
        granted.note(is_granted);
        contended.note(wanted.iter().any(stands_in_the_way));
    }
    vec![
        ("acquisitions granted", granted),
        ("acquisitions while another held the lock", contended),
        ("upgrades granted", upgraded),
        ("downgrades granted", downgraded),
        ("watches that saw a change", watched),
        ("tokens found to be current", checked),
        ("holds ended by force", forced),
    ]
    .into_iter()
    .filter(|(what, tally)| tally.attempts > 0 || what.starts_with("acquisitions"))
    .collect()
}

/// What an acquisition asks for.
fn wanted(call: &Call) -> Vec<(&str, LockMode)> {
    match call {
        Call::Acquire { resource, exclusive, .. } => {
            let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
            vec![(resource, mode)]
        }
        Call::AcquireAll { wants, .. } => {
            wants.iter().map(|want| (want.resource.as_str(), want.mode)).collect()
        }
        _ => Vec::new(),
    }
}
