//! Cores in memory, each with a disk that keeps exactly what was completed, and a network that is a list.
//!
//! This is a driver of the core by its contract: it sends, stores, holds back and applies as the effects
//! say, and writes down everything that happens, in order, for transcripts to print and checks to judge.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use stormglass_nodes::ids::{LocalTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::MembershipChange;
use stormglass_nodes::raft::{
    Body, ChangeOutcome, Config, Core, Effects, Entry, Event, HardState, Input, Message, ProposalOutcome,
    ReadOutcome, Recovered, Snapshot, StoreRequest, StoreToken, TransferOutcome,
};

/// What a node's disk holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: Option<Snapshot>,
    /// The entries from `first` on: all of them, or as many as a snapshot has left.
    pub(crate) entries: Vec<Entry>,
    /// How many entries before those are gone.
    pub(crate) forgotten: u64,
}

/// What a disk knows of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// It is there.
    Entry(Entry),
    /// A snapshot covers it.
    Covered,
    /// Nothing.
    Missing,
}

impl Disk {
    /// Makes the first `units` parts of a request durable: the hard state, then the truncation, then one
    /// entry after the other. Returns how many there were to make.
    pub(crate) fn write(&mut self, request: &StoreRequest, units: usize) -> usize {
        let mut done = 0;
        if let Some(hard_state) = request.hard_state {
            if done < units {
                self.hard_state = hard_state;
            }
            done += 1;
        }
        if let Some(write) = &request.snapshot {
            if done < units {
                if write.replaces_log {
                    self.entries.clear();
                    self.forgotten = write.snapshot.meta.index.0;
                }
                self.snapshot = Some(write.snapshot.clone());
            }
            done += 1;
        }
        if let Some(from) = request.truncate_from {
            if done < units {
                self.entries.truncate((from.previous().0 - self.forgotten) as usize);
            }
            done += 1;
        }
        for entry in &request.append {
            if done < units {
                assert_eq!(entry.index.0, self.last_index() + 1, "the log on disk has no gaps");
                self.entries.push(entry.clone());
            }
            done += 1;
        }
        if let Some(to) = request.compact_to.filter(|_| done < units) {
            let covered = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.index.0);
            assert!(to.0 <= covered, "nothing is forgotten that no durable snapshot covers");
            let count = to.0.saturating_sub(self.forgotten).min(self.entries.len() as u64);
            self.entries.drain(..count as usize);
            self.forgotten += count;
        }
        done
    }

    fn last_index(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// What it knows of the entry at `index`, from 1.
    pub(crate) fn copy(&self, index: u64) -> Copy {
        let held = index.checked_sub(self.forgotten + 1).and_then(|at| self.entries.get(at as usize));
        match (held, &self.snapshot) {
            (Some(entry), _) => Copy::Entry(entry.clone()),
            (None, Some(snapshot)) if snapshot.meta.index.0 >= index => Copy::Covered,
            _ => Copy::Missing,
        }
    }

    fn recovered(&self) -> Recovered {
        let covered = self.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
        let entries = self.entries.iter().filter(|entry| entry.index > covered).cloned().collect();
        Recovered { hard_state: self.hard_state, snapshot: self.snapshot.clone(), entries }
    }
}

/// The machine: it remembers how many entries it has applied, and a hash over all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) applied: u64,
    pub(crate) hash: u64,
}

/// What a snapshot of that machine is filled up to: several pieces, where pieces are small.
const SNAPSHOT_BYTES: usize = 96;

impl Machine {
    /// The state after one more entry.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.applied = entry.index.0;
        let mut hasher = DefaultHasher::new();
        (self.hash, entry).hash(&mut hasher);
        self.hash = hasher.finish();
    }

    fn snapshot(&self) -> Bytes {
        let mut bytes = [self.applied.to_le_bytes(), self.hash.to_le_bytes()].concat();
        bytes.resize(SNAPSHOT_BYTES, self.hash as u8);
        Bytes::from(bytes)
    }

    fn restore(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        Self { applied: number(0), hash: number(8) }
    }
}

/// One member: a core while it is up, and what outlives a crash.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) core: Option<Core>,
    pub(crate) disk: Disk,
    pub(crate) machine: Machine,
    /// The store request that is out.
    pub(crate) storing: Option<StoreRequest>,
    waiting: Vec<(StoreToken, Message)>,
    stored: StoreToken,
    lives: u64,
}

