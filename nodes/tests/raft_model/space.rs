//! What the search has met: nodes, messages and histories by number, and what each step of a node leads to.
//!
//! A cluster has many more states than its nodes have, so each step of a node is computed once, by the core
//! itself, and remembered. A state of the cluster is then a few numbers, and the search needs the core only
//! for what it has not seen.
//!
//! # Nodes that are alike
//! Where nodes differ in nothing but their names, exchanging them turns a run into another run. So with
//! every step that is computed, the same step is computed for every exchange of names, and its result is
//! recorded as the image of the first: nothing is assumed about the core but that, and if the images ever
//! disagree the search stops.
//!
//! # Fingerprints
//! Nodes of the same [`Node::fingerprint`] are taken for one. Every so often such a node is not believed: it
//! is stepped beside the known one by whatever may happen to it, and has to answer alike.

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::{Message, Role};

use crate::bounds::{Bounds, NODES_MAX};
use crate::history::History;
use crate::invariants;
use crate::node::{Act, Facts, Node, Out};
use crate::numbers::{Numbers, hash_of_value, pair_key};

/// One in so many nodes that are known by their fingerprint is stepped to see whether it is the same.
const AUDIT_EVERY: u64 = 32;
/// Messages by which it is stepped, at most.
const AUDIT_MESSAGES_MAX: usize = 24;

/// A node by its number.
pub(crate) type NodeNumber = u32;
/// A message by its number.
pub(crate) type MessageNumber = u32;
/// A history by its number.
pub(crate) type HistoryNumber = u32;

/// A node that was met.
#[derive(Debug)]
struct Known {
    node: Node,
    facts: Facts,
    /// What may happen to it besides messages.
    acts: Vec<Act>,
    /// Itself with other names, by permutation; none yet where the number is the greatest there is.
    images: Vec<NodeNumber>,
}

const NO_IMAGE: u32 = u32::MAX;

/// What a step of a node leads to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The node afterwards.
    pub(crate) node: NodeNumber,
    /// What it has sent, sorted.
    pub(crate) sent: Vec<MessageNumber>,
    /// For the history and the invariants.
    pub(crate) out: Out,
    /// What the step alone has broken.
    pub(crate) violation: Option<String>,
}

/// Everything that was met.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) bounds: Bounds,
    permutations: Vec<[u8; NODES_MAX]>,
    /// The position of the composition of two permutations: first the second, then the first.
    compositions: Vec<Vec<usize>>,
    node_numbers: Numbers,
    nodes: Vec<Known>,
    message_numbers: Numbers,
    messages: Vec<Message>,
    message_images: Vec<Vec<MessageNumber>>,
    history_numbers: Numbers,
    histories: Vec<History>,
    history_images: Vec<Vec<HistoryNumber>>,
    step_numbers: Numbers,
    outcomes: Vec<Outcome>,
    verdict_numbers: Numbers,
    verdicts: Vec<Option<bool>>,
    known_again: u64,
    /// Nodes that were stepped to see whether their fingerprint tells all.
    pub(crate) audits: u64,
    pub(crate) reached: Reached,
}

/// How many of the distinct steps of nodes did something of which a search ought to see a good deal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Entries were cut from a log.
    pub(crate) truncations: usize,
    /// A leader's snapshot took the machine's place.
    pub(crate) installs: usize,
    /// Other members came into force.
    pub(crate) changes: usize,
}

