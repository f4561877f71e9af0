//! Histories of topics that queue safety accepts, and such that it rejects. Times are in microseconds.

use stormglass_sim::check::{Drift, Verdict, queue_safety};
use stormglass_sim::history::{Answer, Call, Delivery, History, Message, NOBODYS_MESSAGE};

use crate::support::{Row, history};

/// Lease of all deliveries here.
pub(crate) const LEASE_US: u64 = 100;

pub(crate) fn plain(number: u64) -> Message {
    Message { number, ..Message::default() }
}

pub(crate) fn grouped(number: u64) -> Message {
    Message { number, group: Some(1), ..Message::default() }
}

pub(crate) fn row(client: u64, from_us: u64, until_us: u64, call: Call, answer: Option<Answer>) -> Row {
    (client, from_us * 1_000, until_us * 1_000, call, answer)
}

pub(crate) fn declare(from_us: u64) -> Row {
    let call =
        Call::DeclareTopic { topic: "t".to_owned(), attempts_max: 2, dead_letter: "t-dead".to_owned() };
    row(9, from_us, from_us + 1, call, Some(Answer::Declared))
}

pub(crate) fn enqueue(from_us: u64, messages: &[Message]) -> Row {
    let call = Call::Enqueue {
        topic: "t".to_owned(),
        producer: 1,
        sequence: messages[0].number,
        messages: messages.to_vec(),
    };
    row(1, from_us, from_us + 1, call, Some(Answer::Enqueued))
}

/// Number, receipt, attempt.
pub(crate) type Got = (u64, u64, u64);

pub(crate) fn dequeue_from(topic: &str, client: u64, from_us: u64, until_us: u64, got: &[Got]) -> Row {
    let call = Call::Dequeue { topic: topic.to_owned(), count_max: 5, visibility_us: LEASE_US, wait_us: 0 };
    let delivery = |(message, receipt, attempt): &Got| Delivery {
        message: *message,
        id: 1_000 + *message % 1_000,
        receipt: *receipt,
        attempt: *attempt,
        given_up: topic != "t",
    };
    let deliveries = got.iter().map(delivery).collect();
    row(client, from_us, until_us, call, Some(Answer::Delivered { deliveries }))
}

pub(crate) fn dequeue(client: u64, from_us: u64, got: &[Got]) -> Row {
    dequeue_from("t", client, from_us, from_us + 1, got)
}

pub(crate) fn unanswered(mut row: Row) -> Row {
    row.4 = None;
    row
}

pub(crate) fn acknowledge(client: u64, from_us: u64, message: u64, receipt: u64) -> Row {
    let call = Call::Acknowledge { topic: "t".to_owned(), message, receipt };
    row(client, from_us, from_us + 1, call, Some(Answer::Settled))
}

pub(crate) fn reject(client: u64, from_us: u64, message: u64, receipt: u64, delay_us: u64) -> Row {
    let call = Call::Reject { topic: "t".to_owned(), message, receipt, delay_us };
    row(client, from_us, from_us + 1, call, Some(Answer::Settled))
}

pub(crate) fn extend(client: u64, from_us: u64, message: u64, receipt: u64) -> Row {
    let call = Call::Extend { topic: "t".to_owned(), message, receipt, visibility_us: LEASE_US };
    row(client, from_us, from_us + 1, call, Some(Answer::Settled))
}

pub(crate) fn stale(mut row: Row) -> Row {
    row.4 = Some(Answer::Stale);
    row
}

pub(crate) fn checked(rows: Vec<Row>) -> History {
    let history = history(rows);
    assert_eq!(history.verify(), Ok(()));
    history
}

fn verdict(rows: Vec<Row>) -> Verdict {
    queue_safety::check(&checked(rows), Drift::default(), None).verdict
}

/// Each is rejected, for the reason that its counterexample states.
pub(crate) fn assert_rejected(cases: Vec<(&str, Vec<Row>)>) {
    for (why, rows) in cases {
        let report = queue_safety::check(&checked(rows), Drift::default(), None);
        let found = report.counterexample.unwrap_or_default();
        assert!(report.verdict == Verdict::Invalid && found.contains(why), "{why}: {found:?}");
    }
}

pub(crate) fn assert_accepted(cases: Vec<(&str, Vec<Row>)>) {
    for (what, rows) in cases {
        let report = queue_safety::check(&checked(rows), Drift::default(), None);
        assert_eq!(report.verdict, Verdict::Valid, "{what}: {:?}", report.counterexample);
    }
}

#[test]
fn without_a_delivery_nothing_is_known() {
    assert_eq!(verdict(vec![enqueue(1, &[plain(7)]), dequeue(2, 0, &[])]), Verdict::Unknown);
}

