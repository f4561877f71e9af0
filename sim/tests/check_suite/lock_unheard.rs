//! Tokens of which nobody was answered, used, looked at and written under: such that can have been granted, and such that
//! cannot.

use stormglass_sim::check::{Drift, Verdict, guarded, lock_safety};
use stormglass_sim::history::{Answer, Call, History, LockMode};

use crate::lock_modes::{acquire_all, want};
use crate::support::{Row, acquire, granted, history, release};

use LockMode::{Exclusive, Permits};

/// The verdicts of all checks of locks together, and what they found.
fn judged(history: &History) -> (Verdict, String) {
    assert_eq!(history.verify(), Ok(()));
    let views = lock_safety::check_views(history, Drift::default(), None);
    let all = [lock_safety::check(history, Drift::default(), None), guarded::check(history)];
    let all: Vec<_> = all.into_iter().chain(views).collect();
    let found: Vec<String> = all.iter().filter_map(|report| report.counterexample.clone()).collect();
    (
        Verdict::of_all(all.iter().map(|report| report.verdict).filter(|one| *one != Verdict::Unknown)),
        found.concat(),
    )
}

fn assert_accepted(what: &str, rows: Vec<Row>) {
    assert_eq!(judged(&history(rows)), (Verdict::Valid, String::new()), "{what}");
}

fn assert_rejected(why: &str, rows: Vec<Row>) {
    let (verdict, found) = judged(&history(rows));
    assert!(verdict == Verdict::Invalid && found.contains(why), "{why}: {found:?}");
}

/// Asks, and never hears of it.
fn lost(client: u64, from: u64, exclusive: bool) -> Row {
    (client, from, from + 1, acquire(exclusive), None)
}

fn takes(client: u64, from: u64, exclusive: bool, token: u64) -> Row {
    (client, from, from + 1, acquire(exclusive), granted(token))
}

fn gives_back(client: u64, from: u64, token: u64) -> Row {
    (client, from, from + 1, release(token), Some(Answer::Released))
}

fn state(from: u64, tokens: &[u64]) -> Row {
    let call = Call::LockState { resource: "r".to_owned() };
    (8, from, from + 1, call, Some(Answer::Holders { version: from, tokens: tokens.to_vec() }))
}

fn check(from: u64, token: u64, current: bool) -> Row {
    let latest = (!current).then_some(token);
    let call = Call::CheckToken { resource: "r".to_owned(), token };
    (9, from, from + 1, call, Some(Answer::TokenIs { current, latest }))
}

fn write(client: u64, from: u64, token: u64) -> Row {
    crate::guarded::write(client, from, token, from)
}

#[test]
fn an_unheard_token_is_of_no_use_once_a_conflicting_later_one_was_answered() {
    let with = |mode, other| vec![lost(1, 1, mode), takes(2, 10, other, 7), gives_back(1, 20, 5)];
    assert_rejected("the conflicting token 7", with(true, true));
    assert_rejected("the conflicting token 7", with(true, false));
    assert_rejected("the conflicting token 7", with(false, true));
    assert_accepted("both share", with(false, false));
    assert_accepted("before that", vec![lost(1, 1, true), takes(2, 20, true, 7), gives_back(1, 10, 5)]);
    let either = [with(true, false), vec![lost(3, 2, false)]].concat();
    assert_accepted("it may be that of another request, which shares", either);
    let downgrade = Call::Downgrade { session: 1, resource: "r".to_owned(), token: 5 };
    let downgraded = (1, 20, 21, downgrade, granted(9));
    let not_shared = vec![lost(1, 1, true), lost(3, 2, false), takes(2, 10, false, 7), downgraded];
    assert_rejected("the conflicting token 7", not_shared);
}

#[test]
fn an_unheard_token_has_its_place_in_the_order_of_the_grants() {
    // Token 5 was asked for after token 7 had been answered.
    let late = |from| vec![takes(2, 1, false, 7), lost(1, from, false), gives_back(1, 20, 5)];
    assert_rejected("which nobody was granted", late(10));
    assert_accepted("side by side", late(2));
    // Token 9 was known before token 7 was asked for.
    let known = |from| vec![lost(1, 1, false), gives_back(1, 10, 9), takes(2, from, false, 7)];
    assert_rejected("had been granted under token 9", known(20));
    assert_accepted("side by side", known(11));
    let seen = |from| vec![lost(1, 1, false), state(10, &[9]), takes(2, from, false, 7)];
    assert_rejected("had been granted under token 9", seen(20));
    assert_accepted("side by side", seen(11));
    let early = |from| {
        let slow = (1, 1, 50, acquire(false), granted(9));
        vec![slow, check(10, 9, true), takes(2, from, false, 7)]
    };
    assert_rejected("had been granted under token 9", early(20));
    assert_accepted("side by side", early(11));
    assert_rejected(
        "had been granted under token 9",
        [late(2), vec![write(1, 25, 9), takes(4, 30, false, 8)]].concat(),
    );
}

