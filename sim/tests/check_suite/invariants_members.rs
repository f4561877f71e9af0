//! Changes of the members: what the invariants accept of them, and what they reject.

use stormglass_sim::history::Change::{Members, Version};
use stormglass_sim::history::NodeRole::{Candidate, Follower};
use stormglass_sim::history::{MembersSeen, SnapshotSeen};

use crate::events::*;

const ONE_AND_TWO: [(u64, Option<u64>); 2] = [(1, Some(1)), (2, Some(1))];

/// Node 1 leads, and the change to these members at index 2 is committed and applied on nodes 1 and 2. Node 4
/// has started, and has nothing.
fn changed_to(members: &MembersSeen) -> Vec<Step> {
    let change = [
        many_committed(1),
        vec![started(4, 0, None, &[])],
        replicated(2, 1, Some(Members), &ONE_AND_TWO),
        vec![committed(1, 2), applied_change(1, 2, 1, Members), goes_by(1, 2, members)],
        vec![committed(2, 2), applied_change(2, 2, 1, Members), goes_by(2, 2, members)],
    ];
    change.concat()
}

/// Node 4 follows in term 1 and has all that is committed so far, durably; the second entry is a change.
fn node_4_joins() -> Vec<Step> {
    vec![role(4, Follower, 1), appended(4, 1, 1), appended_change(4, 2, 1, Members), durable(4, 1, None, 2)]
}

/// The entry at index 3 is in the logs of these nodes, and node 1 commits it.
fn committed_by(nodes: &[u64]) -> Vec<Step> {
    let votes: Vec<_> = nodes.iter().map(|node| (*node, (*node < 3).then_some(1))).collect();
    after(replicated(3, 1, None, &votes), vec![committed(1, 3)])
}

#[test]
fn what_is_committed_is_durable_on_a_quorum_of_the_members_in_force() {
    let name = "committed is durable";
    let four = || after(changed_to(&voters(&[1, 2, 3, 4])), node_4_joins());
    rejects(name, "two of four", after(four(), committed_by(&[1, 2])));
    accepts("three of four", after(four(), committed_by(&[1, 2, 4])));
    let two = || changed_to(&voters(&[1, 2]));
    accepts("both of two", after(two(), committed_by(&[1, 2])));
    let removed = vec![
        role(3, Follower, 1),
        appended(3, 1, 1),
        appended_change(3, 2, 1, Members),
        durable(3, 1, None, 2),
    ];
    rejects(name, "a node that was removed does not count", [two(), removed, committed_by(&[1, 3])].concat());
    let learner = MembersSeen { learners: vec![4], ..voters(&[1, 2, 3]) };
    let learns = after(changed_to(&learner), node_4_joins());
    rejects(name, "a learner does not count", after(learns, committed_by(&[1, 4])));
}

#[test]
fn joint_members_need_both_halves() {
    let name = "committed is durable";
    let is_joint = || after(changed_to(&joint(&[1, 4, 5], &[1, 2, 3])), node_4_joins());
    rejects(name, "the outgoing half alone", after(is_joint(), committed_by(&[1, 2])));
    rejects(name, "the incoming half alone", after(is_joint(), committed_by(&[1, 4])));
    accepts("both", after(is_joint(), committed_by(&[1, 2, 4])));
}

#[test]
fn what_is_committed_stays_durable_until_the_members_change() {
    let name = "committed is durable";
    let lost = |node| vec![stopped(node), started(node, 1, Some(1), &[])];
    rejects(name, "a voter comes back without it", after(many_committed(1), lost(2)));
    let cut = vec![role(2, Follower, 2), truncated(2, 1)];
    rejects(name, "a voter gives it up", after(many_committed(1), cut));
    let others = after(
        changed_to(&voters(&[1, 2])),
        vec![
            role(3, Follower, 1),
            appended(3, 1, 1),
            durable(3, 1, None, 1),
            stopped(3),
            started(3, 1, None, &[1]),
        ],
    );
    accepts("a node that was removed is not asked", others);
}

#[test]
fn a_leader_has_the_votes_of_a_quorum_of_the_members_that_it_goes_by() {
    let name = "durable vote";
    let four = |more| [changed_to(&voters(&[1, 2, 3, 4])), node_4_joins(), more].concat();
    rejects(name, "two of four", four(elect(2, 1, 2, [2, 2])));
    let third = vec![role(4, Follower, 2), voted(4, 2, 2), durable(4, 2, Some(2), 2)];
    let mut three = elect(2, 1, 2, [2, 2]);
    let leads = three.pop().expect("the election ends with a leader");
    accepts("three of four", four([three, third, vec![leads]].concat()));
    let two = |more| after(changed_to(&joint(&[2, 4, 5], &[1, 2, 3])), more);
    rejects(name, "one half of joint members", two(elect(2, 1, 2, [2, 2])));
}

