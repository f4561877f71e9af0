//! What the nodes report: who leads, how often that changed, and the observer that checks listen with.

use std::collections::VecDeque;

use crate::history::{LogSlot, MembersSeen, NodeEvent, NodeRole, SnapshotSeen, VirtualTime};

use super::trace::digest;
use crate::nemesis::MembersInForce;

/// Called with each event of each node, at the moment that it happens.
pub type Observer = Box<dyn FnMut(VirtualTime, u64, &NodeEvent) + Send>;

/// The observer, and the events that wait for it: it may itself cause some.
#[derive(Default)]
pub(super) struct Observers {
    pub(super) observer: Option<Observer>,
    pub(super) waiting: VecDeque<(VirtualTime, u64, NodeEvent)>,
    pub(super) busy: bool,
}

/// The roles that the nodes say they have.
pub(super) struct View {
    nodes: Vec<(NodeRole, u64)>,
    /// Of each node, the last entry applied in this life.
    applied: Vec<u64>,
    pub(super) members: MembersInForce,
    pub(super) version: u16,
    pub(super) leaders_elected: u64,
    pub(super) campaigns: u64,
}

impl View {
    /// Nothing has happened; the last `spares` nodes are no members.
    pub(super) fn new(nodes: u64, spares: u64) -> Self {
        let members = MembersSeen { voters: (1..=nodes - spares).collect(), ..MembersSeen::default() };
        Self {
            nodes: (0..nodes).map(|_| (NodeRole::Follower, 0)).collect(),
            applied: vec![0; nodes as usize],
            members: MembersInForce { index: 0, members, changes: 0 },
            version: 0,
            leaders_elected: 0,
            campaigns: 0,
        }
    }

    /// The last entry that a node has applied in this life.
    pub(super) fn applied(&self, node: u64) -> u64 {
        node.checked_sub(1).and_then(|place| self.applied.get(place as usize)).copied().unwrap_or(0)
    }

    /// Takes note of an event. A node that starts or stops leads nobody.
    pub(super) fn note(&mut self, node: u64, event: &NodeEvent) {
        let Some(place) = node.checked_sub(1).map(|place| place as usize) else { return };
        let Some(view) = self.nodes.get_mut(place) else { return };
        match event {
            NodeEvent::RoleChanged { role, term } => {
                let is_new = *view != (*role, *term);
                self.leaders_elected += u64::from(is_new && *role == NodeRole::Leader);
                self.campaigns += u64::from(is_new && *role == NodeRole::Candidate);
                *view = (*role, *term);
            }
            NodeEvent::Stopped => *view = (NodeRole::Follower, 0),
            NodeEvent::Started { term, snapshot, .. } => {
                *view = (NodeRole::Follower, *term);
                self.applied[place] = snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
            }
            NodeEvent::Applied { index, .. } | NodeEvent::Installed { index, .. } => {
                self.applied[place] = *index
            }
            NodeEvent::MembershipChanged { index, members } if *index > self.members.index => {
                let changes = self.members.changes + 1;
                self.members = MembersInForce { index: *index, members: members.clone(), changes };
            }
            NodeEvent::VersionRaised { version } => self.version = self.version.max(*version),
            _ => {}
        }
    }

    /// The node of `is_up` that leads in the highest term.
    pub(super) fn leader(&self, is_up: impl Fn(u64) -> bool) -> Option<u64> {
        (1..)
            .zip(&self.nodes)
            .filter(|(node, (role, _))| *role == NodeRole::Leader && is_up(*node))
            .max_by_key(|(_, (_, term))| *term)
            .map(|(node, _)| node)
    }
}

/// A hash over an event, for the trace.
pub(super) fn digest_event(event: &NodeEvent) -> u64 {
    let vote = |vote: &Option<u64>| vote.map_or(0, |vote| vote.wrapping_add(1));
    let slot = |slot: &LogSlot| [slot.term, slot.digest];
    let members = |seen: &MembersSeen| {
        let lists = [&seen.voters, &seen.outgoing, &seen.learners];
        digest(&lists.map(|list| digest(list)))
    };
    let covered =
        |snapshot: &SnapshotSeen| digest(&[snapshot.index, snapshot.term, members(&snapshot.members)]);
    match event {
        NodeEvent::Started { version, term, voted_for, snapshot, log } => {
            let slots: Vec<u64> = log.iter().flat_map(slot).collect();
            let covered = snapshot.as_ref().map_or(0, covered);
            digest(&[
                1,
                u64::from(*version),
                *term,
                vote(voted_for),
                covered,
                log.len() as u64,
                digest(&slots),
            ])
        }
        NodeEvent::Stopped => digest(&[2]),
        NodeEvent::RoleChanged { role, term } => digest(&[3, *role as u64, *term]),
        NodeEvent::Voted { term, candidate } => digest(&[4, *term, *candidate]),
        NodeEvent::Truncated { from } => digest(&[5, *from]),
        NodeEvent::Appended { index, slot } => digest(&[6, *index, slot.term, slot.digest]),
        NodeEvent::Committed { index } => digest(&[7, *index]),
        NodeEvent::Durable { term, voted_for, last_index } => {
            digest(&[8, *term, vote(voted_for), *last_index])
        }
        NodeEvent::SnapshotReceived { snapshot } => digest(&[10, covered(snapshot)]),
        NodeEvent::Installed { index, state } => digest(&[11, *index, *state]),
        NodeEvent::MembershipChanged { index, members: seen } => digest(&[12, *index, members(seen)]),
        NodeEvent::VersionRaised { version } => digest(&[13, u64::from(*version)]),
        NodeEvent::Compacted { to } => digest(&[14, *to]),
        NodeEvent::Acknowledges { term, index } => digest(&[15, *term, *index]),
        NodeEvent::WriteBegan => digest(&[16]),
        NodeEvent::Line { line } => {
            let bytes = postcard::to_stdvec(line).expect("numbers and names serialize");
            digest(&[17, xxhash_rust::xxh3::xxh3_64(&bytes)])
        }
        NodeEvent::Applied { index, slot, state } => digest(&[9, *index, slot.term, slot.digest, *state]),
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeEvent, NodeRole, View};

    #[test]
    fn the_leader_is_the_live_one_of_the_highest_term() {
        let mut view = View::new(3, 0);
        let lead = |term| NodeEvent::RoleChanged { role: NodeRole::Leader, term };
        assert_eq!(view.leader(|_| true), None);
        view.note(1, &lead(2));
        view.note(3, &lead(5));
        assert_eq!(view.leader(|_| true), Some(3));
        assert_eq!(view.leader(|node| node != 3), Some(1));
        view.note(3, &NodeEvent::Stopped);
        assert_eq!(view.leader(|_| true), Some(1));
        assert_eq!(view.leaders_elected, 2);
    }
}
