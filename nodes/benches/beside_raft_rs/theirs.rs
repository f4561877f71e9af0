//! raft-rs, driven as its documentation says: a ready, its entries into the storage, its messages out, then
//! `advance`.
//!
//! # Choices
//! What would make raft-rs slower than it has to be is left out, and what our core always does is switched
//! on here too where it costs nothing per proposal:
//! * `propose` takes a fresh buffer; here a proposal is stepped as the message that `propose` makes, with a
//!   clone of the shared command, so that raft-rs is spared that allocation as our core is.
//! * `max_size_per_msg` is our bound on an append message; its default sends one entry per message.
//! * Pre-vote and check-quorum are on, as in our core. The bound of 256 messages in flight is its default.
//! * The logger discards, and a release build of slog has no debug records at all.
//! * A node takes all messages that wait for it before it is asked for a ready.
//! * What waits for the leader is delivered first. Then the second follower finds the commit in its inbox
//!   together with the append and needs one ready for both, which saves 6 % of the instructions of single
//!   proposals by default and changes nothing elsewhere. Our nodes are served in turn.
//! * The storage is compacted when [`COMPACT_EVERY`] entries are applied, [`KEEP`] being kept: without it
//!   a run gets slower as the log grows. Nothing is compacted while a follower is away, since
//!   `MemStorage` has no snapshot of a machine to send it.
//! * `MemStorage` copies the whole rest of the log for each append message that it reads and then cuts it to
//!   size. [`Store`] asks it for no more than can be needed.
//! * A lost message is reported with `report_unreachable`, as transports are asked to do.
//! * By default a leader tells the followers of each commit at once, with a message of its own. Our core
//!   tells them with the next append or heartbeat, and raft-rs can do the same: `skip_bcast_commit`. Both
//!   are measured.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType, Snapshot};
use raft::storage::MemStorage;
use raft::{Config, GetEntriesContext, RaftState, RawNode, StateRole, Storage};

use crate::system::{APPEND_BYTES_MAX, COMMAND_BYTES, NODES, System, command};

/// Applied entries between two compactions.
const COMPACT_EVERY: u64 = 4_096;
/// Entries that a compaction leaves behind what is applied everywhere; `MemStorage` must not be empty.
const KEEP: u64 = 16;
/// Heartbeat intervals within which a follower that was away must have caught up.
const CATCH_UP_INTERVALS_MAX: u32 = 1_000;

/// How proposals are put to raft-rs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proposing {
    /// One proposal per message, one append message per proposal: the default.
    Single,
    /// One proposal per message; appends to one follower are merged (`batch_append`).
    BatchAppend,
    /// All proposals of a round are entries of one message.
    MultiEntry,
}

/// One way to run raft-rs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    /// How proposals are put to it.
    pub(crate) proposing: Proposing,
    /// Whether a commit waits for the next append to be told of, as in our core (`skip_bcast_commit`).
    pub(crate) lazy_commit: bool,
}

/// `MemStorage`, asked for no more entries than fit the bound that comes with the question.
pub(crate) struct Store(MemStorage);

impl Storage for Store {
    fn initial_state(&self) -> raft::Result<RaftState> {
        self.0.initial_state()
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let max_size = max_size.into();
        // An entry weighs at least its command; the first one is due whatever it weighs.
        let enough = max_size.map_or(u64::MAX, |bytes| bytes / COMMAND_BYTES as u64 + 1);
        self.0.entries(low, high.min(low.saturating_add(enough)), max_size, context)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.0.term(index)
    }

    fn first_index(&self) -> raft::Result<u64> {
        self.0.first_index()
    }

    fn last_index(&self) -> raft::Result<u64> {
        self.0.last_index()
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        self.0.snapshot(request_index, to)
    }
}

/// Three of raft-rs's nodes.
pub(crate) struct Theirs {
    mode: Mode,
    /// The nodes, in the order of their ids.
    pub(crate) nodes: Vec<RawNode<Store>>,
    /// What is on its way to each node.
    inboxes: Vec<VecDeque<Message>>,
    command: Bytes,
    last_is_away: bool,
    compacts: bool,
    applied: u64,
    applied_by: Vec<u64>,
    compacted: u64,
}

