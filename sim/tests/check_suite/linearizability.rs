//! Histories written by hand that the check of linearizability accepts, and such that it rejects.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{LockModel, RegisterModel, STEPS_MAX, Tier, check_history};
use stormglass_sim::history::{Answer, Call, History, Outcome};

use crate::support::{
    Row, acquire, cas, delete, deleted, get, granted, history, mismatch, nothing, release, set, value,
    written,
};

fn register(rows: Vec<Row>) -> Verdict {
    check_history(&RegisterModel, &history(rows), STEPS_MAX).verdict
}

fn lock(rows: Vec<Row>) -> Verdict {
    check_history(&LockModel, &history(rows), STEPS_MAX).verdict
}

#[test]
fn linearizable_register_histories_are_accepted() {
    let accepted: Vec<(&str, Vec<Row>)> = vec![
        ("a read before any write finds nothing", vec![(1, 1, 2, get(), nothing())]),
        (
            "a read sees the write before it",
            vec![(1, 1, 2, set(5), written(3)), (2, 3, 4, get(), value(5, 3))],
        ),
        (
            "a read beside a write may miss it",
            vec![(1, 1, 5, set(5), written(3)), (2, 2, 4, get(), nothing())],
        ),
        (
            "a read beside a write may see it",
            vec![(1, 1, 5, set(5), written(3)), (2, 2, 4, get(), value(5, 3))],
        ),
        (
            "a write without an answer takes effect long after its client gave up",
            vec![(1, 1, 2, set(5), None), (2, 3, 4, get(), nothing()), (2, 5, 6, get(), value(5, 9))],
        ),
        (
            "a write without an answer never takes effect",
            vec![(1, 1, 2, set(5), None), (2, 3, 4, get(), nothing()), (2, 5, 6, get(), nothing())],
        ),
        (
            "a compare-and-set without an answer is seen by another",
            vec![
                (1, 1, 2, set(5), written(1)),
                (2, 3, 4, cas(Some(5), 6), None),
                (1, 5, 6, cas(Some(6), 7), written(4)),
            ],
        ),
        (
            "a delete without an answer explains a read of nothing",
            vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, delete(), None), (1, 5, 6, get(), nothing())],
        ),
        (
            "an unseen write explains that something was there to delete",
            vec![(1, 1, 2, set(5), None), (2, 3, 4, delete(), deleted(true, 8))],
        ),
        (
            "a compare-and-set that finds something else changes nothing",
            vec![
                (1, 1, 2, set(5), written(1)),
                (2, 3, 4, cas(None, 6), mismatch(Some(5), Some(1))),
                (1, 5, 6, get(), value(5, 1)),
            ],
        ),
        (
            "deleting nothing still takes a version",
            vec![(1, 1, 2, delete(), deleted(false, 1)), (1, 3, 4, set(5), written(2))],
        ),
        (
            "equal times order nothing between clients",
            vec![(1, 1, 3, set(5), written(1)), (2, 3, 4, get(), nothing())],
        ),
    ];
    for (what, rows) in accepted {
        assert_eq!(register(rows), Verdict::Valid, "{what}");
    }
}

