//! The cluster: nodes with their holders and directories, and the step that lets one thing happen.

mod trouble;

use std::collections::{BTreeMap, BTreeSet};

use super::consensus::{Consensus, StampBase};
use super::network::{Agenda, Clock, Dice, Event, WriteRequest};
use super::truth::{Change, Seen, State};
use crate::coherence::{
    CoherenceMessage, Directory, Holder, Key, Life, NearRead, ReaderId, Reading, RoundId, Settings, WriteId,
};
use crate::ids::{LocalTime, NodeId, Term};

/// How a run goes.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) seed: u64,
    pub(super) nodes: u64,
    pub(super) settings: Settings,
    /// Clocks run at rates from `1` to `1 + spread`, in parts per million.
    pub(super) spread_ppm: u64,
    pub(super) is_troubled: bool,
}

pub(super) struct Node {
    clock: Clock,
    is_up: bool,
    paused_until: u64,
    cut_off_until: u64,
    term: Term,
    leading: Option<StampBase>,
    state: State,
    holder: Holder,
    directory: Directory,
    /// Rounds whose confirmation waits for the state to be as far as this.
    confirmed: BTreeMap<RoundId, u64>,
    gated: BTreeMap<WriteId, WriteRequest>,
    /// The next time at which it wakes by itself.
    wakes_at: u64,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: u64,
    pub(super) hits: u64,
    pub(super) waited: u64,
    pub(super) uncached: u64,
    pub(super) negative: u64,
    pub(super) proposed: u64,
    pub(super) committed: u64,
    pub(super) elections: u64,
    pub(super) grants_refused: u64,
    pub(super) overtaken: u64,
    pub(super) exclusive: u64,
    pub(super) evicted: u64,
    pub(super) recalls_answered: u64,
    pub(super) recalls_waited_out: u64,
    pub(super) leases_waited_out: u64,
    /// What the specification does not allow.
    pub(super) offences: Vec<String>,
}

pub(super) struct Model {
    options: Options,
    pub(super) now: u64,
    dice: Dice,
    agenda: Agenda,
    consensus: Consensus,
    nodes: BTreeMap<NodeId, Node>,
    keys: Vec<Key>,
    next_reader: u64,
    /// What those who wait want to read.
    readers: BTreeMap<ReaderId, Key>,
    is_calm: bool,
    pub(super) tally: Tally,
}

impl Model {
    pub(super) fn new(options: Options) -> Self {
        let mut dice = Dice::new(options.seed);
        let members: BTreeSet<NodeId> = (1..=options.nodes).map(NodeId).collect();
        let mut consensus = Consensus::default();
        consensus.truth.members = members.clone();
        let keys = ["a", "b", "c", "d"].map(Key::from).to_vec();
        let (agenda, tally) = (Agenda::default(), Tally::default());
        let mut model = Self {
            now: 1_000_000,
            agenda,
            consensus,
            nodes: BTreeMap::new(),
            keys,
            next_reader: 0,
            readers: BTreeMap::new(),
            is_calm: false,
            tally,
            dice: Dice::new(dice.number()),
            options,
        };
        for id in members {
            let node = model.fresh_node();
            model.nodes.insert(id, node);
        }
        model.agenda.add(model.now, Event::Client);
        model.agenda.add(model.now, Event::Trouble);
        model.elect();
        model
    }

    fn fresh_node(&mut self) -> Node {
        let rate = self.rate();
        let clock = Clock::new(self.dice.between(0, 1_000_000_000), self.now, rate);
        let local = clock.read(self.now);
        let mut directory = Directory::new(self.options.settings, local);
        directory.set_members(self.consensus.truth.members.clone(), local);
        Node {
            clock,
            is_up: true,
            paused_until: 0,
            cut_off_until: 0,
            term: self.consensus.truth.committed_in,
            leading: None,
            state: self.consensus.truth.clone(),
            holder: Holder::new(Life(self.dice.number()), self.options.settings),
            directory,
            confirmed: BTreeMap::new(),
            gated: BTreeMap::new(),
            wakes_at: u64::MAX,
        }
    }

