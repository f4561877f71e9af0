//! Histories of consumer loops that queue safety accepts, and such that it rejects. Times are in microseconds.

use stormglass_sim::history::{Answer, Call, VirtualTime};

use crate::queue_safety::{
    acknowledge, assert_accepted, assert_rejected, dequeue, enqueue, extend, plain, reject, row, stale,
    unanswered,
};
use crate::support::Row;

/// Who asks for messages, works on them, and asks about them.
const POLLER: u64 = 1_002;
const HANDLER: u64 = 2_002;
const KEEPER: u64 = 3_002;
/// Whose loop it is, and another consumer.
const WORKER: u64 = 2;
const OTHER: u64 = 3;

fn handle(from_us: u64, until_us: u64, receipt: u64, finished: bool, believed_until_us: u64) -> Row {
    let call = Call::Handle { topic: "t".to_owned(), message: 7, receipt };
    let answer = Answer::Handled {
        finished,
        ended_ns: VirtualTime(until_us * 1_000),
        believed_until_ns: VirtualTime(believed_until_us * 1_000),
    };
    row(HANDLER, from_us, until_us, call, Some(answer))
}

/// Delivered, acknowledged, rejected, lost, unsettled.
fn stop(from_us: u64, until_us: u64, counts: [u64; 5]) -> Row {
    let call = Call::StopConsumer { topic: "t".to_owned(), asker: POLLER, wait_us: 0 };
    let [delivered, acknowledged, rejected, lost, unsettled] = counts;
    let answer = Answer::Stopped { delivered, acknowledged, rejected, lost, unsettled };
    row(WORKER, from_us, until_us, call, Some(answer))
}

fn given(rows: Vec<Row>) -> Vec<Row> {
    [vec![enqueue(1, &[plain(7)]), dequeue(POLLER, 4, &[(7, 1, 1)])], rows].concat()
}

#[test]
fn what_is_worked_on_under_its_lease_and_acknowledged_then_is_right() {
    assert_accepted(vec![
        (
            "finished, acknowledged, stopped",
            given(vec![
                handle(6, 50, 1, true, 103),
                acknowledge(KEEPER, 51, 7, 1),
                stop(60, 61, [1, 1, 0, 0, 0]),
            ]),
        ),
        (
            "extended",
            given(vec![
                extend(KEEPER, 40, 7, 1),
                handle(6, 120, 1, true, 139),
                acknowledge(KEEPER, 121, 7, 1),
                stop(30, 124, [1, 1, 0, 0, 0]),
            ]),
        ),
        (
            "dropped when its lease was over, and done by another",
            given(vec![
                handle(6, 103, 1, false, 103),
                stop(90, 105, [1, 0, 0, 1, 0]),
                dequeue(OTHER, 110, &[(7, 2, 2)]),
                acknowledge(OTHER, 120, 7, 2),
            ]),
        ),
        (
            "paused beyond its lease: it does nothing meanwhile",
            given(vec![
                dequeue(OTHER, 110, &[(7, 2, 2)]),
                handle(6, 200, 1, false, 103),
                stop(90, 205, [1, 0, 0, 1, 0]),
            ]),
        ),
        (
            "given back",
            given(vec![
                handle(6, 50, 1, true, 103),
                reject(KEEPER, 51, 7, 1, 0),
                stop(60, 61, [1, 0, 1, 0, 0]),
            ]),
        ),
        (
            "an acknowledgement that nobody answered",
            given(vec![
                handle(6, 50, 1, true, 103),
                unanswered(acknowledge(KEEPER, 51, 7, 1)),
                stop(60, 61, [1, 0, 0, 0, 1]),
            ]),
        ),
        (
            "one that came too late",
            given(vec![
                handle(6, 100, 1, true, 103),
                stale(acknowledge(KEEPER, 110, 7, 1)),
                stop(60, 120, [1, 0, 0, 1, 0]),
            ]),
        ),
        ("killed at its work", given(vec![unanswered(handle(6, 50, 1, true, 103))])),
    ]);
}

#[test]
fn a_loop_that_loses_its_lease_silently_is_noticed() {
    assert_rejected(vec![
        (
            "a handler went on until",
            given(vec![handle(6, 150, 1, true, 103), stale(acknowledge(KEEPER, 151, 7, 1))]),
        ),
        (
            "delivered again while its handler still worked",
            given(vec![dequeue(OTHER, 110, &[(7, 2, 2)]), handle(6, 150, 1, true, 203)]),
        ),
    ]);
}

#[test]
fn a_loop_that_acknowledges_what_it_did_not_finish_is_noticed() {
    assert_rejected(vec![
        (
            "had not been worked on to the end",
            given(vec![acknowledge(KEEPER, 7, 7, 1), handle(6, 50, 1, true, 103)]),
        ),
        (
            "had not been worked on to the end",
            given(vec![unanswered(handle(6, 50, 1, true, 103)), acknowledge(KEEPER, 60, 7, 1)]),
        ),
        (
            "had not been worked on to the end",
            given(vec![handle(6, 50, 1, false, 103), acknowledge(KEEPER, 60, 7, 1)]),
        ),
    ]);
}

#[test]
fn a_loop_that_is_stopped_leaves_nothing_in_hand_and_counts_right() {
    let done = |rows: Vec<Row>| {
        given([vec![handle(6, 50, 1, true, 103), acknowledge(KEEPER, 51, 7, 1)], rows].concat())
    };
    assert_rejected(vec![
        ("left a message in hand", given(vec![stop(60, 61, [1, 0, 0, 1, 0])])),
        ("left a message in hand", given(vec![handle(6, 50, 1, true, 103), stop(60, 61, [1, 0, 0, 1, 0])])),
        ("it says 1, 0 and 0", done(vec![stop(60, 61, [1, 0, 0, 1, 0])])),
        ("it says 2, 1 and 0", done(vec![stop(60, 61, [2, 1, 0, 1, 0])])),
        (
            "asked for messages 2 times after that",
            done(vec![stop(60, 90, [1, 1, 0, 0, 0]), dequeue(POLLER, 65, &[]), dequeue(POLLER, 70, &[])]),
        ),
    ]);
}
