//! A cluster of cores, each with a reference beside it, and the schedule that drives both.

use bytes::Bytes;
use stormglass_nodes::ids::{LocalTime, LogIndex, NodeId};
use stormglass_nodes::raft::{
    Body, Config, Core, Effects, Entries, Event, HardState, Input, Message, Payload, Recovered, Role,
    StoreRequest, StoreToken,
};

use crate::figure_2::{self, Server};

/// The clock stands still: elections and heartbeats are asked for.
const NOW: LocalTime = LocalTime(0);
/// Messages under way, at most; beyond it the oldest is lost.
const NETWORK_MESSAGES_MAX: usize = 40;

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) nodes: u64,
    /// Whether stores complete at some later time, or at once.
    pub(crate) stores_wait: bool,
}

/// What happened: proof that the schedules were not empty ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) elections: u64,
    pub(crate) committed: u64,
    pub(crate) truncations: u64,
    pub(crate) crashes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.elections += other.elections;
        self.committed += other.committed;
        self.truncations += other.truncations;
        self.crashes += other.crashes;
    }
}

type Compared = Result<(), String>;

/// A core, its disk, and the reference.
#[derive(Debug)]
struct Pair {
    id: NodeId,
    core: Core,
    reference: Server,
    disk: Recovered,
    storing: Option<StoreRequest>,
    waiting: Vec<(StoreToken, Message)>,
    stored: StoreToken,
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    setting: Setting,
    pairs: Vec<Pair>,
    network: Vec<Message>,
    pub(crate) tally: Tally,
}

fn config(setting: Setting, id: NodeId) -> Config {
    let voters = (1..=setting.nodes).map(NodeId).collect();
    // Some nodes send every entry alone, others as many as there are.
    let append_bytes_max = if id.0 == 1 { 1 } else { 256 };
    Config { pre_vote: false, check_quorum: false, append_bytes_max, ..Config::new(id, voters) }
}

fn started(setting: Setting, id: NodeId, disk: Recovered) -> Pair {
    let HardState { term, voted_for } = disk.hard_state;
    let reference = Server::started(id.0, setting.nodes, term.0, voted_for.map(|id| id.0), plain_log(&disk));
    let core = Core::new(config(setting, id), disk.clone(), 1, NOW);
    Pair { id, core, reference, disk, storing: None, waiting: Vec::new(), stored: StoreToken(0) }
}

fn plain_log(disk: &Recovered) -> Vec<figure_2::Entry> {
    disk.entries.iter().map(plain).collect()
}

fn plain(entry: &stormglass_nodes::raft::Entry) -> figure_2::Entry {
    (entry.term.0, matches!(entry.payload, Payload::Command(_)))
}

fn plain_run(entries: &Entries) -> Vec<figure_2::Entry> {
    entries.iter().map(plain).collect()
}

impl Cluster {
    pub(crate) fn new(setting: Setting) -> Self {
        let pairs =
            (1..=setting.nodes).map(|id| started(setting, NodeId(id), Recovered::default())).collect();
        Self { setting, pairs, network: Vec::new(), tally: Tally::default() }
    }

    /// Does what a random word says.
    ///
    /// # Errors
    /// What differs between a core and its reference.
    pub(crate) fn step(&mut self, word: u32) -> Compared {
        self.tally.steps += 1;
        let (kind, pick) = (word % 128, (word / 128) as usize);
        let at = pick % self.pairs.len();
        match kind {
            0..80 if !self.network.is_empty() => {
                let message = self.network.remove(pick % self.network.len());
                self.deliver(message)?;
            }
            80..84 if !self.network.is_empty() => {
                self.deliver(self.network[pick % self.network.len()].clone())?
            }
            84..86 if !self.network.is_empty() => drop(self.network.remove(pick % self.network.len())),
            86..91 => {
                self.pairs[at].reference.election_timeout();
                self.feed(at, Input::Campaign)?;
            }
            91..101 => {
                let leader = self.pairs.iter().position(|pair| pair.core.status().role == Role::Leader);
                let at = leader.unwrap_or(at);
                self.pairs[at].reference.command();
                self.feed(at, Input::Propose { id: 0, command: Bytes::from_static(b"+") })?;
            }
            101..106 => self.feed(at, Input::Heartbeat)?,
            106..108 => self.crash(at)?,
            _ => self.complete_store(at)?,
        }
        let surplus = self.network.len().saturating_sub(NETWORK_MESSAGES_MAX);
        self.network.drain(..surplus);
        Ok(())
    }

