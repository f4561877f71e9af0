//! Our core, driven as its contract says.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use stormglass_nodes::ids::{LocalTime, LogIndex, NodeId};
use stormglass_nodes::raft::{Config, Core, Effects, Input, Message, Recovered, Role, Snapshot};

use crate::system::{APPEND_BYTES_MAX, NODES, System, command};

/// Heartbeat intervals within which a follower that was away must have caught up.
const CATCH_UP_INTERVALS_MAX: u32 = 1_000;

/// Entries between two snapshots, after which the log is cut: as often as the other side's storage is.
const SNAPSHOT_EVERY: u64 = 4_096;

/// Three of our cores.
pub(crate) struct Ours {
    /// The cores, in the order of their ids.
    pub(crate) cores: Vec<Core>,
    /// What is on its way to each node.
    inboxes: Vec<VecDeque<Message>>,
    /// Used again for every step of every core, as a driver would.
    effects: Effects,
    command: Bytes,
    last_is_away: bool,
    /// Not while a follower is to catch up from the log.
    is_compacting: bool,
    applied: u64,
    now: LocalTime,
}

impl Ours {
    /// A cluster whose first node leads.
    pub(crate) fn elected() -> Self {
        Self::elected_with(&Self::configs(None))
    }

    /// The members' configurations, which groups may share.
    pub(crate) fn configs(quiesce_after_intervals: Option<u32>) -> Vec<Arc<Config>> {
        let voters: Vec<_> = (1..=NODES).map(NodeId).collect();
        let config = |&id: &NodeId| {
            Arc::new(Config {
                append_bytes_max: APPEND_BYTES_MAX,
                trailing_entries: 0,
                quiesce_after_intervals,
                ..Config::new(id, voters.clone())
            })
        };
        voters.iter().map(config).collect()
    }

    /// A cluster of these configurations whose first node leads.
    pub(crate) fn elected_with(configs: &[Arc<Config>]) -> Self {
        let core = |config: &Arc<Config>| {
            Core::new(Arc::clone(config), Recovered::default(), config.id.0, LocalTime(0))
        };
        let mut cluster = Self {
            cores: configs.iter().map(core).collect(),
            inboxes: configs.iter().map(|_| VecDeque::new()).collect(),
            effects: Effects::default(),
            command: command(),
            last_is_away: false,
            is_compacting: true,
            applied: 0,
            now: LocalTime(0),
        };
        cluster.pass_interval();
        assert_eq!(cluster.cores[0].status().role, Role::Leader, "the first node leads");
        cluster.applied = 0;
        cluster
    }

    /// The leader's next timer fires, and what follows from that is carried out.
    pub(crate) fn pass_interval(&mut self) {
        self.now = self.cores[0].deadline();
        self.tick_leader();
    }

    fn step(&mut self, at: usize, input: Input) {
        self.cores[at].step(input, self.now);
    }

    fn tick_leader(&mut self) {
        self.step(0, Input::Tick);
        self.settle(0);
        self.run_network();
    }

    /// Carries out what one core asks for, until it asks for nothing more to be stored.
    fn settle(&mut self, at: usize) {
        loop {
            self.cores[at].effects_into(&mut self.effects);
            if !self.effects.messages.is_empty() {
                let messages = self.effects.messages.drain(..);
                post(&mut self.inboxes, self.last_is_away, messages);
            }
            if !self.effects.messages_after.is_empty() {
                let messages = self.effects.messages_after.drain(..).map(|(_, message)| message);
                post(&mut self.inboxes, self.last_is_away, messages);
            }
            if let Some(last) = self.effects.committed.last() {
                self.applied += self.effects.committed.len() as u64;
                let index = last.index;
                black_box(&self.effects.committed);
                self.step(at, Input::Applied(index));
                self.compact(at, index);
            }
            match self.effects.store.take() {
                Some(store) => self.step(at, Input::Stored(store.token)),
                None => return,
            }
        }
    }

    /// Takes a snapshot now and then, so that the log does not grow for ever. It has no content, as the
    /// machine has none.
    fn compact(&mut self, at: usize, applied: LogIndex) {
        let first = self.cores[at].status().first_index;
        if self.is_compacting && applied.0 - first.0 >= SNAPSHOT_EVERY {
            let snapshot = Snapshot { meta: self.cores[at].snapshot_meta(), data: Bytes::new() };
            self.step(at, Input::SnapshotTaken(Box::new(snapshot)));
        }
    }

    /// Delivers until nothing is on its way, one node after the other.
    fn run_network(&mut self) {
        while self.inboxes.iter().any(|inbox| !inbox.is_empty()) {
            for at in 0..self.cores.len() {
                if self.inboxes[at].is_empty() {
                    continue;
                }
                while let Some(message) = self.inboxes[at].pop_front() {
                    self.step(at, Input::Receive(message));
                }
                self.settle(at);
            }
        }
    }
}

/// Puts messages into their receivers' inboxes.
fn post(inboxes: &mut [VecDeque<Message>], last_is_away: bool, messages: impl Iterator<Item = Message>) {
    for message in messages {
        if !(last_is_away && message.to.0 == NODES) {
            inboxes[message.to.0 as usize - 1].push_back(message);
        }
    }
}

impl System for Ours {
    fn run(&mut self, proposals: u64, batch: u64) {
        for first in (0..proposals).step_by(batch as usize) {
            for id in first..(first + batch).min(proposals) {
                let command = self.command.clone();
                self.step(0, Input::Propose { id, command });
            }
            self.settle(0);
            self.run_network();
        }
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn committed_everywhere(&self) -> u64 {
        let held = self.cores.iter().map(|core| core.durable_index().0).min().unwrap_or(0);
        held.min(self.cores[0].status().commit_index.0)
    }

    fn leave(&mut self) {
        self.last_is_away = true;
        self.is_compacting = false;
    }

    fn catch_up(&mut self) {
        self.last_is_away = false;
        let target = self.cores[0].status().commit_index;
        for _ in 0..CATCH_UP_INTERVALS_MAX {
            self.pass_interval();
            if self.cores[NODES as usize - 1].status().applied_index >= target {
                return;
            }
        }
        panic!("the follower does not catch up");
    }
}