#[test]
fn all_nodes_go_by_the_same_members_after_the_same_entry() {
    let name = "agreed members";
    let three = voters(&[1, 2, 3]);
    accepts("the first members are told at the start", after(boot(), vec![goes_by(1, 0, &three)]));
    rejects(name, "other first members", after(boot(), vec![goes_by(1, 0, &voters(&[1, 2]))]));
    let four = || changed_to(&voters(&[1, 2, 3, 4]));
    let applies = |node: u64| {
        [node_4_joins(), vec![committed(node, 2), applied(node, 1, 1), applied_change(node, 2, 1, Members)]]
            .concat()
    };
    accepts("the same", [four(), applies(4), vec![goes_by(4, 2, &voters(&[1, 2, 3, 4]))]].concat());
    rejects(name, "others", [four(), applies(4), vec![goes_by(4, 2, &voters(&[1, 2, 4]))]].concat());
    let early = vec![goes_by(4, 2, &voters(&[1, 2, 3, 4]))];
    rejects(name, "before the entry is applied", [four(), node_4_joins(), early].concat());
    let other_entry = after(many_committed(2), vec![goes_by(1, 2, &voters(&[1, 2]))]);
    rejects(name, "an entry that changes no members", other_entry);
}

#[test]
fn members_that_follow_each_other_overlap() {
    let name = "agreed members";
    let change = |members: MembersSeen| {
        let mut steps = changed_to(&members);
        // Only the first report matters here.
        steps.truncate(steps.len() - 3);
        steps
    };
    accepts("one voter more", change(voters(&[1, 2, 3, 4])));
    accepts("one voter less", change(voters(&[2, 3])));
    accepts("all others, jointly", change(joint(&[4, 5, 6], &[1, 2, 3])));
    rejects(name, "two voters of three exchanged at once", change(voters(&[1, 4, 5])));
    rejects(name, "jointly, but not with those before", change(joint(&[4, 5, 6], &[6, 7, 8])));
    rejects(name, "nobody votes", change(voters(&[])));
    rejects(name, "a learner votes", change(MembersSeen { learners: vec![3], ..voters(&[1, 2, 3]) }));
}

#[test]
fn only_a_voter_campaigns_and_by_the_members_that_it_has_applied() {
    let name = "agreed members";
    let two = || changed_to(&voters(&[1, 2]));
    accepts("a removed node that does not know", after(two(), vec![role(3, Candidate, 2)]));
    let mut knows = vec![role(3, Follower, 1), appended(3, 1, 1), appended_change(3, 2, 1, Members)];
    knows.extend([
        durable(3, 1, None, 2),
        committed(3, 2),
        applied(3, 1, 1),
        applied_change(3, 2, 1, Members),
    ]);
    let told = [two(), knows, vec![goes_by(3, 2, &voters(&[1, 2]))]].concat();
    rejects(name, "a node that knows that it was removed", after(told, vec![role(3, Candidate, 2)]));
    let learner = MembersSeen { learners: vec![2], ..voters(&[1, 3]) };
    rejects(name, "a learner", after(changed_to(&learner), vec![role(2, Candidate, 2)]));
    let mut unmoved = changed_to(&voters(&[1, 2]));
    unmoved.pop();
    rejects(
        name,
        "by members that are not those of what it applied",
        after(unmoved, vec![role(2, Candidate, 2)]),
    );
}

#[test]
fn a_snapshot_brings_the_members_of_its_last_entry() {
    let members = voters(&[1, 2, 3, 4]);
    let four = |more| after(changed_to(&members), more);
    let seen = SnapshotSeen { members: members.clone(), ..snapshot(2, 1) };
    let follows =
        vec![role(4, Follower, 1), durable(4, 1, None, 0), received(4, seen), durable(4, 1, None, 2)];
    let joins = || after(follows.clone(), vec![installed(4, 2)]);
    accepts("these", four(after(joins(), vec![goes_by(4, 2, &members)])));
    rejects("agreed members", "not others", four(after(joins(), vec![goes_by(4, 2, &voters(&[1, 2, 3]))])));
    rejects(
        "state machine safety",
        "nor says that it covers others",
        four(vec![received(4, snapshot(2, 1))]),
    );
    let back = [joins(), vec![goes_by(4, 2, &members), goes_by(4, 0, &voters(&[1, 2, 3]))]].concat();
    rejects("monotonic terms and indexes", "a node goes back to the first members", four(back));
}

