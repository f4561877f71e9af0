//! Effects under locks that are in order, and such that are not.

use stormglass_sim::check::{Drift, Subject, Terms, Verdict, guarded, judge_subject};
use stormglass_sim::history::{Answer, Call, Fence, LockMode, LockWant};

use crate::support::{Row, history};

fn acquire(client: u64, from: u64, token: Option<u64>) -> Row {
    let wants = vec![LockWant { resource: "r".to_owned(), mode: LockMode::Exclusive }];
    let answer = token.map(|token| Answer::GrantedAll { tokens: vec![token] });
    (client, from, from + 1, Call::AcquireAll { session: client, wants, wait_us: 0 }, answer)
}

pub(crate) fn write(client: u64, from: u64, token: u64, version: u64) -> Row {
    let call = Call::CacheCompareAndSet {
        key: "k".to_owned(),
        expected_version: None,
        value: 1,
        ttl_us: None,
        fence: Some(Box::new(Fence { resource: "r".to_owned(), token })),
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

fn under(resource: &str, mut row: Row) -> Row {
    if let Call::CacheCompareAndSet { fence: Some(fence), .. } = &mut row.3 {
        fence.resource = resource.to_owned();
    }
    if let Call::AcquireAll { wants, .. } = &mut row.3 {
        wants[0].resource = resource.to_owned();
    }
    row
}

#[test]
fn tokens_go_back_across_what_another_lock_guards() {
    let rows = |last: u64| {
        vec![
            acquire(1, 1, Some(3)),
            acquire(2, 3, Some(5)),
            under("q", acquire(3, 3, Some(1))),
            write(2, 5, 5, 10),
            under("q", write(3, 7, 1, 11)),
            write(if last == 3 { 1 } else { 2 }, 9, last, 12),
        ]
    };
    assert_eq!(verdict(rows(5)), Verdict::Valid);
    assert_eq!(verdict(rows(3)), Verdict::Invalid);
}

#[test]
fn an_effect_that_nobody_was_answered_counts_once_it_is_seen() {
    let seen = |version: u64| {
        let call = Call::CacheGet { key: "k".to_owned(), near: false };
        let answer = Answer::Cached { value: Some(1), version: Some(version), local: false };
        let mut late = write(1, 5, 3, 0);
        late.4 = None;
        if let Call::CacheCompareAndSet { value, .. } = &mut late.3 {
            *value = 2;
        }
        let mut early = write(2, 5, 5, 10);
        early.4 = Some(Answer::Written { version: 10 });
        let mut get = (4, 20, 21, call, Some(answer));
        if let Some(Answer::Cached { value, .. }) = &mut get.4 {
            *value = Some(2);
        }
        vec![acquire(1, 1, Some(3)), acquire(2, 3, Some(5)), early, late, get]
    };
    assert_eq!(verdict(seen(9)), Verdict::Valid);
    assert_eq!(verdict(seen(11)), Verdict::Invalid);
    let aged = |version| {
        let mut rows = seen(version);
        let last = rows.last_mut().expect("there is a read");
        last.3 = Call::CacheGetWithin { key: "k".to_owned(), age_us_max: 5 };
        last.4 = Some(Answer::CachedThen { value: Some(2), version: Some(version), age_us: 0 });
        rows
    };
    assert_eq!(verdict(aged(9)), Verdict::Valid);
    assert_eq!(verdict(aged(11)), Verdict::Invalid);
}

/// Another key is another order: whoever holds the lock next finds what was written there.
#[test]
fn a_late_write_to_a_key_that_nobody_wrote_since_is_in_order() {
    let mut late = write(1, 9, 3, 11);
    if let Call::CacheCompareAndSet { key, .. } = &mut late.3 {
        *key = "q".to_owned();
    }
    let rows = vec![acquire(1, 1, Some(3)), acquire(2, 3, Some(5)), write(2, 5, 5, 10), late];
    assert_eq!(verdict(rows), Verdict::Valid);
}

#[test]
fn a_lock_may_guard_a_cache_without_any_topic() {
    let get = Call::CacheGet { key: "k".to_owned(), near: false };
    let seen = Answer::Cached { value: Some(1), version: Some(10), local: false };
    let rows = vec![acquire(1, 1, Some(3)), write(1, 5, 3, 10), (2, 9, 10, get, Some(seen))];
    let history = history(rows);
    let terms =
        Terms { history: &history, drift: Drift::default(), calm: None, budget_steps: 1_000, at_once: false };
    let reports = judge_subject(Subject::Guarded, &terms);
    let verdicts: Vec<(&str, Verdict)> =
        reports.iter().map(|report| (report.name.as_str(), report.verdict)).collect();
    assert!(
        verdicts.len() >= 3 && verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Valid),
        "{verdicts:?}"
    );
}

#[test]
fn nobody_writes_under_a_token_before_it_was_asked_for() {
    assert_eq!(verdict(vec![write(1, 5, 3, 10), acquire(1, 7, Some(3))]), Verdict::Invalid);
    let mut unsure = acquire(1, 7, None);
    unsure.2 = 9;
    assert_eq!(verdict(vec![write(1, 5, 3, 10), unsure]), Verdict::Invalid);
}

#[test]
fn a_token_may_come_from_any_way_to_get_a_lock() {
    let shared = Call::Acquire { resource: "r".to_owned(), exclusive: false, wait_us: 0 };
    let upgrade = Call::Upgrade { session: 1, resource: "r".to_owned(), token: 3, wait_us: 0 };
    let rows = |client| {
        vec![
            (1, 1, 2, shared.clone(), Some(Answer::Granted { token: 3 })),
            (1, 3, 4, upgrade.clone(), Some(Answer::Granted { token: 4 })),
            write(client, 5, 4, 10),
        ]
    };
    assert_eq!(verdict(rows(1)), Verdict::Valid);
    assert_eq!(verdict(rows(2)), Verdict::Invalid);
}

#[test]
fn without_an_effect_nothing_is_known() {
    assert_eq!(verdict(vec![acquire(1, 1, Some(3))]), Verdict::Unknown);
}

#[test]
fn what_somebody_else_wrote_without_a_lock_is_no_effect_of_a_write_that_nobody_was_answered() {
    let unheard = |mut row: Row| {
        row.4 = None;
        row
    };
    let plain = |version| {
        let call = Call::CacheSet { key: "k".to_owned(), value: 1, ttl_us: None };
        (3, 11, 12, call, Some(Answer::Written { version }))
    };
    let read = |version| {
        let call = Call::CacheGet { key: "k".to_owned(), near: false };
        let answer = Answer::Cached { value: Some(1), version: Some(version), local: false };
        (3, 13, 14, call, Some(answer))
    };
    let with = |rows: Vec<Row>| {
        let holders = vec![acquire(1, 1, Some(3)), unheard(write(1, 3, 3, 0)), acquire(2, 5, Some(5))];
        verdict([holders, vec![write(2, 7, 5, 10)], rows].concat())
    };
    assert_eq!(with(vec![read(11)]), Verdict::Invalid);
    assert_eq!(with(vec![plain(11), read(11)]), Verdict::Valid);
}