    fn rate(&mut self) -> u64 {
        let fastest = 1_000_000 + self.options.spread_ppm;
        if self.dice.one_in(2) {
            self.dice.pick(&[1_000_000, fastest])
        } else {
            self.dice.between(1_000_000, fastest + 1)
        }
    }

    /// Lets the next thing happen.
    pub(super) fn step(&mut self) {
        let Some((at, event)) = self.agenda.next() else { return };
        self.now = self.now.max(at);
        self.tally.steps += 1;
        if let Some(node) = whose(&event).and_then(|id| self.nodes.get(&id)) {
            if !node.is_up && !matches!(event, Event::Restart { .. }) {
                return;
            }
            if node.paused_until > self.now {
                return self.agenda.add(node.paused_until, event);
            }
        }
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Write { from, to, request } => self.take(from, to, request),
            Event::Wake { node } => self.wake(node),
            Event::Client => self.client(),
            Event::Commit { term } => self.commit(term),
            Event::Apply { node } => self.apply(node),
            Event::RoundEnds { node, term, round, began, index } => {
                self.round_ends(node, term, round, began, index);
            }
            Event::HearsOfTerm { node, term } => self.hears(node, term),
            Event::Restart { node } => self.restart(node),
            Event::Trouble => self.trouble(),
        }
    }

    /// No more trouble from here on: everybody is up and reached, and hears of the leader.
    pub(super) fn calm_down(&mut self) {
        self.is_calm = true;
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            let node = self.nodes.get_mut(&id).unwrap();
            (node.paused_until, node.cut_off_until) = (0, 0);
            if !node.is_up {
                self.restart(id);
            }
        }
        self.elect();
    }

    /// Writes that wait at the real leader.
    pub(super) fn writes_held_back(&self) -> usize {
        let leader = self.consensus.reigns.values().next_back().map(|reign| reign.leader);
        leader.map_or(0, |leader| self.nodes[&leader].gated.len())
    }

    fn local(&self, id: NodeId) -> LocalTime {
        self.nodes[&id].clock.read(self.now)
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("nodes are never forgotten")
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: CoherenceMessage) {
        let local = self.local(to);
        let node = self.node(to);
        node.holder.receive(from, message.clone(), local);
        node.directory.receive(from, message, local);
        self.obey(to);
    }

    fn wake(&mut self, id: NodeId) {
        let local = self.local(id);
        let node = self.node(id);
        node.wakes_at = u64::MAX;
        node.holder.tick(local);
        node.directory.tick(local);
        self.obey(id);
    }

    /// Carries out what holder and directory want.
    fn obey(&mut self, id: NodeId) {
        let local = self.local(id);
        let node = self.node(id);
        let held = node.holder.take_effects();
        let directed = node.directory.take_effects();
        let (term, state_index) = (node.term, node.state.applied);
        for (to, message) in held.messages.into_iter().chain(directed.messages) {
            self.post(id, to, message);
        }
        for (reader, reading) in held.answers {
            let key = self.readers.remove(&reader).expect("who waits is answered once");
            match reading {
                Some(reading) => {
                    self.tally.waited += 1;
                    self.judge(id, &key, &reading);
                }
                None => self.tally.uncached += 1,
            }
        }
        for write in directed.proposable {
            self.propose(id, write);
        }
        if let Some(round) = directed.round {
            // The core's round begins after it was wanted, and its commit index is that of its beginning.
            let index = self.consensus.known_committed(term).max(state_index);
            let ends = self.now + self.dice.between(200, 5_000);
            let began = self.now;
            self.agenda.add(ends, Event::RoundEnds { node: id, term, round, began, index });
        }
        let node = &self.nodes[&id];
        let due: Option<LocalTime> =
            node.holder.deadline().into_iter().chain(node.directory.deadline()).min();
        if let Some(due) = due {
            let at = node.clock.when(due.max(local), self.now);
            if at < node.wakes_at {
                self.node(id).wakes_at = at;
                self.agenda.add(at, Event::Wake { node: id });
            }
        }
    }

    fn post(&mut self, from: NodeId, to: NodeId, message: CoherenceMessage) {
        if from == to {
            return self.agenda.add(self.now, Event::Deliver { from, to, message });
        }
        if !self.nodes.contains_key(&to) {
            return;
        }
        for at in self.fate(from, to) {
            self.agenda.add(at, Event::Deliver { from, to, message: message.clone() });
        }
    }

    /// When a message from one node to another arrives: never, once, or more often.
    fn fate(&mut self, from: NodeId, to: NodeId) -> Vec<u64> {
        let cut = self.nodes[&from].cut_off_until.max(self.nodes[&to].cut_off_until) > self.now;
        if from != to && !self.is_calm && (cut || self.dice.one_in(20)) {
            return Vec::new();
        }
        let copies = if self.dice.one_in(10) { 2 } else { 1 };
        let lease_us = self.options.settings.lease_us;
        (0..copies)
            .map(|_| {
                let late = !self.is_calm && self.dice.one_in(8);
                self.now
                    + if late { self.dice.between(1, lease_us * 3) } else { self.dice.between(200, 3_000) }
            })
            .collect()
    }

    fn propose(&mut self, id: NodeId, write: WriteId) {
        let now = self.now;
        let node = self.node(id);
        let (term, request) =
            (node.term, node.gated.remove(&write).expect("only what was taken is proposable"));
        let base = node.leading.as_mut().expect("only a leader's directory has writes");
        let stamp = base.cluster_time(&node.clock, now);
        base.last = stamp;
        let WriteRequest { change, keys, ttl_us, .. } = request;
        let change = match change {
            Change::Set(keys, _) => Change::Set(keys, ttl_us.map(|ttl_us| stamp + ttl_us)),
            other => other,
        };
        self.tally.proposed += 1;
        if term == self.consensus.term() {
            self.nobody_reads(&keys);
        }
        self.consensus.append(term, stamp, change, Some(write));
        let at = self.now + self.dice.between(300, 6_000);
        self.agenda.add(at, Event::Commit { term });
    }

    /// When a write is proposed, no line of its keys is read anywhere.
    fn nobody_reads(&mut self, keys: &BTreeSet<Key>) {
        for (id, node) in self.nodes.iter().filter(|(_, node)| node.is_up) {
            for key in keys {
                let state = node.holder.state(key, node.clock.read(self.now));
                if state.is_some_and(|state| state != crate::coherence::LineState::Modified) {
                    let what = format!("at {} {id} reads {key} while a write of it is proposed", self.now);
                    self.tally.offences.push(what);
                }
            }
        }
    }

    fn commit(&mut self, term: Term) {
        if !self.consensus.commit(term) {
            return;
        }
        self.tally.committed += 1;
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for node in ids {
            let at = self.now + self.dice.between(0, 10_000);
            self.agenda.add(at, Event::Apply { node });
        }
    }

    fn apply(&mut self, id: NodeId) {
        let (now, local) = (self.now, self.local(id));
        let consensus = &self.consensus;
        let node = self.nodes.get_mut(&id).expect("nodes are never forgotten");
        if consensus.is_far_behind(&node.state) && node.leading.is_none() {
            node.state = consensus.truth.clone();
            node.directory.set_members(node.state.members.clone(), local);
        }
        while let Some(entry) = consensus.next(&node.state, node.term) {
            node.state.apply(entry);
            if matches!(entry.change, Change::Members(_)) {
                node.directory.set_members(node.state.members.clone(), local);
            }
            let Some(base) = &node.leading else { continue };
            if entry.term == node.term {
                node.directory.ready(local);
            }
            if let Some(write) = entry.write.filter(|_| entry.term == node.term) {
                let cluster_time = base.cluster_time(&node.clock, now);
                let seen = Seen { state: &node.state, cluster_time };
                node.directory.applied(write, &seen, local);
            }
        }
        self.serve_confirmed(id);
        self.obey(id);
    }

    fn round_ends(&mut self, id: NodeId, term: Term, round: RoundId, began: u64, index: u64) {
        if self.nodes[&id].term != term || self.nodes[&id].leading.is_none() {
            return;
        }
        if self.consensus.confirms(term, began, &mut self.dice) {
            self.node(id).confirmed.insert(round, index);
            self.serve_confirmed(id);
        } else {
            self.node(id).directory.unconfirmed(round);
        }
        self.obey(id);
    }

    fn serve_confirmed(&mut self, id: NodeId) {
        let (now, local) = (self.now, self.local(id));
        let node = self.node(id);
        let Some(base) = &node.leading else { return };
        let cluster_time = base.cluster_time(&node.clock, now);
        let fresh: Vec<RoundId> = node
            .confirmed
            .iter()
            .filter(|&(_, &index)| index <= node.state.applied)
            .map(|(&round, _)| round)
            .collect();
        for round in fresh {
            node.confirmed.remove(&round);
            node.directory.confirmed(round, &Seen { state: &node.state, cluster_time }, local);
        }
    }

    fn elect(&mut self) {
        let members: Vec<NodeId> = self.consensus.truth.members.iter().copied().collect();
        let able: Vec<NodeId> = members.into_iter().filter(|id| self.nodes[id].is_up).collect();
        if able.is_empty() {
            return;
        }
        let leader = self.dice.pick(&able);
        let stamp = self.consensus.elect(leader, self.now, &mut self.dice);
        let (term, local) = (self.consensus.term(), self.local(leader));
        self.tally.elections += 1;
        self.depose(leader);
        let node = self.node(leader);
        node.term = term;
        node.leading = Some(StampBase { stamp, local: local.0, last: stamp });
        node.directory.elected(term, local);
        node.holder.set_leader(term, Some(leader));
        let at = self.now + self.dice.between(300, 10_000);
        self.agenda.add(at, Event::Commit { term });
        let ids: Vec<NodeId> = self.nodes.keys().copied().filter(|&id| id != leader).collect();
        for node in ids {
            let slow = !self.is_calm && self.dice.one_in(4);
            let at =
                self.now + if slow { self.dice.between(0, 400_000) } else { self.dice.between(0, 10_000) };
            self.agenda.add(at, Event::HearsOfTerm { node, term });
        }
        self.obey(leader);
    }

    fn depose(&mut self, id: NodeId) {
        let node = self.node(id);
        node.leading = None;
        node.directory.deposed();
        node.gated.clear();
        node.confirmed.clear();
    }

    fn hears(&mut self, id: NodeId, term: Term) {
        if self.nodes[&id].term >= term {
            return;
        }
        let leader = self.consensus.reigns[&term].leader;
        self.depose(id);
        let node = self.node(id);
        node.term = term;
        node.holder.set_leader(term, Some(leader));
        self.agenda.add(self.now, Event::Apply { node: id });
        self.obey(id);
    }

    fn restart(&mut self, id: NodeId) {
        if self.nodes[&id].is_up {
            return;
        }
        let fresh = self.fresh_node();
        *self.node(id) = fresh;
        let term = self.consensus.term();
        let at = self.now + self.dice.between(0, 50_000);
        self.agenda.add(at, Event::HearsOfTerm { node: id, term });
    }

    /// A client brings its write to whoever leads, be it in another term than the one in which its node gave up its lines.
    fn take(&mut self, from: NodeId, to: NodeId, request: WriteRequest) {
        let local = self.local(to);
        let node = self.node(to);
        if node.leading.is_none() {
            return;
        }
        let origin = Some((from, request.surrenders.clone()));
        if let Ok(write) = node.directory.take_write(request.keys.clone(), origin, local) {
            node.gated.insert(write, request);
        }
        self.obey(to);
    }

    /// Clients read near everywhere, and write.
    fn client(&mut self) {
        let pause = if self.is_calm { 20_000 } else { 600 };
        self.agenda.add(self.now + self.dice.between(1, pause), Event::Client);
        let ids: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| self.can_run(node)).map(|(&id, _)| id).collect();
        if ids.is_empty() {
            return;
        }
        let (id, key) = (self.dice.pick(&ids), self.dice.pick(&self.keys));
        let local = self.local(id);
        if self.is_calm || !self.dice.one_in(12) {
            self.next_reader += 1;
            let reader = ReaderId(self.next_reader);
            match self.node(id).holder.read(&key, reader, local) {
                NearRead::Hit(reading) => {
                    self.tally.hits += 1;
                    self.judge(id, &key, &reading);
                }
                NearRead::Waiting => {
                    self.readers.insert(reader, key);
                }
                NearRead::Uncached => self.tally.uncached += 1,
            }
        } else {
            self.write(id, key);
        }
        self.obey(id);
    }

    fn can_run(&self, node: &Node) -> bool {
        node.is_up && node.paused_until <= self.now
    }

    fn write(&mut self, id: NodeId, key: Key) {
        let mut keys = BTreeSet::from([key]);
        if self.dice.one_in(6) {
            keys.insert(self.dice.pick(&self.keys));
        }
        let ttl_us =
            self.dice.one_in(3).then(|| self.dice.between(5_000, self.options.settings.lease_us * 2));
        let change = match self.dice.between(0, 10) {
            0..=5 => Change::Set(keys.clone(), None),
            6..=8 => Change::Delete(keys.clone()),
            _ => Change::Nothing,
        };
        let local = self.local(id);
        let from_holder = !self.dice.one_in(3);
        let node = self.node(id);
        let term = node.term;
        let surrenders = keys
            .iter()
            .filter(|_| from_holder)
            .filter_map(|key| node.holder.begin_write(key, local))
            .collect();
        let request = WriteRequest { change, keys, ttl_us, surrenders };
        // A client may know better than its node who leads.
        let term = if self.dice.one_in(2) { term } else { self.consensus.term() };
        let Some(leader) = self.consensus.reigns.get(&term).map(|reign| reign.leader) else { return };
        for at in self.fate(id, leader) {
            let event = Event::Write { from: id, to: leader, request: request.clone() };
            self.agenda.add(at, event);
        }
    }

    /// What a node reads alone must be what anybody would be told who asked now.
    fn judge(&mut self, id: NodeId, key: &Key, reading: &Reading) {
        let version = reading.content.as_ref().map(|content| content.version.0);
        self.tally.negative += u64::from(version.is_none());
        let real = self.consensus.truth.version(key);
        if real != version {
            let what = format!("at {} {id} reads {key} as {version:?}, which is {real:?}", self.now);
            self.tally.offences.push(what);
        }
    }

    fn count_node(&mut self, id: NodeId) {
        let (held, directed) = (self.nodes[&id].holder.stats(), self.nodes[&id].directory.stats());
        self.tally.grants_refused += held.grants_refused;
        self.tally.overtaken += held.overtaken;
        self.tally.evicted += held.evicted;
        self.tally.exclusive += directed.granted_exclusive;
        self.tally.recalls_answered += directed.recalls_answered;
        self.tally.recalls_waited_out += directed.recalls_waited_out;
        self.tally.leases_waited_out += directed.leases_waited_out;
    }

    /// What came of it.
    pub(super) fn finish(mut self) -> Tally {
        let ids: Vec<NodeId> = self.nodes.keys().copied().filter(|id| self.nodes[id].is_up).collect();
        for id in ids {
            self.count_node(id);
        }
        self.tally
    }
}

fn whose(event: &Event) -> Option<NodeId> {
    match event {
        Event::Deliver { to: node, .. }
        | Event::Write { to: node, .. }
        | Event::Wake { node }
        | Event::Apply { node }
        | Event::RoundEnds { node, .. }
        | Event::HearsOfTerm { node, .. }
        | Event::Restart { node } => Some(*node),
        Event::Client | Event::Commit { .. } | Event::Trouble => None,
    }
}
