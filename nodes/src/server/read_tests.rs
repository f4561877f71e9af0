//! Watches, and reads that may be stale within a bound, at one replica fed by hand.

use bytes::Bytes;

use super::tests::Node;
use crate::api::{ApiError, RequestBody, RequestId, Response, ResponseBody};
use crate::env::Env;
use crate::ids::{ClusterTime, LogIndex, NodeId, Sequence, SessionId, Term};
use crate::machine::{
    Action, CacheAction, CacheQuery, CacheReply, Command, LockAction, LockGrant, LockMode, LockQuery,
    LockReply, LockRequest, LockState, Machine, MachineError, NAME_BYTES_MAX, Query, Reply, WAIT_US_MAX,
};
use crate::raft::membership::Membership;
use crate::raft::{Body, Payload, ReadIndexAnswer, SnapshotChunk, SnapshotMeta};
use crate::transport::Frame;

const SESSION: SessionId = SessionId(2);

fn payload(command: &Command) -> Payload {
    Payload::Command(command.encode())
}

fn once(sequence: u64, action: Action) -> Command {
    let sequence = Sequence(sequence);
    Command::Once { session: SESSION, sequence, lowest_open: Sequence(1), open_below: Vec::new(), action }
}

fn acquire(sequence: u64, resource: &str) -> Command {
    let requests = vec![LockRequest { resource: resource.to_owned(), mode: LockMode::Exclusive }];
    once(sequence, Action::Lock(LockAction::Acquire { requests, wait_us: 0 }))
}

fn set(sequence: u64, value: &'static str) -> Command {
    let value = Bytes::from_static(value.as_bytes());
    once(sequence, Action::Cache(CacheAction::Set { key: "k".to_owned(), value, ttl_us: None }))
}

fn watch(resource: &str, seen: u64, wait_us: u64) -> RequestBody {
    RequestBody::Watch { resource: resource.to_owned(), seen: LogIndex(seen), wait_us }
}

fn get_within(age_us_max: u64) -> RequestBody {
    RequestBody::QueryWithin { query: Query::Cache(CacheQuery::Get { key: "k".to_owned() }), age_us_max }
}

/// A follower that has applied the opening of a session.
fn following() -> Node {
    let mut node = Node::following();
    node.append(2, payload(&Command::OpenSession { lease_us: 60_000_000 }));
    node
}

impl Node {
    /// Responses sent since the last call.
    fn responses(&self) -> Vec<(u64, Result<ResponseBody, ApiError>)> {
        let decoded = self.env.take_sent().into_iter().map(|(_, frame)| Frame::decode(&frame));
        let response = |frame| match frame {
            Ok(Frame::Response(Response { id: RequestId(id), result })) => Some((id, result)),
            _ => None,
        };
        decoded.filter_map(response).collect()
    }

    /// The locks' versions that were told since the last call.
    fn told(&self) -> Vec<(u64, LogIndex)> {
        let version = |(id, result)| match result {
            Ok(ResponseBody::Outcome(Ok(Reply::Lock(LockReply::State(state))))) => (id, state.version),
            other => panic!("no lock's state: {other:?}"),
        };
        self.responses().into_iter().map(version).collect()
    }

    /// Values and ages that were told since the last call.
    fn aged(&self) -> Vec<(u64, Option<Bytes>, u64)> {
        let aged = |(id, result)| match result {
            Ok(ResponseBody::AgedOutcome { outcome: Ok(Reply::Cache(CacheReply::Value(value))), age_us }) => {
                (id, value.map(|value| value.value), age_us)
            }
            other => panic!("no value with an age: {other:?}"),
        };
        self.responses().into_iter().map(aged).collect()
    }

