//! Who asks once more for what it was given, and what that costs.

use bytes::Bytes;

use super::super::{NewMessage, QueueAction, QueueReply};
use super::{apply, bytes_of, plain};
use crate::ids::{Sequence, SessionId};
use crate::machine::{Action, Command, Machine, Outcome, Reply};

const SESSION: SessionId = SessionId(1);

/// A machine with one session.
fn machine() -> Machine {
    let mut machine = Machine::new();
    apply(&mut machine, 0, &Command::OpenSession { lease_us: 60_000_000 }).1.outcome.expect("there is room");
    machine
}

/// Nothing is let go of.
fn act(machine: &mut Machine, time_us: u64, sequence: u64, action: QueueAction) -> Outcome {
    let (sequence, lowest_open, open_below) = (Sequence(sequence), Sequence(1), Vec::new());
    let action = Action::Queue(action);
    let command = Command::Once { session: SESSION, sequence, lowest_open, open_below, action };
    apply(machine, time_us, &command).1.outcome
}

fn put(messages: Vec<NewMessage>) -> QueueAction {
    QueueAction::Enqueue { topic: "jobs".to_owned(), messages, producer: None }
}

fn get(count_max: u32) -> QueueAction {
    QueueAction::Dequeue { topic: "jobs".to_owned(), count_max, visibility_us: 5_000, wait_us: 0 }
}

#[test]
fn a_retry_gets_the_first_answer_while_all_deliveries_last_and_then_learns_which_are_over() {
    let mut machine = machine();
    let headers = vec![("kind".to_owned(), "x".to_owned())];
    let group = Some("g".to_owned());
    act(&mut machine, 0, 1, put(vec![plain("a"), NewMessage { headers, group, ..plain("b") }]))
        .expect("room");
    let first = act(&mut machine, 1_000, 2, get(9));
    let Ok(Reply::Queue(QueueReply::Delivered(given))) = first.clone() else { panic!("{first:?}") };
    assert_eq!(act(&mut machine, 2_000, 2, get(9)), first);
    assert_eq!(act(&mut machine, 5_999, 2, get(9)), first, "to the last moment of the lease");

    let (topic, receipt) = ("jobs".to_owned(), (given[0].id, given[0].receipt));
    let acknowledge = QueueAction::Acknowledge { topic, receipts: vec![receipt] };
    act(&mut machine, 5_999, 3, acknowledge).expect("it is in flight");
    let (deliveries, over) = (vec![given[1].clone()], vec![receipt]);
    let now = QueueReply::DeliveredBefore { deliveries, over };
    assert_eq!(act(&mut machine, 5_999, 2, get(9)), Ok(Reply::Queue(now)));

    let all = given.iter().map(|delivery| (delivery.id, delivery.receipt)).collect();
    let over = Ok(Reply::Queue(QueueReply::DeliveredBefore { deliveries: Vec::new(), over: all }));
    assert_eq!(act(&mut machine, 6_000, 2, get(9)), over, "the lease has run out");
    let second = act(&mut machine, 6_001, 4, get(9));
    assert!(matches!(second, Ok(Reply::Queue(QueueReply::Delivered(again))) if again[0].attempt == 2));
    assert_eq!(act(&mut machine, 6_002, 2, get(9)), over, "another has it now");
}

#[test]
fn a_reply_that_nobody_has_let_go_of_keeps_no_message_alive() {
    const BYTES: usize = 1_000_000;
    let mut machine = machine();
    let rounds = 30;
    for round in 0..rounds {
        let large = NewMessage { payload: Bytes::from(vec![7; BYTES]), ..plain("") };
        act(&mut machine, 0, 3 * round + 1, put(vec![large])).expect("there is room");
        let given = act(&mut machine, 0, 3 * round + 2, get(1));
        let Ok(Reply::Queue(QueueReply::Delivered(given))) = given else { panic!("{given:?}") };
        let held = bytes_of(&machine, 1 << 20).len();
        assert!((BYTES..BYTES + 10_000).contains(&held), "the message is there once, not {held} bytes");
        let (topic, receipts) = ("jobs".to_owned(), vec![(given[0].id, given[0].receipt)]);
        act(&mut machine, 0, 3 * round + 3, QueueAction::Acknowledge { topic, receipts })
            .expect("it is in flight");
    }
    let held = bytes_of(&machine, 1 << 20).len();
    assert!(held < 10_000, "{rounds} replies are remembered, none with what was delivered: {held} bytes");
}