#[test]
fn each_request_of_unknown_outcome_explains_one_token() {
    let rows = |asked: u64| {
        let lost = (0..asked).map(|n| lost(1, n, false));
        let used = [(20, 5), (30, 6)].map(|(from, token)| gives_back(1, from, token));
        let heard = takes(2, 50, false, 9);
        lost.chain(used).chain([heard]).collect::<Vec<Row>>()
    };
    assert_rejected("2 such tokens", rows(1));
    assert_accepted("one each", rows(2));
}

#[test]
fn a_view_of_an_unheard_token_is_true_or_not() {
    let rows = |view: Row| vec![lost(1, 1, true), takes(2, 10, true, 7), view];
    assert_rejected("excludes token 5", rows(state(20, &[5, 7])));
    assert_rejected("excludes token 5", rows(check(20, 5, true)));
    assert_accepted("before that", rows(check(5, 5, true)));
    assert_rejected("nobody can have been granted token 6", vec![takes(2, 1, true, 7), check(10, 6, false)]);
    let permits = |view: Row| {
        let declare = Call::DeclareSemaphore { resource: "r".to_owned(), permits: 3 };
        let mut unsure = acquire_all(1, 2, &[want("r", Permits(1))], &[]);
        unsure.4 = None;
        let other = acquire_all(2, 10, &[want("r", Permits(1))], &[7]);
        vec![(9, 0, 1, declare, Some(Answer::Declared)), unsure, other, view]
    };
    assert_accepted("permits of one of whom nobody knows", permits(state(20, &[5, 7])));
}

#[test]
fn threads_of_a_client_know_what_it_was_granted() {
    let used =
        |who, row: fn(u64, u64, u64) -> Row| vec![lost(1, 1, true), row(who, 10, 5), takes(4, 30, true, 9)];
    for who in [1, 1_001, 2_001] {
        assert_accepted("a release", used(who, gives_back));
        assert_accepted("a write", used(who, write));
        let heard = |row: Row| vec![takes(1, 1, true, 5), row];
        assert_accepted("a release of what was answered", heard(gives_back(who, 10, 5)));
        assert_accepted("a write under it", heard(write(who, 10, 5)));
    }
    assert_rejected("which nobody was granted", [used(2, gives_back), vec![takes(1, 40, true, 10)]].concat());
    assert_rejected("which it was not granted", [used(2, write), vec![takes(1, 40, true, 10)]].concat());
}

/// As processes of Jepsen do.
#[test]
fn a_process_that_cannot_tell_may_go_on_under_a_new_number() {
    let used = |who, from, row: fn(u64, u64, u64) -> Row| {
        vec![lost(1, 1, true), row(who, from, 5), takes(4, 30, true, 9)]
    };
    assert_accepted("a release", used(6, 2, gives_back));
    assert_accepted("a write", used(6, 2, write));
    let heard = |row: Row| vec![takes(1, 1, true, 3), lost(1, 4, true), row, takes(4, 30, true, 9)];
    assert_accepted("a release of what was answered", heard(gives_back(6, 10, 3)));
    assert_accepted("a write under it", heard(write(6, 10, 3)));
    let there_before = |row| [vec![takes(6, 0, false, 1)], used(6, 10, row)].concat();
    assert_rejected("which nobody was granted", there_before(gives_back));
    assert_rejected("which it was not granted", there_before(write));
    let asks_again = [used(6, 10, gives_back), vec![takes(1, 40, true, 10)]].concat();
    assert_rejected("which nobody was granted", asks_again);
}

#[test]
fn several_resources_in_one_request_explain_a_token_each() {
    let call =
        Call::AcquireAll { session: 1, wants: vec![want("r", Exclusive), want("q", Exclusive)], wait_us: 0 };
    let grants = vec![("r".to_owned(), 5), ("q".to_owned(), 6)];
    let rows = |grants: Vec<(String, u64)>| {
        let given_back = (1, 10, 11, Call::ReleaseAll { grants }, Some(Answer::Released));
        vec![(1, 1, 2, call.clone(), None), given_back, takes(4, 30, true, 9)]
    };
    assert_accepted("one of each", rows(grants.clone()));
    let more = [grants, vec![("r".to_owned(), 7)]].concat();
    assert_rejected("such tokens were asked for", rows(more));
}
