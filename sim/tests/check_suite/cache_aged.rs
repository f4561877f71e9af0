//! Histories with evictions and with reads that may be stale: which of them cache safety accepts, and which it
//! rejects. Times are in microseconds.

use stormglass_sim::check::cache_safety::{self, CacheKeys};
use stormglass_sim::check::{Calm, CheckReport, Drift, Verdict};
use stormglass_sim::history::{Answer, Call, VirtualTime};

use crate::support::{Row, history};

fn key() -> String {
    "k".to_owned()
}

fn row(client: u64, from_us: u64, until_us: u64, call: Call, answer: Answer) -> Row {
    (client, from_us * 1_000, until_us * 1_000, call, Some(answer))
}

fn set(from_us: u64, until_us: u64, value: i64, version: u64) -> Row {
    let call = Call::CacheSet { key: key(), value, ttl_us: None };
    row(1, from_us, until_us, call, Answer::Written { version })
}

fn get(from_us: u64, until_us: u64, seen: Option<(i64, u64)>) -> Row {
    let (value, version) = seen.unzip();
    let answer = Answer::Cached { value, version, local: false };
    row(2, from_us, until_us, Call::CacheGet { key: key(), near: false }, answer)
}

fn aged(from_us: u64, until_us: u64, age_us_max: u64, age_us: u64, seen: Option<(i64, u64)>) -> Row {
    let (value, version) = seen.unzip();
    let answer = Answer::CachedThen { value, version, age_us };
    row(3, from_us, until_us, Call::CacheGetWithin { key: key(), age_us_max }, answer)
}

fn bounded(at_us: u64) -> Row {
    row(9, at_us, at_us + 1, Call::CacheConfigure { entries_max: 2 }, Answer::Declared)
}

fn report(rows: Vec<Row>, slow_ppm_max: u64) -> CheckReport {
    let history = history(rows);
    assert_eq!(history.verify(), Ok(()));
    let calm = Calm { from: VirtualTime(0), grace_ns: 1_000_000, slow_ppm_max, lease_us: 0 };
    cache_safety::check(&history, Drift { fast_ppm_max: slow_ppm_max }, Some(calm))
}

fn assert_accepted(what: &str, rows: Vec<Row>) {
    let report = report(rows, 0);
    assert_eq!(report.verdict, Verdict::Valid, "{what}: {:?}", report.counterexample);
}

fn assert_rejected(why: &str, rows: Vec<Row>) {
    let report = report(rows, 0);
    let found = report.counterexample.unwrap_or_default();
    assert!(report.verdict == Verdict::Invalid && found.contains(why), "{why}: {found:?}");
}

#[test]
fn what_was_evicted_is_not_found_and_does_not_come_back() {
    let begin = || vec![bounded(1), set(10, 20, 5, 3)];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted("an eviction", with(vec![get(30, 31, None), get(40, 41, None)]));
    assert_accepted(
        "written anew",
        with(vec![get(30, 31, None), set(40, 50, 6, 9), get(60, 61, Some((6, 9)))]),
    );
    assert_rejected("found nothing", with(vec![get(30, 31, None), get(40, 41, Some((5, 3)))]));
    let unbounded = vec![set(10, 20, 5, 3), get(30, 31, None)];
    assert_rejected("found nothing", unbounded);
    let later = vec![set(10, 20, 5, 3), get(30, 31, None), bounded(50), get(60, 61, None)];
    assert_rejected("found nothing", later);
}

#[test]
fn a_write_where_there_is_nothing_may_follow_an_eviction() {
    let absent = || {
        let call = Call::CacheSetIfAbsent { key: key(), value: 90, ttl_us: None };
        row(4, 30, 31, call, Answer::Written { version: 9 })
    };
    assert_accepted(
        "after an eviction",
        vec![bounded(1), set(10, 20, 5, 3), absent(), get(40, 41, Some((90, 9)))],
    );
    assert_rejected("what came before it", vec![set(10, 20, 5, 3), absent(), get(40, 41, Some((90, 9)))]);
}

#[test]
fn keys_that_may_be_evicted_are_no_registers() {
    let rows = || vec![set(10, 20, 5, 3), get(30, 31, Some((5, 3)))];
    let searched = |history| CacheKeys::of(&history).registers().map(|key| key.entries.len()).sum::<usize>();
    assert_eq!(searched(history(rows())), 2);
    assert_eq!(searched(history([vec![bounded(1)], rows()].concat())), 0);
}

#[test]
fn a_read_is_no_older_than_its_age() {
    let begin = || vec![set(10, 20, 5, 3), set(100, 120, 6, 8)];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted("the latest", with(vec![aged(150, 151, 100, 40, Some((6, 8)))]));
    assert_accepted("older than the write", with(vec![aged(150, 151, 100, 40, Some((5, 3)))]));
    assert_rejected("and called it 20 us old", with(vec![aged(150, 151, 100, 20, Some((5, 3)))]));
    assert_accepted("nothing, long ago", with(vec![aged(150, 151, 200, 135, None)]));
    assert_rejected("saw nothing and called it 110 us old", with(vec![aged(150, 151, 200, 110, None)]));
    // It may show what is newer than its age says, and then an older state again.
    let back = vec![aged(150, 151, 100, 40, Some((6, 8))), aged(152, 153, 100, 60, Some((5, 3)))];
    assert_accepted("an older state after a newer one", with(back));
    assert_rejected("nobody can have written", with(vec![aged(150, 151, 100, 40, Some((7, 8)))]));
}

#[test]
fn a_slow_clock_makes_the_age_longer() {
    let rows = || vec![set(10, 20, 5, 3), set(100, 120, 6, 8), aged(150, 151, 100, 20, Some((5, 3)))];
    assert_eq!(report(rows(), 0).verdict, Verdict::Invalid);
    // At half its speed it counts 20 us in 40.
    assert_eq!(report(rows(), 500_000).verdict, Verdict::Valid);
}

#[test]
fn a_state_older_than_allowed_was_asked_around_for() {
    assert_accepted(
        "as long as the question took",
        vec![set(10, 20, 5, 3), aged(150, 220, 50, 70, Some((5, 3)))],
    );
    assert_rejected("but allowed 50 us", vec![set(10, 20, 5, 3), aged(150, 160, 50, 70, Some((5, 3)))]);
}

#[test]
fn what_is_of_now_and_what_was_not_allowed_is_judged_without_a_calm() {
    let judged = |rows: Vec<Row>| cache_safety::check(&history(rows), Drift::default(), None).verdict;
    let begin = || vec![set(10, 20, 5, 3), set(100, 120, 6, 8)];
    let with = |row: Row| judged([begin(), vec![row]].concat());
    assert_eq!(with(aged(150, 151, 100, 0, Some((6, 8)))), Verdict::Valid);
    assert_eq!(with(aged(150, 151, 100, 0, Some((5, 3)))), Verdict::Invalid);
    assert_eq!(with(aged(150, 151, 100, 0, None)), Verdict::Invalid);
    assert_eq!(with(aged(150, 151, 100, 1, Some((5, 3)))), Verdict::Valid, "a clock may hardly run");
    assert_eq!(with(aged(150, 151, 50, 70, Some((6, 8)))), Verdict::Invalid);
}
