//! What is said of locks to those who look on, and holds that an operator ends: accepted and rejected.

use stormglass_sim::check::{Calm, CheckReport, Drift, Verdict, lock_safety};
use stormglass_sim::history::{Answer, Call, History, Hold, VirtualTime};

use crate::support::{Row, acquire, granted, history, release};

fn resource() -> String {
    "r".to_owned()
}

fn state(client: u64, from: u64, until: u64, version: u64, tokens: &[u64]) -> Row {
    let answer = Answer::Holders { version, tokens: tokens.to_vec() };
    (client, from, until, Call::LockState { resource: resource() }, Some(answer))
}

fn watch(from: u64, until: u64, seen: u64, wait_us: u64, version: u64, tokens: &[u64]) -> Row {
    let answer = Answer::Holders { version, tokens: tokens.to_vec() };
    (8, from, until, Call::WatchLock { resource: resource(), seen, wait_us }, Some(answer))
}

fn token(from: u64, until: u64, token: u64, current: bool, latest: Option<u64>) -> Row {
    (
        9,
        from,
        until,
        Call::CheckToken { resource: resource(), token },
        Some(Answer::TokenIs { current, latest }),
    )
}

fn force(from: u64, until: u64, token: u64, answer: Option<Answer>) -> Row {
    (7, from, until, Call::ForceRelease { resource: resource(), token }, answer)
}

/// Client 1 holds under token 3, from 10 until it gives it back at 50; client 2 under token 7, from 60 on.
fn two_holds() -> Vec<Row> {
    vec![
        (1, 5, 10, acquire(true), granted(3)),
        (1, 50, 55, release(3), Some(Answer::Released)),
        (2, 56, 60, acquire(true), granted(7)),
    ]
}

fn report(rows: Vec<Row>) -> CheckReport {
    let history = history([two_holds(), rows].concat());
    assert_eq!(history.verify(), Ok(()));
    let calm = Calm { from: VirtualTime(0), grace_ns: 1_000, slow_ppm_max: 0, lease_us: 0 };
    lock_safety::check_views(&history, Drift::default(), Some(calm)).expect("somebody looks on")
}

fn assert_accepted(what: &str, rows: Vec<Row>) {
    let report = report(rows);
    assert_eq!(report.verdict, Verdict::Valid, "{what}: {:?}", report.counterexample);
}

fn assert_rejected(why: &str, rows: Vec<Row>) {
    let report = report(rows);
    let found = report.counterexample.unwrap_or_default();
    assert!(report.verdict == Verdict::Invalid && found.contains(why), "{why}: {found:?}");
}

#[test]
fn who_does_not_look_on_is_not_judged() {
    assert_eq!(lock_safety::check_views(&history(two_holds()), Drift::default(), None), None);
    let unanswered = (8, 1, 0, Call::LockState { resource: resource() }, None);
    assert_eq!(report(vec![unanswered]).verdict, Verdict::Unknown);
}

#[test]
fn a_state_names_who_holds_the_lock_and_nobody_else() {
    assert_accepted("the holder", vec![state(4, 20, 30, 3, &[3])]);
    assert_accepted(
        "either, while it is given back",
        vec![state(4, 51, 54, 3, &[3]), state(5, 51, 54, 5, &[])],
    );
    assert_rejected("token 3 was held from", vec![state(4, 20, 30, 3, &[])]);
    assert_rejected("had been given back", vec![state(4, 56, 58, 5, &[3])]);
    assert_rejected("nobody can have been granted token 4", vec![state(4, 20, 30, 3, &[3, 4])]);
    assert_rejected("nobody can have been granted token 7", vec![state(4, 20, 30, 7, &[3, 7])]);
}

#[test]
fn a_later_conflicting_grant_ends_an_earlier_one() {
    let unreleased = vec![
        (1, 5, 10, acquire(true), granted(3)),
        (2, 56, 60, acquire(true), granted(7)),
        state(4, 61, 62, 7, &[3, 7]),
    ];
    let report =
        lock_safety::check_views(&history(unreleased), Drift::default(), None).expect("one looks on");
    assert!(report.counterexample.unwrap_or_default().contains("excludes token 3"));
}

