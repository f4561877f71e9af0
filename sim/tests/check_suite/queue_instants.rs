//! Right histories that are easily taken for wrong: of one instant, of extensions that overlap, and of messages that come
//! back by way of other topics. Times are in microseconds.

use stormglass_sim::check::{Calm, Drift, Verdict, queue_safety};
use stormglass_sim::history::{Answer, Call, Message, TopicSeen, VirtualTime};

use crate::queue_accounts::{counts, judged};
use crate::queue_safety::{
    LEASE_US, acknowledge, assert_accepted, assert_rejected, checked, dequeue, enqueue, grouped, plain,
    reject, row, unanswered,
};
use crate::support::Row;

fn declare(from_us: u64, until_us: u64, topic: &str, attempts_max: u64, dead_letter: &str) -> Row {
    let call =
        Call::DeclareTopic { topic: topic.to_owned(), attempts_max, dead_letter: dead_letter.to_owned() };
    row(9, from_us, until_us, call, Some(Answer::Declared))
}

/// It took no time.
fn at_once(mut row: Row) -> Row {
    row.2 = row.1;
    row
}

fn extend_by(client: u64, from_us: u64, until_us: u64, visibility_us: u64) -> Row {
    let call = Call::Extend { topic: "t".to_owned(), message: 7, receipt: 1, visibility_us };
    row(client, from_us, until_us, call, Some(Answer::Settled))
}

#[test]
fn of_one_batch_the_first_comes_first_however_short_it_took() {
    let got = |number: u64| dequeue(2, 10 * number, &[(number, 1, 1)]);
    let batch = |message: fn(u64) -> Message| {
        let settled = acknowledge(2, 12, 1, 1);
        vec![at_once(enqueue(1, &[message(1), message(2)])), got(1), settled, got(2)]
    };
    assert_accepted(vec![("plain", batch(plain)), ("of a group", batch(grouped))]);
    let pair = |first, second| {
        vec![at_once(enqueue(1, &[plain(first)])), at_once(enqueue(1, &[plain(second)])), got(1), got(2)]
    };
    assert_accepted(vec![("in order", pair(1, 2))]);
    assert_rejected(vec![("passed over", pair(2, 1))]);
}

#[test]
fn of_extensions_that_overlap_either_may_be_the_last() {
    let given = |rows: Vec<Row>, again_us| {
        let begin = vec![enqueue(1, &[plain(7)]), dequeue(2, 4, &[(7, 1, 1)])];
        [begin, rows, vec![dequeue(3, again_us, &[(7, 2, 2)])]].concat()
    };
    let short_first = || vec![extend_by(2, 20, 40, 5), extend_by(4, 25, 30, LEASE_US)];
    let lost_first = || vec![unanswered(extend_by(2, 20, 21, 5)), extend_by(4, 25, 30, LEASE_US)];
    let in_order = || vec![extend_by(2, 20, 24, 5), extend_by(4, 25, 30, LEASE_US)];
    assert_accepted(vec![
        ("the short one was last", given(short_first(), 40)),
        ("the lost one was last", given(lost_first(), 40)),
        ("the long one is over", given(in_order(), 125)),
    ]);
    assert_rejected(vec![
        ("free at the earliest", given(in_order(), 40)),
        ("free at the earliest", given(short_first(), 28)),
    ]);
}

#[test]
fn a_declaration_counts_from_its_answer_on() {
    let tried = |from_us, until_us| {
        vec![
            enqueue(1, &[plain(7)]),
            at_once(dequeue(2, 10, &[(7, 1, 1)])),
            at_once(reject(2, 10, 7, 1, 0)),
            declare(from_us, until_us, "t", 1, "u"),
            dequeue(2, 20, &[(7, 2, 2)]),
        ]
    };
    assert_accepted(vec![("at the instant at which it came back", tried(9, 10))]);
    assert_rejected(vec![("more than the 1 times", tried(8, 9))]);
}

#[test]
fn a_message_may_come_back_by_way_of_other_topics() {
    let to_and_fro = || vec![declare(0, 1, "t", 1, "u"), declare(1, 2, "u", 1, "t")];
    let somebody = |from_us| {
        let mut row = unanswered(dequeue(6, from_us, &[]));
        if let Call::Dequeue { topic, .. } = &mut row.3 {
            "u".clone_into(topic);
        }
        row
    };
    let back = |client, from_us, got| {
        let mut row = dequeue(client, from_us, &[got]);
        if let Some(Answer::Delivered { deliveries }) = &mut row.4 {
            deliveries[0].given_up = true;
        }
        row
    };
    let given = |message: Message, rows: Vec<Row>| {
        let sent = vec![enqueue(3, &[message]), dequeue(2, 10, &[(7, 1, 1)])];
        [to_and_fro(), sent, rows].concat()
    };
    let unseen =
        |delay_us| given(plain(7), vec![reject(2, 12, 7, 1, delay_us), somebody(20), back(2, 40, (7, 3, 1))]);
    assert_accepted(vec![
        ("seen by nobody there", unseen(0)),
        ("given up, it is not held back", unseen(900)),
        (
            "in nobody's way meanwhile",
            given(
                grouped(7),
                vec![
                    enqueue(11, &[grouped(8)]),
                    reject(2, 13, 7, 1, 0),
                    somebody(20),
                    dequeue(3, 30, &[(8, 1, 1)]),
                    acknowledge(3, 32, 8, 1),
                    back(2, 40, (7, 3, 1)),
                ],
            ),
        ),
    ]);
    assert_rejected(vec![(
        "attempts do not rise",
        given(plain(7), vec![reject(2, 12, 7, 1, 0), dequeue(2, 40, &[(7, 3, 1)])]),
    )]);
    let calm = Calm { from: VirtualTime(0), grace_ns: 0, slow_ppm_max: 0, lease_us: 0 };
    let mortal = given(
        Message { ttl_us: Some(20), ..plain(7) },
        vec![reject(2, 12, 7, 1, 0), somebody(20), back(2, 140, (7, 3, 1))],
    );
    let report = queue_safety::check(&checked(mortal), Drift::default(), Some(calm));
    assert_eq!(report.verdict, Verdict::Valid, "it lives anew: {:?}", report.counterexample);
}

#[test]
fn somebody_unheard_may_come_first_at_the_instant_of_another() {
    let unheard = |client, from_us| unanswered(at_once(dequeue(client, from_us, &[])));
    let rows = |lost: Row| {
        vec![
            enqueue(1, &[plain(7)]),
            at_once(dequeue(3, 10, &[])),
            lost,
            dequeue(3, 10, &[(7, 2, 2)]),
            dequeue(4, 200, &[(7, 3, 3)]),
        ]
    };
    assert_accepted(vec![("at that instant", rows(unheard(5, 10)))]);
    assert_rejected(vec![("got nothing", rows(unheard(5, 11)))]);
}

#[test]
fn a_topic_may_be_empty_at_the_instant_at_which_something_comes() {
    let sent = |until_us: u64| {
        let mut row = enqueue(1, &[plain(7)]);
        row.2 = until_us * 1_000;
        vec![row, counts(10, TopicSeen::default())]
    };
    assert_eq!(judged(sent(10)).0, Verdict::Unknown);
    assert_eq!(judged(sent(9)).0, Verdict::Invalid);
}
