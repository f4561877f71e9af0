//! What a cluster looks like from what its nodes report: who leads, who belongs to it, how far each one is.

use super::MembersInForce;
use crate::history::{MembersSeen, NodeEvent, NodeRole};

/// The roles that the nodes say they have.
#[derive(Debug)]
pub struct View {
    nodes: Vec<(NodeRole, u64)>,
    /// Of each node, the last entry applied in this life.
    applied: Vec<u64>,
    /// The members that came into force last.
    pub members: MembersInForce,
    /// The version that the cluster speaks.
    pub version: u16,
    /// Times that some node became leader.
    pub leaders_elected: u64,
    /// Times that some node started a campaign for votes.
    pub campaigns: u64,
}

impl View {
    /// Nothing has happened; the last `spares` nodes are no members.
    #[must_use]
    pub fn new(nodes: u64, spares: u64) -> Self {
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
    #[must_use]
    pub fn applied(&self, node: u64) -> u64 {
        node.checked_sub(1).and_then(|place| self.applied.get(place as usize)).copied().unwrap_or(0)
    }

    /// Takes note of an event. A node that starts or stops leads nobody.
    pub fn note(&mut self, node: u64, event: &NodeEvent) {
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
    #[must_use]
    pub fn leader(&self, is_up: impl Fn(u64) -> bool) -> Option<u64> {
        (1..)
            .zip(&self.nodes)
            .filter(|(node, (role, _))| *role == NodeRole::Leader && is_up(*node))
            .max_by_key(|(_, (_, term))| *term)
            .map(|(node, _)| node)
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