#[test]
fn what_is_delivered_was_sent_there_once_and_before() {
    let moved = |row: Row| vec![declare(0), enqueue(1, &[plain(7)]), row];
    assert_accepted(vec![
        ("sent before", vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])]),
        (
            "sent by whoever never heard",
            vec![unanswered(enqueue(1, &[plain(7)])), dequeue(2, 4, &[(7, 1, 1)])],
        ),
        (
            "asked for twice",
            vec![unanswered(enqueue(1, &[plain(7)])), enqueue(3, &[plain(7)]), dequeue(2, 5, &[(7, 1, 1)])],
        ),
        (
            "given up by its topic",
            [
                moved(dequeue(2, 3, &[(7, 1, 1)])),
                vec![dequeue(2, 110, &[(7, 2, 2)]), dequeue_from("t-dead", 2, 220, 221, &[(7, 3, 1)])],
            ]
            .concat(),
        ),
    ]);
    let mut two_ids =
        vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)]), dequeue(2, 200, &[(7, 2, 2)])];
    if let Some(Answer::Delivered { deliveries }) = &mut two_ids[2].4 {
        deliveries[0].id = 5;
    }
    assert_rejected(vec![
        ("nobody had sent it", vec![dequeue(2, 4, &[(7, 1, 1)])]),
        ("nobody had sent it", vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(NOBODYS_MESSAGE, 1, 1)])]),
        ("nobody had sent it", vec![enqueue(8, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])]),
        ("nobody had sent it", moved(dequeue_from("elsewhere", 2, 3, 4, &[(7, 1, 1)]))),
        ("in the queue twice", two_ids),
        (
            "have one id",
            vec![enqueue(1, &[plain(7), plain(1_007)]), dequeue(2, 4, &[(7, 1, 1), (1_007, 1, 1)])],
        ),
    ]);
}

#[test]
fn receipts_and_attempts_rise() {
    let twice = |first: Got, second: Got| {
        vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[first]), dequeue(3, 200, &[second])]
    };
    assert_accepted(vec![("both rise", twice((7, 1, 1), (7, 2, 2)))]);
    assert_rejected(vec![
        ("one receipt", twice((7, 1, 1), (7, 1, 2))),
        ("receipts went back", twice((7, 2, 2), (7, 1, 1))),
        ("attempts do not rise", twice((7, 1, 1), (7, 2, 1))),
        ("attempts do not rise", vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 0)])]),
    ]);
}

#[test]
fn what_was_acknowledged_does_not_come_back() {
    let begin = || vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
    let again = || dequeue(3, 300, &[(7, 2, 2)]);
    let with = |middle: Row| [begin(), vec![middle, again()]].concat();
    assert_accepted(vec![
        ("nobody knows whether it was acknowledged", with(unanswered(acknowledge(2, 8, 7, 1)))),
        ("it was too late", with(stale(acknowledge(2, 150, 7, 1)))),
    ]);
    assert_rejected(vec![
        ("delivered again", with(acknowledge(2, 8, 7, 1))),
        // The acknowledgement of the first consumer takes the message of the second away.
        ("delivered again", [begin(), vec![again(), acknowledge(2, 310, 7, 1)]].concat()),
        ("followed by another", [begin(), vec![again(), extend(2, 310, 7, 1)]].concat()),
        ("followed by another", [begin(), vec![again(), reject(2, 310, 7, 1, 0)]].concat()),
    ]);
}

#[test]
fn a_delivery_is_done_with_once() {
    let begin = || vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
    let then = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted(vec![
        ("the second is too late", then(vec![acknowledge(2, 8, 7, 1), stale(acknowledge(3, 9, 7, 1))])),
        (
            "nobody knows of the second",
            then(vec![acknowledge(2, 8, 7, 1), unanswered(acknowledge(3, 9, 7, 1))]),
        ),
        ("extended before", then(vec![extend(2, 8, 7, 1), acknowledge(2, 10, 7, 1)])),
    ]);
    assert_rejected(vec![
        ("both succeeded", then(vec![acknowledge(2, 8, 7, 1), acknowledge(3, 9, 7, 1)])),
        ("both succeeded", then(vec![reject(2, 8, 7, 1, 0), acknowledge(3, 12, 7, 1)])),
    ]);
}

#[test]
fn a_delivery_is_extended_while_it_lasts() {
    let given = || vec![enqueue(1, &[plain(1)]), dequeue(2, 10, &[(1, 5, 1)])];
    let then = |rows: &[Row]| [given(), rows.to_vec()].concat();
    assert_accepted(vec![("while it lasts", then(&[extend(2, 20, 1, 5), acknowledge(2, 30, 1, 5)]))]);
    assert_rejected(vec![
        ("both succeeded", then(&[acknowledge(2, 20, 1, 5), extend(2, 30, 1, 5)])),
        ("both succeeded", then(&[reject(2, 20, 1, 5, 0), extend(2, 30, 1, 5)])),
        ("before that delivery was asked for", then(&[extend(3, 5, 1, 5)])),
    ]);
}

