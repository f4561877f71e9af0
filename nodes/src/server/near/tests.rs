//! Three nodes with their near-caches, over a network and clocks that the test moves.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::replica::Replica;
use super::super::{NodeConfig, Silent};
use crate::api::{ApiError, Request, RequestBody, RequestId, ResponseBody};
use crate::coherence::Settings;
use crate::env::Env;
use crate::fake_env::FakeEnv;
use crate::ids::{Address, ClientId, LocalTime, NodeId, Sequence, SessionId};
use crate::machine::{
    Action, CacheAction, CacheQuery, CacheReply, CacheSettings, Command, EvictionPolicy, MachineError, Query,
    Reply, Versioned,
};
use crate::raft::{Input, Recovered, Role};
use crate::transport::Frame;

const CLIENT: Address = Address::Client(ClientId(1));
pub(super) const N1: NodeId = NodeId(1);
pub(super) const N2: NodeId = NodeId(2);
pub(super) const N3: NodeId = NodeId(3);

pub(super) struct Node {
    env: FakeEnv,
    pub(super) replica: Replica<FakeEnv, Silent>,
}

impl Node {
    pub(super) fn now(&self) -> LocalTime {
        self.env.now()
    }
}

/// A cluster of three, of which the first leads.
pub(super) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    /// Nodes that nothing reaches and that reach nobody.
    pub(super) cut_off: Vec<NodeId>,
    pub(super) answers: BTreeMap<u64, Result<ResponseBody, ApiError>>,
    session: SessionId,
    last: u64,
    frames: u64,
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(adjust: impl Fn(&mut Settings)) -> Self {
        let members = vec![N1, N2, N3];
        let mut nodes = BTreeMap::new();
        for &id in &members {
            let env = FakeEnv::with_entropy(id.0 * 1000);
            let mut config = NodeConfig::new(1, id, members.clone());
            adjust(&mut config.near);
            let replica = Replica::new(env.clone(), Silent, &config, Recovered::default())
                .expect("an empty disk is no obstacle");
            nodes.insert(id, Node { env, replica });
        }
        let (cut_off, answers) = (Vec::new(), BTreeMap::new());
        let mut cluster = Self { nodes, cut_off, answers, session: SessionId(0), last: 0, frames: 0 };
        // Nodes that are new may have forgotten lines: after a lease they cannot.
        cluster.pass_ms(200);
        cluster.elect(N1);
        let opened = cluster.command(N1, Command::OpenSession { lease_us: 60_000_000 });
        let Ok(ResponseBody::Outcome(Ok(Reply::SessionOpened { session }))) = opened else {
            panic!("the session was not opened: {opened:?}")
        };
        cluster.session = session;
        cluster
    }

    pub(super) fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("it is one of the three")
    }

    /// Whoever leads hands over to this node; if nobody does, it runs.
    pub(super) fn elect(&mut self, id: NodeId) {
        let leads = |node: &Node| node.replica.core.status().role == Role::Leader;
        let leader = self.nodes.iter().find(|(_, node)| leads(node)).map(|(&leader, _)| leader);
        let input = leader.map_or(Input::Campaign, |_| Input::Transfer { to: Some(id) });
        let node = self.node(leader.unwrap_or(id));
        node.replica.core.step(input, node.env.now());
        self.settle();
        assert_eq!(self.node(id).replica.core.status().role, Role::Leader);
    }

    /// Lets everybody do what there is to do, and delivers it, until nothing is on its way.
    fn settle(&mut self) {
        loop {
            let mut on_their_way = Vec::new();
            for (&from, node) in &mut self.nodes {
                node.replica.on_time();
                while let Some(request) = node.replica.obey() {
                    node.replica.on_stored(request.token);
                }
                on_their_way.extend(node.env.take_sent().into_iter().map(|(to, frame)| (from, to, frame)));
            }
            if on_their_way.is_empty() {
                return;
            }
            for (from, to, frame) in on_their_way {
                self.deliver(from, to, &frame);
            }
        }
    }

    fn deliver(&mut self, from: NodeId, to: Address, frame: &Bytes) {
        match to {
            Address::Node(to) if !self.cut_off.contains(&from) && !self.cut_off.contains(&to) => {
                self.frames += 1;
                self.node(to).replica.on_frame(Address::Node(from), frame);
            }
            Address::Node(_) => {}
            Address::Client(_) => match Frame::decode(frame) {
                Ok(Frame::Response(response)) => {
                    self.answers.insert(response.id.0, response.result);
                }
                other => panic!("no response: {other:?}"),
            },
        }
    }

    pub(super) fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.nodes.values().for_each(|node| node.env.advance_us(1_000));
            self.settle();
        }
    }

    /// Asks, and lets all happen that needs no time. Returns the name of the request.
    pub(super) fn ask(&mut self, id: NodeId, body: RequestBody) -> u64 {
        self.last += 1;
        let request = Request { id: RequestId(self.last), body };
        self.node(id).replica.on_frame(CLIENT, &Frame::Request(request).encode());
        self.settle();
        self.last
    }

    fn command(&mut self, id: NodeId, command: Command) -> Result<ResponseBody, ApiError> {
        let asked = self.ask(id, RequestBody::Command(command));
        self.answers.remove(&asked).expect("it is answered at once")
    }

    fn action(&mut self, action: CacheAction) -> Command {
        let sequence = Sequence(self.last + 1);
        let action = Action::Cache(action);
        Command::Once {
            session: self.session,
            sequence,
            lowest_open: Sequence(1),
            open_below: Vec::new(),
            action,
        }
    }

    pub(super) fn setting(&mut self, key: &str, value: &'static str) -> Command {
        let (key, value) = (key.to_owned(), Bytes::from(value));
        self.action(CacheAction::Set { key, value, ttl_us: None })
    }

    fn begin_set(&mut self, id: NodeId, key: &str, value: &'static str) -> u64 {
        let command = self.setting(key, value);
        self.ask(id, RequestBody::Command(command))
    }

    pub(super) fn set(&mut self, id: NodeId, key: &str, value: &'static str) {
        let asked = self.begin_set(id, key, value);
        self.is_written(asked);
    }

    pub(super) fn is_written(&mut self, asked: u64) {
        let answer = self.answers.remove(&asked);
        let is_written =
            matches!(answer, Some(Ok(ResponseBody::Outcome(Ok(Reply::Cache(CacheReply::Written { .. }))))));
        assert!(is_written, "{answer:?}");
    }

    /// What a client reads near; no time passes.
    pub(super) fn near(&mut self, id: NodeId, key: &str) -> Option<String> {
        let asked = self.ask(id, RequestBody::QueryNear(CacheQuery::Get { key: key.to_owned() }));
        match self.answers.remove(&asked) {
            Some(Ok(ResponseBody::Outcome(Ok(Reply::Cache(
                CacheReply::Value(value) | CacheReply::Near(value),
            ))))) => value.map(text),
            other => panic!("no value: {other:?}"),
        }
    }

    pub(super) fn hits(&mut self, id: NodeId) -> u64 {
        self.node(id).replica.near.holder.stats().hits
    }
}

