//! Ages and rates of a topic go on between entries, at the leader and at whoever follows.

use bytes::Bytes;

use super::tests::Node;
use crate::api::{RequestBody, Response, ResponseBody};
use crate::ids::{Sequence, SessionId};
use crate::machine::{
    Action, Command, NewMessage, Query, QueueAction, QueueQuery, QueueReply, Reply, TopicRecent, TopicStats,
};
use crate::raft::Payload;
use crate::transport::Frame;

const SECOND_US: u64 = 1_000_000;

fn open() -> Command {
    Command::OpenSession { lease_us: 60_000_000 }
}

fn enqueue() -> Command {
    let messages = vec![NewMessage { payload: Bytes::from_static(b"m"), ..NewMessage::default() }; 3];
    let action = Action::Queue(QueueAction::Enqueue { topic: "jobs".to_owned(), messages, producer: None });
    let (session, sequence) = (SessionId(2), Sequence(1));
    Command::Once { session, sequence, lowest_open: Sequence(1), open_below: Vec::new(), action }
}

fn stats() -> Query {
    Query::Queue(QueueQuery::Stats { topic: "jobs".to_owned() })
}

/// The topic as the last answer tells it.
fn told(node: &Node) -> TopicStats {
    let (_, frame) = node.env.take_sent().into_iter().last().expect("it answered");
    let Ok(Frame::Response(Response { result, .. })) = Frame::decode(&frame) else { panic!("no response") };
    match result {
        Ok(ResponseBody::Outcome(outcome) | ResponseBody::AgedOutcome { outcome, .. }) => match outcome {
            Ok(Reply::Queue(QueueReply::Stats(stats))) => *stats,
            other => panic!("no statistics: {other:?}"),
        },
        other => panic!("no outcome: {other:?}"),
    }
}

fn seen(stats: &TopicStats) -> (u64, Option<u64>, u64) {
    (stats.ready, stats.oldest_ready_us.map(|age_us| age_us / SECOND_US), stats.recent.enqueued)
}

#[test]
fn at_a_leader_that_is_asked_nothing_but_this() {
    let mut node = Node::leading(|_| {});
    for (id, command) in [(1, open()), (2, enqueue())] {
        node.ask(id, RequestBody::Command(command));
        node.turn();
    }
    let mut ask = || {
        node.ask(3, RequestBody::Query(stats()));
        node.turn();
        let seen = seen(&told(&node));
        node.env.advance_us(5 * SECOND_US);
        seen
    };
    assert_eq!(
        [ask(), ask(), ask(), ask()],
        [(3, Some(0), 0), (3, Some(5), 3), (3, Some(10), 3), (3, Some(15), 0)]
    );
}

#[test]
fn at_a_node_that_hears_of_no_entry() {
    let mut node = Node::following();
    node.append(2, Payload::Command(open().encode()));
    node.append(3, Payload::Command(enqueue().encode()));
    node.read_at(7, 3);
    let mut ask = || {
        node.ask(8, RequestBody::QueryWithin { query: stats(), age_us_max: u64::MAX });
        let seen = seen(&told(&node));
        node.env.advance_us(6 * SECOND_US);
        seen
    };
    assert_eq!([ask(), ask(), ask()], [(3, Some(0), 0), (3, Some(6), 3), (3, Some(12), 0)]);
}

#[test]
fn a_rate_is_a_mean_per_second() {
    assert_eq!(TopicRecent::per_second(5), 0.5);
}
