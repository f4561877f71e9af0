//! Topics that give up into one another, or are declared again; attempts that somebody was given; and who asks at the
//! instant at which it was answered. Times are in microseconds.

use stormglass_sim::check::{Drift, Verdict, queue_safety};
use stormglass_sim::history::{Answer, Call, Message, TopicSeen};

use crate::queue_safety::{
    acknowledge, assert_accepted, assert_rejected, checked, dequeue, dequeue_from, enqueue, grouped, plain,
    row, unanswered,
};
use crate::support::Row;

fn declare(from_us: u64, topic: &str, attempts_max: u64, dead_letter: &str) -> Row {
    let call =
        Call::DeclareTopic { topic: topic.to_owned(), attempts_max, dead_letter: dead_letter.to_owned() };
    row(9, from_us, from_us + 1, call, Some(Answer::Declared))
}

fn counts(from_us: u64, topic: &str, seen: TopicSeen) -> Row {
    let call = Call::TopicStats { topic: topic.to_owned() };
    row(8, from_us, from_us + 1, call, Some(Answer::Counts { seen: Box::new(seen) }))
}

fn acknowledge_in(topic: &str, from_us: u64, receipt: u64) -> Row {
    let call = Call::Acknowledge { topic: topic.to_owned(), message: 7, receipt };
    row(2, from_us, from_us + 1, call, Some(Answer::Settled))
}

/// A message that is tried once in each of three topics.
fn chain() -> Vec<Row> {
    vec![
        declare(0, "t", 1, "u"),
        declare(1, "u", 1, "v"),
        enqueue(2, &[plain(7)]),
        dequeue(2, 4, &[(7, 1, 1)]),
        dequeue_from("u", 2, 200, 201, &[(7, 2, 1)]),
        dequeue_from("v", 2, 400, 401, &[(7, 3, 1)]),
        acknowledge_in("v", 402, 3),
    ]
}

#[test]
fn a_topic_of_the_dead_may_give_up_into_another() {
    assert_accepted(vec![("one after the other", chain())]);
    let mut never_tried = chain();
    never_tried.remove(4);
    let mut elsewhere = chain();
    elsewhere.remove(1);
    assert_rejected(vec![
        ("given up after 0 of 1", never_tried.clone()),
        ("nobody had sent it there", elsewhere),
    ]);
    never_tried.push(unanswered(dequeue_from("u", 3, 200, 201, &[])));
    assert_accepted(vec![("tried there by whoever never heard", never_tried)]);
    let moved_on = TopicSeen { moved_in: 1, moved_out: 1, ..TopicSeen::default() };
    let judged = |last: TopicSeen| {
        let seen = vec![
            counts(500, "t", TopicSeen { enqueued: 1, moved_out: 1, ..TopicSeen::default() }),
            counts(502, "u", moved_on),
            counts(504, "v", last),
        ];
        let report = queue_safety::check_accounts(&checked([chain(), seen].concat()), Drift::default());
        (report.verdict, report.counterexample.unwrap_or_default())
    };
    let arrived = TopicSeen { moved_in: 1, acknowledged: 1, ..TopicSeen::default() };
    assert_eq!(judged(arrived), (Verdict::Valid, String::new()));
    let (verdict, found) = judged(TopicSeen::default());
    assert!(verdict == Verdict::Invalid && found.contains("0 were acknowledged"), "{found}");
}

#[test]
fn a_topic_may_be_declared_again() {
    let tried = |again: Vec<Row>, times: u64| {
        let begin = vec![declare(0, "t", 5, "u"), enqueue(1, &[plain(7)])];
        let each = (1..=times).map(|time| dequeue(2, 200 * time, &[(7, time, time)])).collect();
        [begin, again, each].concat()
    };
    let fewer = |from_us| vec![declare(from_us, "t", 2, "u")];
    assert_accepted(vec![
        ("fewer attempts, later", tried(fewer(900), 4)),
        ("nobody knows whether", tried(vec![unanswered(declare(30, "t", 2, "u"))], 4)),
        ("more attempts", tried(vec![declare(30, "t", 7, "u")], 7)),
        ("it had come back before", tried(fewer(500), 3)),
    ]);
    assert_rejected(vec![
        ("more than the 2 times", tried(fewer(30), 3)),
        ("more than the 5 times", tried(vec![unanswered(declare(30, "t", 2, "u"))], 6)),
        ("more than the 2 times", tried(fewer(500), 4)),
    ]);
    let given_up =
        |again: Vec<Row>| [tried(again, 2), vec![dequeue_from("u", 3, 900, 901, &[(7, 3, 1)])]].concat();
    assert_accepted(vec![
        ("after two of two", given_up(fewer(30))),
        ("perhaps", given_up(vec![unanswered(declare(30, "t", 2, "u"))])),
    ]);
    assert_rejected(vec![("given up after 2 of 5", given_up(Vec::new()))]);
}

#[test]
fn every_attempt_is_a_delivery() {
    let begin = || vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    let unheard = |from_us| unanswered(dequeue(3, from_us, &[]));
    assert_accepted(vec![
        ("the second", with(vec![dequeue(2, 200, &[(7, 2, 2)])])),
        ("one to somebody who never heard", with(vec![unheard(200), dequeue(2, 400, &[(7, 3, 3)])])),
    ]);
    assert_rejected(vec![
        ("nobody brought it to", with(vec![dequeue(2, 200, &[(7, 2, 3)])])),
        ("nobody brought it to", with(vec![unheard(200), dequeue(2, 600, &[(7, 4, 4)])])),
        ("nobody brought it to", with(vec![dequeue(2, 200, &[(7, 3, 3)]), unheard(300)])),
        ("nobody brought it to", vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 5, 5)])]),
        (
            "given up after 2 of 5",
            [
                vec![declare(0, "t", 5, "u")],
                with(vec![dequeue(2, 200, &[(7, 2, 2)]), dequeue_from("u", 3, 400, 401, &[(7, 3, 1)])]),
            ]
            .concat(),
        ),
    ]);
}

/// The operations of one client are in order, at the same instant too.
#[test]
fn a_client_knows_the_order_of_what_it_did_at_one_instant() {
    let sent = |client, from_us, message: Message| {
        let mut row = enqueue(from_us, &[message]);
        row.0 = client;
        row
    };
    let nothing = |producer, consumer| {
        vec![sent(producer, 1, plain(7)), dequeue(2, 2, &[]), dequeue(consumer, 3, &[(7, 1, 1)])]
    };
    let passed = |other, priority| {
        let second = Message { priority, ..plain(8) };
        vec![
            sent(1, 1, plain(7)),
            sent(other, 2, second),
            dequeue(2, 10, &[(8, 1, 1)]),
            dequeue(2, 20, &[(7, 1, 1)]),
        ]
    };
    let in_group = |other| {
        let mut rows = passed(other, 0);
        rows[0] = sent(1, 1, grouped(7));
        rows[1] = sent(other, 2, grouped(8));
        rows.insert(3, acknowledge(2, 11, 8, 1));
        rows
    };
    assert_accepted(vec![
        ("another sent it", nothing(1, 2)),
        ("another got it", nothing(2, 3)),
        ("another sent the second", passed(3, 0)),
        ("the second is urgent", passed(1, 1)),
        ("another sent the second of the group", in_group(3)),
    ]);
    assert_rejected(vec![
        ("got nothing", nothing(2, 2)),
        ("passed over", passed(1, 0)),
        ("comes first in its group", in_group(1)),
    ]);
}
