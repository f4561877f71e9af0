//! Waits in vain for what others had a claim to, and for what was free.

use stormglass_sim::check::{Calm, CheckReport, Drift, Verdict, lock_safety};
use stormglass_sim::history::{Answer, Call, DeadlockStep, LockMode, LockWant, VirtualTime};

use crate::lock_modes::{acquire_all, release_all, want, with_holds};
use crate::support::Row;

use LockMode::{Exclusive, Permits, Shared};

const CALM: Calm = Calm { from: VirtualTime(0), grace_ns: 100, slow_ppm_max: 0, lease_us: 2 };

/// Waits for ten microseconds from `from` on: for certain from 100 ns later until 100 ns before the end.
fn in_vain(client: u64, from: u64, wants: &[LockWant]) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: 10 };
    (client, from, from + 10_100, call, Some(Answer::NotGranted))
}

fn for_r(from: u64) -> Row {
    in_vain(2, from, &[want("r", Exclusive)])
}

fn unanswered(mut row: Row) -> Row {
    row.4 = None;
    row
}

fn judged(rows: Vec<Row>, calm: Option<Calm>) -> CheckReport {
    lock_safety::check(&with_holds(rows, &[]), Drift::default(), calm)
}

fn assert_verdict(what: &str, rows: Vec<Row>, expected: Verdict) {
    let report = judged(rows, Some(CALM));
    assert_eq!(report.verdict, expected, "{what}: {:?}", report.counterexample);
}

/// One holds it from 1 until it is given back.
fn held(until: u64) -> Vec<Row> {
    vec![acquire_all(1, 1, &[want("r", Exclusive)], &[3]), release_all(1, until - 1, "r", 3)]
}

#[test]
fn nobody_waits_in_vain_for_what_is_free() {
    let with = |until| [held(until), vec![for_r(1_000)]].concat();
    assert_verdict("given back after the end of the wait", with(20_000), Verdict::Valid);
    assert_verdict("given back when it may have been over", with(11_000), Verdict::Valid);
    assert_verdict("given back before", with(10_998), Verdict::Invalid);
    assert_verdict("free all the time", with(500), Verdict::Invalid);
    let found = judged(with(5_000), None).counterexample.unwrap_or_default();
    assert!(found.contains("nobody else had a claim"), "{found}");
}

#[test]
fn whoever_may_have_had_a_claim_excuses_the_wait() {
    let with = |rows: Vec<Row>| [held(500), rows, vec![for_r(1_000)]].concat();
    let other = |mode| in_vain(3, 900, &[want("r", mode)]);
    // The first of the two ought to have got it.
    assert_verdict("another that waits for it alone", with(vec![other(Exclusive)]), Verdict::Invalid);
    let held_on = acquire_all(3, 600, &[want("r", Exclusive)], &[4]);
    assert_verdict("a holder that never gives it back", with(vec![held_on]), Verdict::Valid);
    let two = in_vain(3, 900, &[want("q", Exclusive), want("r", Shared)]);
    let keeps = acquire_all(4, 800, &[want("q", Exclusive), want("r", Shared)], &[4, 4]);
    assert_verdict("one that waits for something else too", with(vec![two, keeps]), Verdict::Valid);
}

#[test]
fn what_nobody_knows_is_over_with_the_lease() {
    let unsure = |from: u64| {
        let row = unanswered(acquire_all(3, from, &[want("r", Exclusive)], &[]));
        vec![(3, from, from + 10, row.3, None), for_r(10_000)]
    };
    let with = |from| [held(500), unsure(from)].concat();
    // It gave up at 4,010 or 22,010; its session is over 2,100 ns later.
    assert_verdict("long over", with(4_000), Verdict::Invalid);
    assert_verdict("not over before the end", with(19_000), Verdict::Invalid);
    assert_eq!(judged(with(4_000), None).verdict, Verdict::Valid, "without a calm it may last");
    let in_the_way = [held(500), vec![unsure(9_000)[0].clone(), for_r(9_100)]].concat();
    let late = Calm { from: VirtualTime(30_000), ..CALM };
    assert_eq!(judged(in_the_way, Some(late)).verdict, Verdict::Valid, "the calm begins later");
}

#[test]
fn permits_that_there_never_were_are_nobodys_loss() {
    let declare = |permits| {
        let call = Call::DeclareSemaphore { resource: "s".to_owned(), permits };
        (9, 0, 1, call, Some(Answer::Declared))
    };
    let with = |permits| {
        let waits = in_vain(2, 1_000, &[want("s", Permits(3))]);
        vec![declare(permits), acquire_all(1, 2, &[want("s", Permits(1))], &[3]), release(1, 10), waits]
    };
    assert_verdict("enough", with(3), Verdict::Invalid);
    assert_verdict("too few", with(2), Verdict::Valid);
}

