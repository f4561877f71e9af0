//! A replica alone, fed by hand: a cluster of one, whose disk is as quick as the test says.

use bytes::Bytes;

use super::replica::Replica;
use super::{NodeConfig, NodeError, Silent};
use crate::api::{Request, RequestBody, RequestId, ResponseBody};
use crate::env::{Env, FRAME_BYTES_MAX};
use crate::fake_env::FakeEnv;
use crate::ids::{Address, ClientId, ClusterTime, LogIndex, NodeId, Sequence, SessionId, Term};
use crate::machine::{
    Action, Command, LEASE_US_MIN, LockAction, LockMode, Machine, MachineError, NAME_BYTES_MAX, Query,
    RegisterAction, Reply, VALUE_BYTES_MAX,
};
use crate::raft::membership::Membership;
use crate::raft::{Body, Entry, HardState, Message, Payload, Recovered, Snapshot, SnapshotMeta};
use crate::transport::Frame;

const CLIENT: Address = Address::Client(ClientId(1));

struct Node {
    env: FakeEnv,
    replica: Replica<FakeEnv, Silent>,
}

impl Node {
    /// A node that leads its cluster of one.
    fn leading(adjust: impl FnOnce(&mut NodeConfig)) -> Self {
        let env = FakeEnv::with_entropy(1);
        let mut config = NodeConfig::new(1, NodeId(1), vec![NodeId(1)]);
        adjust(&mut config);
        let replica = Replica::new(env.clone(), Silent, &config, Recovered::default())
            .expect("an empty disk is no obstacle");
        let mut node = Self { env, replica };
        node.env.advance_us(1_000_000);
        node.turn();
        node
    }

    /// Time and effects, every write durable at once, until there is nothing more to write.
    fn turn(&mut self) {
        self.replica.on_time();
        while let Some(request) = self.replica.obey() {
            self.replica.on_stored(request.token);
        }
    }

    fn ask(&mut self, id: u64, body: RequestBody) {
        let frame = Frame::Request(Request { id: RequestId(id), body }).encode();
        assert!(frame.len() <= FRAME_BYTES_MAX, "the network would not have brought this");
        self.replica.on_frame(CLIENT, &frame);
    }

    /// What was answered since the last call: request, and the machine's outcome.
    fn outcomes(&self) -> Vec<(u64, Result<Reply, MachineError>)> {
        let decoded = self.env.take_sent().into_iter().map(|(_, frame)| Frame::decode(&frame));
        let outcome = |frame| match frame {
            Ok(Frame::Response(response)) => match response.result {
                Ok(ResponseBody::Outcome(outcome)) => (response.id.0, outcome),
                other => panic!("no outcome: {other:?}"),
            },
            other => panic!("no response: {other:?}"),
        };
        decoded.map(outcome).collect()
    }
}

fn set(key: String, value: Bytes) -> RequestBody {
    let action = Action::Register(RegisterAction::Set { key, value });
    let (session, sequence) = (SessionId(2), Sequence(1));
    RequestBody::Command(Command::Once { session, sequence, lowest_open: sequence, action })
}

#[test]
fn a_command_too_long_to_be_replicated_is_refused_and_never_enters_the_log() {
    let mut node = Node::leading(|_| {});
    let before = node.replica.last_index();
    let value = Bytes::from(vec![7; FRAME_BYTES_MAX - 64]);
    node.ask(5, set("k".to_owned(), value));
    node.turn();
    assert_eq!(node.replica.last_index(), before);
    let outcomes = node.outcomes();
    assert!(matches!(outcomes[..], [(5, Err(MachineError::InvalidArgument(_)))]), "{outcomes:?}");
}

#[test]
fn the_longest_command_that_is_taken_fits_a_frame_to_a_peer() {
    let name = "k".repeat(NAME_BYTES_MAX);
    let value = Bytes::from(vec![7; VALUE_BYTES_MAX]);
    let action =
        Action::Register(RegisterAction::CompareAndSet { key: name, expected: Some(value.clone()), value });
    let (session, sequence) = (SessionId(u64::MAX), Sequence(u64::MAX));
    let command = Command::Once { session, sequence, lowest_open: sequence, action }.encode();
    assert!(command.len() <= super::requests::COMMAND_BYTES_MAX);
    let longest = LogIndex(u64::MAX);
    let payload = Payload::Command(Bytes::from(vec![7; super::requests::COMMAND_BYTES_MAX]));
    let entry = Entry { index: longest, term: Term(u64::MAX), time: ClusterTime(u64::MAX), payload };
    let body = Body::AppendRequest {
        prev_index: longest,
        prev_term: Term(u64::MAX),
        entries: vec![entry].into(),
        commit_index: longest,
    };
    let message = Message { from: NodeId(u64::MAX), to: NodeId(u64::MAX), term: Term(u64::MAX), body };
    assert!(Frame::Peer(message).encode().len() <= FRAME_BYTES_MAX);
}

