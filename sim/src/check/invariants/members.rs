//! What members decide together (Raft paper, section 6): written here once more, independently of the nodes.

use crate::history::MembersSeen;

/// Whether those who agree are a majority of the voters, and of the outgoing voters too if there are any.
/// Learners do not count. Without voters nobody decides anything.
pub(super) fn is_quorum(members: &MembersSeen, agrees: impl Fn(u64) -> bool) -> bool {
    let is_majority = |half: &[u64]| half.iter().filter(|node| agrees(**node)).count() > half.len() / 2;
    is_majority(&members.voters) && (members.outgoing.is_empty() || is_majority(&members.outgoing))
}

/// Whether a quorum of the one and a quorum of the other always have a node in common: some half of the one
/// and some half of the other are such that no majorities of both find room beside each other.
pub(super) fn always_overlap(one: &MembersSeen, other: &MembersSeen) -> bool {
    let halves = |members: &MembersSeen| [members.voters.clone(), members.outgoing.clone()];
    halves(one).iter().any(|one| {
        halves(other).iter().any(|other| {
            let union = one.len() + other.iter().filter(|node| !one.contains(node)).count();
            let is_there = !one.is_empty() && !other.is_empty();
            is_there && one.len() / 2 + other.len() / 2 + 2 > union
        })
    })
}

/// What is wrong with these members in themselves, if anything.
pub(super) fn flaw(members: &MembersSeen) -> Option<&'static str> {
    let MembersSeen { voters, outgoing, learners } = members;
    let is_sorted = |list: &[u64]| list.is_sorted_by(|one, other| one < other);
    if voters.is_empty() {
        Some("nobody votes")
    } else if ![voters, outgoing, learners].into_iter().all(|list| is_sorted(list)) {
        Some("a list is not sorted, or names a node twice")
    } else if learners.iter().any(|node| voters.contains(node) || outgoing.contains(node)) {
        Some("a learner votes")
    } else {
        None
    }
}

/// Whether this node's vote counts.
pub(super) fn is_voter(members: &MembersSeen, node: u64) -> bool {
    members.voters.contains(&node) || members.outgoing.contains(&node)
}

/// `voters [1, 2, 3] and [3, 4, 5], learners [6]`, without what is empty.
pub(super) fn show(members: &MembersSeen) -> String {
    let mut text = format!("voters {:?}", members.voters);
    if !members.outgoing.is_empty() {
        text += &format!(" and {:?}", members.outgoing);
    }
    if !members.learners.is_empty() {
        text += &format!(", learners {:?}", members.learners);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{always_overlap, flaw, is_quorum};
    use crate::history::MembersSeen;

    fn members(voters: &[u64], outgoing: &[u64]) -> MembersSeen {
        MembersSeen { voters: voters.to_vec(), outgoing: outgoing.to_vec(), learners: vec![] }
    }

    /// All sets of the nodes 1 to 6.
    fn sets() -> impl Iterator<Item = Vec<u64>> {
        (0..64_u64).map(|bits| (1..=6).filter(|node| bits >> (node - 1) & 1 == 1).collect())
    }

    #[test]
    fn a_quorum_is_a_majority_of_both_halves() {
        let joint = members(&[1, 2, 3], &[3, 4, 5]);
        assert!(is_quorum(&joint, |node| [2, 3, 4].contains(&node)));
        assert!(!is_quorum(&joint, |node| node <= 3));
        assert!(!is_quorum(&members(&[1, 2], &[]), |node| node == 1));
        assert!(!is_quorum(&members(&[], &[]), |_| true));
    }

    #[test]
    fn those_that_are_said_to_overlap_have_no_two_quorums_apart() {
        for (one, other) in sets().flat_map(|one| sets().map(move |other| (one.clone(), other))) {
            let (one, other) = (members(&one, &[]), members(&other, &[]));
            let apart = sets()
                .any(|set| is_quorum(&one, |n| set.contains(&n)) && is_quorum(&other, |n| !set.contains(&n)));
            let is_there = !one.voters.is_empty() && !other.voters.is_empty();
            assert_eq!(always_overlap(&one, &other), is_there && !apart, "{one:?} {other:?}");
        }
    }

    #[test]
    fn one_step_of_a_change_always_overlaps_and_two_need_not() {
        let (old, joint, new) =
            (members(&[1, 2, 3], &[]), members(&[4, 5, 6], &[1, 2, 3]), members(&[4, 5, 6], &[]));
        assert!(always_overlap(&old, &joint) && always_overlap(&joint, &new));
        assert!(!always_overlap(&old, &new));
    }

    #[test]
    fn members_that_make_no_sense_are_told() {
        assert_eq!(flaw(&members(&[1, 2], &[2, 3])), None);
        assert_eq!(flaw(&members(&[], &[1])), Some("nobody votes"));
        assert!(flaw(&members(&[2, 1], &[])).is_some() && flaw(&members(&[1, 1], &[])).is_some());
        let learner = MembersSeen { learners: vec![3], ..members(&[1, 2], &[3]) };
        assert_eq!(flaw(&learner), Some("a learner votes"));
    }
}