fn release(client: u64, from: u64) -> Row {
    release_all(client, from, "s", 3)
}

/// Both hold permits of one semaphore and wait for what the other has of another one.
#[test]
fn a_deadlock_among_permits_is_named_where_nobody_else_can_help() {
    let declare = |resource: &str, client| {
        let call = Call::DeclareSemaphore { resource: resource.to_owned(), permits: 3 };
        (client, 0, 1, call, Some(Answer::Declared))
    };
    let judged = |wanted: u64| {
        let waits = |client, from, resource: &str| {
            let call = Call::AcquireAll {
                session: client,
                wants: vec![want(resource, Permits(wanted))],
                wait_us: 1,
            };
            (client, from, from + 1_010, call, Some(Answer::NotGranted))
        };
        let rows = vec![
            declare("p", 8),
            declare("q", 9),
            acquire_all(1, 2, &[want("p", Permits(2))], &[3]),
            acquire_all(2, 2, &[want("q", Permits(2))], &[4]),
            acquire_all(3, 2, &[want("p", Permits(1)), want("q", Permits(1))], &[5, 5]),
            waits(1, 10, "q"),
            waits(2, 100, "p"),
        ];
        let holds = [(1, 2, "p", Permits(2), 3, 4, 5_000), (2, 3, "q", Permits(2), 4, 4, 5_000)];
        let report = lock_safety::check(&with_holds(rows, &holds), Drift::default(), None);
        (report.verdict, report.counterexample.unwrap_or_default())
    };
    let (verdict, found) = judged(2);
    assert!(verdict == Verdict::Invalid && found.contains("nobody was told of a deadlock"), "{found}");
    assert_eq!(judged(1).0, Verdict::Valid, "the third could help");
}

#[test]
fn a_session_that_is_done_closes_no_cycle() {
    let steps = [(2, "q"), (1, "r")];
    let cycle =
        steps.map(|(session, resource): (u64, &str)| DeadlockStep { session, resource: resource.into() });
    let named = |first_waits: Row| {
        let call = Call::AcquireAll { session: 2, wants: vec![want("q", Exclusive)], wait_us: 10 };
        let told = (2, 30_000, 30_010, call, Some(Answer::Deadlock { cycle: cycle.to_vec() }));
        let q = acquire_all(1, 1, &[want("q", Exclusive)], &[3]);
        let r = acquire_all(2, 3, &[want("r", Exclusive)], &[4]);
        judged(vec![q, r, first_waits, told], None).verdict
    };
    let waits = |from| in_vain(1, from, &[want("r", Exclusive)]);
    assert_eq!(named(waits(25_000)), Verdict::Valid, "it waits meanwhile");
    assert_eq!(named(waits(10_000)), Verdict::Invalid, "it had given up");
}

#[test]
fn a_lock_of_a_lost_session_is_not_given_back_by_another_that_does_not_hold_it() {
    let verdict = |lapsed| {
        let mut not_held = release_all(1, 500, "r", 3);
        not_held.4 = Some(Answer::NotHeld);
        let rows = vec![acquire_all(1, 1, &[want("r", Exclusive)], &[3]), not_held, for_r(1_000)];
        let mut history = with_holds(rows, &[(1, 0, "r", Exclusive, 3, 2, 3)]);
        history.holds[0].lapsed = lapsed;
        let late = Calm { from: VirtualTime(30_000), ..CALM };
        lock_safety::check(&history, Drift::default(), Some(late)).verdict
    };
    assert_eq!(
        verdict(true),
        Verdict::Valid,
        "the cluster may still hold it for the session that its client lost"
    );
    assert_eq!(verdict(false), Verdict::Invalid);
}

/// The client gave its session up at 9,000, whatever became of the operator's word.
#[test]
fn what_an_operator_may_have_ended_may_be_in_the_way_until_its_lease_is_over() {
    let verdict = |forced: Option<Answer>, waits_from| {
        let call = Call::ForceRelease { resource: "r".to_owned(), token: 3 };
        let rows = vec![
            acquire_all(1, 1, &[want("r", Exclusive)], &[3]),
            (7, 500, 600, call, forced),
            for_r(waits_from),
        ];
        let mut history = with_holds(rows, &[(1, 0, "r", Exclusive, 3, 2, 9_000)]);
        history.holds[0].lapsed = true;
        let calm = Calm { lease_us: 20, ..CALM };
        lock_safety::check(&history, Drift::default(), Some(calm)).verdict
    };
    assert_eq!(verdict(None, 15_000), Verdict::Valid, "perhaps it was not ended");
    assert_eq!(verdict(None, 25_000), Verdict::Invalid, "its lease is over");
    assert_eq!(verdict(Some(Answer::Released), 15_000), Verdict::Invalid);
}