#[test]
fn attempts_begin_anew_in_another_topic_and_when_a_message_comes_back_from_there() {
    let declare = |from_us, topic: &str, dead_letter: &str| {
        let (topic, dead_letter) = (topic.to_owned(), dead_letter.to_owned());
        let call = Call::DeclareTopic { topic, attempts_max: 1, dead_letter };
        row(9, from_us, from_us + 1, call, Some(Answer::Declared))
    };
    let reject_in = |topic: &str, from_us, receipt| {
        let call = Call::Reject { topic: topic.to_owned(), message: 1, receipt, delay_us: 0 };
        row(2, from_us, from_us + 1, call, Some(Answer::Settled))
    };
    let rows = |last: u64| {
        vec![
            declare(1, "t", "u"),
            declare(2, "u", "t"),
            enqueue(5, &[plain(1)]),
            dequeue_from("t", 2, 10, 11, &[(1, 5, 1)]),
            reject_in("t", 15, 5),
            dequeue_from("u", 2, 20, 21, &[(1, 6, 1)]),
            reject_in("u", 25, 6),
            dequeue_from("t", 2, 30, 31, &[(1, 7, last)]),
        ]
    };
    let report = queue_safety::check(&checked(rows(0)), Drift::default(), None);
    assert_eq!(report.verdict, Verdict::Invalid, "the first attempt is number 1");
    let report = queue_safety::check(&checked(rows(1)), Drift::default(), None);
    let found = report.counterexample.unwrap_or_default();
    assert!(!found.contains("attempts do not rise"), "{found}");
}

#[test]
fn nobody_gets_a_message_within_the_lease_of_another() {
    let begin = || vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
    let then = |rows: Vec<Row>| [begin(), rows].concat();
    let again = |from_us| dequeue(3, from_us, &[(7, 2, 2)]);
    assert_accepted(vec![
        ("when it may be over", then(vec![again(103)])),
        ("after a rejection", then(vec![reject(2, 10, 7, 1, 20), again(30)])),
        (
            "after a rejection of which nobody knows",
            then(vec![unanswered(reject(2, 10, 7, 1, 0)), again(12)]),
        ),
        ("when the extension may be over", then(vec![extend(2, 50, 7, 1), again(149)])),
        ("while nobody knows of the extension", then(vec![unanswered(extend(2, 50, 7, 1)), again(103)])),
    ]);
    assert_rejected(vec![
        ("free at the earliest", then(vec![again(102)])),
        ("free at the earliest", then(vec![reject(2, 10, 7, 1, 20), again(28)])),
        ("free at the earliest", then(vec![extend(2, 50, 7, 1), again(148)])),
        ("free at the earliest", then(vec![stale(reject(2, 10, 7, 1, 0)), again(12)])),
    ]);
    // A clock that runs a quarter fast ends a lease of 100 us after 80.
    let fast = Drift { fast_ppm_max: 250_000 };
    let verdict = |from_us| queue_safety::check(&checked(then(vec![again(from_us)])), fast, None).verdict;
    assert_eq!([verdict(83), verdict(82)], [Verdict::Valid, Verdict::Invalid]);
}

#[test]
fn nobody_gets_a_message_before_its_delay_is_over() {
    let delayed = Message { delay_us: 50, ..plain(7) };
    let delivered_at = |from_us| vec![enqueue(1, &[delayed]), dequeue(2, from_us, &[(7, 1, 1)])];
    assert_accepted(vec![("when it may be over", delivered_at(50))]);
    assert_rejected(vec![("before its delay", delivered_at(49))]);
}

#[test]
fn of_a_group_one_message_is_in_flight_at_a_time_and_in_order() {
    let begin = || vec![enqueue(1, &[grouped(7)]), enqueue(3, &[grouped(8)])];
    let then = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted(vec![
        (
            "one after the other",
            then(vec![dequeue(2, 10, &[(7, 1, 1)]), acknowledge(2, 20, 7, 1), dequeue(3, 21, &[(8, 1, 1)])]),
        ),
        (
            "when the first may be over",
            then(vec![dequeue(2, 10, &[(7, 1, 1)]), dequeue(3, 111, &[(8, 1, 1)])]),
        ),
        (
            "nobody knows whether the second was there first",
            vec![
                unanswered(enqueue(1, &[grouped(7)])),
                enqueue(3, &[grouped(8)]),
                dequeue(2, 10, &[(8, 1, 1)]),
                acknowledge(2, 20, 8, 1),
                dequeue(2, 30, &[(7, 1, 1)]),
            ],
        ),
    ]);
    assert_rejected(vec![
        ("in flight at once", then(vec![dequeue(2, 10, &[(7, 1, 1)]), dequeue(3, 12, &[(8, 1, 1)])])),
        ("in flight at once", then(vec![dequeue(2, 10, &[(7, 1, 1), (8, 1, 1)])])),
        (
            "comes first in its group",
            then(vec![dequeue(2, 10, &[(8, 1, 1)]), acknowledge(2, 20, 8, 1), dequeue(2, 30, &[(7, 1, 1)])]),
        ),
        (
            "comes first in its group",
            vec![
                enqueue(1, &[grouped(7), grouped(8)]),
                dequeue(2, 10, &[(8, 1, 1)]),
                acknowledge(2, 20, 8, 1),
                dequeue(2, 30, &[(7, 1, 1)]),
            ],
        ),
        (
            "comes first in its group",
            then(vec![
                dequeue(2, 10, &[(7, 1, 1)]),
                reject(2, 12, 7, 1, 0),
                dequeue(3, 20, &[(8, 1, 1)]),
                acknowledge(3, 22, 8, 1),
                dequeue(2, 30, &[(7, 2, 2)]),
            ]),
        ),
    ]);
}