#[test]
fn versions_rise_and_mean_the_same_for_all() {
    assert_accepted("in order", vec![state(4, 20, 30, 3, &[3]), state(5, 61, 62, 7, &[7])]);
    assert_rejected("had been told version 9", vec![state(4, 20, 30, 9, &[3]), state(5, 61, 62, 7, &[7])]);
    assert_accepted("side by side", vec![state(4, 51, 54, 5, &[]), state(5, 52, 54, 3, &[3])]);
    assert_rejected("version 5 has the holders", vec![state(4, 51, 54, 5, &[]), state(5, 52, 54, 5, &[3])]);
    // Another node may be behind.
    assert_accepted("a watch", vec![state(4, 61, 62, 7, &[7]), watch(63, 64, 0, 10, 3, &[3])]);
}

#[test]
fn a_token_is_current_while_the_lock_is_held_under_it() {
    assert_accepted("held", vec![token(20, 30, 3, true, None)]);
    assert_accepted("given back", vec![token(61, 62, 3, false, Some(7))]);
    assert_rejected("token 3 was held from", vec![token(20, 30, 3, false, None)]);
    assert_rejected("had been given back", vec![token(56, 58, 3, true, None)]);
    assert_rejected("token 7 had been granted", vec![token(61, 62, 3, false, Some(3))]);
    assert_rejected("nobody can have been granted token 9", vec![token(61, 62, 9, true, None)]);
}

#[test]
fn a_watch_waits_until_something_changes_and_misses_no_grant() {
    assert_accepted("woken", vec![watch(20, 58, 3, 9_000_000, 5, &[])]);
    assert_accepted("in vain", vec![watch(20, 30_020, 9, 30, 3, &[3])]);
    assert_rejected("came back with the version 3 that it knew", vec![watch(20, 30, 3, 30, 3, &[3])]);
    // Token 7 was granted at 60, and the calm forgives a microsecond.
    assert_rejected("slept through token 7", vec![watch(20, 5_000, 3, 4, 3, &[3])]);
    assert_accepted("at its end", vec![watch(20, 1_055, 3, 1, 3, &[3])]);
    // It is the one that the watch names, and versions are not tokens.
    assert_accepted("granted before", vec![watch(61, 5_000, 2, 4, 2, &[7])]);
    assert_accepted("a version that is not known before", vec![watch(20, 5_000, 1, 4, 2, &[7])]);
    assert_accepted("nobody knows who held it", vec![watch(20, 5_000, 3, 4, 2, &[])]);
}

#[test]
fn a_watch_does_not_sleep_through_a_grant_that_was_waited_for() {
    let verdict = |holders: &[u64], ends: Vec<Row>| {
        let rows = vec![
            (1, 5, 10, acquire(true), granted(3)),
            (2, 15, 60, acquire(true), granted(7)),
            state(4, 20, 30, 2, holders),
            watch(31, 5_000, 2, 4, 2, holders),
            (1, 50, 55, release(3), Some(Answer::Released)),
        ];
        let history = history([rows, ends].concat());
        assert_eq!(history.verify(), Ok(()));
        let calm = Calm { from: VirtualTime(0), grace_ns: 1_000, slow_ppm_max: 0, lease_us: 0 };
        lock_safety::check_views(&history, Drift::default(), Some(calm)).expect("somebody looks on").verdict
    };
    let given_back = vec![(2, 6_000, 6_001, release(7), Some(Answer::Released))];
    assert_eq!(verdict(&[3], given_back), Verdict::Invalid);
    assert_eq!(verdict(&[3], Vec::new()), Verdict::Valid, "it may have been granted and lost before");
}

fn with_hold(rows: Vec<Row>, until: u64) -> History {
    let mut history = history(rows);
    history.holds = vec![
        Hold {
            client: 1,
            operation: 0,
            resource: resource(),
            exclusive: true,
            permits: 0,
            token: 3,
            from_ns: VirtualTime(10),
            until_ns: VirtualTime(until),
            lapsed: false,
        },
        Hold {
            client: 2,
            operation: 2,
            resource: resource(),
            exclusive: true,
            permits: 0,
            token: 7,
            from_ns: VirtualTime(40),
            until_ns: VirtualTime(70),
            lapsed: false,
        },
    ];
    assert_eq!(history.verify(), Ok(()));
    history
}

/// An operator ends the first hold, then another client acquires the lock.
fn forced(answer: Option<Answer>) -> Vec<Row> {
    let until = if answer.is_some() { 25 } else { 0 };
    vec![
        (1, 5, 10, acquire(true), granted(3)),
        force(20, until, 3, answer),
        (2, 30, 40, acquire(true), granted(7)),
    ]
}