#[test]
fn waiters_in_line_do_not_shut_out_what_ends_their_waiting() {
    let mut node = Node::leading(|config| config.pending_requests_max = 2);
    let mut sessions = Vec::new();
    for id in 1..=3 {
        node.ask(id, RequestBody::Command(Command::OpenSession { lease_us: 60_000_000 }));
        node.turn();
        let outcomes = node.outcomes();
        let [(_, Ok(Reply::SessionOpened { session }))] = outcomes[..] else { panic!("{outcomes:?}") };
        sessions.push(session);
    }
    let lock = |session, sequence, action| {
        let sequence = Sequence(sequence);
        RequestBody::Command(Command::Once {
            session,
            sequence,
            lowest_open: sequence,
            action: Action::Lock(action),
        })
    };
    let acquire =
        || LockAction::Acquire { resource: "r".to_owned(), mode: LockMode::Exclusive, wait_us: 9_000_000 };
    for (id, session) in (10..).zip(&sessions) {
        node.ask(id, lock(*session, 1, acquire()));
        node.turn();
    }
    let outcomes = node.outcomes();
    let [(10, Ok(Reply::LockGranted { token }))] = outcomes[..] else { panic!("{outcomes:?}") };

    node.ask(20, RequestBody::Command(Command::KeepAlive { session: sessions[1] }));
    node.ask(21, lock(sessions[0], 2, LockAction::Release { resource: "r".to_owned(), token }));
    node.turn();
    let outcomes = node.outcomes();
    assert_eq!(outcomes[..2], [(20, Ok(Reply::Done)), (21, Ok(Reply::Done))]);
    assert!(matches!(outcomes[2..], [(11, Ok(Reply::LockGranted { .. }))]), "{outcomes:?}");
}

#[test]
fn a_query_of_a_name_too_long_is_refused_at_once_and_kept_by_nobody() {
    let mut node = Node::leading(|_| {});
    let key = "k".repeat(NAME_BYTES_MAX + 1);
    node.ask(5, RequestBody::Query(Query::Register { key }));
    let outcomes = node.outcomes();
    assert!(matches!(outcomes[..], [(5, Err(MachineError::InvalidArgument(_)))]), "{outcomes:?}");
}

#[test]
fn a_tick_refused_for_overload_is_proposed_again_once_there_is_room() {
    let mut node = Node::leading(|config| config.raft.uncommitted_bytes_max = 1);
    node.ask(1, RequestBody::Command(Command::OpenSession { lease_us: LEASE_US_MIN }));
    node.turn();
    assert!(node.replica.next_expiry().is_some());
    // A command on its way to the disk leaves no room for the tick when the lease ends.
    node.ask(2, RequestBody::Command(Command::Tick));
    let write = node.replica.obey().expect("the command is to be stored");
    node.env.advance_us(LEASE_US_MIN);
    node.replica.on_time();
    assert!(node.replica.obey().is_none());
    assert!(node.replica.deadline() > node.env.now(), "a refused tick must not be retried in a busy loop");
    node.replica.on_stored(write.token);
    node.turn();
    node.turn();
    assert_eq!(node.replica.next_expiry(), None);
}

#[test]
fn a_program_too_old_for_the_snapshot_on_its_disk_does_not_start() {
    let mut data = vec![0; super::applying::STATE_HASH_BYTES];
    let mut frozen = Machine::new().snapshot();
    while let Some(piece) = frozen.next_piece(1024) {
        data.extend_from_slice(&piece);
    }
    let membership = Membership::new(vec![NodeId(1)], Vec::new());
    let meta =
        SnapshotMeta { index: LogIndex(5), term: Term(1), membership, version: 2, ..SnapshotMeta::default() };
    let snapshot = Some(Snapshot { meta, data: data.into() });
    let hard_state = HardState { term: Term(1), voted_for: None };
    let recovered = Recovered { hard_state, snapshot, entries: Vec::new() };
    let config = NodeConfig::new(1, NodeId(1), vec![NodeId(1)]);
    let started = Replica::new(FakeEnv::with_entropy(1), Silent, &config, recovered);
    assert!(matches!(started.err(), Some(NodeError::TooOld { cluster: 2, own: 1 })));
}
