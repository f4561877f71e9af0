//! The cluster as its events tell it.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::history::{LogSlot, NodeEvent, NodeRole};

/// A log slot, and a hash over it and everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowSlot {
    /// The slot.
    pub slot: LogSlot,
    /// Equal for two logs if they are equal up to here.
    pub prefix: u64,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowNode {
    /// Whether its process lives.
    pub up: bool,
    /// Its term; while it is down, its last.
    pub term: u64,
    /// Its role.
    pub role: NodeRole,
    /// Its log in memory; while it is down, its last.
    pub log: Vec<ShadowSlot>,
    /// Its commit index in this life.
    pub commit: u64,
    /// The last index that its machine applied in this life.
    pub applied: u64,
    /// The term last reported durable.
    pub durable_term: u64,
    /// The vote last reported durable, in that term.
    pub durable_vote: Option<u64>,
    /// So much of `log` is durable for certain. A write that was under way when the log was cut in memory
    /// may be reported after the cut and then speaks of the log before it: until a second report, what
    /// follows the cut does not count here.
    pub durable_certain: u64,
    /// So much of `log` may be durable, each report taken to speak of the log as it is.
    pub durable_possible: u64,
    cut: Option<Cut>,
}

/// A cut of the log whose way to the disk is not certain yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// The lowest index that left.
    from: u64,
    /// Whether a report has come since.
    reported: bool,
}

/// A committed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The entry and its prefix.
    pub slot: ShadowSlot,
    /// The term of the node that first knew it to be committed: normally the leader that committed it.
    pub term: u64,
}

/// The cluster.
#[derive(Clone, Debug)]
pub struct Shadow {
    nodes: BTreeMap<u64, ShadowNode>,
    committed: Vec<Committed>,
    committed_in_term: BTreeMap<u64, u64>,
}

impl ShadowNode {
    /// The index of its last entry.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.log.len() as u64
    }

    /// Its slot at `index`, from 1.
    #[must_use]
    pub fn slot(&self, index: u64) -> Option<&ShadowSlot> {
        self.log.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    fn push(&mut self, slot: LogSlot) {
        let before = self.log.last().map_or(0, |last| last.prefix);
        self.log.push(ShadowSlot { slot, prefix: prefix(before, slot) });
    }

    fn start(&mut self, term: u64, voted_for: Option<u64>, log: &[LogSlot]) {
        *self = Self { up: true, term, durable_term: term, durable_vote: voted_for, ..Self::default() };
        log.iter().for_each(|slot| self.push(*slot));
        self.durable_certain = self.last_index();
        self.durable_possible = self.last_index();
    }

    fn truncate(&mut self, from: u64) {
        let keep = from.saturating_sub(1);
        self.log.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.durable_certain = self.durable_certain.min(keep);
        self.durable_possible = self.durable_possible.min(keep);
        let from = self.cut.map_or(from, |cut| cut.from.min(from));
        self.cut = Some(Cut { from, reported: false });
    }

    fn durable(&mut self, term: u64, voted_for: Option<u64>, last_index: u64) {
        self.durable_term = term;
        self.durable_vote = voted_for;
        let last = last_index.min(self.last_index());
        self.durable_possible = last;
        match self.cut {
            Some(Cut { from, reported: false }) => {
                self.durable_certain = last.min(from.saturating_sub(1));
                self.cut = Some(Cut { from, reported: true });
            }
            _ => {
                self.durable_certain = last;
                self.cut = None;
            }
        }
    }
}

/// The prefix hash of a log that ends in `slot`, from that of the log without it (0 if that is empty).
pub(super) fn prefix(before: u64, slot: LogSlot) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&before.to_le_bytes());
    bytes[8..16].copy_from_slice(&slot.term.to_le_bytes());
    bytes[16..].copy_from_slice(&slot.digest.to_le_bytes());
    xxh3_64(&bytes)
}