#[test]
fn nobody_is_passed_over() {
    let urgent = |number| Message { priority: 1, ..plain(number) };
    let order = |first: Message, second: Message| {
        let (one, other) = (first.number, second.number);
        vec![
            enqueue(1, &[first]),
            enqueue(3, &[second]),
            dequeue(2, 10, &[(other, 1, 1)]),
            dequeue(2, 20, &[(one, 1, 1)]),
        ]
    };
    assert_accepted(vec![
        ("a higher priority", order(plain(7), urgent(8))),
        ("a delayed one", order(Message { delay_us: 5, ..plain(7) }, plain(8))),
        ("one of a group, which may wait for its turn", order(grouped(7), plain(8))),
        (
            "one that was delivered before to whoever never heard",
            vec![
                enqueue(1, &[plain(7)]),
                enqueue(3, &[plain(8)]),
                unanswered(dequeue(3, 5, &[(7, 1, 1)])),
                dequeue(2, 10, &[(8, 1, 1)]),
                dequeue(2, 200, &[(7, 2, 2)]),
            ],
        ),
    ]);
    assert_rejected(vec![
        ("passed over, sent before it", order(plain(7), plain(8))),
        ("passed over, sent before it", order(urgent(7), plain(8))),
        ("passed over, of a higher priority", order(urgent(7), plain(8)).into_iter().map(later).collect()),
    ]);
}

/// The second message is sent before the first.
fn later(mut row: Row) -> Row {
    if let Call::Enqueue { messages, .. } = &row.3
        && messages[0].number == 8
    {
        row.0 = 4;
        row.1 = 0;
        row.2 = 1_000;
    }
    row
}

#[test]
fn nobody_hears_that_there_is_nothing_while_there_is_something() {
    let with = |message: Message, rows: Vec<Row>| [vec![enqueue(1, &[message])], rows].concat();
    assert_accepted(vec![
        (
            "it came meanwhile",
            vec![dequeue_from("t", 2, 0, 9, &[]), enqueue(1, &[plain(7)]), dequeue(2, 10, &[(7, 1, 1)])],
        ),
        (
            "it was held back",
            with(Message { delay_us: 5, ..plain(7) }, vec![dequeue(2, 3, &[]), dequeue(2, 9, &[(7, 1, 1)])]),
        ),
        (
            "another had it",
            with(plain(7), vec![dequeue_from("t", 3, 3, 6, &[(7, 1, 1)]), dequeue(2, 4, &[])]),
        ),
    ]);
    assert_rejected(vec![(
        "got nothing",
        with(plain(7), vec![dequeue(2, 3, &[]), dequeue(2, 9, &[(7, 1, 1)])]),
    )]);
}

#[test]
fn a_message_is_given_up_after_its_last_attempt_and_not_before() {
    let begin =
        || vec![declare(0), enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)]), reject(2, 6, 7, 1, 0)];
    let then = |rows: Vec<Row>| [begin(), rows].concat();
    let dead = |from_us, receipt| dequeue_from("t-dead", 3, from_us, from_us + 1, &[(7, receipt, 1)]);
    let second = || dequeue(2, 10, &[(7, 2, 2)]);
    assert_accepted(vec![
        ("after both attempts", then(vec![second(), dead(120, 3)])),
        ("after a second of which nobody knows", then(vec![unanswered(second()), dead(220, 3)])),
        ("as soon as it was rejected", then(vec![second(), reject(2, 12, 7, 2, 50), dead(14, 3)])),
    ]);
    assert_rejected(vec![
        ("given up after 1 of 2", then(vec![dead(120, 2)])),
        ("more than the 2 times", then(vec![second(), dequeue(2, 300, &[(7, 3, 3)])])),
        ("free at the earliest", then(vec![second(), dead(20, 3)])),
    ]);
}