#[test]
fn other_register_histories_are_rejected() {
    let rejected: Vec<(&str, Vec<Row>)> = vec![
        ("a read misses a write before it", vec![(1, 1, 2, set(5), written(3)), (2, 3, 4, get(), nothing())]),
        ("a value out of thin air", vec![(1, 1, 2, get(), value(5, 3))]),
        (
            "a value is read before its write is invoked",
            vec![(2, 1, 2, get(), value(5, 3)), (1, 3, 4, set(5), None)],
        ),
        (
            "reads go back in time",
            vec![
                (1, 1, 2, set(5), written(1)),
                (1, 3, 9, set(6), written(2)),
                (2, 4, 5, get(), value(6, 2)),
                (3, 6, 7, get(), value(5, 1)),
            ],
        ),
        (
            "a write without an answer is seen, then unseen",
            vec![
                (1, 1, 2, set(5), written(1)),
                (2, 3, 4, set(6), None),
                (1, 5, 6, get(), value(6, 2)),
                (1, 7, 8, get(), value(5, 1)),
            ],
        ),
        (
            "an update is lost: both swap the same value",
            vec![
                (1, 1, 2, set(5), written(1)),
                (1, 3, 6, cas(Some(5), 6), written(2)),
                (2, 3, 6, cas(Some(5), 7), written(3)),
            ],
        ),
        (
            "a retried write takes effect twice",
            vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, set(6), written(2)), (1, 5, 6, get(), value(5, 3))],
        ),
        ("one version for two writes", vec![(1, 1, 5, set(5), written(1)), (2, 2, 6, set(6), written(1))]),
        (
            "versions fall in real-time order",
            vec![(1, 1, 2, set(5), written(2)), (1, 3, 4, set(6), written(1))],
        ),
        (
            "the right value with another's version",
            vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, get(), value(5, 2))],
        ),
        (
            "a value without a version",
            vec![
                (1, 1, 2, set(5), written(1)),
                (2, 3, 4, get(), Some(Answer::Value { value: Some(5), version: None })),
            ],
        ),
        (
            "a mismatch that matches",
            vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, cas(Some(5), 6), mismatch(Some(5), Some(1)))],
        ),
        (
            "a delete that finds nothing where something is",
            vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, delete(), deleted(false, 2))],
        ),
        (
            "a deleted value comes back",
            vec![
                (1, 1, 2, set(5), written(1)),
                (2, 3, 4, delete(), deleted(true, 2)),
                (1, 5, 6, get(), value(5, 1)),
            ],
        ),
        (
            "a client's next operation, at the same moment, misses its write",
            vec![(1, 1, 3, set(5), written(1)), (1, 3, 4, get(), nothing())],
        ),
        ("an answer of another kind", vec![(1, 1, 2, get(), written(1))]),
    ];
    for (what, rows) in rejected {
        assert_eq!(register(rows), Verdict::Invalid, "{what}");
    }
}

#[test]
fn a_write_that_definitely_failed_cannot_be_seen() {
    let mut history = history(vec![(1, 1, 2, set(5), None), (2, 3, 4, get(), value(5, 1))]);
    history.operations[0].outcome = Outcome::Fail { reason: "refused".to_owned() };
    assert_eq!(check_history(&RegisterModel, &history, STEPS_MAX).verdict, Verdict::Invalid);
}

#[test]
fn lock_histories_are_told_apart() {
    let accepted: Vec<(&str, Vec<Row>)> = vec![
        (
            "one after the other",
            vec![
                (1, 1, 2, acquire(true), granted(3)),
                (1, 3, 4, release(3), Some(Answer::Released)),
                (2, 5, 6, acquire(true), granted(7)),
            ],
        ),
        (
            "a lease runs out, and the release says so",
            vec![
                (1, 1, 2, acquire(true), granted(3)),
                (2, 3, 4, acquire(true), granted(7)),
                (1, 5, 6, release(3), Some(Answer::NotHeld)),
            ],
        ),
        (
            "shared holders release in any order",
            vec![
                (1, 1, 2, acquire(false), granted(3)),
                (2, 3, 4, acquire(false), granted(4)),
                (1, 5, 6, release(3), Some(Answer::Released)),
                (2, 7, 8, release(4), Some(Answer::Released)),
            ],
        ),
        (
            "a waiter is granted at the moment of the release",
            vec![
                (1, 1, 2, acquire(true), granted(3)),
                (2, 3, 9, acquire(true), granted(5)),
                (1, 4, 10, release(3), Some(Answer::Released)),
            ],
        ),
    ];
    for (what, rows) in accepted {
        assert_eq!(lock(rows), Verdict::Valid, "{what}");
    }
    let rejected: Vec<(&str, Vec<Row>)> = vec![
        ("tokens fall", vec![(1, 1, 2, acquire(true), granted(7)), (2, 3, 4, acquire(true), granted(3))]),
        (
            "one token twice",
            vec![(1, 1, 4, acquire(false), granted(3)), (2, 1, 4, acquire(false), granted(3))],
        ),
        (
            "a release succeeds after a conflicting grant",
            vec![
                (1, 1, 2, acquire(true), granted(3)),
                (2, 3, 4, acquire(false), granted(7)),
                (1, 5, 6, release(3), Some(Answer::Released)),
            ],
        ),
        ("a release of what nobody was granted", vec![(1, 1, 2, release(3), Some(Answer::Released))]),
        (
            "released twice",
            vec![
                (1, 1, 2, acquire(true), granted(3)),
                (1, 3, 4, release(3), Some(Answer::Released)),
                (1, 5, 6, release(3), Some(Answer::Released)),
            ],
        ),
        (
            "held again after it was found not to be",
            vec![
                (1, 1, 2, acquire(true), granted(3)),
                (1, 3, 4, release(3), Some(Answer::NotHeld)),
                (1, 5, 6, release(3), Some(Answer::Released)),
            ],
        ),
        (
            "tokens fall within one moment, with a release between them that proves nothing",
            vec![
                (1, 1, 2, acquire(true), None),
                (1, 3, 6, acquire(true), granted(2)),
                (1, 6, 6, release(9), Some(Answer::NotHeld)),
                (1, 6, 7, acquire(true), granted(1)),
            ],
        ),
    ];
    for (what, rows) in rejected {
        assert_eq!(lock(rows), Verdict::Invalid, "{what}");
    }
}

