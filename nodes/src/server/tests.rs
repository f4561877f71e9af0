//! A replica alone, fed by hand: a cluster of one, whose disk is as quick as the test says.

use bytes::Bytes;

use super::pending::{Asker, Pending};
use super::replica::Replica;
use super::{NodeConfig, NodeError, Silent};
use crate::api::{ApiError, Request, RequestBody, RequestId, ResponseBody};
use crate::env::{Env, FRAME_BYTES_MAX};
use crate::fake_env::FakeEnv;
use crate::ids::{
    Address, ClientId, ClusterTime, LogIndex, MessageId, NodeId, Receipt, Sequence, SessionId, Term,
};
use crate::machine::{
    Action, CacheAction, CacheQuery, Command, Expected, LEASE_US_MIN, LockAction, LockMode, LockReply,
    LockRequest, Machine, MachineError, NAME_BYTES_MAX, NEAR_DRIFT_PPM_MAX, NEAR_LEASE_US_MAX, NearTerms,
    Query, QueueAction, QueueError, Reply, VALUE_BYTES_MAX,
};
use crate::raft::membership::{MemberChange, Membership, MembershipChange};
use crate::raft::{
    Body, Entry, HardState, Message, Payload, ReadIndexAnswer, Reconfiguration, Recovered, Snapshot,
    SnapshotMeta,
};
use crate::transport::Frame;

const CLIENT: Address = Address::Client(ClientId(1));

pub(super) struct Node {
    pub(super) env: FakeEnv,
    pub(super) replica: Replica<FakeEnv, Silent>,
}

impl Node {
    /// A node that leads its cluster of one.
    pub(super) fn leading(adjust: impl FnOnce(&mut NodeConfig)) -> Self {
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

    /// n2, which follows n1 in term 1 and holds its first entry.
    pub(super) fn following() -> Self {
        let env = FakeEnv::with_entropy(1);
        let config = NodeConfig::new(1, NodeId(2), (1..=3).map(NodeId).collect());
        let replica = Replica::new(env.clone(), Silent, &config, Recovered::default())
            .expect("an empty disk is no obstacle");
        let mut node = Self { env, replica };
        node.append(1, Payload::Noop);
        node
    }

    /// n1 sends this entry, which is committed.
    pub(super) fn append(&mut self, index: u64, payload: Payload) {
        let (prev_index, index) = (LogIndex(index - 1), LogIndex(index));
        let prev_term = if prev_index.0 == 0 { Term(0) } else { Term(1) };
        let entry = Entry { index, term: Term(1), time: ClusterTime(0), payload };
        let entries = vec![entry].into();
        self.hear(Body::AppendRequest { prev_index, prev_term, entries, commit_index: index });
    }

    /// n1 says something.
    pub(super) fn hear(&mut self, body: Body) {
        let message = Message { from: NodeId(1), to: NodeId(2), term: Term(1), body };
        self.replica.on_frame(Address::Node(NodeId(1)), &Frame::Peer(message).encode());
        self.turn();
    }

    /// A client reads here, and n1 says that the node must have applied up to `index` first.
    pub(super) fn read_at(&mut self, id: u64, index: u64) {
        drop(self.env.take_sent());
        self.ask(id, RequestBody::QueryAnywhere(Query::Cache(CacheQuery::Get { key: "k".to_owned() })));
        self.turn();
        let sent = self.env.take_sent().into_iter().map(|(_, frame)| Frame::decode(&frame));
        let question = |frame| match frame {
            Ok(Frame::Peer(Message { body: Body::ReadIndexRequest { read }, .. })) => Some(read),
            _ => None,
        };
        let read = sent.filter_map(question).next().expect("n1 was asked");
        self.hear(Body::ReadIndexResponse { read, answer: ReadIndexAnswer::Index(LogIndex(index)) });
    }

    /// What was refused since the last call: requests and errors.
    pub(super) fn refusals(&self) -> Vec<(u64, ApiError)> {
        let decoded = self.env.take_sent().into_iter().map(|(_, frame)| Frame::decode(&frame));
        let refusal = |frame| match frame {
            Ok(Frame::Response(response)) => Some((response.id.0, response.result.err()?)),
            _ => None,
        };
        decoded.filter_map(refusal).collect()
    }

    /// Time and effects, every write durable at once, until there is nothing more to write.
    pub(super) fn turn(&mut self) {
        self.replica.on_time();
        while let Some(request) = self.replica.obey() {
            self.replica.on_stored(request.token);
        }
    }

    pub(super) fn ask(&mut self, id: u64, body: RequestBody) {
        let frame = Frame::Request(Request { id: RequestId(id), body }).encode();
        assert!(frame.len() <= FRAME_BYTES_MAX, "the network would not have brought this");
        self.replica.on_frame(CLIENT, &frame);
    }

    /// What was answered since the last call: request, and the machine's outcome.
    pub(super) fn outcomes(&self) -> Vec<(u64, Result<Reply, MachineError>)> {
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
    let action = Action::Cache(CacheAction::Set { key, value, ttl_us: None });
    let (session, sequence) = (SessionId(2), Sequence(1));
    RequestBody::Command(Command::Once {
        session,
        sequence,
        lowest_open: sequence,
        open_below: Vec::new(),
        action,
    })
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
    let action = Action::Cache(CacheAction::CompareAndSet {
        key: name,
        expected: Expected::Value(value.clone()),
        value,
        ttl_us: None,
    });
    let (session, sequence) = (SessionId(u64::MAX), Sequence(u64::MAX));
    let command =
        Command::Once { session, sequence, lowest_open: sequence, open_below: Vec::new(), action }.encode();
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
            open_below: Vec::new(),
            action: Action::Lock(action),
        })
    };
    let acquire = || LockAction::Acquire {
        requests: vec![LockRequest { resource: "r".to_owned(), mode: LockMode::Exclusive }],
        wait_us: 9_000_000,
    };
    for (id, session) in (10..).zip(&sessions) {
        node.ask(id, lock(*session, 1, acquire()));
        node.turn();
    }
    let outcomes = node.outcomes();
    let [(10, Ok(Reply::Lock(LockReply::Granted { ref grants })))] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    let grants = grants.clone();

    node.ask(20, RequestBody::Command(Command::KeepAlive { session: sessions[1] }));
    node.ask(21, lock(sessions[0], 2, LockAction::Release { grants }));
    node.turn();
    let outcomes = node.outcomes();
    assert_eq!(outcomes[..2], [(20, Ok(Reply::Done)), (21, Ok(Reply::Done))]);
    assert!(matches!(outcomes[2..], [(11, Ok(Reply::Lock(LockReply::Granted { .. })))]), "{outcomes:?}");
}

