//! The cluster as its events tell it.

use std::collections::BTreeMap;

use super::Numbered;
use super::shadow_node::{ShadowNode, ShadowSlot};
use crate::history::{Change, MembersSeen, NodeEvent, SnapshotSeen};

/// A committed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The entry and its prefix.
    pub slot: ShadowSlot,
    /// The term of the node that first knew it to be committed: normally the leader that committed it.
    pub term: u64,
}

/// How far the past is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Entries before this one are.
    pub(super) index: u64,
    /// Terms before this one are.
    pub(super) term: u64,
}

/// The cluster.
#[derive(Clone, Debug)]
pub struct Shadow {
    nodes: BTreeMap<u64, ShadowNode>,
    committed: Numbered<Committed>,
    committed_in_term: BTreeMap<u64, u64>,
    /// By the index of the entry that brought them, 0 for the first: the members that anybody ever went by.
    configurations: BTreeMap<u64, MembersSeen>,
}

impl Shadow {
    pub(super) fn new(voters: impl IntoIterator<Item = u64>) -> Self {
        let mut voters: Vec<u64> = voters.into_iter().collect();
        voters.sort_unstable();
        Self {
            nodes: voters.iter().map(|node| (*node, ShadowNode::default())).collect(),
            committed: Numbered::new(),
            committed_in_term: BTreeMap::new(),
            configurations: BTreeMap::from([(0, MembersSeen { voters, ..MembersSeen::default() })]),
        }
    }

    /// One node; one that has never been seen is down and has nothing.
    #[must_use]
    pub fn node(&self, node: u64) -> &ShadowNode {
        static UNSEEN: ShadowNode = ShadowNode::unseen();
        self.nodes.get(&node).unwrap_or(&UNSEEN)
    }

