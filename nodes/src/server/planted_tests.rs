//! The bugs planted in the driver change what they say they change.

use bytes::Bytes;

use super::tests::Node;
use crate::api::RequestBody;
use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::machine::{
    Action, CacheAction, CacheQuery, Command, LockAction, LockMode, LockQuery, LockReply, LockRequest, Query,
    QueueQuery, Reply,
};
use crate::plant::{Bug, select};
use crate::raft::Payload;
use crate::transport::Frame;

/// Does something with a bug planted, on this test's own thread.
fn with<T>(bug: Option<Bug>, what: impl FnOnce() -> T) -> T {
    select(bug);
    let result = what();
    select(None);
    result
}

#[test]
fn a_lease_ends_by_the_clock_of_the_node_that_applies() {
    let ends = |bug| {
        with(bug, || {
            let mut node = Node::following();
            node.env.advance_us(70_000);
            let command = Command::OpenSession { lease_us: 60_000_000 }.encode();
            node.append(2, Payload::Command(command));
            node.replica.next_expiry()
        })
    };
    assert_eq!(ends(None), Some(ClusterTime(60_000_000)), "the entry is stamped 0");
    assert_eq!(ends(Some(Bug::ApplyReadsClock)), Some(ClusterTime(60_070_000)));
}

#[test]
fn a_follower_answers_about_a_topic_without_asking_how_far_it_must_have_applied() {
    let answers = |bug| {
        with(bug, || {
            let mut node = Node::following();
            drop(node.env.take_sent());
            let query = QueueQuery::Peek { topic: "jobs".to_owned(), count_max: 1 };
            node.ask(7, RequestBody::QueryAnywhere(Query::Queue(query)));
            node.turn();
            let sent = node.env.take_sent();
            let is_answer = |frame: &Bytes| matches!(Frame::decode(frame), Ok(Frame::Response(_)));
            sent.iter().filter(|(_, frame)| is_answer(frame)).count()
        })
    };
    assert_eq!(answers(None), 0);
    assert_eq!(answers(Some(Bug::QueueEmptyPollStale)), 1);
}

#[test]
fn a_key_ends_by_the_clock_of_the_node_that_is_asked() {
    let is_found = |bug| {
        with(bug, || {
            let mut node = Node::following();
            let session = SessionId(2);
            node.append(2, Payload::Command(Command::OpenSession { lease_us: 60_000_000 }.encode()));
            let (key, value) = ("k".to_owned(), Bytes::from_static(b"v"));
            let action = Action::Cache(CacheAction::Set { key, value, ttl_us: Some(50_000) });
            let sequence = Sequence(1);
            let set =
                Command::Once { session, sequence, lowest_open: sequence, open_below: Vec::new(), action };
            node.append(3, Payload::Command(set.encode()));
            // The log stands still meanwhile.
            node.env.advance_us(50_000);
            let query = Query::Cache(CacheQuery::Get { key: "k".to_owned() });
            let outcome = node.replica.look_up(&query);
            format!("{outcome:?}").contains("Some(")
        })
    };
    assert!(is_found(None));
    assert!(!is_found(Some(Bug::CacheTtlLocal)));
}

#[test]
fn those_who_wait_for_a_lock_are_forgotten_when_the_leader_changes() {
    let waiting = |bug| {
        with(bug, || {
            let mut node = Node::following();
            for index in [2, 3] {
                node.append(index, Payload::Command(Command::OpenSession { lease_us: 60_000_000 }.encode()));
            }
            for (index, session) in [(4, SessionId(2)), (5, SessionId(3))] {
                let requests = vec![LockRequest { resource: "door".to_owned(), mode: LockMode::Exclusive }];
                let action = Action::Lock(LockAction::Acquire { requests, wait_us: 9_000_000 });
                let sequence = Sequence(1);
                let acquire = Command::Once {
                    session,
                    sequence,
                    lowest_open: sequence,
                    open_below: Vec::new(),
                    action,
                };
                node.append(index, Payload::Command(acquire.encode()));
            }
            // With such an entry a leader's term begins.
            node.append(6, Payload::Noop);
            let query = Query::Lock(LockQuery::State { resource: "door".to_owned() });
            match node.replica.look_up(&query) {
                Ok(Reply::Lock(LockReply::State(state))) => (state.holders.len(), state.waiters.len()),
                other => panic!("no lock's state: {other:?}"),
            }
        })
    };
    assert_eq!(waiting(None), (1, 1));
    assert_eq!(waiting(Some(Bug::LockWaiterLostOnFailover)), (1, 0));
}