#[test]
fn those_who_wait_for_messages_do_not_shut_out_who_keeps_a_message() {
    let mut node = Node::leading(|config| config.pending_requests_max = 1);
    node.ask(1, RequestBody::Command(Command::OpenSession { lease_us: 60_000_000 }));
    node.turn();
    let outcomes = node.outcomes();
    let [(_, Ok(Reply::SessionOpened { session }))] = outcomes[..] else { panic!("{outcomes:?}") };
    let once = |sequence, action| {
        let (sequence, action) = (Sequence(sequence), Action::Queue(action));
        RequestBody::Command(Command::Once {
            session,
            sequence,
            lowest_open: Sequence(1),
            open_below: Vec::new(),
            action,
        })
    };
    let (topic, visibility_us) = ("jobs".to_owned(), 1_000_000);
    let wait =
        QueueAction::Dequeue { topic: topic.clone(), count_max: 1, visibility_us, wait_us: 60_000_000 };
    node.ask(2, once(1, wait));
    node.turn();
    assert_eq!(node.outcomes(), [], "it waits");
    let extend = QueueAction::Extend { topic, id: MessageId(1), receipt: Receipt(1), visibility_us };
    node.ask(3, once(2, extend));
    node.turn();
    assert_eq!(node.outcomes(), [(3, Err(QueueError::UnknownMessage.into()))]);
}

