//! Several resources at a time, permits, upgrades and downgrades.

use stormglass_sim::check::{Calm, Drift, Verdict, lock_safety};
use stormglass_sim::history::{Answer, Call, History, Hold, LockMode, LockWant, VirtualTime};

use crate::support::{Row, granted, history};

pub(crate) fn want(resource: &str, mode: LockMode) -> LockWant {
    LockWant { resource: resource.to_owned(), mode }
}

/// Client and session have one number.
pub(crate) fn acquire_all(client: u64, from: u64, wants: &[LockWant], tokens: &[u64]) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: 0 };
    (client, from, from + 1, call, Some(Answer::GrantedAll { tokens: tokens.to_vec() }))
}

pub(crate) fn release_all(client: u64, from: u64, resource: &str, token: u64) -> Row {
    let call = Call::ReleaseAll { grants: vec![(resource.to_owned(), token)] };
    (client, from, from + 1, call, Some(Answer::Released))
}

fn upgrade(client: u64, from: u64, until: u64, token: u64, to: u64) -> Row {
    let call = Call::Upgrade { session: client, resource: "r".to_owned(), token, wait_us: 0 };
    (client, from, until, call, granted(to))
}

fn downgrade(client: u64, from: u64, token: u64, to: u64) -> Row {
    let call = Call::Downgrade { session: client, resource: "r".to_owned(), token };
    (client, from, from + 1, call, granted(to))
}

fn declare(permits: u64) -> Row {
    let call = Call::DeclareSemaphore { resource: "s".to_owned(), permits };
    (9, 0, 1, call, Some(Answer::Declared))
}

/// What lock safety says of these operations, and what it shows.
fn judged_without_holds(rows: Vec<Row>, calm: Option<Calm>) -> (Verdict, String) {
    let report = lock_safety::check(&with_holds(rows, &[]), Drift::default(), calm);
    (report.verdict, report.counterexample.unwrap_or_default())
}

pub(crate) fn assert_locks_accepted(what: &str, rows: Vec<Row>, calm: Option<Calm>) {
    assert_eq!(judged_without_holds(rows, calm), (Verdict::Valid, String::new()), "{what}");
}

pub(crate) fn assert_locks_rejected(why: &str, rows: Vec<Row>, calm: Option<Calm>) {
    let (verdict, found) = judged_without_holds(rows, calm);
    assert!(verdict == Verdict::Invalid && found.contains(why), "{why}: {found}");
}

/// Client, operation, resource, mode, token, from, until.
type Span<'a> = (u64, u64, &'a str, LockMode, u64, u64, u64);

pub(crate) fn with_holds(rows: Vec<Row>, spans: &[Span<'_>]) -> History {
    let mut history = history(rows);
    let hold = |&(client, operation, resource, mode, token, from, until): &Span<'_>| Hold {
        client,
        operation,
        resource: resource.to_owned(),
        exclusive: mode == LockMode::Exclusive,
        permits: mode.permits(),
        token,
        from_ns: VirtualTime(from),
        until_ns: VirtualTime(until),
        lapsed: false,
    };
    history.holds = spans.iter().map(hold).collect();
    assert_eq!(history.verify(), Ok(()));
    history
}