    /// The first voters, and whoever was seen to start, by number. Not all are members now.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, &ShadowNode)> {
        self.nodes.iter().map(|(node, state)| (*node, state))
    }

    /// The last index that is known to be committed.
    #[must_use]
    pub fn last_committed(&self) -> u64 {
        self.committed.last_number()
    }

    /// The committed entry at `index`, from 1.
    #[must_use]
    pub fn committed_at(&self, index: u64) -> Option<&Committed> {
        self.committed.get(index)
    }

    /// The highest index that was committed in a term before `term`.
    #[must_use]
    pub fn committed_before_term(&self, term: u64) -> u64 {
        self.committed_in_term.range(..term).map(|(_, index)| *index).max().unwrap_or(0)
    }

    /// The members after the entry at `index`, and the entry that brought them; 0 if they are the first.
    #[must_use]
    pub fn members_at(&self, index: u64) -> (u64, &MembersSeen) {
        let (index, members) =
            self.configurations.range(..=index).next_back().expect("there are first members");
        (*index, members)
    }

    /// The members of the latest change that anybody has applied, and the entry that brought them.
    #[must_use]
    pub fn newest_members(&self) -> (u64, &MembersSeen) {
        self.members_at(u64::MAX)
    }

    /// Whether nobody has gone by the members that the entry at `index` of this node's log brings, nor by
    /// later ones.
    #[must_use]
    pub fn brings_new_members(&self, node: u64, index: u64) -> bool {
        let slot = self.node(node).slot(index);
        slot.is_some_and(|held| held.slot.change == Some(Change::Members)) && index > self.newest_members().0
    }

    /// Whether what a snapshot covers is what was committed, and its members those of then.
    ///
    /// # Errors
    /// How it differs.
    pub fn is_committed(&self, snapshot: &SnapshotSeen) -> Result<(), String> {
        let SnapshotSeen { index, term, members } = snapshot;
        let Some(committed) = self.committed_at(*index) else {
            return Err(format!(
                "a snapshot covers entries up to {index}, but only {} are known to be committed",
                self.last_committed()
            ));
        };
        let of = committed.slot.slot.term;
        if of != *term {
            return Err(format!(
                "a snapshot covers entry {index} of term {term}, but committed was one of term {of}"
            ));
        }
        let (_, expected) = self.members_at(*index);
        if members == expected {
            Ok(())
        } else {
            let [members, expected] = [members, expected].map(super::members::show);
            Err(format!("after entry {index} a snapshot has {members}, but they were {expected}"))
        }
    }

    /// What a snapshot covers, as far as it is committed.
    fn covered(&self, snapshot: Option<&SnapshotSeen>) -> Numbered<ShadowSlot> {
        let index = snapshot.map_or(0, |snapshot| snapshot.index);
        self.committed.map_up_to(index.min(self.last_committed()), |committed| committed.slot)
    }

    /// What no event will ask for again, as long as every node keeps what it has: entries before the first of
    /// these two, which all nodes have put into snapshots, and terms before the second, in which none of them votes
    /// or leads any more.
    pub(super) fn settled(&self) -> Settled {
        let least = |of: fn(&ShadowNode) -> u64| self.nodes.values().map(of).min().unwrap_or(0);
        Settled { index: least(|node| node.compacted), term: least(|node| node.term.min(node.durable_term)) }
    }

    /// Forgets what is settled. The entry at the index itself stays: what comes after it is told apart by the hash
    /// over everything before.
    pub(super) fn forget_before(&mut self, settled: Settled) {
        self.nodes.values_mut().for_each(|node| node.log.forget_before(settled.index));
        self.committed.forget_before(settled.index);
        self.committed_in_term.retain(|_, last| *last >= settled.index);
    }

    /// Whether the event can follow what came before.
    pub(super) fn can_follow(&self, node: u64, event: &NodeEvent) -> Result<(), String> {
        let state = self.node(node);
        let starts = matches!(event, NodeEvent::Started { .. });
        if starts && state.up {
            return Err("it started without having stopped".to_owned());
        }
        // A process may die while it recovers, before it has anything to report.
        let stops = matches!(event, NodeEvent::Stopped);
        if !starts && !stops && !state.up {
            return Err(format!("an event of a node that is down: {event:?}"));
        }
        let last = state.last_index();
        match event {
            NodeEvent::Appended { index, .. } if *index != last + 1 => {
                Err(format!("entry {index} was appended to a log that ends at {last}"))
            }
            NodeEvent::Truncated { from } if *from == 0 || *from > last => {
                Err(format!("a log that ends at {last} was cut from {from} on"))
            }
            NodeEvent::Compacted { to } if *to > last => {
                Err(format!("a log that ends at {last} let go of entries up to {to}"))
            }
            NodeEvent::WriteBegan if state.write.is_some() => {
                Err("a write began while another was under way".to_owned())
            }
            NodeEvent::Durable { .. } if state.write.is_none() => {
                Err("a write completed that had not begun".to_owned())
            }
            NodeEvent::Started { term, snapshot, log, .. } if !self.nodes.contains_key(&node) => {
                if *term == 0 && snapshot.is_none() && log.is_empty() {
                    Ok(())
                } else {
                    Err(format!("node {node}, never seen before, starts on a disk that is not empty"))
                }
            }
            _ => Ok(()),
        }
    }

    /// Takes in an event that can follow.
    pub(super) fn take(&mut self, node: u64, event: &NodeEvent) {
        if let NodeEvent::Started { .. } = event {
            let started = self.started(event);
            self.nodes.insert(node, started);
            return;
        }
        if let NodeEvent::MembershipChanged { index, members } = event
            && self.brings_new_members(node, *index)
        {
            self.configurations.insert(*index, members.clone());
        }
        let covered = match event {
            NodeEvent::SnapshotReceived { snapshot } => self.covered(Some(snapshot)),
            _ => Numbered::new(),
        };
        let Some(state) = self.nodes.get_mut(&node) else { return };
        match event {
            NodeEvent::Started { .. } => {}
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
            NodeEvent::WriteBegan => state.begin_write(),
            NodeEvent::Durable { term, voted_for, last_index } => {
                state.complete_write(*term, *voted_for, *last_index);
            }
            NodeEvent::SnapshotReceived { .. } => state.replace_log(covered),
            NodeEvent::Installed { index, .. } | NodeEvent::Applied { index, .. } => state.applied = *index,
            NodeEvent::MembershipChanged { index, members } => {
                state.members = members.clone();
                state.members_index = *index;
            }
            NodeEvent::VersionRaised { version } => state.version = *version,
            NodeEvent::Compacted { to } => state.compacted = *to,
            NodeEvent::Acknowledges { .. } | NodeEvent::Line { .. } => {}
        }
    }

    /// A node that has just started, from what it recovered. It goes by the members of its snapshot, or by
    /// the first ones.
    fn started(&self, event: &NodeEvent) -> ShadowNode {
        let NodeEvent::Started { version, term, voted_for, snapshot, log } = event else {
            return ShadowNode::default();
        };
        let members_index = snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
        let mut state = ShadowNode {
            term: *term,
            durable_term: *term,
            durable_vote: *voted_for,
            version_max: *version,
            members: self.members_at(members_index).1.clone(),
            members_index,
            ..ShadowNode::default()
        };
        state.start(self.covered(snapshot.as_ref()), log);
        state
    }

    /// Extends what is committed by what this node committed, if it is an extension.
    fn commit(&mut self, node: u64, index: u64) {
        let state = &self.nodes[&node];
        let known = self.committed.last_number();
        let agrees = known == 0
            || state.slot(known).map(|slot| slot.prefix) == self.committed.last().map(|c| c.slot.prefix);
        let to = index.min(state.last_index());
        if !agrees || to <= known {
            return;
        }
        let term = state.term;
        for (_, slot) in state.log.after(known).take_while(|(index, _)| *index <= to) {
            self.committed.push(Committed { slot: *slot, term });
        }
        self.committed_in_term.insert(term, to);
    }
}