/// What came after it is put aside at once, not group by group.
#[test]
fn an_early_violation_of_a_lock_that_is_used_for_long_is_shown_at_once() {
    let hold = |n: u64| {
        let at = 10 * n;
        [
            (1, at + 1, at + 2, acquire(true), granted(n)),
            (1, at + 3, at + 4, release(n), Some(Answer::Released)),
        ]
    };
    let mut rows: Vec<Row> = (1..=10_000).flat_map(hold).collect();
    for (what, spoiled) in [
        ("released twice", (1, 55, 56, release(5), Some(Answer::Released))),
        ("released, never granted", (1, 55, 56, release(20_000), Some(Answer::Released))),
        ("granted twice", (1, 55, 56, acquire(true), granted(5))),
        ("granted under an earlier token", (1, 55, 56, acquire(true), granted(0))),
    ] {
        rows.push(spoiled);
        let result = check_history(&LockModel, &history(rows.clone()), STEPS_MAX);
        let found = result.refutation.expect(what);
        assert_eq!((result.verdict, found.found_by), (Verdict::Invalid, Tier::Rule), "{what}");
        assert!(found.operations_shown <= 3 && found.steps < 1_000, "{what}: {found:?}");
        rows.pop();
    }
    // A grant too late for its token: whoever sees both grants sees it.
    rows.push((2, 55, 56, acquire(true), granted(20_000)));
    let result = check_history(&LockModel, &history(rows), STEPS_MAX);
    let found = result.refutation.expect("tokens rise");
    assert!(found.operations_shown <= 3 && found.steps < 1_000, "{found:?}");
}

#[test]
fn nothing_to_judge_is_unknown() {
    assert_eq!(register(Vec::new()), Verdict::Unknown);
    assert_eq!(register(vec![(1, 1, 2, set(5), None)]), Verdict::Unknown);
    assert_eq!(register(vec![(1, 1, 2, acquire(true), granted(1))]), Verdict::Unknown);
    assert_eq!(lock(Vec::new()), Verdict::Unknown);
}

/// Without ranks and replays to help: concurrent deletes of unknown outcome and reads that need them.
fn hard(key: &str) -> Vec<Row> {
    let call = |value| Call::Set { key: key.to_owned(), value };
    let mut rows: Vec<Row> = (0..24).map(|n| (n, 1, 0, call(n % 3), None)).collect();
    for n in 0..24 {
        let read = Call::Get { key: key.to_owned() };
        rows.push((100, 10 + 2 * n, 11 + 2 * n, read, value((n * n) % 3, 50 + 7 * n)));
    }
    let read = Call::Get { key: key.to_owned() };
    rows.push((100, 100, 101, read, value(7, 999)));
    rows
}

