//! Standing in line: who was overtaken, and which deadlocks were named rightly, wrongly, or not at all.

use stormglass_sim::check::{CheckReport, Drift, Subject, Terms, Verdict, judge_subject, lock_safety};
use stormglass_sim::history::{Answer, Call, DeadlockStep, History, LockMode, LockWant};

use crate::lock_modes::{acquire_all, release_all, want, with_holds};
use crate::support::{Row, history};

use LockMode::{Exclusive, Permits, Shared};

/// How long all wait here: a microsecond.
const WAIT_NS: u64 = 1_000;

/// Stands in line from `from` until `until` and ends so. With session and client of one number.
fn waits(client: u64, from: u64, until: u64, wants: &[LockWant], answer: Answer) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: WAIT_NS / 1_000 };
    (client, from, until, call, Some(answer))
}

fn in_vain(client: u64, from: u64, wants: &[LockWant]) -> Row {
    waits(client, from, from + WAIT_NS + 10, wants, Answer::NotGranted)
}

fn report(history: &History) -> CheckReport {
    lock_safety::check(history, Drift::default(), None)
}

fn assert_verdict(what: &str, rows: Vec<Row>, expected: Verdict) {
    let report = report(&with_holds(rows, &[]));
    assert_eq!(report.verdict, expected, "{what}: {:?}", report.counterexample);
}

fn comer(from: u64, mode: LockMode) -> Row {
    acquire_all(3, from, &[want("r", mode)], &[9])
}

#[test]
fn nobody_overtakes_one_who_stands_in_line_for_certain() {
    // It waits from 10 to 1,020, and so for certain from 20 to 1,010.
    let writer = || in_vain(2, 10, &[want("r", Exclusive)]);
    let holder = || acquire_all(1, 1, &[want("r", Shared)], &[3]);
    let with = |row: Row| vec![holder(), writer(), row];
    assert_verdict("a reader that passes a writer", with(comer(100, Shared)), Verdict::Invalid);
    assert_verdict("a reader that may have come before it", with(comer(20, Shared)), Verdict::Valid);
    assert_verdict("a reader that may have come after its end", with(comer(1_009, Shared)), Verdict::Valid);
    let reader = || in_vain(2, 10, &[want("r", Shared)]);
    assert_verdict(
        "a reader before a reader",
        vec![holder(), reader(), comer(100, Shared)],
        Verdict::Invalid,
    );
    let two = || in_vain(2, 10, &[want("q", Exclusive), want("r", Shared)]);
    let beside = vec![holder(), two(), comer(100, Shared)];
    assert_verdict("a reader beside one that waits for something else", beside, Verdict::Valid);
    let mut granted = writer();
    granted.4 = Some(Answer::GrantedAll { tokens: vec![20] });
    assert_verdict(
        "one of whom nothing is certain",
        vec![holder(), granted, comer(100, Shared)],
        Verdict::Valid,
    );
}

#[test]
fn a_large_request_for_permits_is_not_starved_by_small_ones() {
    let declare = Call::DeclareSemaphore { resource: "s".to_owned(), permits: 3 };
    let declared = (9, 0, 1, declare, Some(Answer::Declared));
    let large = in_vain(2, 10, &[want("s", Permits(3))]);
    let small = |from| acquire_all(3, from, &[want("s", Permits(1))], &[9]);
    assert_verdict("a small one passes", vec![declared.clone(), large.clone(), small(100)], Verdict::Invalid);
    assert_verdict("a small one came first", vec![declared, large, small(11)], Verdict::Valid);
}

#[test]
fn an_upgrade_goes_before_the_line() {
    let rows = vec![
        acquire_all(1, 1, &[want("r", Shared)], &[3]),
        in_vain(2, 10, &[want("r", Exclusive)]),
        (
            1,
            100,
            101,
            Call::Upgrade { session: 1, resource: "r".to_owned(), token: 3, wait_us: 0 },
            Some(Answer::Granted { token: 9 }),
        ),
    ];
    assert_verdict("an upgrade", rows, Verdict::Valid);
}

fn cycle(steps: &[(u64, &str)]) -> Answer {
    let step = |(session, resource): &(u64, &str)| DeadlockStep {
        session: *session,
        resource: (*resource).to_owned(),
    };
    Answer::Deadlock { cycle: steps.iter().map(step).collect() }
}

/// Client 1 holds `q`, client 2 holds `r`; client 1 waits for `r`, and client 2, which asks for `q`, is told.
fn crossed(named: Answer) -> Vec<Row> {
    vec![
        acquire_all(1, 1, &[want("q", Exclusive)], &[3]),
        acquire_all(2, 1, &[want("r", Exclusive)], &[4]),
        in_vain(1, 10, &[want("r", Exclusive)]),
        waits(2, 100, 110, &[want("q", Exclusive)], named),
    ]
}

