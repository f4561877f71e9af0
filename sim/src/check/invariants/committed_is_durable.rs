//! Committed is durable: when a leader's commit index rises, the log up to it is durable on a quorum of the
//! members that the leader goes by, itself perhaps included: on a majority of both halves while they are
//! joint. It stays so as long as these are the newest members that anybody goes by.

use super::members::{is_quorum, show};
use super::{Invariant, Judgement, Shadow};
use crate::history::{MembersSeen, NodeEvent, NodeRole};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct CommittedIsDurable {
    /// What was committed last by the newest members.
    decided: Option<Decided>,
}

/// What a leader has committed.
#[derive(Clone, Debug)]
struct Decided {
    index: u64,
    /// The hash over the log up to it.
    prefix: u64,
    members: MembersSeen,
    /// The entry that brought these members.
    since: u64,
}

impl Invariant for CommittedIsDurable {
    fn name(&self) -> &'static str {
        "committed is durable"
    }

    fn source(&self) -> &'static str {
        "Raft paper, sections 5.3, 5.4 and 6; thesis, section 10.2.1"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        let NodeEvent::Committed { index } = event else { return Ok(false) };
        if own.role != NodeRole::Leader {
            return Ok(false);
        }
        let Some(slot) = own.slot(*index) else {
            return Err(format!(
                "the leader commits up to {index}, but its log ends at {}",
                own.last_index()
            ));
        };
        let since = shadow.members_at(own.members_index).0;
        let decided = Decided { index: *index, prefix: slot.prefix, members: own.members.clone(), since };
        decided.is_durable(shadow)?;
        let is_newer =
            self.decided.as_ref().is_none_or(|before| before.index < *index || before.since < since);
        if since == shadow.newest_members().0 && is_newer {
            self.decided = Some(decided);
        }
        Ok(true)
    }

    fn after(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let Some(decided) = &self.decided else { return Ok(false) };
        match event {
            NodeEvent::MembershipChanged { .. } => {
                if shadow.newest_members().0 > decided.since {
                    self.decided = None;
                }
                Ok(false)
            }
            NodeEvent::Started { .. }
            | NodeEvent::Truncated { .. }
            | NodeEvent::SnapshotReceived { .. }
            | NodeEvent::Durable { .. }
                if super::members::is_voter(&decided.members, node) =>
            {
                decided.is_durable(shadow)
            }
            _ => Ok(false),
        }
    }
}

impl Decided {
    fn is_durable(&self, shadow: &Shadow) -> Judgement {
        let holds = |node| shadow.node(node).has_durably(self.index, self.prefix);
        if is_quorum(&self.members, holds) {
            return Ok(true);
        }
        let holders: Vec<u64> = shadow.nodes().map(|(node, _)| node).filter(|node| holds(*node)).collect();
        Err(format!(
            "a leader committed up to {} by {}, and that is durable on nodes {holders:?} only",
            self.index,
            show(&self.members)
        ))
    }
}