#[test]
fn a_query_of_a_name_too_long_is_refused_at_once_and_kept_by_nobody() {
    let mut node = Node::leading(|_| {});
    let key = "k".repeat(NAME_BYTES_MAX + 1);
    node.ask(5, RequestBody::Query(Query::Cache(CacheQuery::Get { key })));
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
fn terms_of_near_caches_that_no_node_can_be_set_to_are_refused() {
    let mut node = Node::leading(|_| {});
    let last = node.replica.last_index();
    let terms = |lease_us, drift_ppm_max| NearTerms { lease_us, drift_ppm_max };
    for (id, terms) in
        (1..).zip([terms(NEAR_LEASE_US_MAX + 1, 1_000), terms(150_000, NEAR_DRIFT_PPM_MAX + 1)])
    {
        node.ask(id, RequestBody::Command(Command::AgreeOnNear { terms, replaces: None }));
        node.turn();
        let outcomes = node.outcomes();
        assert!(
            matches!(&outcomes[..], [(of, Err(MachineError::InvalidArgument(_)))] if *of == id),
            "{outcomes:?}"
        );
    }
    assert_eq!(node.replica.last_index(), last, "none is in the log, where it would stop every node");
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

#[test]
fn a_read_that_a_follower_cannot_serve_in_good_time_is_refused() {
    let mut node = Node::following();
    node.read_at(7, 50);
    assert_eq!(node.refusals(), [], "n1 may send the entries yet");
    let deadline = node.replica.read_deadline().expect("a read waits");
    node.env.advance_us(deadline.since_us(node.env.now()));
    node.turn();
    assert_eq!(node.refusals(), [(7, ApiError::NotLeader { leader: None })]);
    assert_eq!(node.replica.read_deadline(), None, "nobody waits any more");
}

#[test]
fn a_read_that_waits_at_a_node_that_is_removed_is_refused() {
    let mut node = Node::following();
    node.read_at(7, 50);
    let after = Membership::new(vec![NodeId(1), NodeId(3)], Vec::new());
    let change = MembershipChange::of(vec![MemberChange::Remove(NodeId(2))]);
    node.append(2, Payload::Membership(Box::new(Reconfiguration { change, after })));
    let refusals = node.refusals();
    assert!(matches!(refusals[..], [(7, ApiError::NotLeader { .. })]), "{refusals:?}");
}

#[test]
fn a_read_is_answered_once_its_index_is_applied() {
    let mut node = Node::following();
    node.read_at(7, 2);
    drop(node.env.take_sent());
    node.append(2, Payload::Noop);
    let sent = node.env.take_sent().into_iter().map(|(_, frame)| Frame::decode(&frame));
    let answers: Vec<_> = sent.filter(|frame| matches!(frame, Ok(Frame::Response(_)))).collect();
    assert!(
        matches!(&answers[..], [Ok(Frame::Response(response))] if response.result.is_ok()),
        "{answers:?}"
    );
    assert_eq!(node.replica.read_deadline(), None);
}

#[test]
fn few_but_heavy_entries_make_a_snapshot_due() {
    let mut node = Node::leading(|config| config.snapshot_every_bytes = 3_000);
    let mut write = |id| {
        node.ask(id, set("k".to_owned(), Bytes::from(vec![7; 1_000])));
        node.turn();
        node.replica.snapshot_due().is_some()
    };
    assert_eq!([write(1), write(2), write(3)], [false, false, true], "three entries weigh more than 3,000");
    assert!(!write(4), "one is under way");
}

#[test]
fn the_operator_is_answered_though_the_node_wants_to_hand_over_as_well() {
    let mut node = Node::leading(|_| {});
    node.ask(1, RequestBody::Transfer { to: None });
    node.replica.hand_over();
    node.turn();
    let refusals = node.refusals();
    assert!(matches!(refusals[..], [(1, ApiError::NotTransferred(_))]), "{refusals:?}");
}

#[test]
fn what_becomes_of_the_drivers_own_transfer_is_no_answer_to_an_operator() {
    let asker = Asker { client: ClientId(1), request: RequestId(4) };
    let mut pending = Pending::new(1);
    pending.own_transfer_begun();
    assert!(pending.transfer(asker));
    assert_eq!(pending.transferred(true), Some(asker), "refused: one is under way");
    assert!(pending.transfer(asker));
    assert_eq!(pending.transferred(false), None, "the driver's own is done");
    assert_eq!(pending.transferred(false), Some(asker));
}