impl Theirs {
    /// A cluster whose first node leads.
    pub(crate) fn elected(mode: Mode) -> Self {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let voters: Vec<u64> = (1..=NODES).collect();
        let node = |&id: &u64| {
            let config = Config {
                max_size_per_msg: APPEND_BYTES_MAX as u64,
                batch_append: mode.proposing == Proposing::BatchAppend,
                skip_bcast_commit: mode.lazy_commit,
                pre_vote: true,
                check_quorum: true,
                ..Config::new(id)
            };
            let storage = Store(MemStorage::new_with_conf_state((voters.clone(), vec![])));
            RawNode::new(&config, storage, &logger).expect("the configuration is valid")
        };
        let mut cluster = Self {
            mode,
            nodes: voters.iter().map(node).collect(),
            inboxes: voters.iter().map(|_| VecDeque::new()).collect(),
            command: command(),
            last_is_away: false,
            compacts: true,
            applied: 0,
            applied_by: vec![0; NODES as usize],
            compacted: 0,
        };
        cluster.nodes[0].campaign().expect("a voter may campaign");
        cluster.settle(0);
        cluster.run_network();
        assert_eq!(cluster.nodes[0].raft.state, StateRole::Leader, "the first node leads");
        cluster.applied = 0;
        cluster
    }

    /// Puts messages into their receivers' inboxes.
    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = message.to as usize - 1;
            if self.last_is_away && message.to == NODES {
                self.nodes[message.from as usize - 1].report_unreachable(NODES);
            } else {
                self.inboxes[to].push_back(message);
            }
        }
    }

    /// Stands for the machine.
    fn apply(&mut self, at: usize, entries: &[Entry]) {
        if let Some(last) = entries.last() {
            self.applied += entries.len() as u64;
            self.applied_by[at] = last.index;
            black_box(entries);
        }
    }

    /// Carries out what one node asks for, until it asks for nothing more.
    fn settle(&mut self, at: usize) {
        while self.nodes[at].has_ready() {
            let mut ready = self.nodes[at].ready();
            let (first, committed) = (ready.take_messages(), ready.take_committed_entries());
            self.send(first);
            self.apply(at, &committed);
            {
                let mut storage = self.nodes[at].mut_store().0.wl();
                storage.append(ready.entries()).expect("entries follow each other");
                if let Some(hard_state) = ready.hs() {
                    storage.set_hardstate(hard_state.clone());
                }
            }
            self.send(ready.take_persisted_messages());
            let mut light = self.nodes[at].advance(ready);
            if let Some(commit) = light.commit_index() {
                self.nodes[at].mut_store().0.wl().mut_hard_state().set_commit(commit);
            }
            let committed = light.take_committed_entries();
            self.send(light.take_messages());
            self.apply(at, &committed);
            self.nodes[at].advance_apply();
        }
    }

    /// Delivers until nothing is on its way, to the leader whenever there is anything for it.
    fn run_network(&mut self) {
        while let Some(at) = self.inboxes.iter().position(|inbox| !inbox.is_empty()) {
            while let Some(message) = self.inboxes[at].pop_front() {
                self.nodes[at].step(message).expect("messages between members are taken");
            }
            self.settle(at);
        }
    }

    /// Proposes `count` commands in one message.
    fn propose(&mut self, count: u64) {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = 1;
        let entry = || Entry { data: self.command.clone(), ..Entry::default() };
        message.set_entries((0..count).map(|_| entry()).collect::<Vec<_>>().into());
        self.nodes[0].step(message).expect("the leader takes proposals");
    }

    /// Drops what every node has applied, now and then.
    fn compact_if_due(&mut self) {
        let everywhere = self.applied_by.iter().copied().min().unwrap_or(0);
        if self.compacts && everywhere >= self.compacted + COMPACT_EVERY {
            self.compacted = everywhere;
            for node in &mut self.nodes {
                node.mut_store().0.wl().compact(everywhere - KEEP).expect("what is applied may be compacted");
            }
        }
    }
}

impl System for Theirs {
    fn run(&mut self, proposals: u64, batch: u64) {
        for first in (0..proposals).step_by(batch as usize) {
            let count = batch.min(proposals - first);
            match self.mode.proposing {
                Proposing::MultiEntry => self.propose(count),
                Proposing::Single | Proposing::BatchAppend => (0..count).for_each(|_| self.propose(1)),
            }
            self.settle(0);
            self.run_network();
            self.compact_if_due();
        }
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn committed_everywhere(&self) -> u64 {
        let held = self.nodes.iter().map(|node| node.raft.raft_log.last_index()).min().unwrap_or(0);
        held.min(self.nodes[0].raft.raft_log.committed)
    }

    fn leave(&mut self) {
        self.last_is_away = true;
        self.compacts = false;
    }

    fn catch_up(&mut self) {
        self.last_is_away = false;
        let target = self.nodes[0].raft.raft_log.committed;
        for _ in 0..CATCH_UP_INTERVALS_MAX {
            self.nodes[0].ping();
            self.settle(0);
            self.run_network();
            if self.applied_by[NODES as usize - 1] >= target {
                return;
            }
        }
        panic!("the follower does not catch up");
    }
}