fn verdict(rows: Vec<Row>, spans: &[Span<'_>]) -> Verdict {
    lock_safety::check(&with_holds(rows, spans), Drift::default(), None).verdict
}

use LockMode::{Exclusive, Permits, Shared};

#[test]
fn each_of_several_resources_is_a_lock() {
    let rows = || {
        let both = [want("q", Exclusive), want("r", Exclusive)];
        vec![acquire_all(1, 1, &both, &[3, 3]), acquire_all(2, 5, &[want("r", Exclusive)], &[6])]
    };
    let hold = |until| (1, 0, "r", Exclusive, 3, 2, until);
    let other = (2, 1, "r", Exclusive, 6, 6, 9);
    assert_eq!(verdict(rows(), &[hold(6), other]), Verdict::Valid);
    assert_eq!(verdict(rows(), &[hold(7), other]), Verdict::Invalid);
    assert_eq!(verdict(rows(), &[(1, 0, "q", Exclusive, 3, 2, 9), other]), Verdict::Valid);
}

#[test]
fn no_more_permits_are_held_than_were_declared() {
    let take =
        |client, from, permits, token| acquire_all(client, from, &[want("s", Permits(permits))], &[token]);
    let rows = || vec![declare(3), take(1, 2, 2, 5), take(2, 4, 1, 6), take(3, 6, 1, 7)];
    let spans = |until| {
        [
            (1, 1, "s", Permits(2), 5, 3, until),
            (2, 2, "s", Permits(1), 6, 5, 20),
            (3, 3, "s", Permits(1), 7, 8, 20),
        ]
    };
    assert_eq!(verdict(rows(), &spans(8)), Verdict::Valid);
    assert_eq!(verdict(rows(), &spans(9)), Verdict::Invalid);
    let undeclared = vec![take(1, 2, 2, 5)];
    assert_eq!(verdict(undeclared, &[(1, 0, "s", Permits(2), 5, 3, 8)]), Verdict::Invalid);
}

#[test]
fn what_the_service_took_back_it_had_granted_until_then() {
    let rival = |from| acquire_all(2, from, &[want("r", Exclusive)], &[6]);
    let rows = |from| {
        let first = acquire_all(1, 1, &[want("r", Exclusive)], &[3]);
        vec![first, rival(from), release_all(1, 10, "r", 3), release_all(2, 30, "r", 6)]
    };
    // No client says that it believed anything.
    assert_eq!(verdict(rows(5), &[]), Verdict::Invalid);
    assert_eq!(verdict(rows(20), &[]), Verdict::Valid);
}

#[test]
fn an_upgrade_waits_for_other_sharers_and_has_a_later_token() {
    let shared = |client, from, token| acquire_all(client, from, &[want("r", Shared)], &[token]);
    let rows = |until, to| vec![shared(1, 1, 3), shared(2, 3, 4), upgrade(1, 5, until, 3, to)];
    let spans = |other_until| {
        [
            (1, 0, "r", Shared, 3, 2, 9),
            (2, 1, "r", Shared, 4, 4, other_until),
            (1, 2, "r", Exclusive, 8, 9, 20),
        ]
    };
    assert_eq!(verdict(rows(9, 8), &spans(9)), Verdict::Valid);
    assert_eq!(verdict(rows(9, 8), &spans(10)), Verdict::Invalid, "it was granted beside another");
    assert_eq!(verdict(rows(9, 4), &[]), Verdict::Invalid, "the token is not new");
    assert_eq!(verdict(rows(9, 2), &[]), Verdict::Invalid, "the token went back");
    let again = [rows(9, 8), vec![release_all(1, 12, "r", 3)]].concat();
    assert_eq!(verdict(again, &[]), Verdict::Invalid, "the old token is used up");
    let right = [rows(9, 8), vec![release_all(1, 12, "r", 8)]].concat();
    assert_eq!(verdict(right, &[]), Verdict::Valid);
}

#[test]
fn after_a_downgrade_others_may_share() {
    let first = || vec![acquire_all(1, 1, &[want("r", Exclusive)], &[3]), downgrade(1, 5, 3, 6)];
    let rows = || [first(), vec![acquire_all(2, 7, &[want("r", Shared)], &[8])]].concat();
    let sharer = (2, 2, "r", Shared, 8, 8, 20);
    let alone = |until| (1, 0, "r", Exclusive, 3, 2, until);
    assert_eq!(verdict(rows(), &[alone(5), (1, 1, "r", Shared, 6, 6, 20), sharer]), Verdict::Valid);
    assert_eq!(verdict(rows(), &[alone(9), sharer]), Verdict::Invalid, "it went on as if it were alone");
}
