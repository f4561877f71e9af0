//! Retries that need no entry, and ticks that follow each other at once.

use bytes::Bytes;

use super::tests::Node;
use crate::api::{RequestBody, ResponseBody};
use crate::env::Env;
use crate::ids::{ClientId, Sequence, SessionId};
use crate::machine::{
    Action, BATCH_MAX, CacheAction, Command, ENDS_PER_ENTRY_MAX, NewMessage, Opener, Outcome, QueueAction,
    QueueReply, Reply,
};
use crate::transport::Frame;

/// Opened by the first entry after the one that begins the term.
const SESSION: SessionId = SessionId(2);

fn leading() -> Node {
    let mut node = Node::leading(|_| {});
    node.ask(1, RequestBody::Command(Command::OpenSession { lease_us: 60_000_000 }));
    node.turn();
    assert_eq!(node.outcomes(), [(1, Ok(Reply::SessionOpened { session: SESSION }))]);
    node
}

fn once(sequence: u64, action: Action) -> RequestBody {
    let (session, sequence, lowest_open) = (SESSION, Sequence(sequence), Sequence(1));
    RequestBody::Command(Command::Once { session, sequence, lowest_open, open_below: Vec::new(), action })
}

/// What was answered since the last call, and whether the attempt was an entry.
fn answers(node: &Node) -> Vec<(u64, bool, Outcome)> {
    let decoded = node.env.take_sent().into_iter().map(|(_, frame)| Frame::decode(&frame));
    let answer = |frame| match frame {
        Ok(Frame::Response(response)) => match response.result {
            Ok(ResponseBody::Outcome(outcome)) => (response.id.0, true, outcome),
            Ok(ResponseBody::Known(outcome)) => (response.id.0, false, outcome),
            other => panic!("no outcome: {other:?}"),
        },
        other => panic!("no response: {other:?}"),
    };
    decoded.map(answer).collect()
}

#[test]
fn a_retry_of_a_command_that_waits_takes_its_place_without_an_entry() {
    let mut node = leading();
    let (topic, visibility_us) = ("jobs".to_owned(), 1_000_000);
    let wait =
        QueueAction::Dequeue { topic: topic.clone(), count_max: 1, visibility_us, wait_us: 60_000_000 };
    node.ask(2, once(1, Action::Queue(wait.clone())));
    node.turn();
    let last = node.replica.last_index();
    for attempt in 3..9 {
        node.ask(attempt, once(1, Action::Queue(wait.clone())));
        node.turn();
    }
    assert_eq!(node.replica.last_index(), last);
    assert_eq!(answers(&node), []);
    let put = QueueAction::Enqueue { topic, messages: vec![NewMessage::default()], producer: None };
    node.ask(9, once(2, Action::Queue(put)));
    node.turn();
    let answers = answers(&node);
    let [(9, true, Ok(_)), (8, false, Ok(Reply::Queue(QueueReply::Delivered(given))))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(given.len(), 1);
}

#[test]
fn a_retry_of_a_command_that_was_applied_is_answered_without_an_entry() {
    let mut node = leading();
    let set = CacheAction::Set { key: "key".to_owned(), value: Bytes::from("one"), ttl_us: None };
    node.ask(2, once(1, Action::Cache(set.clone())));
    node.turn();
    let first = answers(&node);
    let last = node.replica.last_index();
    node.ask(3, once(1, Action::Cache(set)));
    node.turn();
    assert_eq!(node.replica.last_index(), last);
    assert_eq!(answers(&node), [(3, false, first[0].2.clone())], "and it says that it renewed nothing");
}

#[test]
fn a_retry_of_a_command_that_is_under_way_joins_it() {
    let mut node = leading();
    let set = CacheAction::Set { key: "key".to_owned(), value: Bytes::from("one"), ttl_us: None };
    let opener = Opener { client: ClientId(1), nonce: 7 };
    let open = RequestBody::Command(Command::OpenSessionOnce { lease_us: 60_000_000, opener });
    let keep = RequestBody::Command(Command::KeepAlive { session: SESSION });
    let last = node.replica.last_index();
    for (first, body) in [(10, once(1, Action::Cache(set))), (20, open), (30, keep)] {
        for attempt in first..first + 3 {
            node.ask(attempt, body.clone());
        }
    }
    node.turn();
    assert_eq!(node.replica.last_index().0, last.0 + 3, "one entry each");
    let mut told: Vec<(u64, bool)> = answers(&node)
        .into_iter()
        .map(|(id, is_entry, outcome)| {
            assert!(outcome.is_ok(), "{outcome:?}");
            (id, is_entry)
        })
        .collect();
    // A write goes through the gate of the near-caches first.
    told.sort_unstable();
    assert_eq!(told, [(10, true), (12, false), (20, true), (22, false), (30, true), (32, false)]);
}

#[test]
fn a_retry_that_has_joined_a_command_which_then_waits_waits_in_its_place() {
    let mut node = leading();
    let (topic, visibility_us) = ("jobs".to_owned(), 1_000_000);
    let wait =
        QueueAction::Dequeue { topic: topic.clone(), count_max: 1, visibility_us, wait_us: 60_000_000 };
    node.ask(2, once(1, Action::Queue(wait.clone())));
    node.ask(3, once(1, Action::Queue(wait)));
    node.turn();
    assert_eq!(answers(&node), []);
    let put = QueueAction::Enqueue { topic, messages: vec![NewMessage::default()], producer: None };
    node.ask(9, once(2, Action::Queue(put)));
    node.turn();
    let told: Vec<(u64, bool)> = answers(&node).into_iter().map(|(id, is_entry, _)| (id, is_entry)).collect();
    assert_eq!(told, [(9, true), (3, false)]);
}

#[test]
fn while_more_is_due_than_one_entry_ends_the_ticks_follow_each_other_at_once() {
    let mut node = leading();
    let batches = 2 * ENDS_PER_ENTRY_MAX / BATCH_MAX + 1;
    for batch in 1..=batches as u64 {
        let messages = vec![NewMessage { ttl_us: Some(1_000), ..NewMessage::default() }; BATCH_MAX];
        let put = QueueAction::Enqueue { topic: "jobs".to_owned(), messages, producer: None };
        node.ask(1 + batch, once(batch, Action::Queue(put)));
        node.turn();
    }
    let last = node.replica.last_index();
    node.env.advance_us(1_000);
    let mut turns = 0;
    while node.replica.deadline() <= node.env.now() {
        turns += 1;
        assert!(turns < 10, "a tick must not be proposed again and again");
        node.turn();
    }
    assert!(!node.replica.machine.is_behind());
    assert_eq!(node.replica.last_index().0, last.0 + 3, "as many entries as are needed");
}
