//! Holds and grants that lock safety accepts, and such that it rejects.

use stormglass_sim::check::{Drift, Verdict, lock_safety};
use stormglass_sim::history::{Answer, Call, History, Hold, Outcome, VirtualTime};

use crate::support::{Row, acquire, granted, history, release};

/// Client, operation, exclusive, token, from, until.
type Span = (u64, u64, bool, u64, u64, u64);

fn with_holds(rows: Vec<Row>, spans: &[Span]) -> History {
    let mut history = history(rows);
    let hold = |&(client, operation, exclusive, token, from, until): &Span| Hold {
        client,
        operation,
        resource: "r".to_owned(),
        exclusive,
        permits: 0,
        token,
        from_ns: VirtualTime(from),
        until_ns: VirtualTime(until),
        lapsed: false,
    };
    history.holds = spans.iter().map(hold).collect();
    assert_eq!(history.verify(), Ok(()));
    history
}

fn verdict(rows: Vec<Row>, spans: &[Span]) -> Verdict {
    lock_safety::check(&with_holds(rows, spans), Drift::default(), None).verdict
}

fn two_grants(exclusive: [bool; 2]) -> Vec<Row> {
    vec![(1, 1, 10, acquire(exclusive[0]), granted(3)), (2, 2, 30, acquire(exclusive[1]), granted(7))]
}

#[test]
fn holds_conflict_exactly_if_they_overlap_and_one_is_exclusive() {
    let overlap = |exclusive: [bool; 2]| {
        verdict(two_grants(exclusive), &[(1, 0, exclusive[0], 3, 10, 31), (2, 1, exclusive[1], 7, 30, 40)])
    };
    assert_eq!(overlap([true, true]), Verdict::Invalid);
    assert_eq!(overlap([true, false]), Verdict::Invalid);
    assert_eq!(overlap([false, true]), Verdict::Invalid);
    assert_eq!(overlap([false, false]), Verdict::Valid);
}

#[test]
fn nobody_believes_to_hold_what_another_gave_back_later_with_success() {
    let given_back = |at| (2, at, at + 1, release(7), Some(Answer::Released));
    let rows = |at| [two_grants([true, true]), vec![given_back(at)]].concat();
    assert_eq!(verdict(rows(50), &[(1, 0, true, 3, 10, 30)]), Verdict::Valid);
    assert_eq!(verdict(rows(50), &[(1, 0, true, 3, 10, 31)]), Verdict::Invalid);
    let sharing = [two_grants([false, false]), vec![given_back(50)]].concat();
    assert_eq!(verdict(sharing, &[(1, 0, false, 3, 10, 60)]), Verdict::Valid);
}

#[test]
fn a_hold_may_begin_at_the_moment_at_which_the_other_ends() {
    let spans = [(1, 0, true, 3, 10, 30), (2, 1, true, 7, 30, 40)];
    assert_eq!(verdict(two_grants([true, true]), &spans), Verdict::Valid);
}

#[test]
fn a_long_hold_conflicts_with_a_later_one_across_a_short_one() {
    let rows = vec![
        (1, 1, 10, acquire(true), granted(3)),
        (2, 1, 10, acquire(false), granted(4)),
        (3, 1, 30, acquire(false), granted(5)),
    ];
    let spans = [(2, 1, false, 4, 10, 60), (3, 2, false, 5, 30, 40), (1, 0, true, 3, 50, 55)];
    assert_eq!(verdict(rows, &spans), Verdict::Invalid);
}

#[test]
fn tokens_rise_in_the_order_of_grants_and_are_unique() {
    let after = |first, second| {
        verdict(
            vec![(1, 1, 2, acquire(true), granted(first)), (2, 3, 4, acquire(true), granted(second))],
            &[],
        )
    };
    assert_eq!(after(3, 7), Verdict::Valid);
    assert_eq!(after(7, 3), Verdict::Invalid);
    assert_eq!(after(3, 3), Verdict::Invalid);
    let beside = vec![(1, 1, 5, acquire(true), granted(7)), (2, 2, 6, acquire(true), granted(3))];
    assert_eq!(verdict(beside, &[]), Verdict::Valid);
}