fn text(found: Versioned) -> String {
    String::from_utf8_lossy(&found.value).into_owned()
}

#[test]
fn a_hit_on_any_node_costs_no_message_and_no_entry() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    for id in [N1, N2, N3] {
        assert_eq!(cluster.near(id, "key"), Some("one".to_owned()));
        let (frames, hits) = (cluster.frames, cluster.hits(id));
        let last = cluster.node(id).replica.core.status().last_index;
        for _ in 0..10 {
            assert_eq!(cluster.near(id, "key"), Some("one".to_owned()));
        }
        assert_eq!(cluster.frames, frames, "nothing was sent");
        assert_eq!(cluster.node(id).replica.core.status().last_index, last);
        assert_eq!(cluster.hits(id), hits + 10);
    }
    // That there is no such key is known as well.
    assert_eq!(cluster.near(N2, "other"), None);
    let frames = cluster.frames;
    assert_eq!(cluster.near(N2, "other"), None);
    assert_eq!(cluster.frames, frames);
}

#[test]
fn many_who_miss_the_same_key_reach_the_leader_once() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    let asks = cluster.node(N1).replica.near.directory.stats().asks;
    let names: Vec<u64> = (0..100).collect();
    for &name in &names {
        let body = RequestBody::QueryNear(CacheQuery::Get { key: "key".to_owned() });
        let request = Request { id: RequestId(1_000_000 + name), body };
        cluster.node(N2).replica.on_frame(CLIENT, &Frame::Request(request).encode());
    }
    cluster.settle();
    let answered = names.iter().filter(|&name| cluster.answers.contains_key(&(1_000_000 + name))).count();
    assert_eq!(answered, 100);
    assert_eq!(cluster.node(N1).replica.near.directory.stats().asks, asks + 1);
}