impl Shadow {
    pub(super) fn new(voters: impl IntoIterator<Item = u64>) -> Self {
        Self {
            nodes: voters.into_iter().map(|node| (node, ShadowNode::default())).collect(),
            committed: Vec::new(),
            committed_in_term: BTreeMap::new(),
        }
    }

    /// One node.
    ///
    /// # Panics
    /// If there is none of this number; an event of such a node never reaches an invariant.
    #[must_use]
    pub fn node(&self, node: u64) -> &ShadowNode {
        self.nodes.get(&node).unwrap_or_else(|| panic!("no node {node} in the cluster"))
    }

    /// All nodes, by number. All are voters.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, &ShadowNode)> {
        self.nodes.iter().map(|(node, state)| (*node, state))
    }

    /// The smallest number of nodes that is more than half.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// What is known to be committed, from index 1.
    #[must_use]
    pub fn committed(&self) -> &[Committed] {
        &self.committed
    }

    /// The committed entry at `index`, from 1.
    #[must_use]
    pub fn committed_at(&self, index: u64) -> Option<&Committed> {
        self.committed.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    /// The highest index that was committed in a term before `term`.
    #[must_use]
    pub fn committed_before_term(&self, term: u64) -> u64 {
        self.committed_in_term.range(..term).map(|(_, index)| *index).max().unwrap_or(0)
    }

    /// Whether the event can follow what came before.
    pub(super) fn can_follow(&self, node: u64, event: &NodeEvent) -> Result<(), String> {
        let Some(state) = self.nodes.get(&node) else {
            return Err(format!("an event of node {node}, which is not in the cluster: {event:?}"));
        };
        let starts = matches!(event, NodeEvent::Started { .. });
        if starts && state.up {
            return Err("it started without having stopped".to_owned());
        }
        // A process may die while it recovers, before it has anything to report.
        let stops = matches!(event, NodeEvent::Stopped);
        if !starts && !stops && !state.up {
            return Err(format!("an event of a node that is down: {event:?}"));
        }
        match event {
            NodeEvent::Appended { index, .. } if *index != state.last_index() + 1 => {
                Err(format!("entry {index} was appended to a log that ends at {}", state.last_index()))
            }
            NodeEvent::Truncated { from } if *from == 0 || *from > state.last_index() => {
                Err(format!("a log that ends at {} was cut from {from} on", state.last_index()))
            }
            _ => Ok(()),
        }
    }

    /// Takes in an event that can follow.
    pub(super) fn take(&mut self, node: u64, event: &NodeEvent) {
        let Some(state) = self.nodes.get_mut(&node) else { return };
        match event {
            NodeEvent::Started { term, voted_for, log } => state.start(*term, *voted_for, log),
            NodeEvent::Stopped => state.up = false,
            NodeEvent::RoleChanged { role, term } => {
                state.role = *role;
                state.term = *term;
            }
            NodeEvent::Voted { term, .. } => state.term = *term,
            NodeEvent::Truncated { from } => state.truncate(*from),
            NodeEvent::Appended { slot, .. } => state.push(*slot),
            NodeEvent::Committed { index } => {
                state.commit = *index;
                self.commit(node, *index);
            }
            NodeEvent::Durable { term, voted_for, last_index } => {
                state.durable(*term, *voted_for, *last_index);
            }
            NodeEvent::Applied { index, .. } => state.applied = *index,
        }
    }

    /// Extends what is committed by what this node committed, if it is an extension.
    fn commit(&mut self, node: u64, index: u64) {
        let state = &self.nodes[&node];
        let known = self.committed.len();
        let agrees = known == 0
            || state.log.get(known - 1).map(|slot| slot.prefix)
                == self.committed.last().map(|c| c.slot.prefix);
        let to = usize::try_from(index).unwrap_or(usize::MAX).min(state.log.len());
        if !agrees || to <= known {
            return;
        }
        let term = state.term;
        self.committed.extend(state.log[known..to].iter().map(|slot| Committed { slot: *slot, term }));
        self.committed_in_term.insert(term, to as u64);
    }
}