impl Space {
    /// Nothing but the nodes at their beginning, which are returned too.
    pub(crate) fn new(bounds: Bounds) -> (Self, [NodeNumber; NODES_MAX]) {
        let permutations = bounds.permutations();
        let position = |wanted| permutations.iter().position(|one| *one == wanted).expect("they are a group");
        let composed = |one: &[u8; NODES_MAX], other: &[u8; NODES_MAX]| {
            position(std::array::from_fn(|at| one[other[at] as usize]))
        };
        let compositions = permutations
            .iter()
            .map(|one| permutations.iter().map(|other| composed(one, other)).collect())
            .collect();
        let mut space = Self {
            permutations,
            compositions,
            node_numbers: Numbers::default(),
            nodes: Vec::new(),
            message_numbers: Numbers::default(),
            messages: Vec::new(),
            message_images: Vec::new(),
            history_numbers: Numbers::default(),
            histories: Vec::new(),
            history_images: Vec::new(),
            step_numbers: Numbers::default(),
            outcomes: Vec::new(),
            verdict_numbers: Numbers::default(),
            verdicts: Vec::new(),
            known_again: 0,
            audits: 0,
            reached: Reached::default(),
            bounds,
        };
        let mut nodes = [0; NODES_MAX];
        let ids: Vec<_> = space.bounds.ids().collect();
        for id in ids {
            nodes[id.0 as usize - 1] = space.node_number(Node::new(&space.bounds, id));
        }
        for id in 0..space.bounds.ids().count() {
            for (at, permutation) in space.permutations.iter().enumerate() {
                space.nodes[nodes[id] as usize].images[at] = nodes[permutation[id] as usize];
            }
        }
        space.history_number(History::default());
        (space, nodes)
    }

    /// What there is to see of a node.
    pub(crate) fn facts(&self, node: NodeNumber) -> &Facts {
        &self.nodes[node as usize].facts
    }

    /// How many things may happen to a node besides messages.
    pub(crate) fn acts(&self, node: NodeNumber) -> &[Act] {
        &self.nodes[node as usize].acts
    }

    /// The message of a number.
    pub(crate) fn message(&self, message: MessageNumber) -> &Message {
        &self.messages[message as usize]
    }

    /// The history of a number.
    pub(crate) fn history(&self, history: HistoryNumber) -> &History {
        &self.histories[history as usize]
    }

    /// The outcome of a number.
    pub(crate) fn outcome(&self, outcome: u32) -> &Outcome {
        &self.outcomes[outcome as usize]
    }

