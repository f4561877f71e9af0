//! Effects under locks that are in order, and such that are not.

use stormglass_sim::check::{Verdict, guarded};
use stormglass_sim::history::{Answer, Call, Fence, LockMode, LockWant};

use crate::support::{Row, history};

fn acquire(client: u64, from: u64, token: Option<u64>) -> Row {
    let wants = vec![LockWant { resource: "r".to_owned(), mode: LockMode::Exclusive }];
    let answer = token.map(|token| Answer::GrantedAll { tokens: vec![token] });
    (client, from, from + 1, Call::AcquireAll { session: client, wants, wait_us: 0 }, answer)
}

fn write(client: u64, from: u64, token: u64, version: u64) -> Row {
    let call = Call::CacheCompareAndSet {
        key: "k".to_owned(),
        expected_version: None,
        value: 1,
        ttl_us: None,
        fence: Some(Fence { resource: "r".to_owned(), token }),
    };
    (client, from, from + 1, call, Some(Answer::Written { version }))
}

fn verdict(rows: Vec<Row>) -> Verdict {
    guarded::check(&history(rows)).verdict
}

#[test]
fn tokens_of_effects_never_go_back() {
    let holders = || vec![acquire(1, 1, Some(3)), acquire(2, 3, Some(5))];
    let with = |rows: Vec<Row>| verdict([holders(), rows].concat());
    assert_eq!(with(vec![write(1, 5, 3, 10), write(1, 7, 3, 11), write(2, 9, 5, 12)]), Verdict::Valid);
    assert_eq!(with(vec![write(2, 5, 5, 10), write(1, 7, 3, 11)]), Verdict::Invalid);
    // What counts is the order of the versions, not that of the answers.
    assert_eq!(with(vec![write(2, 5, 5, 12), write(1, 7, 3, 11)]), Verdict::Valid);
}

#[test]
fn who_writes_under_a_token_was_granted_it() {
    assert_eq!(verdict(vec![acquire(1, 1, Some(3)), write(1, 5, 3, 10)]), Verdict::Valid);
    assert_eq!(verdict(vec![acquire(1, 1, Some(3)), write(2, 5, 3, 10)]), Verdict::Invalid);
    assert_eq!(verdict(vec![acquire(1, 1, Some(3)), write(1, 5, 4, 10)]), Verdict::Invalid);
    assert_eq!(verdict(vec![acquire(1, 1, None), write(1, 5, 4, 10)]), Verdict::Valid);
}

#[test]
fn without_an_effect_nothing_is_known() {
    assert_eq!(verdict(vec![acquire(1, 1, Some(3))]), Verdict::Unknown);
}