    fn crash(&mut self, at: usize) -> Compared {
        self.tally.crashes += 1;
        let pair = &mut self.pairs[at];
        let reference = &pair.reference;
        let promised = (reference.current_term, reference.voted_for);
        let disk = std::mem::take(&mut pair.disk);
        let on_disk = (disk.hard_state.term.0, disk.hard_state.voted_for.map(|id| id.0));
        if !self.setting.stores_wait && promised != on_disk {
            return Err(format!("term and vote of {}: {promised:?} in memory, {on_disk:?} on disk", pair.id));
        }
        *pair = started(self.setting, pair.id, disk);
        Ok(())
    }

    fn deliver(&mut self, message: Message) -> Compared {
        let at = message.to.0 as usize - 1;
        let from = message.from.0;
        let term = message.term.0;
        let reference = &mut self.pairs[at].reference;
        let is_current = term >= reference.current_term;
        // Whether the reference answers with a no.
        let mut refuses = false;
        match &message.body {
            Body::VoteRequest { last_index, last_term, committed, .. } => {
                reference.told_of_commit(committed.0.0 as usize, committed.1.0);
                refuses = !reference.request_vote(term, from, (last_term.0, last_index.0 as usize));
            }
            Body::VoteResponse { granted, committed } => {
                reference.told_of_commit(committed.0.0 as usize, committed.1.0);
                reference.vote(term, from, *granted);
            }
            Body::AppendRequest { prev_index, prev_term, entries, commit_index } => {
                let prev = (prev_index.0 as usize, prev_term.0);
                let length = reference.log.len();
                let entries = plain_run(entries);
                let accepts = reference.append_entries(term, prev, &entries, commit_index.0 as usize);
                refuses = is_current && !accepts;
                self.tally.truncations += u64::from(reference.log.len() < length);
            }
            Body::AppendAccepted { match_index } => {
                reference.append_accepted(term, from, match_index.0 as usize);
            }
            Body::Heartbeat { commit_index, .. } => reference.heartbeat(term, commit_index.0 as usize),
            Body::AppendRejected { .. } | Body::HeartbeatResponse { .. } => reference.other_result(term),
            other => return Err(format!("the core says what the paper does not know: {other:?}")),
        }
        let is_no = |sent: &Message| match sent.body {
            Body::VoteResponse { granted, .. } => !granted,
            Body::AppendRejected { .. } => true,
            _ => false,
        };
        self.pairs[at].core.step(Input::Receive(message), NOW);
        let sent = self.settle(at)?;
        if sent.iter().any(is_no) != refuses {
            return Err(format!(
                "n{}: the reference's answer is no: {refuses}, the core's: {sent:?}",
                at + 1
            ));
        }
        Ok(())
    }

    fn feed(&mut self, at: usize, input: Input) -> Compared {
        self.pairs[at].core.step(input, NOW);
        self.settle(at).map(drop)
    }

    fn complete_store(&mut self, at: usize) -> Compared {
        self.store(at);
        self.settle(at).map(drop)
    }

    /// Completes the store that is out, if one is, and tells core and reference.
    fn store(&mut self, at: usize) {
        let pair = &mut self.pairs[at];
        let Some(request) = pair.storing.take() else { return };
        if let Some(hard_state) = request.hard_state {
            pair.disk.hard_state = hard_state;
        }
        if let Some(from) = request.truncate_from {
            pair.disk.entries.truncate(from.previous().0 as usize);
        }
        pair.disk.entries.extend(request.append.iter().cloned());
        pair.stored = request.token;
        let (ready, waiting) = pair.waiting.drain(..).partition(|(token, _)| *token <= request.token);
        pair.waiting = waiting;
        let ready: Vec<(StoreToken, Message)> = ready;
        self.network.extend(ready.into_iter().map(|(_, message)| message));
        let HardState { term, voted_for } = pair.disk.hard_state;
        pair.reference.own_disk_has(term.0, voted_for.map(|id| id.0), &plain_log(&pair.disk));
        pair.core.step(Input::Stored(request.token), NOW);
    }

