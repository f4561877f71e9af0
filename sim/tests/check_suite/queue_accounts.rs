//! Whether a topic's counts agree with what clients know, and whether anything was lost.

use stormglass_sim::check::{Drift, Verdict, queue_safety};
use stormglass_sim::history::{Answer, Call, TopicSeen};

use crate::queue_safety::{acknowledge, declare, dequeue, dequeue_from, enqueue, plain, unanswered};
use crate::support::{Row, history};

pub(crate) fn counts_of(topic: &str, from_us: u64, seen: TopicSeen) -> Row {
    let call = Call::TopicStats { topic: topic.to_owned() };
    (8, from_us * 1_000, from_us * 1_000 + 1, call, Some(Answer::Counts { seen: Box::new(seen) }))
}

pub(crate) fn counts(from_us: u64, seen: TopicSeen) -> Row {
    counts_of("t", from_us, seen)
}

fn done(acknowledged: u64) -> TopicSeen {
    TopicSeen { enqueued: acknowledged, acknowledged, ..TopicSeen::default() }
}

pub(crate) fn judged(rows: Vec<Row>) -> (Verdict, String) {
    let history = history(rows);
    assert_eq!(history.verify(), Ok(()));
    let report = queue_safety::check_accounts(&history, Drift::default());
    (report.verdict, report.counterexample.unwrap_or(report.detail))
}

pub(crate) fn assert_invalid(rows: Vec<Row>, why: &str) {
    let (verdict, found) = judged(rows);
    assert!(verdict == Verdict::Invalid && found.contains(why), "{why}: {verdict} {found:?}");
}

/// One message, delivered and acknowledged.
fn begin() -> Vec<Row> {
    vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)]), acknowledge(2, 6, 7, 1)]
}

#[test]
fn what_was_acknowledged_is_accounted_for() {
    assert_eq!(judged([begin(), vec![counts(10, done(1))]].concat()).0, Verdict::Valid);
}

#[test]
fn a_topic_that_was_not_seen_to_be_empty_is_unknown() {
    assert_eq!(judged(begin()).0, Verdict::Unknown);
    let early = vec![counts(0, TopicSeen::default())];
    assert_eq!(judged([begin(), early].concat()).0, Verdict::Unknown, "it was filled after that");
    let full = TopicSeen { in_flight: 1, enqueued: 1, ..TopicSeen::default() };
    let taken = vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)]), counts(10, full)];
    assert_eq!(judged(taken).0, Verdict::Unknown);
}

#[test]
fn a_message_that_nobody_acknowledged_is_lost_once_the_topic_is_empty() {
    let gone = TopicSeen { enqueued: 1, moved_out: 1, ..TopicSeen::default() };
    let never = vec![enqueue(1, &[plain(7)]), counts(10, gone)];
    assert_invalid(never, "is gone");
    let delivered = vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)]), counts(10, gone)];
    assert_invalid(delivered, "is gone");
    let perhaps = vec![
        enqueue(1, &[plain(7)]),
        dequeue(2, 4, &[(7, 1, 1)]),
        unanswered(acknowledge(2, 6, 7, 1)),
        counts(10, done(1)),
    ];
    assert_eq!(judged(perhaps).0, Verdict::Valid);
    let mortal = stormglass_sim::history::Message { ttl_us: Some(1), ..plain(7) };
    let expired = TopicSeen { enqueued: 1, expired: 1, ..TopicSeen::default() };
    assert_eq!(judged(vec![enqueue(1, &[mortal]), counts(10, expired)]).0, Verdict::Valid);
    let unsure = vec![unanswered(enqueue(1, &[plain(7)])), enqueue(3, &[plain(8)])];
    let rest = vec![dequeue(2, 5, &[(8, 1, 1)]), acknowledge(2, 7, 8, 1), counts(10, done(1))];
    assert_eq!(judged([unsure, rest].concat()).0, Verdict::Valid, "the first was never there for sure");
}

#[test]
fn a_message_that_was_given_up_is_lost_if_the_other_topic_does_not_hold_it() {
    let tried = vec![
        declare(0),
        enqueue(1, &[plain(7)]),
        dequeue(2, 4, &[(7, 1, 1)]),
        dequeue(2, 110, &[(7, 2, 2)]),
        counts(300, TopicSeen { enqueued: 1, moved_out: 1, ..TopicSeen::default() }),
    ];
    let moved_in = |acknowledged| TopicSeen { moved_in: acknowledged, acknowledged, ..TopicSeen::default() };
    assert_eq!(judged(tried.clone()).0, Verdict::Unknown, "it may be in the other topic");
    let dropped = [tried.clone(), vec![counts_of("t-dead", 310, moved_in(0))]].concat();
    assert_invalid(dropped, "is gone");
    let mut ack = acknowledge(2, 304, 7, 3);
    ack.3 = Call::Acknowledge { topic: "t-dead".to_owned(), message: 7, receipt: 3 };
    let taken =
        vec![dequeue_from("t-dead", 2, 302, 303, &[(7, 3, 1)]), ack, counts_of("t-dead", 310, moved_in(1))];
    assert_eq!(judged([tried, taken].concat()).0, Verdict::Valid);
}