/// Something that happened, in order.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// The core reported something.
    Event(NodeId, Event),
    /// A message left; and what the sender's disk held then: term and vote, and, if the message
    /// acknowledges an append, the term of the last entry acknowledged.
    Sent(Message, HardState, Option<Term>),
    /// A message waits for a store.
    Waits(StoreToken, Message),
    /// A store began.
    StoreBegan(NodeId, StoreRequest),
    /// A store is durable.
    StoreEnded(NodeId, StoreToken),
    /// Entries were applied, and the machine is in this state now.
    Applied(NodeId, Vec<Entry>, Machine),
    /// A snapshot took the machine's place, which is in this state now.
    Installed(NodeId, LogIndex, Machine),
    /// A change of the members was answered.
    Change(NodeId, ChangeOutcome),
    /// A transfer came to an end.
    Transfer(NodeId, TransferOutcome),
    /// A proposal was answered.
    Proposal(NodeId, ProposalOutcome),
    /// A read was asked for.
    ReadBegan(NodeId, u64),
    /// A read was answered.
    Read(NodeId, ReadOutcome),
    /// A node lost everything but its disk.
    Crashed(NodeId),
    /// A node is up again.
    Started(NodeId),
}

/// Stands for the term of an entry that a snapshot covers, where nobody knows it any more.
pub(crate) const COVERED: Term = Term(u64::MAX);

/// The cluster.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Messages under way, in the order of their sending.
    pub(crate) network: Vec<Message>,
    /// What happened since it was last taken.
    pub(crate) happened: Vec<Happening>,
    pub(crate) now_us: u64,
    seed: u64,
}

impl Cluster {
    /// A cluster of `size` voters with empty disks, and as many nodes that may join it as `spare` says.
    /// `adjust` may change each configuration.
    pub(crate) fn new(size: u64, spare: u64, seed: u64, adjust: impl Fn(&mut Config)) -> Self {
        let voters: Vec<_> = (1..=size).map(NodeId).collect();
        let mut cluster = Self { seed, ..Self::default() };
        for id in (1..=size + spare).map(NodeId) {
            let members = if id.0 <= size { voters.clone() } else { Vec::new() };
            let mut config = Config::new(id, members);
            adjust(&mut config);
            let node = Node {
                config,
                core: None,
                disk: Disk::default(),
                machine: Machine::default(),
                storing: None,
                waiting: Vec::new(),
                stored: StoreToken(0),
                lives: 0,
            };
            cluster.nodes.insert(id, node);
            cluster.start(id);
        }
        cluster
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the node exists")
    }

    /// The core of a node that is up.
    pub(crate) fn core(&self, id: NodeId) -> Option<&Core> {
        self.nodes[&id].core.as_ref()
    }

    /// A node's own clock: each has an origin of its own.
    pub(crate) fn local_time(&self, id: NodeId) -> LocalTime {
        LocalTime(self.now_us + 1_000_000 * id.0)
    }

    /// Starts a node from its disk.
    pub(crate) fn start(&mut self, id: NodeId) {
        let (now, seed) = (self.local_time(id), self.seed);
        let node = self.node_mut(id);
        node.lives += 1;
        node.stored = StoreToken(0);
        let recovered = node.disk.recovered();
        let snapshot = recovered.snapshot.as_ref();
        node.machine = snapshot.map(|snapshot| Machine::restore(&snapshot.data)).unwrap_or_default();
        let own_seed = seed.wrapping_mul(1_000_003) ^ (id.0 << 32) ^ node.lives;
        node.core = Some(Core::new(node.config.clone(), recovered, own_seed, now));
        self.happened.push(Happening::Started(id));
        // What the log itself proves to be committed is applied at once.
        let effects = self.node_mut(id).core.as_mut().map(Core::effects).unwrap_or_default();
        self.carry_out(id, effects);
    }

    /// Kills a node. Of the store that is out, the first `units` parts reach the disk.
    pub(crate) fn crash(&mut self, id: NodeId, units: usize) {
        let node = self.node_mut(id);
        node.core = None;
        node.waiting.clear();
        if let Some(request) = node.storing.take() {
            node.disk.write(&request, units);
        }
        self.happened.push(Happening::Crashed(id));
    }

    /// Feeds one input to a node, if it is up, and does what its effects ask for.
    pub(crate) fn step(&mut self, id: NodeId, input: Input) {
        let now = self.local_time(id);
        if let Input::Read { id: read } | Input::ReadAnywhere { id: read } = input {
            self.happened.push(Happening::ReadBegan(id, read));
        }
        if let Some(core) = self.node_mut(id).core.as_mut() {
            core.step(input, now);
            let effects = core.effects();
            self.carry_out(id, effects);
        }
    }