#[test]
fn a_deadlock_that_is_named_may_have_been_one() {
    let right = cycle(&[(2, "q"), (1, "r")]);
    assert_verdict("a true one", crossed(right.clone()), Verdict::Valid);
    let wrong = |steps: &[(u64, &str)]| {
        assert_verdict(&format!("{steps:?}"), crossed(cycle(steps)), Verdict::Invalid)
    };
    wrong(&[]);
    wrong(&[(1, "r"), (2, "q")]);
    wrong(&[(2, "q")]);
    wrong(&[(2, "q"), (1, "q")]);
    wrong(&[(2, "q"), (7, "r")]);
    wrong(&[(2, "q"), (1, "r"), (2, "q"), (1, "r")]);
    // Client 1 had given `q` back before.
    let mut released = crossed(right.clone());
    released[2] = release_all(1, 10, "q", 3);
    assert_verdict("nobody waits", released, Verdict::Invalid);
    let mut unsure = crossed(right);
    unsure[2].4 = None;
    assert_verdict("one that may go on waiting", unsure, Verdict::Valid);
}

#[test]
fn who_asks_for_one_lock_names_no_session_and_may_be_part_of_a_deadlock() {
    let acquire = |client, from, until, resource: &str, wait_us, answer| -> Row {
        let call = Call::Acquire { resource: resource.to_owned(), exclusive: true, wait_us };
        (client, from, until, call, Some(answer))
    };
    let granted = |token| Answer::Granted { token };
    let rows = |cycle: Answer| {
        vec![
            acquire(1, 1, 2, "q", 0, granted(3)),
            acquire_all(2, 1, &[want("r", Exclusive)], &[4]),
            acquire(1, 10, WAIT_NS + 20, "r", WAIT_NS / 1_000, Answer::NotGranted),
            waits(2, 100, 110, &[want("q", Exclusive)], cycle),
        ]
    };
    // Nobody says that client 1 has session 71, nor that it has not.
    assert_verdict("by another", rows(cycle(&[(2, "q"), (71, "r")])), Verdict::Valid);
    assert_verdict("it never asked for it", rows(cycle(&[(2, "q"), (71, "z")])), Verdict::Invalid);
    let mut told = rows(Answer::NotGranted);
    told[3] = acquire(2, 100, 110, "q", 1, cycle(&[(2, "q"), (71, "r")]));
    assert_verdict("by one of these", told.clone(), Verdict::Valid);
    let judged = check_register_of_locks(told);
    assert_eq!(judged, Verdict::Valid);
    let mut nameless = rows(Answer::NotGranted);
    nameless[3] = acquire(2, 100, 110, "q", 1, cycle(&[(71, "q"), (2, "r")]));
    assert_verdict("client 2 has session 2, and does not wait for r", nameless, Verdict::Invalid);
}

/// The verdict of the general check of single locks.
fn check_register_of_locks(rows: Vec<Row>) -> Verdict {
    let terms = Terms {
        history: &history(rows),
        drift: Drift::default(),
        calm: None,
        budget_steps: 100_000,
        at_once: false,
    };
    let reports = judge_subject(Subject::Lock, &terms);
    reports.iter().find(|report| report.name == "linearizable locks").expect("there are single ones").verdict
}

#[test]
fn a_deadlock_that_certainly_was_one_is_named() {
    let rows = || {
        let mut rows = crossed(Answer::NotGranted);
        rows[3] = in_vain(2, 100, &[want("q", Exclusive)]);
        rows
    };
    let holds = |until| [(1, 0, "q", Exclusive, 3, 2, 5_000), (2, 1, "r", Exclusive, 4, 2, until)];
    let judged = |until| report(&with_holds(rows(), &holds(until)));
    let found = judged(5_000);
    assert_eq!(found.verdict, Verdict::Invalid);
    assert!(found.counterexample.unwrap_or_default().contains("nobody was told of a deadlock"));
    assert_eq!(judged(100).verdict, Verdict::Valid, "it believed no longer that it held it");
    let shared = |mode| {
        let mut rows = rows();
        rows[0] = acquire_all(1, 1, &[want("q", mode)], &[3]);
        let holds = [(1, 0, "q", mode, 3, 2, 5_000), (2, 1, "r", Exclusive, 4, 2, 5_000)];
        report(&with_holds(rows, &holds)).verdict
    };
    assert_eq!(shared(Shared), Verdict::Invalid, "sharers stand in the way of the exclusive");
}

/// Each would upgrade what the other thread of its client was granted, and waits for other sharers.
#[test]
fn threads_of_a_client_do_not_wait_for_each_other() {
    let upgrade = |client, from, resource: &str, token| -> Row {
        let resource = resource.to_owned();
        let call = Call::Upgrade { session: 1, resource, token, wait_us: WAIT_NS / 1_000 };
        (client, from, from + WAIT_NS + 10, call, Some(Answer::NotGranted))
    };
    let judged = |other| {
        let rows = vec![
            acquire_all(1, 1, &[want("q", Shared)], &[3]),
            acquire_all(other, 1, &[want("r", Shared)], &[4]),
            upgrade(1, 10, "r", 4),
            upgrade(other, 100, "q", 3),
        ];
        let holds = [(1, 0, "q", Shared, 3, 2, 5_000), (other, 1, "r", Shared, 4, 2, 5_000)];
        report(&with_holds(rows, &holds)).verdict
    };
    assert_eq!(judged(1_001), Verdict::Valid);
    assert_eq!(judged(2), Verdict::Invalid, "clients do");
}