    /// Distinct nodes met, and distinct steps computed.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.outcomes.len())
    }

    /// How many ways there are to exchange names.
    pub(crate) fn permutations(&self) -> &[[u8; NODES_MAX]] {
        &self.permutations
    }

    /// A node with other names.
    pub(crate) fn node_image(&self, permutation: usize, node: NodeNumber) -> NodeNumber {
        self.nodes[node as usize].images[permutation]
    }

    /// A message with other names.
    pub(crate) fn message_image(&self, permutation: usize, message: MessageNumber) -> MessageNumber {
        self.message_images[message as usize][permutation]
    }

    /// A history with other names.
    pub(crate) fn history_image(&self, permutation: usize, history: HistoryNumber) -> HistoryNumber {
        self.history_images[history as usize][permutation]
    }

    /// What the act of this number at a node leads to.
    pub(crate) fn act(&mut self, node: NodeNumber, act: usize) -> u32 {
        if let Some(known) = self.known_step(pair_key(0, node, act as u32)) {
            return known;
        }
        // Names do not matter to acts other than messages, so the images' acts are the same.
        let step = self.nodes[node as usize].acts[act].clone();
        self.step_all(node, |_| step.clone(), |_, image| pair_key(0, image, act as u32))
    }

    /// What the arrival of a message at a node leads to.
    pub(crate) fn receive(&mut self, node: NodeNumber, message: MessageNumber) -> u32 {
        if let Some(known) = self.known_step(pair_key(1, node, message)) {
            return known;
        }
        let images = self.message_images[message as usize].clone();
        let arrivals: Vec<_> =
            images.iter().map(|&at| Act::Receive(Box::new(self.message(at).clone()))).collect();
        let act = |permutation: usize| arrivals[permutation].clone();
        self.step_all(node, act, |permutation, image| pair_key(1, image, images[permutation]))
    }

    fn known_step(&self, key: u128) -> Option<u32> {
        self.step_numbers.find(key)
    }

    /// Computes a step, and the same for every exchange of names.
    fn step_all(
        &mut self,
        node: NodeNumber,
        act: impl Fn(usize) -> Act,
        key: impl Fn(usize, NodeNumber) -> u128,
    ) -> u32 {
        let nodes = self.nodes[node as usize].images.clone();
        let (first, mut outcomes) = (self.outcomes.len(), Vec::with_capacity(nodes.len()));
        for (permutation, &image) in nodes.iter().enumerate() {
            let key = key(permutation, image);
            let outcome = match self.known_step(key) {
                // Two exchanges of names may make the same of this node.
                Some(known) if known as usize >= first => known,
                Some(_) => panic!("a step is computed for all exchanges of names at once"),
                None => {
                    let outcome = self.step(image, &act(permutation));
                    self.step_numbers.number(key);
                    self.outcomes.push(outcome);
                    self.outcomes.len() as u32 - 1
                }
            };
            outcomes.push(outcome);
        }
        self.link(&outcomes);
        outcomes[0]
    }

    fn step(&mut self, number: NodeNumber, act: &Act) -> Outcome {
        let known = &self.nodes[number as usize];
        let mut node = known.node.clone();
        let out = node.step(&self.bounds, act);
        let (before, after) = (known.facts.clone(), self.node_number(node));
        self.reached.truncations += usize::from(out.has_truncated);
        self.reached.installs += usize::from(out.has_installed);
        self.reached.changes += usize::from(before.membership != self.facts(after).membership);
        let violation = invariants::of_step(act, &before, self.facts(after), &out).err();
        let mut sent: Vec<_> = out.sent.iter().map(|message| self.message_number(message)).collect();
        sent.sort_unstable();
        Outcome { node: after, sent, out, violation }
    }

    /// Records that these outcomes differ in names alone, and that this has never been otherwise.
    fn link(&mut self, outcomes: &[u32]) {
        let nodes: Vec<_> = outcomes.iter().map(|&at| self.outcomes[at as usize].node).collect();
        for (one, &from) in nodes.iter().enumerate() {
            for permutation in 0..nodes.len() {
                let to = nodes[self.compositions[permutation][one]];
                let image = &mut self.nodes[from as usize].images[permutation];
                assert!(
                    *image == NO_IMAGE || *image == to,
                    "the core treats nodes differently by their names"
                );
                *image = to;
            }
        }
        for (permutation, &outcome) in outcomes.iter().enumerate() {
            let first = &self.outcomes[outcomes[0] as usize].sent;
            let mut sent: Vec<_> =
                first.iter().map(|&message| self.message_image(permutation, message)).collect();
            sent.sort_unstable();
            assert_eq!(sent, self.outcomes[outcome as usize].sent, "what is sent differs by more than names");
        }
    }

    fn node_number(&mut self, node: Node) -> NodeNumber {
        let (number, is_new) = self.node_numbers.number(node.fingerprint());
        if is_new {
            let facts = node.facts();
            let acts = self.acts_of(&facts);
            let images = vec![NO_IMAGE; self.permutations.len()];
            self.nodes.push(Known { node, facts, acts, images });
        } else {
            self.known_again += 1;
            if self.known_again.is_multiple_of(AUDIT_EVERY) {
                self.audit(number, &node);
            }
        }
        number
    }

    /// What may happen to a node, within bounds.
    fn acts_of(&self, facts: &Facts) -> Vec<Act> {
        let bounds = &self.bounds;
        let mut acts = Vec::new();
        if facts.role != Role::Leader && facts.term < bounds.terms {
            acts.push(Act::Campaign);
        }
        if facts.role == Role::Leader && facts.log.len() < bounds.log {
            acts.push(Act::Propose);
            acts.extend((0..bounds.wanted.len()).filter(|_| bounds.changes > 0).map(Act::Change));
        }
        if facts.role == Role::Leader && bounds.heartbeats > 0 {
            acts.push(Act::Heartbeat);
        }
        if facts.parts_out > 0 {
            acts.push(Act::Store);
        }
        if bounds.snapshots > 0 && facts.applied.len() > facts.covered {
            acts.push(Act::Snapshot);
        }
        if bounds.crashes > 0 {
            let parts = 0..=facts.parts_out;
            let is_possible = |parts: &usize| bounds.torn_stores || *parts == 0 || *parts == facts.parts_out;
            acts.extend(parts.filter(is_possible).map(Act::Crash));
        }
        acts
    }

    /// Steps a node and the one for which it is taken, to see whether they are the same.
    fn audit(&mut self, number: NodeNumber, node: &Node) {
        self.audits += 1;
        let known = &self.nodes[number as usize];
        assert_eq!(known.facts, node.facts(), "two nodes of one fingerprint differ");
        let to_it: Vec<_> = self.messages.iter().filter(|message| message.to == known.facts.id).collect();
        let stride = to_it.len() / AUDIT_MESSAGES_MAX + 1;
        let arrivals = to_it.iter().skip(self.audits as usize % stride).step_by(stride);
        let arrivals = arrivals.map(|&message| Act::Receive(Box::new(message.clone())));
        for act in known.acts.iter().cloned().chain(arrivals) {
            let (mut one, mut other) = (known.node.clone(), node.clone());
            let outs = (one.step(&self.bounds, &act), other.step(&self.bounds, &act));
            assert_eq!(
                outs.0.sent, outs.1.sent,
                "two nodes of one fingerprint say different things: {act:?}"
            );
            assert_eq!(one.fingerprint(), other.fingerprint(), "two nodes of one fingerprint part: {act:?}");
        }
    }

    fn message_number(&mut self, message: &Message) -> MessageNumber {
        let (number, is_new) = self.message_numbers.number(hash_of_value(message));
        if is_new {
            self.messages.push(message.clone());
            let identity = self.message_images.len();
            self.message_images.push(vec![number; self.permutations.len()]);
            for at in 1..self.permutations.len() {
                let permutation = self.permutations[at];
                let name = |id: NodeId| NodeId(u64::from(permutation[id.0 as usize - 1]) + 1);
                // Members in a message are those that the bounds name, and they have no names to exchange.
                let renamed = Message { from: name(message.from), to: name(message.to), ..message.clone() };
                self.message_images[identity][at] = self.message_number(&renamed);
            }
        }
        number
    }

    /// The number of a history.
    pub(crate) fn history_number(&mut self, history: History) -> HistoryNumber {
        let (number, is_new) = self.history_numbers.number(hash_of_value(&history));
        if is_new {
            self.histories.push(history.clone());
            let identity = self.history_images.len();
            self.history_images.push(vec![number; self.permutations.len()]);
            for at in 1..self.permutations.len() {
                let renamed = history.renamed(&self.permutations[at]);
                self.history_images[identity][at] = self.history_number(renamed);
            }
        }
        number
    }

    /// Judges a node by the past; tells whether its disk holds all that was decided.
    pub(crate) fn judge_past(&mut self, node: NodeNumber, history: HistoryNumber) -> Result<bool, String> {
        self.judge(pair_key(0, node, history), |space| {
            let (facts, history) = (space.facts(node), space.history(history));
            invariants::of_past(facts, history).map(|()| invariants::holds_decided(facts, history))
        })
    }

    /// Judges two nodes, which may be the same.
    pub(crate) fn judge_pair(&mut self, one: NodeNumber, other: NodeNumber) -> Result<bool, String> {
        let (one, other) = (one.min(other), one.max(other));
        self.judge(pair_key(1, one, other), |space| {
            invariants::of_pair(space.facts(one), space.facts(other)).map(|()| true)
        })
    }

    fn judge(&mut self, key: u128, verdict: impl Fn(&Self) -> Result<bool, String>) -> Result<bool, String> {
        let (number, is_new) = self.verdict_numbers.number(key);
        if is_new {
            let verdict = verdict(self);
            self.verdicts.push(verdict.clone().ok());
            return verdict;
        }
        self.verdicts[number as usize].map_or_else(|| verdict(self), Ok)
    }
}
