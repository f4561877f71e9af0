//! Quorum arithmetic as pure functions, of a joint configuration too.
//!
//! A decision needs a majority of the incoming voters and, while a joint configuration is in force, a
//! majority of the outgoing voters as well (Raft paper, section 6). An empty half agrees to everything, so
//! an ordinary configuration is one with an empty outgoing half.

use crate::ids::NodeId;

/// Voters of a cluster as it usually is, at most.
const VOTERS_ON_STACK: usize = 16;

/// What the votes cast so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteResult {
    /// Neither won nor lost yet.
    Pending,
    /// A quorum refused, or can no longer be reached.
    Lost,
    /// A quorum granted.
    Won,
}

/// The smallest number of nodes that is more than half of `voters`.
const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The greatest value that a quorum has reached, `reached` telling how far each voter is. It serves for
/// log positions and for read rounds alike. 0 if both halves are empty.
pub fn committed_index(incoming: &[NodeId], outgoing: &[NodeId], reached: impl Fn(NodeId) -> u64) -> u64 {
    match (majority_reached(incoming, &reached), majority_reached(outgoing, &reached)) {
        (Some(one), Some(other)) => one.min(other),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 0,
    }
}

/// The greatest value that a majority of `voters` has reached; `None` if there are no voters. It is asked
/// for with every acknowledgement, so that it allocates only for more than [`VOTERS_ON_STACK`].
pub fn majority_reached(voters: &[NodeId], reached: &impl Fn(NodeId) -> u64) -> Option<u64> {
    // Most clusters have three members: the middle one of three needs no sorting.
    if let [one, two, three] = *voters {
        let (one, two, three) = (reached(one), reached(two), reached(three));
        return Some(one.min(two).max(one.max(two).min(three)));
    }
    let (mut on_stack, mut on_heap) = ([0; VOTERS_ON_STACK], Vec::new());
    let values = if let Some(values) = on_stack.get_mut(..voters.len()) {
        values
    } else {
        on_heap.resize(voters.len(), 0);
        &mut on_heap[..]
    };
    for (value, &voter) in values.iter_mut().zip(voters) {
        *value = reached(voter);
    }
    values.sort_unstable();
    let position = voters.len().checked_sub(majority(voters.len()))?;
    values.get(position).copied()
}

/// What the votes amount to, `vote` telling each voter's, if it has been cast.
pub fn vote_result(
    incoming: &[NodeId],
    outgoing: &[NodeId],
    vote: impl Fn(NodeId) -> Option<bool>,
) -> VoteResult {
    match (majority_vote(incoming, &vote), majority_vote(outgoing, &vote)) {
        (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
        (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
        _ => VoteResult::Pending,
    }
}

fn majority_vote(voters: &[NodeId], vote: &impl Fn(NodeId) -> Option<bool>) -> VoteResult {
    if voters.is_empty() {
        return VoteResult::Won;
    }
    let granted = voters.iter().filter(|&&voter| vote(voter) == Some(true)).count();
    let missing = voters.iter().filter(|&&voter| vote(voter).is_none()).count();
    if granted >= majority(voters.len()) {
        VoteResult::Won
    } else if granted + missing < majority(voters.len()) {
        VoteResult::Lost
    } else {
        VoteResult::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::{VoteResult, committed_index, vote_result};
    use crate::ids::NodeId;

    fn nodes(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn the_committed_index_is_what_a_majority_has_reached() {
        for (reached, expected) in [
            (&[][..], 0),
            (&[7][..], 7),
            (&[7, 3], 3),
            (&[7, 3, 5], 5),
            (&[7, 3, 5, 4], 4),
            (&[9, 9, 0, 0, 0], 0),
            (&[9, 8, 7, 0, 0], 7),
            (&[4, 4, 4, 4], 4),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 6),
            (&[9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0], 9),
            (&[9, 9, 9, 9, 9, 0, 0, 0, 0, 0], 0),
        ] {
            let voters = nodes(&(0..reached.len() as u64).collect::<Vec<_>>());
            let found = committed_index(&voters, &[], |id| reached[id.0 as usize]);
            assert_eq!(found, expected, "{reached:?}");
        }
    }

    #[test]
    fn a_joint_configuration_needs_both_halves() {
        let (incoming, outgoing) = (nodes(&[1, 2, 3]), nodes(&[3, 4, 5]));
        let reached = |id: NodeId| [0, 10, 10, 2, 3, 1][id.0 as usize];
        assert_eq!(committed_index(&incoming, &outgoing, reached), 2);
        assert_eq!(vote_result(&incoming, &outgoing, |id| (id.0 < 3).then_some(true)), VoteResult::Pending);
        assert_eq!(vote_result(&incoming, &outgoing, |id| Some(id.0 < 3)), VoteResult::Lost);
        assert_eq!(vote_result(&incoming, &outgoing, |id| Some(id.0 < 5)), VoteResult::Won);
    }

    #[test]
    fn votes_decide_as_soon_as_they_can_and_no_sooner() {
        let (yes, no) = (Some(true), Some(false));
        for (votes, expected) in [
            (&[yes][..], VoteResult::Won),
            (&[None][..], VoteResult::Pending),
            (&[yes, None], VoteResult::Pending),
            (&[yes, no], VoteResult::Lost),
            (&[yes, yes, None], VoteResult::Won),
            (&[yes, no, None], VoteResult::Pending),
            (&[yes, no, no], VoteResult::Lost),
            (&[yes, yes, no, None], VoteResult::Pending),
            (&[yes, yes, no, no], VoteResult::Lost),
        ] {
            let voters = nodes(&(0..votes.len() as u64).collect::<Vec<_>>());
            assert_eq!(vote_result(&voters, &[], |id| votes[id.0 as usize]), expected, "{votes:?}");
        }
    }
}