#[test]
fn a_hold_needs_the_grant_that_it_names() {
    let span = [(1, 0, true, 3, 10, 20)];
    assert_eq!(verdict(vec![(1, 1, 10, acquire(true), granted(3))], &span), Verdict::Valid);
    assert_eq!(verdict(vec![(1, 1, 10, acquire(true), granted(4))], &span), Verdict::Invalid);
    assert_eq!(verdict(vec![(1, 11, 12, acquire(true), granted(3))], &span), Verdict::Invalid);
    assert_eq!(verdict(vec![(1, 1, 10, acquire(true), Some(Answer::NotGranted))], &span), Verdict::Invalid);
    assert_eq!(verdict(vec![(1, 1, 10, acquire(true), None)], &span), Verdict::Valid);
    let mut refused = with_holds(vec![(1, 1, 10, acquire(true), None)], &span);
    refused.operations[0].outcome = Outcome::Fail { reason: "refused".to_owned() };
    assert_eq!(lock_safety::check(&refused, Drift::default(), None).verdict, Verdict::Invalid);
}

#[test]
fn a_release_succeeds_only_for_what_is_held() {
    let released = Some(Answer::Released);
    let first = (1, 1, 2, acquire(true), granted(3));
    let rival = (2, 3, 4, acquire(true), granted(7));
    let accepted: Vec<(&str, Vec<Row>)> = vec![
        ("once", vec![first.clone(), (1, 3, 4, release(3), released.clone())]),
        (
            "before the rival is answered",
            vec![
                first.clone(),
                (2, 3, 9, acquire(true), granted(7)),
                (1, 5, 6, release(3), released.clone()),
            ],
        ),
        (
            "not held any more",
            vec![first.clone(), rival.clone(), (1, 5, 6, release(3), Some(Answer::NotHeld))],
        ),
        (
            "under a token learnt from a lost answer",
            vec![
                (1, 1, 2, acquire(true), None),
                (1, 3, 4, release(3), released.clone()),
                (2, 5, 6, acquire(true), granted(9)),
            ],
        ),
    ];
    for (what, rows) in accepted {
        assert_eq!(verdict(rows, &[]), Verdict::Valid, "{what}");
    }
    let rejected: Vec<(&str, Vec<Row>)> = vec![
        (
            "twice",
            vec![
                first.clone(),
                (1, 3, 4, release(3), released.clone()),
                (1, 5, 6, release(3), released.clone()),
            ],
        ),
        ("after a rival was answered", vec![first.clone(), rival, (1, 5, 6, release(3), released.clone())]),
        ("under a token of nobody", vec![first, (1, 3, 4, release(5), released)]),
    ];
    for (what, rows) in rejected {
        assert_eq!(verdict(rows, &[]), Verdict::Invalid, "{what}");
    }
}

#[test]
fn without_grants_and_holds_nothing_is_known() {
    assert_eq!(verdict(Vec::new(), &[]), Verdict::Unknown);
    assert_eq!(verdict(vec![(1, 1, 2, acquire(true), None)], &[]), Verdict::Unknown);
}

#[test]
fn a_client_that_waits_in_line_is_not_turned_away_early() {
    let turned_away_at = |returned: u64| {
        let patient = Call::Acquire { resource: "r".to_owned(), exclusive: true, wait_us: 1 };
        let waits = (2, 20, returned, patient, Some(Answer::NotGranted));
        let history = with_holds(vec![(1, 1, 10, acquire(true), granted(3)), waits], &[]);
        lock_safety::check(&history, Drift { fast_ppm_max: 250_000 }, None).verdict
    };
    assert_eq!(turned_away_at(20 + 799), Verdict::Invalid);
    assert_eq!(turned_away_at(20 + 800), Verdict::Valid);
}