#[test]
fn a_hold_that_an_operator_ended_excludes_nobody() {
    let verdict = |rows, until| lock_safety::check(&with_hold(rows, until), Drift::default(), None).verdict;
    assert_eq!(verdict(forced(Some(Answer::Released)), 60), Verdict::Valid, "its holder has not heard of it");
    assert_eq!(verdict(forced(None), 60), Verdict::Valid, "it may have been ended");
    assert_eq!(verdict(forced(Some(Answer::NotHeld)), 60), Verdict::Invalid, "it was not");
    assert_eq!(verdict(forced(Some(Answer::NotHeld)), 40), Verdict::Valid);
}

#[test]
fn a_lease_after_an_operator_ended_a_hold_its_holder_knows() {
    let judged = |answer, slow_ppm_max, until| {
        let calm = Calm { from: VirtualTime(90_000), grace_ns: 5_000, slow_ppm_max, lease_us: 2 };
        lock_safety::check(&with_hold(forced(answer), until), Drift::default(), Some(calm))
    };
    // The operator had its answer at 25, and a lease is 2,000.
    let (told, late) = (|| Some(Answer::Released), judged(Some(Answer::Released), 0, 2_026));
    assert_eq!(judged(told(), 0, 2_025).verdict, Verdict::Valid);
    assert_eq!(late.verdict, Verdict::Invalid);
    assert!(
        late.counterexample
            .is_some_and(|found| found.contains("more than a lease after that had been ended"))
    );
    assert_eq!(judged(told(), 1_000, 2_026).verdict, Verdict::Valid, "by a slow clock");
    assert_eq!(judged(None, 0, 2_026).verdict, Verdict::Valid, "perhaps it never was ended");
}

#[test]
fn a_hold_that_an_operator_ended_cannot_be_given_back() {
    let after = |answer| {
        let mut rows = forced(Some(Answer::Released));
        rows.push((1, 50, 55, release(3), Some(answer)));
        lock_safety::check(&with_hold(rows, 45), Drift::default(), None).verdict
    };
    assert_eq!(after(Answer::NotHeld), Verdict::Valid);
    assert_eq!(after(Answer::Released), Verdict::Invalid);
    let named = [forced(Some(Answer::Released)), vec![state(4, 26, 28, 5, &[3])]].concat();
    let views = lock_safety::check_views(&history(named), Drift::default(), None).expect("one looks on");
    assert!(views.counterexample.unwrap_or_default().contains("ended by force"));
}

/// It shares the lock, as it believes until it hears that it has all of it, which an operator ends before that.
#[test]
fn a_belief_that_an_upgrade_replaces_ends_with_what_an_operator_ends() {
    let verdict = |answer: Option<Answer>, forced| {
        let upgrade = Call::Upgrade { session: 1, resource: resource(), token: 3, wait_us: 0 };
        let rows = vec![
            (1, 5, 10, acquire(false), granted(3)),
            (1, 15, 45, upgrade, answer),
            force(20, 25, forced, Some(Answer::Released)),
            (2, 30, 40, acquire(true), granted(7)),
        ];
        let mut history = history(rows);
        history.holds = with_hold(two_holds(), 45).holds;
        (history.holds[0].exclusive, history.holds[1].operation) = (false, 3);
        assert_eq!(history.verify(), Ok(()));
        lock_safety::check(&history, Drift::default(), None).verdict
    };
    assert_eq!(verdict(granted(5), 5), Verdict::Valid);
    assert_eq!(verdict(None, 5), Verdict::Valid, "it may have been upgraded");
    assert_eq!(verdict(Some(Answer::NotGranted), 5), Verdict::Invalid);
}

#[test]
fn an_operator_may_end_what_its_own_client_never_heard_of() {
    let rows = vec![(1, 5, 0, acquire(true), None), force(20, 25, 3, Some(Answer::Released))];
    let granted_too = [rows, vec![(2, 30, 40, acquire(true), granted(7))]].concat();
    let report = lock_safety::check(&history(granted_too), Drift::default(), None);
    assert_eq!(report.verdict, Verdict::Valid, "{:?}", report.counterexample);
    let unheard_of = vec![force(20, 25, 3, Some(Answer::Released)), (2, 30, 40, acquire(true), granted(7))];
    assert_eq!(lock_safety::check(&history(unheard_of), Drift::default(), None).verdict, Verdict::Invalid);
}
