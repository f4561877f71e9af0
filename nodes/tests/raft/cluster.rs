//! Cores in memory, each with a disk that keeps exactly what was completed, and a network that is a list.
//!
//! This is a driver of the core by its contract: it sends, stores, holds back and applies as the effects
//! say, and writes down everything that happens, in order, for transcripts to print and checks to judge.

use std::collections::BTreeMap;

use bytes::Bytes;
use stormglass_nodes::ids::{LocalTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::{
    Body, Config, Core, Effects, Entry, Event, HardState, Input, Message, ProposalOutcome, ReadOutcome,
    Recovered, StoreRequest, StoreToken,
};

/// What a node's disk holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
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
        if let Some(from) = request.truncate_from {
            if done < units {
                self.entries.truncate(from.previous().0 as usize);
            }
            done += 1;
        }
        for entry in &request.append {
            if done < units {
                assert_eq!(entry.index.0, self.entries.len() as u64 + 1, "the log on disk has no gaps");
                self.entries.push(entry.clone());
            }
            done += 1;
        }
        done
    }
}

/// One member: a core while it is up, and what outlives a crash.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) core: Option<Core>,
    pub(crate) disk: Disk,
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
    /// Entries were applied.
    Applied(NodeId, Vec<Entry>),
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
    /// A cluster of `size` nodes with empty disks. `adjust` may change each configuration.
    pub(crate) fn new(size: u64, seed: u64, adjust: impl Fn(&mut Config)) -> Self {
        let voters: Vec<_> = (1..=size).map(NodeId).collect();
        let mut cluster = Self { seed, ..Self::default() };
        for &id in &voters {
            let mut config = Config::new(id, voters.clone());
            adjust(&mut config);
            let node = Node {
                config,
                core: None,
                disk: Disk::default(),
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
        let recovered = Recovered { hard_state: node.disk.hard_state, entries: node.disk.entries.clone() };
        let own_seed = seed.wrapping_mul(1_000_003) ^ (id.0 << 32) ^ node.lives;
        node.core = Some(Core::new(node.config.clone(), recovered, own_seed, now));
        self.happened.push(Happening::Started(id));
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
        if let Input::Read { id: read } = input {
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
            Body::AppendAccepted { match_index } => {
                disk.entries.get(match_index.0 as usize - 1).map(|entry| entry.term)
            }
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
        self.happened.extend(effects.reads.into_iter().map(|outcome| Happening::Read(id, outcome)));
        let last = effects.committed.last().map(|entry| entry.index);
        if let Some(last) = last {
            self.happened.push(Happening::Applied(id, effects.committed));
            self.applied(id, last);
        }
    }

    fn applied(&mut self, id: NodeId, last: LogIndex) {
        self.step(id, Input::Applied(last));
    }
}