    /// Does what a core asks for, and compares. Returns what it sent at once.
    fn settle(&mut self, at: usize) -> Result<Vec<Message>, String> {
        let mut all = Vec::new();
        loop {
            self.compare(at)?;
            let effects = self.pairs[at].core.effects();
            if effects.is_empty() {
                break;
            }
            self.count(&effects);
            self.compare_sent(at, &effects.messages)?;
            all.extend(effects.messages.iter().cloned());
            let pair = &mut self.pairs[at];
            self.network.extend(effects.messages);
            if effects.store.is_some() {
                pair.storing = effects.store;
            }
            for (token, message) in effects.messages_after {
                if token <= pair.stored {
                    self.network.push(message);
                } else {
                    pair.waiting.push((token, message));
                }
            }
            if let Some(last) = effects.committed.last() {
                pair.core.step(Input::Applied(last.index), NOW);
            }
            if !self.setting.stores_wait {
                self.store(at);
            }
        }
        Ok(all)
    }

    fn count(&mut self, effects: &Effects) {
        for event in &effects.events {
            match event {
                Event::RoleChanged { role: Role::Leader, .. } => self.tally.elections += 1,
                Event::Committed { .. } => self.tally.committed += 1,
                _ => {}
            }
        }
    }

    /// Term, vote, role, log and commit index are the same.
    fn compare(&self, at: usize) -> Compared {
        let Pair { id, core, reference, .. } = &self.pairs[at];
        let status = core.status();
        let same = |what: &str, core: String, reference: String| {
            if core == reference {
                Ok(())
            } else {
                Err(format!("{what} of {id}: core {core}, reference {reference}"))
            }
        };
        let log: Vec<_> =
            (1..=status.last_index.0).filter_map(|at| core.entry(LogIndex(at)).map(plain)).collect();
        same("term", status.term.0.to_string(), reference.current_term.to_string())?;
        same("vote", format!("{:?}", status.voted_for.map(|id| id.0)), format!("{:?}", reference.voted_for))?;
        same("role", format!("{:?}", status.role), format!("{:?}", reference.role))?;
        same("log", format!("{log:?}"), format!("{:?}", reference.log))?;
        same("commit index", status.commit_index.0.to_string(), reference.commit_index.to_string())
    }

    /// What leaves at once is what the reference could say, and what it promises is durable.
    fn compare_sent(&self, at: usize, sent: &[Message]) -> Compared {
        let Pair { id, reference, disk, .. } = &self.pairs[at];
        for Message { to, term, body, .. } in sent {
            let could_be_said = match body {
                Body::AppendRequest { prev_index, prev_term, entries, commit_index } => {
                    let prev = (prev_index.0 as usize, prev_term.0);
                    reference.may_send(term.0, prev, &plain_run(entries), commit_index.0 as usize)
                }
                Body::VoteRequest { last_index, last_term, .. } => {
                    reference.may_ask((last_term.0, last_index.0 as usize))
                }
                Body::VoteResponse { granted: true, .. } => reference.voted_for == Some(to.0),
                _ => true,
            };
            let is_durable = match body {
                Body::VoteResponse { granted: true, .. } => {
                    disk.hard_state == HardState { term: *term, voted_for: Some(*to) }
                }
                Body::AppendAccepted { match_index } => {
                    let log = plain_log(disk);
                    let held = log.get(..match_index.0 as usize);
                    disk.hard_state.term == *term && held.is_some_and(|held| reference.log.starts_with(held))
                }
                _ => true,
            };
            if !could_be_said {
                return Err(format!(
                    "{id} says to {to} what the reference could not: {body:?}; {reference:?}"
                ));
            }
            if !is_durable {
                return Err(format!(
                    "{id} says to {to} what is not durable: {body:?}; {:?}",
                    disk.hard_state
                ));
            }
        }
        Ok(())
    }
}
