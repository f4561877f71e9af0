//! Whose turn it is: who comes back, who waits, and whose delivery or life is over. Times are in microseconds.

use stormglass_sim::check::{Calm, Drift, Verdict, queue_safety};
use stormglass_sim::history::{Answer, Call, Message, VirtualTime};

use crate::queue_safety::{
    Got, LEASE_US, acknowledge, assert_accepted, assert_rejected, checked, dequeue, enqueue, extend, plain,
    reject, row, stale, unanswered,
};
use crate::support::Row;

fn urgent(number: u64) -> Message {
    Message { priority: 1, ..plain(number) }
}

/// A consumer that waits so long.
fn waits(client: u64, from_us: u64, until_us: u64, wait_us: u64, got: &[Got]) -> Row {
    let mut row = dequeue(client, from_us, got);
    row.2 = until_us * 1_000;
    if let Call::Dequeue { wait_us: waited, .. } = &mut row.3 {
        *waited = wait_us;
    }
    row
}

#[test]
fn nobody_gets_more_than_was_asked_for() {
    let asks = |count: u64| {
        let mut row = dequeue(2, 10, &[(7, 1, 1), (8, 1, 1)]);
        if let Call::Dequeue { count_max, .. } = &mut row.3 {
            *count_max = count;
        }
        vec![enqueue(1, &[plain(7), plain(8)]), row]
    };
    assert_accepted(vec![("two for two", asks(2))]);
    assert_rejected(vec![("2 messages for one who asked for 1", asks(1))]);
}

#[test]
fn the_messages_of_one_answer_are_in_order() {
    let answer = |first: Message, second: Message, got: &[Got]| {
        vec![enqueue(1, &[first]), enqueue(3, &[second]), dequeue(2, 10, got)]
    };
    let (in_order, reversed) = ([(7, 1, 1), (8, 1, 1)], [(8, 1, 1), (7, 1, 1)]);
    let together = |got: &[Got]| vec![enqueue(1, &[plain(7), plain(8)]), dequeue(2, 10, got)];
    assert_accepted(vec![
        ("first in, first out", answer(plain(7), plain(8), &in_order)),
        ("the urgent one first", answer(plain(7), urgent(8), &reversed)),
        ("sent at once", together(&reversed)),
    ]);
    assert_rejected(vec![
        ("one answer in the wrong order", answer(plain(7), plain(8), &reversed)),
        ("one answer in the wrong order", answer(plain(7), urgent(8), &in_order)),
    ]);
}

#[test]
fn who_comes_back_takes_the_old_place() {
    let begin = |delay_us| {
        vec![
            enqueue(1, &[plain(7)]),
            enqueue(3, &[plain(8)]),
            dequeue(2, 10, &[(7, 1, 1)]),
            reject(2, 12, 7, 1, delay_us),
        ]
    };
    let then = |delay_us, rows: Vec<Row>| [begin(delay_us), rows].concat();
    let other_first = || vec![dequeue(3, 20, &[(8, 1, 1)]), dequeue(3, 30, &[(7, 2, 2)])];
    assert_accepted(vec![
        ("first again", then(0, vec![dequeue(3, 20, &[(7, 2, 2)]), dequeue(3, 30, &[(8, 1, 1)])])),
        ("held back", then(5, other_first())),
        (
            "out once more, to whoever never heard",
            then(
                0,
                vec![
                    unanswered(dequeue(4, 15, &[])),
                    dequeue(3, 20, &[(8, 1, 1)]),
                    dequeue(3, 230, &[(7, 3, 3)]),
                ],
            ),
        ),
    ]);
    assert_rejected(vec![("sent before it, back", then(0, other_first()))]);
    let both_back = |mut rows: Vec<Row>| {
        rows.extend([dequeue(4, 14, &[(8, 1, 1)]), reject(4, 16, 8, 1, 0)]);
        rows.extend([dequeue(3, 20, &[(8, 2, 2)]), dequeue(3, 30, &[(7, 2, 2)])]);
        rows
    };
    let mut rows = begin(0);
    rows[3] = reject(2, 18, 7, 1, 0);
    assert_rejected(vec![("sent before it, back", both_back(rows))]);
}

