//! What has happened and no node need know any more: what was committed, and who led.

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::Role;
use stormglass_nodes::raft::membership::Membership;

use crate::bounds::NODES_MAX;
use crate::disk::Mark;
use crate::node::{Facts, Out};

/// The past of a state, as far as the invariants need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct History {
    /// What was ever committed, in order, and in which leader's term it first was.
    pub(crate) committed: Vec<(Mark, u64)>,
    /// Who led: terms and leaders, by term.
    leaders: Vec<(u64, NodeId)>,
    /// How far leaders have committed, and the members by whom the last of them did.
    pub(crate) decided: Option<(usize, Vec<NodeId>, Vec<NodeId>)>,
}

impl History {
    /// The history after a step of one node; `None` if it is the same.
    ///
    /// # Errors
    /// What the step has broken: there is a leader of this term already, or nobody has decided what this
    /// node takes for committed.
    pub(crate) fn after(&self, before: &Facts, after: &Facts, out: &Out) -> Result<Option<Self>, String> {
        let is_elected = after.role == Role::Leader && (before.role, before.term) != (after.role, after.term);
        let is_news = after.commit > self.committed.len();
        let decides = out.decided.as_ref().is_some_and(|(index, _)| *index >= self.decided_index());
        if !is_elected && !is_news && !decides {
            return Ok(None);
        }
        let mut history = self.clone();
        if is_elected {
            history.elected(after)?;
        }
        if is_news {
            let decided = out.decided.as_ref().map_or(0, |(index, _)| *index);
            if decided < after.commit {
                return Err(format!("{} takes {} for committed, and no leader has", after.id, after.commit));
            }
            let marks = &after.log[history.committed.len()..after.commit];
            history.committed.extend(marks.iter().map(|&mark| (mark, after.term)));
        }
        if let Some((index, Membership { voters, outgoing, .. })) = out.decided.as_ref().filter(|_| decides) {
            history.decided = Some((*index, voters.clone(), outgoing.clone()));
        }
        Ok(Some(history).filter(|history| history != self))
    }

    fn decided_index(&self) -> usize {
        self.decided.as_ref().map_or(0, |(index, ..)| *index)
    }

    fn elected(&mut self, leader: &Facts) -> Result<(), String> {
        match self.leaders.binary_search_by_key(&leader.term, |(term, _)| *term) {
            Ok(at) if self.leaders[at].1 == leader.id => {}
            Ok(at) => {
                return Err(format!(
                    "election safety: {} and {} both lead t{}",
                    self.leaders[at].1, leader.id, leader.term
                ));
            }
            Err(at) => self.leaders.insert(at, (leader.term, leader.id)),
        }
        Ok(())
    }

    /// How many terms had a leader.
    pub(crate) fn leaders(&self) -> usize {
        self.leaders.len()
    }

    /// The same history with other names.
    pub(crate) fn renamed(&self, permutation: &[u8; NODES_MAX]) -> Self {
        let name = |id: &NodeId| NodeId(u64::from(permutation[id.0 as usize - 1]) + 1);
        let names = |ids: &[NodeId]| {
            let mut renamed: Vec<_> = ids.iter().map(name).collect();
            renamed.sort_unstable();
            renamed
        };
        Self {
            committed: self.committed.clone(),
            leaders: self.leaders.iter().map(|(term, id)| (*term, name(id))).collect(),
            decided: self.decided.as_ref().map(|(index, one, other)| (*index, names(one), names(other))),
        }
    }
}