#[test]
fn counts_add_up_and_agree_with_what_clients_know() {
    let with = |seen| [begin(), vec![counts(10, seen)]].concat();
    assert_invalid(with(TopicSeen { enqueued: 1, ..TopicSeen::default() }), "1 messages came, and 0");
    assert_invalid(
        with(TopicSeen { enqueued: 2, acknowledged: 1, ready: 1, ..TopicSeen::default() }),
        "know of 1 to 1",
    );
    assert_invalid(with(TopicSeen { enqueued: 1, ready: 1, ..TopicSeen::default() }), "0 were acknowledged");
    let purged = TopicSeen { enqueued: 1, purged: 1, ..TopicSeen::default() };
    assert_invalid(vec![enqueue(1, &[plain(7)]), counts(10, purged)], "nobody asked for");
    let unsure = [begin(), vec![unanswered(enqueue(8, &[plain(8)])), counts(10, done(1))]].concat();
    assert_eq!(judged(unsure).0, Verdict::Valid);
}

#[test]
fn messages_that_nothing_holds_back_and_nobody_gets_are_stuck() {
    let ready = TopicSeen { enqueued: 1, ready: 1, ..TopicSeen::default() };
    let asked = |seen| vec![enqueue(1, &[plain(7)]), counts(10, seen), dequeue(2, 20, &[])];
    assert_invalid(asked(ready), "are stuck");
    let held_back = TopicSeen { enqueued: 1, delayed: 1, ..TopicSeen::default() };
    let delayed = enqueue(1, &[stormglass_sim::history::Message { delay_us: 900, ..plain(7) }]);
    assert_eq!(judged([vec![delayed], asked(held_back)[1..].to_vec()].concat()).0, Verdict::Unknown);
    let another = [asked(ready), vec![dequeue(3, 15, &[(7, 1, 1)])]].concat();
    assert_eq!(judged(another).0, Verdict::Unknown);
}

#[test]
fn a_message_that_is_gone_before_its_life_can_be_over_is_lost() {
    let mortal = |ttl_us| stormglass_sim::history::Message { ttl_us: Some(ttl_us), ..plain(7) };
    let expired = TopicSeen { enqueued: 1, expired: 1, ..TopicSeen::default() };
    let seen = |ttl_us, seen| vec![enqueue(1, &[mortal(ttl_us)]), counts(10, seen)];
    assert_eq!(judged(seen(9, expired)).0, Verdict::Valid);
    assert_invalid(seen(10, expired), "the lives of at most 0");
    let gone = TopicSeen { enqueued: 1, moved_out: 1, ..TopicSeen::default() };
    assert_invalid(seen(10, gone), "is gone");
}

#[test]
fn what_went_over_to_another_topic_came_there() {
    let seen = |moved_out, moved_in: u64| {
        let mut rows = vec![declare(0), enqueue(1, &[plain(7), plain(8)]), dequeue(2, 4, &[(8, 1, 1)])];
        rows.push(acknowledge(2, 6, 8, 1));
        let mut ack = acknowledge(2, 8, 7, 3);
        ack.3 = Call::Acknowledge { topic: "t-dead".to_owned(), message: 7, receipt: 3 };
        rows.push(unanswered(ack));
        rows.extend([dequeue(2, 10, &[(7, 1, 1)]), dequeue(2, 115, &[(7, 2, 2)])]);
        let left = TopicSeen { enqueued: 2, acknowledged: 2 - moved_out, moved_out, ..TopicSeen::default() };
        rows.push(counts(300, left));
        let came = TopicSeen { moved_in, acknowledged: moved_in, ..TopicSeen::default() };
        rows.push(counts_of("t-dead", 310, came));
        rows
    };
    assert_eq!(judged(seen(1, 1)).0, Verdict::Valid);
    assert_invalid(seen(1, 0), "1 messages went over");
}

#[test]
fn no_count_of_what_is_there_is_more_than_can_be_there() {
    let seen =
        |state: TopicSeen| vec![enqueue(1, &[plain(7)]), counts(10, TopicSeen { enqueued: 1, ..state })];
    let in_flight = TopicSeen { in_flight: 1, ..TopicSeen::default() };
    let dead = TopicSeen { dead: 1, ..TopicSeen::default() };
    let delayed = TopicSeen { delayed: 1, ..TopicSeen::default() };
    assert_invalid(seen(in_flight), "1 were in flight");
    assert_invalid(seen(dead), "1 were dead");
    assert_invalid(seen(delayed), "1 were held back");
    let with = |row: Row, state| judged([vec![row], seen(state)].concat()).0;
    assert_eq!(with(dequeue(2, 4, &[(7, 1, 1)]), in_flight), Verdict::Unknown);
    assert_eq!(with(dequeue(2, 10, &[(7, 1, 1)]), in_flight), Verdict::Unknown, "at the same time");
    assert_eq!(with(unanswered(dequeue(2, 4, &[])), in_flight), Verdict::Unknown);
    assert_eq!(with(unanswered(dequeue(2, 4, &[])), dead), Verdict::Unknown);
    let back = |delay_us| {
        let rejected = vec![dequeue(2, 4, &[(7, 1, 1)]), crate::queue_safety::reject(2, 6, 7, 1, delay_us)];
        move |state| judged([rejected.clone(), seen(state)].concat())
    };
    assert_eq!(back(900)(delayed).0, Verdict::Unknown);
    assert!(back(0)(delayed).1.contains("1 were held back"));
    assert!(back(900)(in_flight).1.contains("1 were in flight"), "it was given back");
}