#[test]
fn a_hard_object_does_not_hide_an_easy_violation_in_another() {
    let mut rows = hard("hard");
    rows.push((200, 1, 2, Call::Get { key: "zebra".to_owned() }, value(5, 3)));
    let alone = check_history(&RegisterModel, &history(hard("hard")), 20_000);
    assert_ne!(alone.verdict, Verdict::Valid);
    let result = check_history(&RegisterModel, &history(rows), 20_000);
    assert_eq!(result.verdict, Verdict::Invalid);
    let shown = result.counterexample.unwrap_or_default();
    assert!(shown.contains("zebra"), "{shown}");
}

#[test]
fn an_exhausted_budget_is_unknown() {
    let history = history(hard("hard"));
    let result = check_history(&RegisterModel, &history, 10);
    assert_eq!((result.verdict, result.undecided), (Verdict::Unknown, 1));
    assert!((10..100).contains(&result.steps), "{} steps", result.steps);
}

#[test]
fn the_tier_that_decided_is_told() {
    let easy = history(vec![(1, 1, 2, set(5), written(3)), (2, 3, 4, get(), value(5, 3))]);
    let result = check_history(&RegisterModel, &easy, STEPS_MAX);
    assert_eq!((result.decided.by(Tier::Replay), result.decided.by(Tier::Search), result.steps), (1, 0, 2));
    let stale = history(vec![
        (1, 1, 2, set(5), written(3)),
        (1, 3, 4, set(6), written(4)),
        (2, 5, 6, get(), value(5, 3)),
    ]);
    let result = check_history(&RegisterModel, &stale, STEPS_MAX);
    assert_eq!(result.decided.by(Tier::Rule), 1);
    let found = result.refutation.expect("it is a violation");
    assert_eq!((found.found_by, found.confirmed_by), (Tier::Rule, Some(Tier::Search)));
    let needs_more =
        history(vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, delete(), None), (1, 5, 6, get(), nothing())]);
    let result = check_history(&RegisterModel, &needs_more, STEPS_MAX);
    assert_eq!(result.decided.by(Tier::Search), 1);
}

#[test]
fn a_violation_is_shown_with_what_came_before_and_what_is_stuck() {
    let history: History = history(vec![
        (1, 1_000_000, 2_000_000, set(5), written(3)),
        (2, 3_000_000, 4_000_000, set(6), written(4)),
        (1, 5_000_000, 6_000_000, get(), value(5, 3)),
    ]);
    let result = check_history(&RegisterModel, &history, STEPS_MAX);
    insta::assert_snapshot!(result.counterexample.unwrap_or_default(), @r#"
    register "k": 3 operations, of which 2 can be put in an order, and then none can follow
      then  #0 c1 set 5 -> written (version 3)  [0.001000s, 0.002000s]
      then  #1 c2 set 6 -> written (version 4)  [0.003000s, 0.004000s]
      state RegisterState { value: Some(6), version: Known(4) }
      stuck #2 c1 get -> 5 (version 3)  [0.005000s, 0.006000s]
      found by rule, confirmed by search
    "#);
}

#[test]
fn a_violation_is_shown_without_what_has_nothing_to_do_with_it() {
    let mut rows: Vec<Row> = (0..200).map(|n| (1, 10 * n + 1, 10 * n + 5, set(n), written(n + 1))).collect();
    rows.extend((1..200).map(|n| (2, 10 * n + 6, 10 * n + 8, get(), value(n, n + 1))));
    rows.push((3, 1506, 1508, get(), value(120, 121)));
    let result = check_history(&RegisterModel, &history(rows), STEPS_MAX);
    assert_eq!(result.verdict, Verdict::Invalid);
    let found = result.refutation.expect("it is a violation");
    assert_eq!((found.operations, found.operations_shown), (400, 3));
    insta::assert_snapshot!(result.counterexample.unwrap_or_default(), @r#"
    register "k": 3 of 400 operations, of which 2 can be put in an order, and then none can follow
      then  #239 c1 set 120 -> written (version 121)  [0.000001s, 0.000001s]
      then  #299 c1 set 150 -> written (version 151)  [0.000001s, 0.000001s]
      state RegisterState { value: Some(150), version: Known(151) }
      stuck #301 c3 get -> 120 (version 121)  [0.000001s, 0.000001s]
      found by rule, confirmed by search
    "#);
}
