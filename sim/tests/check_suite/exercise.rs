//! Workloads that put something to the test, and trivial ones.

use std::collections::BTreeSet;

use stormglass_sim::check::{Subject, Verdict, exercise};
use stormglass_sim::history::{Hold, VirtualTime};

use crate::support::{Row, acquire, cas, get, granted, history, set, value, written};

fn registers(rows: Vec<Row>) -> Verdict {
    exercise::check(&history(rows), &BTreeSet::from([Subject::Register])).verdict
}

/// Two clients take turns; the second reads what it or the first wrote.
fn reads(own: bool) -> Vec<Row> {
    let row = |n: u64| match (n % 2, own) {
        (0, true) => (2, n * 10 + 1, n * 10 + 5, set(n), written(n + 1)),
        (0, false) => (1, n * 10 + 1, n * 10 + 5, set(n), written(n + 1)),
        _ => (2, n * 10 + 1, n * 10 + 5, get(), value(n - 1, n)),
    };
    std::iter::once((1, 0, 0, get(), None)).chain((0..200).map(row)).collect()
}

#[test]
fn reads_that_only_ever_find_what_their_own_client_wrote_are_trivial() {
    assert_eq!(registers(reads(false)), Verdict::Valid);
    assert_eq!(registers(reads(true)), Verdict::Unknown);
}

#[test]
fn compare_and_sets_that_never_write_are_trivial() {
    let swaps = |wrote: u64| -> Vec<Row> {
        let answer = |n| if n < wrote { written(n + 1) } else { mismatch(n) };
        (0..150).map(|n| (1 + n % 2, n * 10 + 1, n * 10 + 5, cas(Some(0), n + 1), answer(n))).collect()
    };
    assert_eq!(registers(swaps(1)), Verdict::Valid);
    assert_eq!(registers(swaps(0)), Verdict::Unknown);
    assert_eq!(registers(swaps(150)), Verdict::Unknown);
}

fn mismatch(n: u64) -> Option<stormglass_sim::history::Answer> {
    Some(stormglass_sim::history::Answer::Mismatch { value: Some(n), version: Some(n) })
}

#[test]
fn locks_that_nobody_contends_for_are_trivial() {
    let with_hold_until = |until: u64| {
        let row = |n: u64| (1 + n % 2, n * 10 + 1, n * 10 + 5, acquire(true), granted(n + 1));
        let mut history = history((0..150).map(row).collect());
        history.holds = vec![Hold {
            client: 1,
            operation: 0,
            resource: "r".to_owned(),
            exclusive: true,
            permits: 0,
            token: 1,
            from_ns: VirtualTime(5),
            until_ns: VirtualTime(until),
            lapsed: false,
        }];
        exercise::check(&history, &BTreeSet::from([Subject::Lock])).verdict
    };
    assert_eq!(with_hold_until(12), Verdict::Valid);
    assert_eq!(with_hold_until(11), Verdict::Unknown);
}

#[test]
fn one_client_alone_need_not_contend() {
    let rows = (0..150).map(|n| (1, n * 10 + 1, n * 10 + 5, acquire(true), granted(n + 1)));
    let report = exercise::check(&history(rows.collect()), &BTreeSet::from([Subject::Lock]));
    assert_eq!(report.verdict, Verdict::Valid);
}
