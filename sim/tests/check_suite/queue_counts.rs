//! Counts of topics against where messages are for certain, and against each other. Times are in microseconds.

use stormglass_sim::check::Verdict;
use stormglass_sim::history::{Answer, Call, Message, TopicSeen};

use crate::queue_accounts::{assert_invalid, counts, counts_of, judged};
use crate::queue_safety::{
    acknowledge, declare, dequeue, dequeue_from, enqueue, extend, plain, reject, row, stale, unanswered,
};
use crate::support::Row;

fn assert_not_rejected(what: &str, rows: Vec<Row>) {
    let (verdict, found) = judged(rows);
    assert_ne!(verdict, Verdict::Invalid, "{what}: {found}");
}

/// Counts that this client asked for.
fn counted_by(client: u64, from_us: u64, until_us: u64, seen: TopicSeen) -> Row {
    let call = Call::TopicStats { topic: "t".to_owned() };
    row(client, from_us, until_us, call, Some(Answer::Counts { seen: Box::new(seen) }))
}

/// Perhaps the message was acknowledged where it went.
fn acknowledge_dead() -> Row {
    let call = Call::Acknowledge { topic: "t-dead".to_owned(), message: 7, receipt: 3 };
    row(4, 310, 311, call, None)
}

fn dequeue_one(client: u64, from_us: u64) -> Row {
    let mut row = dequeue(client, from_us, &[]);
    if let Call::Dequeue { count_max, .. } = &mut row.3 {
        *count_max = 1;
    }
    row
}

const NONE: TopicSeen = TopicSeen {
    ready: 0,
    delayed: 0,
    in_flight: 0,
    dead: 0,
    enqueued: 0,
    moved_in: 0,
    moved_out: 0,
    acknowledged: 0,
    expired: 0,
    purged: 0,
};

/// One message was sent, and is in some state.
const ONE: TopicSeen = TopicSeen { enqueued: 1, ..NONE };
const READY: TopicSeen = TopicSeen { ready: 1, ..ONE };
const DELAYED: TopicSeen = TopicSeen { delayed: 1, ..ONE };
const IN_FLIGHT: TopicSeen = TopicSeen { in_flight: 1, ..ONE };
const MOVED_OUT: TopicSeen = TopicSeen { moved_out: 1, ..ONE };
const DEAD: TopicSeen = TopicSeen { dead: 1, ..ONE };

#[test]
fn counts_of_all_time_never_go_back() {
    // Nobody knows when it came, so only the counts tell.
    let seen = |rows: Vec<Row>| [vec![unanswered(enqueue(1, &[plain(7)]))], rows].concat();
    let first = || counted_by(8, 10, 20, READY);
    assert_not_rejected(
        "it came between",
        seen(vec![counted_by(8, 10, 20, NONE), counted_by(9, 21, 22, READY)]),
    );
    assert_not_rejected("asked at the same time", seen(vec![first(), counted_by(9, 15, 30, NONE)]));
    assert_not_rejected("asked at the same instant", seen(vec![first(), counted_by(9, 20, 30, NONE)]));
    assert_invalid(seen(vec![first(), counted_by(9, 21, 30, NONE)]), "somebody had been told of 1");
    assert_invalid(seen(vec![first(), counted_by(8, 20, 30, NONE)]), "somebody had been told of 1");
    let acknowledged = TopicSeen { acknowledged: 1, ..ONE };
    let perhaps = |later: TopicSeen| {
        let given = vec![dequeue(2, 3, &[(7, 1, 1)]), unanswered(acknowledge(2, 5, 7, 1))];
        seen([given, vec![counted_by(8, 10, 11, acknowledged), counted_by(9, 12, 13, later)]].concat())
    };
    assert_not_rejected("it stays acknowledged", perhaps(acknowledged));
    assert_invalid(perhaps(READY), "told of 1");
}

