//! Who belongs to the cluster, and how that changes: pure functions, by joint consensus.
//!
//! A configuration has voters, and learners, which get the log and do not vote. While it is *joint* a second
//! set of voters, the outgoing one, has to agree to everything as well (Raft paper, section 6); so any change
//! of any size is safe, one step at a time. A change of at most one voter may skip the joint state, since
//! majorities of sets that differ in one member overlap anyway (thesis 4.1).
//!
//! The rules for what a change does to each set are those of etcd's core, so that tables of changes can be
//! compared:
//! * Whoever is an outgoing voter and becomes a learner is one only once the joint state is left
//!   (`learners_next`), because until then it votes.
//! * Adding a voter that votes, removing a stranger, and the like change nothing and are no error.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::NodeId;

/// The members in force. All lists are sorted and free of repetitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// Whose majority decides.
    pub voters: Vec<NodeId>,
    /// Whose majority must agree too: not empty while the configuration is joint.
    pub outgoing: Vec<NodeId>,
    /// Who gets the log and does not vote.
    pub learners: Vec<NodeId>,
    /// Outgoing voters that become learners when the joint state is left.
    pub learners_next: Vec<NodeId>,
    /// Learners that the leader makes voters once they have caught up.
    pub promotable: Vec<NodeId>,
    /// The leader leaves the joint state by itself.
    pub auto_leave: bool,
}

/// One member's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MemberChange {
    /// It votes from now on.
    AddVoter(NodeId),
    /// It gets the log, and does not vote (any more).
    AddLearner(NodeId),
    /// It is a learner until it has caught up, and then votes.
    AddVoterOnceCaughtUp(NodeId),
    /// It leaves.
    Remove(NodeId),
}

/// How a change comes into force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transition {
    /// At once if it changes one member, else through a joint state that the leader leaves by itself.
    #[default]
    Auto,
    /// Through a joint state that the leader leaves by itself.
    JointImplicit,
    /// Through a joint state that ends with a further change, an empty one.
    JointExplicit,
}

/// What is proposed. Without changes, and [`Transition::Auto`], it ends the joint state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MembershipChange {
    /// How it comes into force.
    pub transition: Transition,
    /// What changes, in this order.
    pub changes: Vec<MemberChange>,
    /// What else the drivers want to know of the new members (where they are, say): opaque to the core.
    pub context: Bytes,
}

/// Why a change makes no sense of the members as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MembershipError {
    /// A change other than leaving, while the configuration is joint.
    #[error("can't apply simple config change in joint config")]
    SimpleWhileJoint,
    /// More than one voter would change without a joint state.
    #[error("more than one voter changed without entering joint config")]
    MoreThanOneVoter,
    /// Entering a joint state from a joint one.
    #[error("config is already joint")]
    AlreadyJoint,
    /// Entering a joint state from no voters at all.
    #[error("can't make a zero-voter config joint")]
    NoVotersToLeave,
    /// Leaving a joint state where there is none.
    #[error("can't leave a non-joint config")]
    NotJoint,
    /// Nobody would be left to vote.
    #[error("removed all voters")]
    NoVotersLeft,
}

impl MembershipChange {
    /// A change of these members, by the default transition.
    #[must_use]
    pub fn of(changes: Vec<MemberChange>) -> Self {
        Self { changes, ..Self::default() }
    }

    /// The change that ends a joint state.
    #[must_use]
    pub fn leave_joint() -> Self {
        Self::default()
    }

    /// Whether it ends a joint state.
    #[must_use]
    pub fn is_leave_joint(&self) -> bool {
        self.changes.is_empty() && self.transition == Transition::Auto
    }

    /// Whether it goes through a joint state, and if so, whether the leader leaves that by itself.
    #[must_use]
    pub fn enters_joint(&self) -> Option<bool> {
        match self.transition {
            Transition::Auto if self.changes.len() > 1 => Some(true),
            Transition::Auto => None,
            Transition::JointImplicit => Some(true),
            Transition::JointExplicit => Some(false),
        }
    }
}

impl Membership {
    /// A configuration that is not joint.
    #[must_use]
    pub fn new(mut voters: Vec<NodeId>, mut learners: Vec<NodeId>) -> Self {
        for list in [&mut voters, &mut learners] {
            list.sort_unstable();
            list.dedup();
        }
        learners.retain(|id| voters.binary_search(id).is_err());
        Self { voters, learners, ..Self::default() }
    }