    /// Asks; returns the number of the question that goes to the leader, if one does.
    fn ask_leader(&mut self, id: u64, body: RequestBody) -> Option<u64> {
        drop(self.env.take_sent());
        self.ask(id, body);
        self.turn();
        let (mut question, sent) = (None, self.env.take_sent());
        for (to, frame) in sent {
            match Frame::decode(&frame) {
                Ok(Frame::Peer(message)) => {
                    if let Body::ReadIndexRequest { read } = message.body {
                        question = Some(read);
                    }
                }
                // To be looked at by the test.
                _ => crate::env::Net::send(&self.env, to, frame),
            }
        }
        question
    }

    fn leader_says(&mut self, read: u64, index: u64) {
        self.hear(Body::ReadIndexResponse { read, answer: ReadIndexAnswer::Index(LogIndex(index)) });
    }
}

fn value(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[test]
fn a_watch_is_answered_by_the_entry_that_changes_the_lock_and_by_no_other() {
    let mut node = following();
    node.ask(7, watch("door", 0, 9_000_000));
    node.append(3, payload(&acquire(1, "window")));
    node.append(4, payload(&set(2, "v")));
    assert_eq!(node.told(), []);
    node.append(5, payload(&acquire(3, "door")));
    assert_eq!(node.told(), [(7, LogIndex(5))]);
    let release =
        LockGrant { resource: "door".to_owned(), token: crate::ids::FenceToken::first_of(LogIndex(5)) };
    node.ask(8, watch("door", 5, 9_000_000));
    node.append(6, payload(&once(4, Action::Lock(LockAction::Release { grants: vec![release] }))));
    assert_eq!(node.told(), [(8, LogIndex(6))], "it is free, and forgotten");
}

#[test]
fn a_watch_learns_of_a_change_that_no_command_about_locks_made() {
    let mut node = following();
    node.append(3, payload(&acquire(1, "door")));
    node.ask(7, watch("door", 3, 9_000_000));
    node.append(4, payload(&Command::CloseSession { session: SESSION }));
    assert_eq!(node.told(), [(7, LogIndex(4))]);
}

#[test]
fn a_watch_that_has_missed_a_change_is_answered_at_once() {
    let mut node = following();
    node.append(3, payload(&acquire(1, "door")));
    node.ask(7, watch("door", 2, 9_000_000));
    assert_eq!(node.told(), [(7, LogIndex(3))]);
}

#[test]
fn a_watch_that_sees_no_change_ends_with_its_time() {
    let mut node = following();
    node.append(3, payload(&acquire(1, "door")));
    node.ask(7, watch("door", 3, 5_000));
    node.ask(8, watch("door", 3, 2_000));
    let after_us = |node: &mut Node, us| {
        node.env.advance_us(us);
        node.turn();
        node.told()
    };
    assert!(node.replica.deadline() <= node.env.now().plus_us(2_000));
    assert_eq!(after_us(&mut node, 1_999), []);
    assert_eq!(after_us(&mut node, 1), [(8, LogIndex(3))]);
    assert_eq!(after_us(&mut node, 3_000), [(7, LogIndex(3))]);
    node.append(4, payload(&Command::CloseSession { session: SESSION }));
    assert_eq!(node.told(), [], "nobody is told twice");
}

#[test]
fn each_watch_goes_by_what_it_has_seen() {
    let mut node = following();
    node.append(3, payload(&acquire(1, "door")));
    node.ask(7, watch("door", 3, 9_000_000));
    // This client has been told by a node that is ahead.
    node.ask(8, watch("door", 4, 9_000_000));
    let close = payload(&Command::CloseSession { session: SESSION });
    node.append(4, close);
    assert_eq!(node.told(), [(7, LogIndex(4))]);
    node.append(5, payload(&Command::OpenSession { lease_us: 60_000_000 }));
    node.append(
        6,
        payload(&Command::Once {
            session: SessionId(5),
            sequence: Sequence(1),
            lowest_open: Sequence(1),
            open_below: Vec::new(),
            action: Action::Lock(LockAction::DeclareSemaphore { resource: "door".to_owned(), permits: 2 }),
        }),
    );
    assert_eq!(node.told(), [(8, LogIndex(6))]);
}

#[test]
fn watches_count_among_the_pending_requests() {
    let mut node = Node::leading(|config| config.pending_requests_max = 2);
    node.ask(1, watch("a", 0, 9_000_000));
    node.ask(2, watch("b", 0, 9_000_000));
    node.ask(3, watch("c", 0, 9_000_000));
    assert_eq!(node.responses(), [(3, Err(ApiError::Overloaded))]);
}

#[test]
fn an_impossible_watch_is_refused_at_once() {
    let mut node = following();
    drop(node.responses());
    node.ask(1, watch(&"r".repeat(NAME_BYTES_MAX + 1), 0, 9_000_000));
    node.ask(2, watch("", 0, 9_000_000));
    node.ask(3, watch("door", 0, WAIT_US_MAX + 1));
    let responses = node.responses();
    let is_invalid = |(_, result): &(u64, Result<ResponseBody, ApiError>)| {
        matches!(result, Ok(ResponseBody::Outcome(Err(MachineError::InvalidArgument(_)))))
    };
    assert!(responses.len() == 3 && responses.iter().all(is_invalid), "{responses:?}");
}

#[test]
fn a_node_that_knows_nothing_of_its_age_asks_first() {
    let mut node = following();
    let read = node.ask_leader(7, get_within(u64::MAX)).expect("it asks");
    assert_eq!(node.aged(), []);
    node.env.advance_us(300);
    node.leader_says(read, 2);
    assert_eq!(node.aged(), [(7, None, 300)], "from the question on, not from its answer");
}

#[test]
fn the_age_counts_from_the_arrival_of_the_latest_read_that_is_served() {
    let mut node = following();
    node.append(3, payload(&set(1, "old")));
    let read = node.ask_leader(7, get_within(0)).expect("it asks");
    node.env.advance_us(300);
    node.leader_says(read, 4);
    node.env.advance_us(1_000);
    assert_eq!(node.aged(), [], "what the leader named is not applied");
    // So the state is known to be no fresher than before: never.
    let second = node.ask_leader(8, get_within(u64::MAX)).expect("it asks");
    node.env.advance_us(50);
    node.append(4, payload(&set(2, "new")));
    assert_eq!(node.aged(), [(7, value("new"), 1_350)]);

    assert_eq!(node.ask_leader(9, get_within(1_350)), None, "1,350 us is allowed");
    assert_eq!(node.aged(), [(9, value("new"), 1_350)]);
    node.env.advance_us(1);
    let third = node.ask_leader(10, get_within(1_350)).expect("1,351 us is not");
    node.leader_says(second, 4);
    assert_eq!(node.aged(), [(8, value("new"), 51)], "as old as this question");
    node.leader_says(third, 4);
    assert_eq!(node.aged(), [(10, value("new"), 0)]);
}

#[test]
fn a_node_that_is_cut_off_answers_within_its_age_and_no_longer() {
    let mut node = following();
    node.append(3, payload(&set(1, "v")));
    let read = node.ask_leader(7, get_within(0)).expect("it asks");
    node.leader_says(read, 3);
    drop(node.aged());
    node.env.advance_us(10_000);
    assert_eq!(node.ask_leader(8, get_within(20_000)), None);
    assert_eq!(node.aged(), [(8, value("v"), 10_000)]);
    // Long without a leader, it refuses what it cannot answer.
    node.env.advance_us(60_000_000);
    node.turn();
    assert_eq!(node.ask_leader(9, get_within(20_000)), None);
    assert!(matches!(node.responses()[..], [(9, Err(ApiError::NotLeader { .. }))]));
    node.ask(10, get_within(60_010_000));
    assert_eq!(node.aged(), [(10, value("v"), 60_010_000)]);
}

#[test]
fn any_read_that_is_served_proves_how_old_the_state_is() {
    let mut node = following();
    node.read_at(7, 2);
    drop(node.responses());
    node.env.advance_us(40);
    assert_eq!(node.ask_leader(8, get_within(40)), None);
    assert_eq!(node.aged(), [(8, None, 40)]);
}

#[test]
fn a_leader_answers_at_the_age_of_its_latest_round() {
    let mut node = Node::leading(|_| {});
    node.ask(1, get_within(0));
    node.turn();
    assert_eq!(node.aged(), [(1, None, 0)]);
    node.env.advance_us(70);
    node.ask(2, get_within(70));
    assert_eq!(node.aged(), [(2, None, 70)]);
}

#[test]
fn a_question_of_a_name_too_long_has_no_age() {
    let mut node = Node::leading(|_| {});
    let query = Query::Lock(LockQuery::State { resource: "r".repeat(NAME_BYTES_MAX + 1) });
    node.ask(1, RequestBody::QueryWithin { query, age_us_max: u64::MAX });
    let responses = node.responses();
    assert!(
        matches!(responses[..], [(1, Ok(ResponseBody::Outcome(Err(MachineError::InvalidArgument(_)))))]),
        "{responses:?}"
    );
}

#[test]
fn a_watch_at_a_node_that_leads_no_more_goes_on() {
    let mut node = following();
    node.ask(7, watch("door", 0, 9_000_000));
    node.hear(Body::Heartbeat { commit_index: LogIndex(2), read_round: 1, quiesce: false });
    node.env.advance_us(2_000_000);
    node.turn();
    assert!(node.replica.core.status().leader != Some(NodeId(1)), "its leader is gone");
    assert_eq!(node.told(), []);
    node.env.advance_us(7_000_000);
    node.turn();
    let told = node.told();
    assert_eq!(told, [(7, LockState::default().version)]);
}

/// A leader's snapshot of a machine that has applied six entries, `door` being held and `k` written by the last.
fn snapshot() -> SnapshotChunk {
    let mut machine = Machine::new();
    let commands = [
        Command::Tick,
        Command::OpenSession { lease_us: 60_000_000 },
        Command::Tick,
        Command::Tick,
        acquire(1, "door"),
        set(2, "new"),
    ];
    for (index, command) in (1..).zip(&commands) {
        machine.apply(LogIndex(index), ClusterTime(0), command);
    }
    let mut data = vec![0; super::applying::STATE_HASH_BYTES];
    let mut frozen = machine.snapshot();
    while let Some(piece) = frozen.next_piece(1024) {
        data.extend_from_slice(&piece);
    }
    let membership = Membership::new((1..=3).map(NodeId).collect(), Vec::new());
    let (index, term) = (LogIndex(6), Term(1));
    let meta = SnapshotMeta { index, term, membership, version: 1, ..SnapshotMeta::default() };
    let checksum = xxhash_rust::xxh3::xxh3_64(&data);
    SnapshotChunk { meta, total_bytes: data.len() as u64, checksum, offset_bytes: 0, data: data.into() }
}

#[test]
fn an_installed_snapshot_answers_watches_and_reads_and_proves_their_age() {
    let mut node = following();
    node.ask(7, watch("door", 0, 9_000_000));
    let read = node.ask_leader(8, get_within(0)).expect("it asks");
    node.env.advance_us(200);
    node.leader_says(read, 6);
    assert_eq!(node.responses(), []);
    node.env.advance_us(100);
    node.hear(Body::SnapshotChunk(Box::new(snapshot())));
    let (told, aged): (Vec<_>, Vec<_>) = node.responses().into_iter().partition(|(id, _)| *id == 7);
    let [(8, Ok(ResponseBody::AgedOutcome { outcome, age_us: 300 }))] = &aged[..] else { panic!("{aged:?}") };
    assert!(matches!(outcome, Ok(Reply::Cache(CacheReply::Value(Some(found)))) if found.value == "new"));
    let [(7, Ok(ResponseBody::Outcome(Ok(Reply::Lock(LockReply::State(state))))))] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(state.version, LogIndex(5));
    assert_eq!(node.ask_leader(9, get_within(300)), None);
    assert_eq!(node.aged(), [(9, value("new"), 300)]);
}