#[test]
fn a_node_never_seen_before_starts_on_an_empty_disk() {
    let name = "well-formed events";
    accepts("a spare", after(boot(), vec![started(9, 0, None, &[])]));
    rejects(name, "with entries", after(boot(), vec![started(9, 1, None, &[1])]));
    rejects(name, "with a term", after(boot(), vec![started(9, 1, None, &[])]));
    rejects(name, "with a snapshot", after(many_committed(1), vec![started_from(9, 1, snapshot(1, 1), &[])]));
}

#[test]
fn a_leader_proposes_one_change_at_a_time() {
    let name = "change in order";
    let with = |more| after(many_committed(1), more);
    for change in [Members, Version] {
        accepts("a change, after a commit in its term", with(vec![appended_change(1, 2, 1, change)]));
        let two = vec![appended_change(1, 2, 1, Members), appended_change(1, 3, 1, change)];
        rejects(name, "another change, the first being proposed", with(two));
        let committed_only = after(
            replicated(2, 1, Some(change), &ONE_AND_TWO),
            vec![committed(1, 2), appended_change(1, 3, 1, Members)],
        );
        rejects(name, "another change, the first being committed, not applied", with(committed_only));
    }
    let four = changed_to(&voters(&[1, 2, 3, 4]));
    accepts("another change, the first being applied", after(four, vec![appended_change(1, 3, 1, Members)]));
    let new_leader = after(many_committed(1), elect(2, 1, 2, [1, 1]));
    rejects(
        name,
        "before it has committed in its term",
        after(new_leader.clone(), vec![appended_change(2, 2, 2, Members)]),
    );
    let has_committed =
        [replicated(2, 2, None, &[(2, Some(2)), (1, Some(2))]), vec![committed(2, 2)]].concat();
    accepts("once it has", [new_leader, has_committed, vec![appended_change(2, 3, 2, Members)]].concat());
    let follower = vec![appended_change(2, 2, 1, Members), appended_change(2, 3, 1, Members)];
    accepts("a follower takes what comes", with(follower));
}

#[test]
fn nobody_campaigns_who_has_not_applied_a_change_that_it_knows_to_be_committed() {
    let name = "change in order";
    let proposed = || after(many_committed(1), replicated(2, 1, Some(Members), &ONE_AND_TWO));
    accepts("it does not know", after(proposed(), vec![committed(1, 2), role(2, Candidate, 2)]));
    let knows = after(proposed(), vec![committed(1, 2), committed(2, 2)]);
    rejects(name, "it knows", after(knows.clone(), vec![role(2, Candidate, 2)]));
    let applies =
        vec![applied_change(2, 2, 1, Members), goes_by(2, 2, &voters(&[1, 2])), role(2, Candidate, 2)];
    accepts("it has applied it", after(knows, applies));
    let two =
        vec![appended_change(2, 2, 1, Members), appended_change(2, 3, 1, Members), role(2, Candidate, 2)];
    rejects(name, "two changes, of which the first must be committed", after(many_committed(1), two));
    // What a snapshot covers is known to be committed, too.
    let members = voters(&[1, 2, 3, 4]);
    let seen = SnapshotSeen { members: members.clone(), ..snapshot(2, 1) };
    let got = vec![role(3, Follower, 1), received(3, seen), durable(3, 1, None, 2), role(3, Candidate, 2)];
    rejects(name, "a snapshot that is not installed", after(changed_to(&members), got));
}

#[test]
fn a_leader_that_goes_by_older_members_may_learn_late_of_what_it_has_committed() {
    // Node 1 commits by the first members what nodes 1 and 2 hold, after node 2 has led on and removed it.
    let older = [
        many_committed(1),
        replicated(2, 1, None, &ONE_AND_TWO),
        elect(2, 3, 2, [2, 0]),
        vec![appended(3, 1, 1), appended(3, 2, 1), durable(3, 2, Some(2), 2)],
        replicated(3, 2, None, &[(2, Some(2)), (3, Some(2))]),
        vec![committed(2, 3), applied(2, 2, 1), applied(2, 3, 2)],
        replicated(4, 2, Some(Members), &[(2, Some(2)), (3, Some(2))]),
        vec![committed(2, 4), applied_change(2, 4, 2, Members), goes_by(2, 4, &voters(&[2, 3]))],
        vec![committed(1, 2), applied(1, 2, 1)],
        vec![role(1, Follower, 2), appended(1, 3, 2), stopped(1), started(1, 1, Some(1), &[1, 1])],
    ];
    accepts("it is told late", older.concat());
}
