//! What is found while a history goes on, against the judgement of the whole.

use std::collections::BTreeMap;

use stormglass_sim::check::linearizability::{LockModel, RegisterModel, STEPS_MAX, check_history};
use stormglass_sim::check::{CheckReport, OnlineChecks, Subject, Verdict};
use stormglass_sim::history::{Answer, Call, History, Operation, Outcome, VirtualTime};
use stormglass_sim::rng::Streams;

use crate::differential::{MUTATIONS, SMALL};
use crate::support::{Shape, register_history};

/// Tells a history as it happened. Says after which operation a violation was certain, if one ever was.
fn told(history: &History) -> (OnlineChecks, Option<u64>) {
    let mut online = OnlineChecks::default();
    let mut events: BTreeMap<(VirtualTime, bool, u64), &Operation> = BTreeMap::new();
    for operation in &history.operations {
        events.insert((operation.invoked_ns, false, operation.id), operation);
        if let Some(returned) = operation.returned_ns {
            events.insert((returned, true, operation.id), operation);
        }
    }
    let mut certain_at = None;
    for ((_, completes, id), operation) in events {
        let is_new = if completes { online.completed(operation) } else { online.invoked(operation) };
        if is_new {
            assert_eq!(certain_at, None, "it is told once");
            certain_at = Some(id);
        }
    }
    assert_eq!(certain_at.is_some(), online.violation().is_some());
    (online, certain_at)
}

fn history(operations: Vec<(u64, u64, u64, Call, Option<Answer>)>) -> History {
    let operation = |(id, (client, invoked, returned, call, answer))| Operation {
        id,
        client,
        call,
        invoked_ns: VirtualTime(invoked),
        returned_ns: Some(VirtualTime(returned)),
        outcome: match answer {
            Some(answer) => Outcome::Ok { answer },
            None => Outcome::Unknown { reason: "no answer".to_owned() },
        },
    };
    History { operations: (0..).zip(operations).map(operation).collect(), holds: Vec::new() }
}

/// Whatever is told online is true, and most of what is wrong is told before the end, although the last answers
/// of so short a history are never followed by anything.
#[test]
fn what_is_told_of_registers_is_true() {
    let mut rng = Streams::new(5).stream("online");
    let shape = Shape { operations: 40, duration_max: 4, unknown_percent: 10, ..SMALL };
    let (mut wrong, mut told_of, mut right) = (0_u64, 0_u64, 0_u64);
    for _ in 0..1_500 {
        let valid = register_history(&mut rng, &shape);
        assert_eq!(told(&valid).1, None, "{valid:#?}");
        for (_, mutate) in MUTATIONS {
            let mut mutant = valid.clone();
            if !mutate(&mut rng, &mut mutant) {
                continue;
            }
            let verdict = check_history(&RegisterModel, &mutant, STEPS_MAX).verdict;
            let (_, certain_at) = told(&mutant);
            assert!(certain_at.is_none() || verdict == Verdict::Invalid, "{certain_at:?}: {mutant:#?}");
            right += u64::from(verdict == Verdict::Valid);
            wrong += u64::from(verdict == Verdict::Invalid);
            told_of += u64::from(certain_at.is_some());
        }
    }
    println!("of {wrong} wrong histories {told_of} were told of before they ended; {right} were right");
    assert!(wrong > 1_000 && right > 1_000 && told_of * 10 > wrong * 8, "{told_of} of {wrong}; {right}");
}

fn acquire(exclusive: bool) -> Call {
    Call::Acquire { resource: "door".to_owned(), exclusive, wait_us: 0 }
}

fn release(token: u64) -> Call {
    Call::Release { resource: "door".to_owned(), token }
}

#[test]
fn a_grant_between_a_grant_and_its_release_is_told() {
    let granted = |token| Some(Answer::Granted { token });
    let history = history(vec![
        (1, 10, 20, acquire(true), granted(1)),
        (2, 30, 40, acquire(true), granted(2)),
        (1, 50, 60, release(1), Some(Answer::Released)),
        (1, 70, 80, acquire(true), Some(Answer::NotGranted)),
    ]);
    assert_eq!(check_history(&LockModel, &history, STEPS_MAX).verdict, Verdict::Invalid);
    let (online, certain_at) = told(&history);
    assert_eq!(certain_at, Some(3), "once something happens after it");
    let found = online.violation().expect("it was told");
    assert_eq!((found.subject, found.object.as_str(), found.id), (Subject::Lock, "door", 2));
}

/// Tokens of grants that the model of a lock does not know of prove nothing against it.
#[test]
fn a_release_after_an_upgrade_is_none_of_the_locks() {
    let granted = |token| Some(Answer::Granted { token });
    let upgrade = Call::Upgrade { session: 1, resource: "door".to_owned(), token: 1, wait_us: 0 };
    let history = history(vec![
        (1, 10, 20, acquire(false), granted(1)),
        (1, 30, 40, upgrade, granted(2)),
        (1, 50, 60, release(2), Some(Answer::Released)),
        (2, 70, 80, acquire(true), granted(3)),
        (2, 90, 100, release(3), Some(Answer::Released)),
        (2, 110, 120, acquire(true), None),
    ]);
    assert_eq!(told(&history).1, None);
}

#[test]
fn a_violation_that_the_whole_history_does_not_show_makes_nothing_valid() {
    let value = |value| Some(Answer::Value { value: Some(value), version: Some(value) });
    let get = || Call::Get { key: "k".to_owned() };
    let set = |value| Call::Set { key: "k".to_owned(), value };
    let wrong = history(vec![
        (1, 10, 20, set(1), Some(Answer::Written { version: 1 })),
        (1, 30, 40, set(2), Some(Answer::Written { version: 2 })),
        (2, 50, 60, get(), value(1)),
        (2, 70, 80, get(), value(2)),
    ]);
    let (online, certain_at) = told(&wrong);
    assert_eq!(certain_at, Some(3));
    let report = |verdict| CheckReport {
        name: "linearizable registers".to_owned(),
        source: String::new(),
        verdict,
        detail: String::new(),
        cost_steps: 0,
        counterexample: None,
    };
    assert_eq!(online.contradiction(&[report(Verdict::Invalid)]), None);
    for missing in [vec![], vec![report(Verdict::Valid)], vec![report(Verdict::Unknown)]] {
        let contradiction = online.contradiction(&missing).expect("nobody confirms it");
        assert_eq!(contradiction.verdict, Verdict::Unknown);
        assert!(contradiction.detail.contains("operation #2 on \"k\""), "{}", contradiction.detail);
    }
}