#[test]
fn a_write_is_seen_by_every_holder_at_once() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    for id in [N1, N2, N3] {
        cluster.near(id, "key");
    }
    cluster.set(N1, "key", "two");
    for id in [N2, N3, N1] {
        assert_eq!(cluster.near(id, "key"), Some("two".to_owned()));
    }
}

#[test]
fn a_write_waits_for_a_holder_that_is_cut_off_until_its_lease_is_over() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    cluster.near(N3, "key");
    cluster.cut_off = vec![N3];
    let asked = cluster.begin_set(N1, "key", "two");
    cluster.pass_ms(100);
    assert!(!cluster.answers.contains_key(&asked), "somebody may still be reading it");
    assert_eq!(cluster.near(N3, "key"), Some("one".to_owned()));
    // Other keys are not concerned.
    cluster.set(N1, "other", "one");
    cluster.pass_ms(51);
    cluster.is_written(asked);
    assert_eq!(cluster.near(N2, "key"), Some("two".to_owned()));
    let asked = cluster.ask(N3, RequestBody::QueryNear(CacheQuery::Get { key: "key".to_owned() }));
    assert!(!cluster.answers.contains_key(&asked), "its line is over, and nobody answers it");
}

#[test]
fn a_new_leader_waits_for_the_lines_of_its_predecessor_and_reads_go_on() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    cluster.near(N3, "key");
    cluster.cut_off = vec![N3];
    cluster.elect(N2);
    let asked = cluster.begin_set(N2, "key", "two");
    cluster.pass_ms(100);
    assert!(!cluster.answers.contains_key(&asked), "somebody may still be reading it");
    assert_eq!(cluster.near(N3, "key"), Some("one".to_owned()));
    let query = Query::Cache(CacheQuery::Get { key: "key".to_owned() });
    let read = cluster.ask(N2, RequestBody::Query(query));
    assert!(cluster.answers.contains_key(&read), "reads go on");
    cluster.pass_ms(51);
    cluster.is_written(asked);
}

#[test]
fn a_new_leader_that_everybody_answers_writes_at_once() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    cluster.near(N3, "key");
    cluster.elect(N2);
    cluster.set(N2, "key", "two");
    assert_eq!(cluster.near(N3, "key"), Some("two".to_owned()));
    assert_eq!(cluster.node(N2).replica.near.directory.stats().recalls_answered, 1);
}

#[test]
fn commands_at_the_gate_of_a_leader_that_is_deposed_are_refused_for_certain() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    cluster.near(N3, "key");
    cluster.cut_off = vec![N3];
    let asked = cluster.begin_set(N1, "key", "two");
    cluster.elect(N2);
    let answer = cluster.answers.remove(&asked);
    assert!(matches!(answer, Some(Err(ApiError::NotLeader { .. }))), "{answer:?}");
}

