//! Those who were passed in line and granted what they waited for in the end, and beliefs that lasted too long.

use stormglass_sim::check::{Drift, Verdict, lock_safety};
use stormglass_sim::history::{Answer, Call, DeadlockStep, LockMode, LockWant};

use crate::lock_modes::{
    acquire_all, assert_locks_accepted, assert_locks_rejected, release_all, want, with_holds,
};
use crate::support::Row;

use LockMode::{Exclusive, Shared};

fn assert_accepted(what: &str, rows: Vec<Row>) {
    assert_locks_accepted(what, rows, None);
}

fn assert_rejected(why: &str, rows: Vec<Row>) {
    assert_locks_rejected(why, rows, None);
}

/// Stands in line and is granted all of it at 5,000.
fn waits(client: u64, from: u64, wants: &[LockWant], tokens: &[u64]) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: 10 };
    (client, from, 5_000, call, Some(Answer::GrantedAll { tokens: tokens.to_vec() }))
}

fn refused(client: u64, from: u64, mode: LockMode) -> Row {
    let call = Call::AcquireAll { session: client, wants: vec![want("r", mode)], wait_us: 0 };
    (client, from, from + 1, call, Some(Answer::NotGranted))
}

/// One shares the lock, a writer waits for it from 100 on and is granted it under token 50, and a reader that comes at
/// `from` is granted it under this token.
fn passed(from: u64, token: u64, more: Vec<Row>) -> Vec<Row> {
    let holder = acquire_all(1, 1, &[want("r", Shared)], &[3]);
    let comer = acquire_all(3, from, &[want("r", Shared)], &[token]);
    [vec![holder, waits(2, 100, &[want("r", Exclusive)], &[50]), comer], more].concat()
}

#[test]
fn a_refusal_tells_who_stands_in_line() {
    let told = || vec![refused(4, 200, Shared)];
    assert_rejected("stood in line before it: operation", passed(300, 9, told()));
    assert_accepted("granted after it", passed(5_100, 60, told()));
    assert_accepted("who knows when the writer came", passed(300, 9, Vec::new()));
    assert_accepted("it may have come first", passed(201, 9, told()));
    let another = waits(5, 150, &[want("r", Exclusive)], &[70]);
    assert_accepted("the refusal may be owed to another", passed(300, 9, [told(), vec![another]].concat()));
    assert_accepted("a writer is refused for the holder", passed(300, 9, vec![refused(4, 200, Exclusive)]));
}

/// Client 2 holds `q` and waits for `r`; client 4, which holds `r`, asks for `q` and is told.
#[test]
fn a_deadlock_tells_who_stands_in_line() {
    let step = |session, resource: &str| DeadlockStep { session, resource: resource.to_owned() };
    let rows = |comes: u64, wants: &[LockWant], tokens: &[u64]| {
        let call = Call::AcquireAll { session: 4, wants: vec![want("q", Exclusive)], wait_us: 10 };
        let cycle = vec![step(4, "q"), step(2, "r")];
        vec![
            acquire_all(2, 1, &[want("q", Exclusive)], &[3]),
            acquire_all(4, 1, &[want("r", Shared)], &[4]),
            waits(2, 100, wants, tokens),
            (4, 200, 210, call, Some(Answer::Deadlock { cycle })),
            acquire_all(3, comes, &[want("r", Shared)], &[9]),
        ]
    };
    let one = [want("r", Exclusive)];
    assert_rejected("stood in line before it: operation", rows(300, &one, &[50]));
    assert_accepted("it may have come first", rows(210, &one, &[50]));
    let sharing = [want("r", Shared), want("p", Exclusive)];
    assert_accepted("one that waits for something else too", rows(300, &sharing, &[50, 51]));
    let alone = [want("r", Exclusive), want("p", Exclusive)];
    assert_rejected("stood in line before it: operation", rows(300, &alone, &[50, 51]));
}

#[test]
fn nobody_believes_in_what_another_was_granted() {
    let judged = |until, rival: LockMode, mine: LockMode| {
        let rows =
            vec![acquire_all(1, 1, &[want("r", mine)], &[3]), acquire_all(2, 20, &[want("r", rival)], &[7])];
        let report =
            lock_safety::check(&with_holds(rows, &[(1, 0, "r", mine, 3, 2, until)]), Drift::default(), None);
        report.verdict
    };
    assert_eq!(judged(21, Exclusive, Exclusive), Verdict::Valid);
    assert_eq!(judged(22, Exclusive, Exclusive), Verdict::Invalid);
    assert_eq!(judged(22, Exclusive, Shared), Verdict::Invalid);
    assert_eq!(judged(22, Shared, Exclusive), Verdict::Invalid);
    assert_eq!(judged(22, Shared, Shared), Verdict::Valid);
}

#[test]
fn nobody_believes_in_what_it_was_told_it_gave_back() {
    let judged = |until| {
        let rows = vec![acquire_all(1, 1, &[want("r", Exclusive)], &[3]), release_all(1, 20, "r", 3)];
        let held = [(1, 0, "r", Exclusive, 3, 2, until)];
        lock_safety::check(&with_holds(rows, &held), Drift::default(), None).verdict
    };
    assert_eq!(judged(20), Verdict::Valid);
    assert_eq!(judged(21), Verdict::Valid, "before the answer it does no harm");
    assert_eq!(judged(22), Verdict::Invalid);
}