#[test]
fn nothing_comes_from_where_nobody_can_have_given_it_up() {
    let came = TopicSeen { moved_in: 1, ready: 1, ..NONE };
    assert_invalid(vec![counts(10, came)], "which can have given up 0");
    let sent = || vec![declare(0), enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
    let dead = |from_us, rows: Vec<Row>| [sent(), rows, vec![counts_of("t-dead", from_us, came)]].concat();
    assert_invalid(dead(500, vec![]), "which can have given up 0");
    assert_not_rejected("after two of two", dead(500, vec![dequeue(2, 110, &[(7, 2, 2)])]));
    assert_not_rejected("perhaps tried again", dead(500, vec![unanswered(dequeue_one(3, 200))]));
    assert_invalid(dead(209, vec![dequeue(2, 110, &[(7, 2, 2)])]), "which can have given up 0");
    let refused = vec![dequeue(2, 110, &[(7, 2, 2)]), reject(2, 150, 7, 2, 0)];
    assert_not_rejected("rejected twice", dead(160, refused));
    let taken = vec![dequeue(2, 110, &[(7, 2, 2)]), acknowledge(2, 150, 7, 2)];
    assert_invalid(dead(160, taken), "which can have given up 0");
}

#[test]
fn nothing_is_given_up_that_was_not_tried_so_often() {
    let tried = |times: u64, seen| {
        let each = (1..=times).map(|time| dequeue(2, 110 * time, &[(7, time, time)]));
        let each: Vec<Row> = each.collect();
        [vec![declare(0), enqueue(1, &[plain(7)])], each, vec![counts(900, seen)]].concat()
    };
    for seen in [DEAD, MOVED_OUT] {
        assert_not_rejected("tried twice", tried(2, seen));
    }
    assert_invalid(tried(1, DEAD), "at most 0 can have been tried so often");
    let nobody_declared = vec![
        unanswered(enqueue(1, &[plain(7)])),
        unanswered(dequeue_one(3, 4)),
        enqueue(800, &[plain(8)]),
        counts(900, TopicSeen { enqueued: 2, moved_out: 1, ready: 1, ..NONE }),
    ];
    assert_invalid(nobody_declared, "which nobody had declared");
}

#[test]
fn what_left_one_topic_is_in_the_other() {
    let tried = || {
        vec![
            declare(0),
            enqueue(1, &[plain(7), plain(8)]),
            dequeue(2, 4, &[(7, 1, 1)]),
            dequeue(2, 110, &[(7, 2, 2)]),
            // It may be gone from there too.
            unanswered(dequeue_from("t-dead", 3, 300, 301, &[])),
            unanswered(acknowledge_dead()),
        ]
    };
    let gone = TopicSeen { enqueued: 2, moved_out: 1, ready: 1, ..NONE };
    let both = TopicSeen { enqueued: 2, ready: 2, ..NONE };
    let came = TopicSeen { moved_in: 1, ready: 1, ..NONE };
    let seen = |first: Row, then: Row| [tried(), vec![first, then]].concat();
    let other = |from_us, seen| {
        let mut row = counts_of("t-dead", from_us, seen);
        row.0 = 7;
        row
    };
    assert_not_rejected("it went", seen(counts(400, gone), other(410, came)));
    assert_not_rejected("it went meanwhile", seen(other(400, NONE), counts(410, gone)));
    assert_not_rejected("at the same time", seen(counts(400, gone), other(400, NONE)));
    assert_invalid(seen(counts(400, gone), other(410, NONE)), "0 came from other topics");
    assert_invalid(seen(other(400, came), counts(410, both)), "1 came from other topics");
}

#[test]
fn no_count_of_what_is_there_is_less_than_is_there_for_certain() {
    let sent = || vec![enqueue(1, &[plain(7)])];
    let given = || [sent(), vec![dequeue(2, 4, &[(7, 1, 1)])]].concat();
    let then = |rows: Vec<Row>, more: Vec<Row>, last: Row| [rows, more, vec![last]].concat();
    let flight = "0 were in flight, but for 1";
    assert_invalid(then(given(), vec![], counts(10, READY)), flight);
    assert_invalid(then(given(), vec![stale(extend(2, 6, 7, 9))], counts(10, READY)), flight);
    assert_invalid(then(given(), vec![extend(2, 50, 7, 1)], counts(149, READY)), flight);
    assert_not_rejected("the lease may be over", then(given(), vec![], counts(104, READY)));
    let perhaps = vec![unanswered(reject(2, 8, 7, 1, 0))];
    assert_not_rejected("perhaps it came back", then(given(), perhaps, counts(10, READY)));
    assert_not_rejected(
        "given at the same time",
        then(sent(), vec![dequeue(2, 10, &[(7, 1, 1)])], counts(10, READY)),
    );

    let unheard = || vec![unanswered(dequeue_one(3, 5))];
    assert_invalid(
        then(sent(), vec![dequeue(2, 20, &[(7, 1, 1)]), unheard().remove(0)], counts(10, IN_FLIGHT)),
        "0 were ready, but for 1",
    );
    assert_not_rejected("perhaps somebody has it", then(sent(), unheard(), counts(10, IN_FLIGHT)));
    let two = |state| TopicSeen { enqueued: 2, ..state };
    let both = || vec![enqueue(1, &[plain(7), plain(8)])];
    let one_taken = two(TopicSeen { in_flight: 1, ready: 1, ..NONE });
    assert_not_rejected("perhaps somebody has one", then(both(), unheard(), counts(10, one_taken)));
    let none_left = two(TopicSeen { in_flight: 1, dead: 1, ..NONE });
    assert_invalid(then(both(), unheard(), counts(10, none_left)), "0 were ready, but for 1");

    let late = || vec![enqueue(1, &[Message { delay_us: 50, ..plain(7) }])];
    assert_invalid(then(late(), vec![], counts(50, READY)), "0 were held back, but for 1");
    assert_not_rejected("the delay may be over", then(late(), vec![], counts(51, READY)));
    let back = || then([vec![declare(0)], given()].concat(), vec![], reject(2, 6, 7, 1, 50));
    assert_invalid(then(back(), vec![], counts(20, READY)), "0 were held back, but for 1");
    assert_not_rejected("that delay may be over", then(back(), vec![], counts(56, READY)));
    assert_not_rejected("held back", then(back(), vec![], counts(20, DELAYED)));
}

#[test]
fn nothing_is_missing_that_nobody_can_have_taken_away() {
    let gone = TopicSeen { enqueued: 3, acknowledged: 2, ready: 1, ..NONE };
    let rows = |again: Row| {
        vec![
            enqueue(1, &[plain(7), plain(8)]),
            dequeue(2, 4, &[(7, 1, 1), (8, 1, 1)]),
            unanswered(acknowledge(2, 6, 7, 1)),
            unanswered(again),
            // So that nobody saw the topic empty in the end.
            enqueue(800, &[plain(9)]),
            counts(900, gone),
        ]
    };
    assert_not_rejected("perhaps both", rows(acknowledge(3, 8, 8, 1)));
    assert_invalid(rows(acknowledge(3, 8, 7, 1)), "1 were there, but for 2");
}

#[test]
fn what_was_rejected_after_its_last_attempt_is_not_at_home() {
    let rejected = |last: Row| {
        vec![
            declare(0),
            enqueue(1, &[plain(7)]),
            dequeue(2, 4, &[(7, 1, 1)]),
            reject(2, 6, 7, 1, 0),
            dequeue(2, 10, &[(7, 2, 2)]),
            last,
        ]
    };
    let seen = |from_us, seen| [rejected(reject(2, 12, 7, 2, 0)), vec![counts(from_us, seen)]].concat();
    assert_not_rejected("it went over", seen(20, MOVED_OUT));
    assert_not_rejected("it stayed, dead", seen(20, DEAD));
    assert_not_rejected("not yet", seen(12, IN_FLIGHT));
    assert_invalid(seen(20, READY), "0 were given up, but for 1");
    assert_invalid(seen(20, IN_FLIGHT), "1 were in flight");
    let perhaps = [rejected(unanswered(reject(2, 12, 7, 2, 0))), vec![counts(20, IN_FLIGHT)]].concat();
    assert_not_rejected("perhaps not rejected", perhaps);
    let mut declared_anew = seen(20, READY);
    declared_anew.push(unanswered({
        let call = Call::DeclareTopic { topic: "t".to_owned(), attempts_max: 9, dead_letter: "u".to_owned() };
        row(5, 8, 9, call, Some(Answer::Declared))
    }));
    assert_not_rejected("perhaps it may be tried more often", declared_anew);
}

#[test]
fn attempts_of_any_number_are_only_wrong() {
    let rows = vec![
        enqueue(1, &[plain(7)]),
        dequeue(2, 10, &[(7, 1, u64::MAX)]),
        reject(2, 20, 7, 1, 0),
        dequeue(2, 30, &[(7, 2, 1)]),
    ];
    let history = crate::support::history(rows);
    let [safety, _] =
        stormglass_sim::check::queue_safety::check_all(&history, Default::default(), None, false);
    assert_eq!(safety.verdict, Verdict::Invalid);
}
