//! Messages that are free though nobody gets them later, and several that take turns. Times are in microseconds.

use stormglass_sim::history::{Call, Message};

use crate::queue_safety::{
    Got, assert_accepted, assert_rejected, dequeue, dequeue_from, enqueue, extend, grouped, plain, reject,
    unanswered,
};
use crate::support::Row;

/// A delivery from another message's life, so that there is something to judge.
fn another() -> Vec<Row> {
    let other = Message { priority: 9, ..plain(1) };
    vec![enqueue(0, &[other]), dequeue(9, 2, &[(1, 1, 1)]), extend(9, 90, 1, 1)]
}

fn with(rows: Vec<Row>) -> Vec<Row> {
    [another(), rows].concat()
}

fn sent_by(client: u64, from_us: u64, until_us: u64, message: Message) -> Row {
    let mut row = enqueue(from_us, &[message]);
    (row.0, row.2) = (client, until_us * 1_000);
    row
}

fn unheard(from_us: u64, count: u64) -> Row {
    let mut row = unanswered(dequeue(7, from_us, &[]));
    if let Call::Dequeue { count_max, .. } = &mut row.3 {
        *count_max = count;
    }
    row
}

fn nothing(from_us: u64, until_us: u64) -> Row {
    dequeue_from("t", 3, from_us, until_us, &[])
}

#[test]
fn what_nobody_gets_later_is_there_all_the_same() {
    let sent = |message: Message, rows: Vec<Row>| with([vec![sent_by(1, 5, 6, message)], rows].concat());
    let mortal = |ttl_us| Message { ttl_us: Some(ttl_us), ..plain(7) };
    assert_accepted(vec![
        ("sent meanwhile", sent(plain(7), vec![nothing(4, 8)])),
        ("perhaps never sent", with(vec![unanswered(sent_by(1, 5, 6, plain(7))), nothing(10, 12)])),
        ("perhaps somebody has it", sent(plain(7), vec![unheard(9, 1), nothing(10, 12)])),
        ("its life may be over", sent(mortal(5), vec![nothing(9, 11)])),
        ("held back", sent(Message { delay_us: 20, ..plain(7) }, vec![nothing(10, 12)])),
        ("one of a group", sent(grouped(7), vec![nothing(10, 12)])),
    ]);
    assert_rejected(vec![
        ("got nothing", sent(plain(7), vec![nothing(10, 12)])),
        ("got nothing", sent(plain(7), vec![nothing(10, 12), unheard(13, 1)])),
        ("got nothing", sent(mortal(8), vec![nothing(9, 11)])),
    ]);
    let two = |count| with(vec![enqueue(5, &[plain(7), plain(8)]), unheard(8, count), nothing(10, 12)]);
    assert_accepted(vec![("perhaps somebody has both", two(2))]);
    assert_rejected(vec![("one message or another", two(1))]);
}

#[test]
fn what_came_back_and_nobody_gets_later_is_there() {
    let back = |rows: Vec<Row>| {
        let given = vec![sent_by(1, 5, 6, plain(7)), dequeue(2, 10, &[(7, 1, 1)])];
        let declared = crate::queue_safety::declare(3);
        with([vec![declared], given, rows].concat())
    };
    assert_accepted(vec![
        ("still out", back(vec![nothing(20, 22)])),
        ("held back", back(vec![reject(2, 12, 7, 1, 50), nothing(20, 22)])),
        ("perhaps", back(vec![unanswered(reject(2, 12, 7, 1, 0)), nothing(20, 22)])),
        (
            "given up",
            back(vec![
                reject(2, 12, 7, 1, 0),
                dequeue(2, 14, &[(7, 2, 2)]),
                reject(2, 16, 7, 2, 0),
                nothing(20, 22),
            ]),
        ),
    ]);
    assert_rejected(vec![("got nothing", back(vec![reject(2, 12, 7, 1, 0), nothing(20, 22)]))]);
}

#[test]
fn several_that_take_turns_are_something_all_along() {
    let turns = |client, from_us, until_us, rows: Vec<Row>| {
        let first = vec![sent_by(1, 5, 6, plain(7)), dequeue(2, 20, &[(7, 1, 1)])];
        let second = vec![sent_by(client, from_us, until_us, plain(8)), dequeue(4, 40, &[(8, 1, 1)])];
        with([first, second, rows].concat())
    };
    assert_accepted(vec![
        ("not yet there", turns(5, 18, 21, vec![nothing(10, 30)])),
        ("at the same instant", turns(5, 18, 20, vec![nothing(10, 30)])),
        ("before both", turns(5, 18, 19, vec![nothing(4, 30)])),
        ("after both", turns(5, 18, 19, vec![nothing(10, 41)])),
    ]);
    assert_rejected(vec![
        ("one message or another", turns(5, 18, 19, vec![nothing(10, 30)])),
        ("one message or another", turns(2, 18, 20, vec![nothing(10, 30)])),
    ]);
    let mut waits = nothing(10, 60);
    if let Call::Dequeue { wait_us, .. } = &mut waits.3 {
        *wait_us = 50;
    }
    assert_rejected(vec![("got nothing", turns(5, 30, 31, vec![waits]))]);
}

#[test]
fn nobody_passes_over_what_is_never_delivered() {
    let sent = |first: Message, got: &[Got], rows: Vec<Row>| {
        let pair = vec![sent_by(1, 5, 6, first), sent_by(1, 7, 8, plain(8)), dequeue(2, 20, got)];
        with([pair, rows].concat())
    };
    let second = &[(8, 1, 1)];
    assert_accepted(vec![
        ("in order", sent(plain(7), &[(7, 1, 1)], vec![])),
        ("perhaps somebody has it", sent(plain(7), second, vec![unheard(15, 1)])),
        ("perhaps since then", sent(plain(7), second, vec![unheard(21, 1)])),
        ("its life may be over", sent(Message { ttl_us: Some(10), ..plain(7) }, second, vec![])),
        ("held back", sent(Message { delay_us: 10, ..plain(7) }, second, vec![])),
        ("one of a group", sent(grouped(7), second, vec![])),
    ]);
    assert_rejected(vec![
        ("passed over", sent(plain(7), second, vec![])),
        ("passed over", sent(plain(7), second, vec![unheard(22, 1)])),
        ("passed over", sent(Message { ttl_us: Some(100), ..plain(7) }, second, vec![])),
        ("passed over", sent(Message { priority: 1, ..plain(7) }, second, vec![])),
    ]);
}
