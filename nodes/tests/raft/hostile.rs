//! Messages that no sound core sends, thrown into clusters that work: random fields, extreme numbers, members
//! and strangers as senders, every role as receiver.
//!
//! What they say may be believed, since Raft does not guard against liars; so nothing is asked here of what
//! the cluster agrees on. But nothing panics, no arithmetic overflows (tests are compiled with checks for
//! both), a node can start again from what it has put on its disk, and its own positions stay in order.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::{MemberChange, Membership, MembershipChange, Transition};
use stormglass_nodes::raft::{
    Body, Config, Entries, Entry, Input, Message, Payload, ReadIndexAnswer, Reconfiguration, SnapshotChunk,
    SnapshotMeta,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::cluster::{Cluster, Happening};
use crate::show;

const SEEDS: u64 = 2_500;
const STEPS: u64 = 1_500;
const MEMBERS: u64 = 3;
const SPARE: u64 = 1;
/// Senders that are no node of the cluster have the ids from here on, a few of them.
const STRANGERS_FROM: u64 = 7;
/// Messages under way, at most.
const NETWORK_MESSAGES_MAX: usize = 100;

struct Storm {
    cluster: Cluster,
    rng: Xoshiro256PlusPlus,
    /// Hostile messages are one step in so many.
    every: u64,
    /// Terms and indexes that end the run of numbers are among them.
    is_extreme: bool,
    names: u64,
    /// Hostile messages that a node of each role has received.
    received: BTreeMap<&'static str, u64>,
    /// Entries applied and snapshots installed, sound and hostile.
    applied: u64,
    installed: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let lease = (rng.next_u64() % 2 == 0).then_some(10_000);
        let quiesce = (rng.next_u64() % 2 == 0).then_some(1);
        let trailing = [0, 3, 1024][(rng.next_u64() % 3) as usize];
        let pre_vote = rng.next_u64() % 4 > 0;
        let cluster = Cluster::new(MEMBERS, SPARE, seed, |config: &mut Config| {
            config.lease_drift_ppm_max = lease;
            config.quiesce_after_intervals = quiesce;
            config.trailing_entries = trailing;
            config.pre_vote = pre_vote;
            config.append_bytes_max = 100;
            config.snapshot_bytes_max = 4096;
            config.pending_reads_max = 50;
        });
        let every = [3, 20, 100, 300][(rng.next_u64() % 4) as usize];
        let is_extreme = rng.next_u64() % 2 == 0;
        Self {
            cluster,
            rng,
            every,
            is_extreme,
            names: 0,
            received: BTreeMap::new(),
            applied: 0,
            installed: 0,
        }
    }

    fn draw(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    fn node(&mut self) -> NodeId {
        NodeId(1 + self.draw(MEMBERS + SPARE))
    }

    fn act(&mut self) {
        if self.draw(self.every) == 0 {
            let to = self.node();
            let message = self.message(to);
            let role = self.cluster.core(to).map_or("down", |core| show::role(core.status().role));
            *self.received.entry(role).or_default() += 1;
            self.cluster.step(to, Input::Receive(message));
        } else {
            self.work();
        }
        for happening in self.cluster.happened.drain(..) {
            match happening {
                Happening::Applied(_, entries, _) => self.applied += entries.len() as u64,
                Happening::Installed(..) => self.installed += 1,
                _ => {}
            }
        }
        let nodes = MEMBERS + SPARE;
        self.cluster.network.retain(|message| (1..=nodes).contains(&message.to.0));
        let excess = self.cluster.network.len().saturating_sub(NETWORK_MESSAGES_MAX);
        self.cluster.network.drain(..excess);
        self.positions_are_in_order();
    }

    fn work(&mut self) {
        let id = self.node();
        self.names += 1;
        let name = self.names;
        match self.draw(24) {
            0..=9 if !self.cluster.network.is_empty() => {
                let position = self.draw(self.cluster.network.len().min(4) as u64);
                self.cluster.deliver(position as usize);
            }
            0..=14 => self.cluster.complete_store(id),
            15..=17 => {
                self.cluster.now_us += self.draw(80_000);
                self.cluster.step(id, Input::Tick);
            }
            18 => self.cluster.propose(id, name, Bytes::from_static(b"command")),
            19 if self.cluster.core(id).is_some() => {
                let input = [Input::Read { id: name }, Input::ReadAnywhere { id: name }];
                self.cluster.step(id, input[self.rng.next_u64() as usize % 2].clone());
            }
            20 => self.cluster.snapshot(id),
            21 => {
                let change = self.change();
                self.cluster.change(id, name, change);
            }
            22 => {
                let kept = self.draw(4);
                self.cluster.crash(id, kept as usize);
                self.cluster.start(id);
            }
            _ => {
                let to = self.node();
                let inputs = [Input::Transfer { to: Some(to) }, Input::Campaign, Input::Unreachable(to)];
                self.cluster.step(id, inputs[self.rng.next_u64() as usize % 3].clone());
            }
        }
    }

    /// Whatever was said, a node does not contradict itself.
    fn positions_are_in_order(&self) {
        for (id, node) in &self.cluster.nodes {
            let Some(core) = &node.core else { continue };
            let status = core.status();
            let is_in_order = status.applied_index <= status.commit_index
                && status.commit_index <= status.last_index
                && core.durable_index() <= status.last_index;
            assert!(is_in_order, "{id}: {status:?}, durable up to {}", core.durable_index());
        }
    }

    /// A number near what the receiver has, or far from everything.
    fn number(&mut self, near: u64) -> u64 {
        let extremes = [0, 1, u64::MAX, u64::MAX - 1, u64::MAX / 2, u64::MAX / 2 + 1, 1 << 32];
        match self.draw(if self.is_extreme { 6 } else { 5 }) {
            0..=3 => (near + self.draw(4)).saturating_sub(self.draw(4)),
            4 => self.draw(near + 20),
            _ => extremes[self.draw(extremes.len() as u64) as usize],
        }
    }

    fn index(&mut self, to: NodeId) -> LogIndex {
        let near = self.cluster.core(to).map_or(0, |core| {
            let status = core.status();
            [status.last_index, status.commit_index, status.first_index][self.rng.next_u64() as usize % 3].0
        });
        LogIndex(self.number(near.min(u64::MAX / 4)))
    }

    fn term(&mut self, to: NodeId) -> Term {
        let current = self.cluster.core(to).map_or(0, |core| core.status().term.0);
        if self.draw(3) > 0 { Term(current) } else { Term(self.number(current.min(u64::MAX / 4))) }
    }

    fn message(&mut self, to: NodeId) -> Message {
        let stranger = NodeId(STRANGERS_FROM + self.draw(3));
        let from = if self.draw(4) == 0 { stranger } else { self.node() };
        let term = self.term(to);
        let body = self.body(to);
        Message { from, to, term, body }
    }

    fn body(&mut self, to: NodeId) -> Body {
        let (one, other) = (self.index(to), self.index(to));
        let (term, flag, number) = (self.term(to), self.draw(2) == 0, self.number(9));
        match self.draw(16) {
            0 => Body::PreVoteRequest { last_index: one, last_term: term, committed: (other, term) },
            1 => Body::PreVoteResponse { granted: flag, committed: (one, term) },
            2 => Body::VoteRequest {
                last_index: one,
                last_term: term,
                by_transfer: flag,
                committed: (other, term),
            },
            3 => Body::VoteResponse { granted: flag, committed: (one, term) },
            4 | 5 => {
                let entries = self.entries(to, one);
                Body::AppendRequest { prev_index: one, prev_term: term, entries, commit_index: other }
            }
            6 => Body::AppendAccepted { match_index: one },
            7 => Body::AppendRejected { prev_index: one, hint_index: other, hint_term: term },
            8 => Body::Heartbeat { commit_index: one, read_round: number, quiesce: flag },
            9 => {
                let (version, priority) = (self.draw(9) as u16, self.draw(9) as u8);
                Body::HeartbeatResponse { read_round: number, quiesced: flag, version, priority }
            }
            10 | 11 => Body::SnapshotChunk(Box::new(self.chunk(to))),
            12 => Body::SnapshotReceived { index: one, received_bytes: number },
            13 => Body::TimeoutNow,
            14 if flag => Body::ReadIndexRequest { read: number },
            14 => Body::ReadIndexResponse { read: number, answer: ReadIndexAnswer::Index(one) },
            _ => Body::Wake,
        }
    }

    /// Mostly entries that follow each other, of any payload.
    fn entries(&mut self, to: NodeId, prev: LogIndex) -> Entries {
        let (mut index, mut entries) = (prev, Vec::new());
        for _ in 0..self.draw(4) {
            index = if self.draw(12) > 0 { LogIndex(index.0.saturating_add(1)) } else { self.index(to) };
            let (term, time, payload) = (self.term(to), ClusterTime(self.number(0)), self.payload());
            entries.push(Entry { index, term, time, payload });
        }
        entries.into()
    }

    fn payload(&mut self) -> Payload {
        match self.draw(5) {
            0 => Payload::Noop,
            1 => Payload::Version(self.number(2) as u16),
            2 => {
                let (change, after) = (self.change(), self.membership());
                Payload::Membership(Box::new(Reconfiguration { change, after }))
            }
            _ => Payload::Command(Bytes::from_static(b"hostile")),
        }
    }

    fn change(&mut self) -> MembershipChange {
        let transitions = [Transition::Auto, Transition::JointImplicit, Transition::JointExplicit];
        let transition = transitions[self.draw(3) as usize];
        let changes = (0..self.draw(3)).map(|_| {
            let id = NodeId(self.rng.next_u64() % (MEMBERS + SPARE + 1));
            let kinds = [
                MemberChange::AddVoter(id),
                MemberChange::AddLearner(id),
                MemberChange::AddVoterOnceCaughtUp(id),
                MemberChange::Remove(id),
            ];
            kinds[self.rng.next_u64() as usize % kinds.len()]
        });
        let changes = changes.collect();
        MembershipChange { transition, changes, ..MembershipChange::default() }
    }

    /// Lists in disorder, with repetitions, of nobody or of everybody.
    fn membership(&mut self) -> Membership {
        let mut list = |few: u64| -> Vec<NodeId> {
            (0..self.rng.next_u64() % few).map(|_| NodeId(self.rng.next_u64() % 6)).collect()
        };
        let (voters, outgoing, learners) = (list(5), list(3), list(3));
        let (learners_next, promotable) = (list(2), list(2));
        Membership { voters, outgoing, learners, learners_next, promotable, auto_leave: self.draw(2) == 0 }
    }

    /// Whole and of a right checksum every other time. The data are such as the machine of these tests can
    /// read: what a machine makes of others is its driver's business.
    fn chunk(&mut self, to: NodeId) -> SnapshotChunk {
        let index = self.index(to);
        let meta = SnapshotMeta {
            index,
            term: self.term(to),
            time: ClusterTime(self.number(0)),
            membership: self.membership(),
            version: self.number(2) as u16,
        };
        let data = Bytes::from([index.0.to_le_bytes(), [7; 8]].concat());
        if self.draw(2) == 0 {
            let (total_bytes, checksum) = (data.len() as u64, xxh3_64(&data));
            return SnapshotChunk { meta, total_bytes, checksum, offset_bytes: 0, data };
        }
        let (total_bytes, offset_bytes) = (self.number(16), self.number(0));
        let data = data.slice(..self.draw(17) as usize);
        SnapshotChunk { meta, total_bytes, checksum: self.rng.next_u64(), offset_bytes, data }
    }
}

#[test]
fn no_message_makes_a_node_panic_or_lose_its_order() {
    let mut received = BTreeMap::new();
    let (mut applied, mut installed) = (0, 0);
    for seed in 0..SEEDS {
        let mut storm = Storm::new(seed);
        let mut run = || (0..STEPS).for_each(|_| storm.act());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut run));
        assert!(result.is_ok(), "seed {seed}");
        for (role, count) in storm.received {
            *received.entry(role).or_insert(0) += count;
        }
        (applied, installed) = (applied + storm.applied, installed + storm.installed);
    }
    let least = ["follower", "pre-candidate", "candidate", "leader"]
        .map(|role| received.get(role).copied().unwrap_or_default())
        .into_iter()
        .min();
    println!("{received:?}, {applied} entries applied, {installed} snapshots installed");
    assert!(least > Some(1_000), "some role has hardly been put to the test: {received:?}");
    assert!(
        applied > 10_000 && installed > 500,
        "{applied} entries applied, {installed} snapshots installed"
    );
}