#[test]
fn a_consumer_that_waits_is_given_what_comes() {
    let comes = |wait: Row| vec![wait, enqueue(20, &[plain(7)]), dequeue(3, 120, &[(7, 1, 1)])];
    assert_accepted(vec![
        ("it got it", vec![waits(2, 1, 22, 100, &[(7, 1, 1)]), enqueue(20, &[plain(7)])]),
        (
            "another got it before it waited for certain",
            vec![waits(2, 1, 130, 100, &[]), enqueue(20, &[plain(7)]), dequeue(3, 30, &[(7, 1, 1)])],
        ),
        ("perhaps it waited no more", comes(waits(2, 1, 119, 19, &[]))),
    ]);
    assert_rejected(vec![
        ("got nothing", comes(waits(2, 1, 110, 100, &[]))),
        ("was turned away after 98 us", comes(waits(2, 1, 99, 100, &[]))),
    ]);
}

#[test]
fn the_current_delivery_is_not_refused() {
    let begin = || vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
    let then = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted(vec![
        ("the lease may be over", then(vec![stale(acknowledge(2, 103, 7, 1))])),
        ("done already", then(vec![acknowledge(2, 6, 7, 1), stale(acknowledge(2, 8, 7, 1))])),
        (
            "perhaps done already",
            then(vec![unanswered(acknowledge(2, 6, 7, 1)), stale(acknowledge(2, 8, 7, 1))]),
        ),
        ("a delivery of which nobody knows", then(vec![stale(acknowledge(2, 6, 7, 5))])),
        (
            "one that was got unanswered",
            vec![
                enqueue(1, &[plain(7), plain(8)]),
                unanswered(dequeue(2, 4, &[])),
                dequeue(4, 5, &[(8, 1, 1)]),
                acknowledge(3, 8, 7, 1),
            ],
        ),
    ]);
    assert_rejected(vec![
        ("which nobody got", then(vec![acknowledge(3, 8, 7, 2)])),
        ("which nobody got", then(vec![acknowledge(3, 8, 7, 2), unanswered(dequeue(4, 10, &[]))])),
        ("refused as stale", then(vec![stale(acknowledge(2, 102, 7, 1))])),
        ("refused as stale", then(vec![stale(extend(2, 50, 7, 1))])),
        ("refused as stale", then(vec![extend(2, 90, 7, 1), stale(reject(2, 150, 7, 1, 0))])),
    ]);
}

#[test]
fn in_the_calm_what_is_over_is_over() {
    let calm = Calm { from: VirtualTime(50_000), grace_ns: 10_000, slow_ppm_max: 0, lease_us: 0 };
    let judged = |rows: Vec<Row>| {
        let report = queue_safety::check(&checked(rows), Drift::default(), Some(calm));
        (report.verdict, report.counterexample.unwrap_or_default())
    };
    // A lease that began before the calm may last until so long after its beginning.
    let last = 50 + LEASE_US + 10;
    let used =
        |rows: Vec<Row>| judged([vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])], rows].concat());
    assert_eq!(used(vec![acknowledge(2, last, 7, 1)]).0, Verdict::Valid);
    let (verdict, found) = used(vec![acknowledge(2, last + 1, 7, 1)]);
    assert!(verdict == Verdict::Invalid && found.contains("lease had been over"), "{found}");
    let extended = vec![extend(2, 100, 7, 1), acknowledge(2, last + 1, 7, 1)];
    assert_eq!(used(extended).0, Verdict::Valid);
    let perhaps = vec![unanswered(extend(2, 100, 7, 1)), acknowledge(3, last + 900, 7, 1)];
    assert_eq!(used(perhaps).0, Verdict::Valid);
    let mortal = Message { ttl_us: Some(20), ..plain(7) };
    let delivered = |from_us| judged(vec![enqueue(1, &[mortal]), dequeue(2, from_us, &[(7, 1, 1)])]);
    assert_eq!(delivered(80).0, Verdict::Valid);
    let (verdict, found) = delivered(81);
    assert!(verdict == Verdict::Invalid && found.contains("its life was over"), "{found}");
}

#[test]
fn an_answer_of_nothing_is_judged_by_its_own_wait() {
    let answer = Some(Answer::Delivered { deliveries: Vec::new() });
    let call = Call::Dequeue { topic: "t".to_owned(), count_max: 1, visibility_us: LEASE_US, wait_us: 0 };
    let tries = row(2, 1, 2, call, answer);
    assert_accepted(vec![(
        "a single try",
        vec![tries, enqueue(3, &[plain(7)]), dequeue(2, 5, &[(7, 1, 1)])],
    )]);
}