#[test]
fn a_gate_that_is_full_says_so() {
    let mut cluster = Cluster::with(|near| near.writes_max = 2);
    cluster.near(N3, "key");
    cluster.cut_off = vec![N3];
    let waiting = [cluster.begin_set(N1, "key", "one"), cluster.begin_set(N1, "key", "two")];
    let refused = cluster.begin_set(N1, "key", "three");
    assert_eq!(cluster.answers.remove(&refused), Some(Err(ApiError::Overloaded)));
    cluster.pass_ms(151);
    waiting.into_iter().for_each(|asked| cluster.is_written(asked));
}

#[test]
fn room_is_made_ahead_of_the_write_that_needs_it_and_lines_of_the_evicted_go_first() {
    let mut cluster = Cluster::new();
    let policy = EvictionPolicy::LeastRecentlyWritten;
    let settings = CacheSettings { entries_max: 2, bytes_max: 1_000, policy };
    let command = cluster.action(CacheAction::Configure(settings));
    assert_eq!(cluster.command(N1, command), Ok(ResponseBody::Outcome(Ok(Reply::Done))));
    cluster.set(N1, "a", "one");
    cluster.set(N1, "b", "two");
    assert_eq!(cluster.near(N2, "a"), Some("one".to_owned()));
    cluster.set(N1, "c", "three");
    assert_eq!(cluster.near(N2, "a"), None, "it was the least recently written");
    // A holder of the next victim does not answer: the write waits for it.
    assert_eq!(cluster.near(N3, "b"), Some("two".to_owned()));
    cluster.cut_off = vec![N3];
    let asked = cluster.begin_set(N1, "d", "four");
    assert!(!cluster.answers.contains_key(&asked));
    assert_eq!(cluster.near(N3, "b"), Some("two".to_owned()));
    cluster.pass_ms(151);
    cluster.is_written(asked);
    assert_eq!(cluster.near(N1, "b"), None);
}

#[test]
fn what_is_too_much_after_the_bounds_were_set_anew_goes_by_itself() {
    let mut cluster = Cluster::new();
    for key in ["a", "b", "c", "d"] {
        cluster.set(N1, key, "one");
    }
    let policy = EvictionPolicy::LeastRecentlyWritten;
    let settings = CacheSettings { entries_max: 1, bytes_max: 1_000, policy };
    let command = cluster.action(CacheAction::Configure(settings));
    cluster.command(N1, command).expect("it is answered");
    cluster.pass_ms(1);
    assert_eq!(cluster.near(N2, "c"), None);
    assert_eq!(cluster.near(N2, "d"), Some("one".to_owned()));
}

#[test]
fn a_line_ends_before_its_key_does() {
    let mut cluster = Cluster::new();
    let (key, value) = ("key".to_owned(), Bytes::from("one"));
    let command = cluster.action(CacheAction::Set { key, value, ttl_us: Some(50_000) });
    cluster.command(N1, command).expect("it is answered");
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
    cluster.pass_ms(30);
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
    cluster.pass_ms(31);
    assert_eq!(cluster.near(N2, "key"), None);
}

#[test]
fn many_keys_are_read_near_at_one_moment() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "a", "one");
    cluster.set(N1, "b", "two");
    let many = RequestBody::QueryNear(CacheQuery::GetMany { keys: vec!["a".to_owned(), "b".to_owned()] });
    let asked = cluster.ask(N2, many.clone());
    let first = cluster.answers.remove(&asked).expect("it goes the long way");
    let frames = cluster.frames;
    let asked = cluster.ask(N2, many);
    assert_eq!(cluster.answers.remove(&asked), Some(first));
    assert_eq!(cluster.frames, frames, "nothing was sent");
}

#[test]
fn impossible_keys_are_refused_as_anywhere() {
    let mut cluster = Cluster::new();
    for key in [String::new(), "k".repeat(1025)] {
        let asked = cluster.ask(N2, RequestBody::QueryNear(CacheQuery::Get { key }));
        let answer = cluster.answers.remove(&asked);
        let is_invalid =
            matches!(answer, Some(Ok(ResponseBody::Outcome(Err(MachineError::InvalidArgument(_))))));
        assert!(is_invalid, "{answer:?}");
    }
}