    /// Completes the store that is out at a node, if one is.
    pub(crate) fn complete_store(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let Some(request) = node.storing.take() else { return };
        node.disk.write(&request, usize::MAX);
        node.stored = request.token;
        let (ready, waiting) = node.waiting.drain(..).partition(|(token, _)| *token <= request.token);
        node.waiting = waiting;
        self.happened.push(Happening::StoreEnded(id, request.token));
        let ready: Vec<(StoreToken, Message)> = ready;
        ready.into_iter().for_each(|(_, message)| self.send(message));
        self.step(id, Input::Stored(request.token));
    }

    /// Delivers the message at `position` of the network.
    pub(crate) fn deliver(&mut self, position: usize) {
        let message = self.network.remove(position);
        self.step(message.to, Input::Receive(message));
    }

    /// Proposes a command.
    pub(crate) fn propose(&mut self, id: NodeId, name: u64, command: Bytes) {
        self.step(id, Input::Propose { id: name, command });
    }

    fn send(&mut self, message: Message) {
        let disk = &self.nodes[&message.from].disk;
        let acknowledged = match message.body {
            Body::AppendAccepted { match_index: LogIndex(0) } => Some(Term(0)),
            Body::AppendAccepted { match_index } => match (disk.copy(match_index.0), &disk.snapshot) {
                (Copy::Entry(entry), _) => Some(entry.term),
                (Copy::Covered, Some(snapshot)) if snapshot.meta.index == match_index => {
                    Some(snapshot.meta.term)
                }
                // Further back a snapshot has no terms; that it covers the entry is what counts.
                (Copy::Covered, _) => Some(COVERED),
                (Copy::Missing, _) => None,
            },
            _ => None,
        };
        self.happened.push(Happening::Sent(message.clone(), disk.hard_state, acknowledged));
        self.network.push(message);
    }

    fn carry_out(&mut self, id: NodeId, effects: Effects) {
        self.happened.extend(effects.events.into_iter().map(|event| Happening::Event(id, event)));
        self.happened.extend(effects.proposals.into_iter().map(|outcome| Happening::Proposal(id, outcome)));
        effects.messages.into_iter().for_each(|message| self.send(message));
        if let Some(request) = effects.store {
            self.happened.push(Happening::StoreBegan(id, request.clone()));
            let before = self.node_mut(id).storing.replace(request);
            assert!(before.is_none(), "one store request at a time");
        }
        for (token, message) in effects.messages_after {
            if token <= self.nodes[&id].stored {
                self.send(message);
            } else {
                self.happened.push(Happening::Waits(token, message.clone()));
                self.node_mut(id).waiting.push((token, message));
            }
        }
        self.happened.extend(effects.changes.into_iter().map(|outcome| Happening::Change(id, outcome)));
        self.happened.extend(effects.reads.into_iter().map(|outcome| Happening::Read(id, outcome)));
        self.happened.extend(effects.transfers.into_iter().map(|outcome| Happening::Transfer(id, outcome)));
        if let Some(snapshot) = effects.install {
            let machine = Machine::restore(&snapshot.data);
            self.node_mut(id).machine = machine.clone();
            self.happened.push(Happening::Installed(id, snapshot.meta.index, machine));
            self.step(id, Input::Installed(snapshot.meta.index));
        }
        if let Some(last) = effects.committed.last().map(|entry| entry.index) {
            let node = self.node_mut(id);
            effects.committed.iter().for_each(|entry| node.machine.apply(entry));
            let machine = node.machine.clone();
            self.happened.push(Happening::Applied(id, effects.committed.to_vec(), machine));
            self.step(id, Input::Applied(last));
        }
    }

    /// Takes a snapshot of a node's machine.
    pub(crate) fn snapshot(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let Some(core) = &node.core else { return };
        let meta = core.snapshot_meta();
        assert_eq!(meta.index.0, node.machine.applied, "the core knows what the machine has applied");
        let snapshot = Snapshot { meta, data: node.machine.snapshot() };
        self.step(id, Input::SnapshotTaken(Box::new(snapshot)));
    }

    /// Asks a node to change the members.
    pub(crate) fn change(&mut self, id: NodeId, name: u64, change: MembershipChange) {
        self.step(id, Input::ChangeMembership { id: name, change });
    }
}