    /// Whether two majorities have to agree.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether this node's vote counts.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        contains(&self.voters, id) || contains(&self.outgoing, id)
    }

    /// Whether this node gets the log and does not vote.
    #[must_use]
    pub fn is_learner(&self, id: NodeId) -> bool {
        contains(&self.learners, id)
    }

    /// Whether this node belongs to the cluster.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.is_learner(id)
    }

    /// All members, sorted.
    #[must_use]
    pub fn members(&self) -> Vec<NodeId> {
        let mut all = [&self.voters[..], &self.outgoing, &self.learners].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The configuration after `change`.
    ///
    /// # Errors
    /// A [`MembershipError`] if it makes no sense here; nothing has changed then.
    pub fn after(&self, change: &MembershipChange) -> Result<Self, MembershipError> {
        if change.is_leave_joint() {
            self.leave_joint()
        } else if let Some(auto_leave) = change.enters_joint() {
            self.enter_joint(auto_leave, &change.changes)
        } else {
            self.simple(&change.changes)
        }
    }

    /// Changes that add or remove one voter at most; any number of learners.
    ///
    /// # Errors
    /// If the configuration is joint, if more than one voter would change, or none would be left.
    pub fn simple(&self, changes: &[MemberChange]) -> Result<Self, MembershipError> {
        if self.is_joint() {
            return Err(MembershipError::SimpleWhileJoint);
        }
        let next = self.with(changes)?;
        let added = next.voters.iter().filter(|&&id| !contains(&self.voters, id)).count();
        let removed = self.voters.iter().filter(|&&id| !contains(&next.voters, id)).count();
        if added + removed > 1 {
            return Err(MembershipError::MoreThanOneVoter);
        }
        Ok(next)
    }

    /// The first half of any change: the voters of today become the outgoing ones.
    ///
    /// # Errors
    /// If the configuration is joint already, has no voters, or none would be left.
    pub fn enter_joint(&self, auto_leave: bool, changes: &[MemberChange]) -> Result<Self, MembershipError> {
        if self.is_joint() {
            return Err(MembershipError::AlreadyJoint);
        }
        if self.voters.is_empty() {
            return Err(MembershipError::NoVotersToLeave);
        }
        let joint = Self { outgoing: self.voters.clone(), ..self.clone() };
        Ok(Self { auto_leave, ..joint.with(changes)? })
    }

    /// The second half: the outgoing voters are gone, or learn from now on.
    ///
    /// # Errors
    /// If the configuration is not joint.
    pub fn leave_joint(&self) -> Result<Self, MembershipError> {
        if !self.is_joint() {
            return Err(MembershipError::NotJoint);
        }
        let mut next = self.clone();
        for id in std::mem::take(&mut next.learners_next) {
            insert(&mut next.learners, id);
        }
        next.outgoing.clear();
        next.auto_leave = false;
        Ok(next)
    }

    fn with(&self, changes: &[MemberChange]) -> Result<Self, MembershipError> {
        let mut next = self.clone();
        for &change in changes {
            match change {
                // A script's way of saying "nobody".
                MemberChange::AddVoter(NodeId(0))
                | MemberChange::AddLearner(NodeId(0))
                | MemberChange::AddVoterOnceCaughtUp(NodeId(0))
                | MemberChange::Remove(NodeId(0)) => {}
                MemberChange::AddVoter(id) => {
                    next.forget(id);
                    insert(&mut next.voters, id);
                }
                MemberChange::AddLearner(id) => next.make_learner(id),
                MemberChange::AddVoterOnceCaughtUp(id) if contains(&next.voters, id) => {}
                MemberChange::AddVoterOnceCaughtUp(id) => {
                    next.make_learner(id);
                    insert(&mut next.promotable, id);
                }
                MemberChange::Remove(id) => next.forget(id),
            }
        }
        if next.voters.is_empty() {
            return Err(MembershipError::NoVotersLeft);
        }
        Ok(next)
    }

    fn make_learner(&mut self, id: NodeId) {
        self.forget(id);
        let list = if contains(&self.outgoing, id) { &mut self.learners_next } else { &mut self.learners };
        insert(list, id);
    }

    /// Takes a node out of every list but that of the outgoing voters, who vote until the joint state ends.
    fn forget(&mut self, id: NodeId) {
        for list in [&mut self.voters, &mut self.learners, &mut self.learners_next, &mut self.promotable] {
            if let Ok(position) = list.binary_search(&id) {
                list.remove(position);
            }
        }
    }
}

fn contains(list: &[NodeId], id: NodeId) -> bool {
    list.binary_search(&id).is_ok()
}

fn insert(list: &mut Vec<NodeId>, id: NodeId) {
    if let Err(position) = list.binary_search(&id) {
        list.insert(position, id);
    }
}

impl fmt::Display for Membership {
    /// `voters=(1 2 3)&&(1 2) learners=(4) learners_next=(5) autoleave`, the last parts only where they
    /// say something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |list: &[NodeId]| list.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(" ");
        write!(f, "voters=({})", list(&self.voters))?;
        if self.is_joint() {
            write!(f, "&&({})", list(&self.outgoing))?;
        }
        for (name, ids) in [("learners", &self.learners), ("learners_next", &self.learners_next)] {
            if !ids.is_empty() {
                write!(f, " {name}=({})", list(ids))?;
            }
        }
        f.write_str(if self.auto_leave { " autoleave" } else { "" })
    }
}
