//! What is settled can be forgotten: nothing is judged otherwise. (Every sequence of the other files is also judged by
//! a set that forgets; here all nodes have something to be forgotten.)

use stormglass_sim::check::invariants::InvariantSet;
use stormglass_sim::history::NodeEvent;
use stormglass_sim::history::NodeRole::Follower;
use stormglass_sim::history::VirtualTime;

use crate::events::*;

/// All nodes have applied five entries of term 1, and let go of the first four.
fn all_compacted() -> Vec<Step> {
    let third = [
        vec![role(3, Follower, 1)],
        (1..=5).map(|index| appended(3, index, 1)).collect(),
        vec![durable(3, 1, None, 5), committed(3, 5)],
        (1..=5).map(|index| applied(3, index, 1)).collect(),
    ];
    let letting_go = (1..=3).map(|node| compacted(node, 4)).collect();
    after(after(many_committed(5), third.concat()), letting_go)
}

#[test]
fn entries_that_all_nodes_have_let_go_of_are_forgotten_up_to_the_last() {
    let mut set = InvariantSet::new(1..=3);
    for (node, event) in all_compacted() {
        if matches!(event, NodeEvent::Durable { .. }) {
            assert_eq!(set.observe(VirtualTime::default(), node, &NodeEvent::WriteBegan), Ok(()));
        }
        assert_eq!(set.observe(VirtualTime::default(), node, &event), Ok(()));
    }
    let kept = |set: &InvariantSet| {
        let of_nodes = (1..=3).map(|node| set.shadow().node(node).log.after(0).count());
        of_nodes
            .chain([(1..=5).filter(|index| set.shadow().committed_at(*index).is_some()).count()])
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(&set), [5; 4]);
    set.forget_settled();
    assert_eq!(kept(&set), [2; 4], "entry 4 tells what came before entry 5");
    assert_eq!(set.shadow().last_committed(), 5);
}

#[test]
fn the_cluster_goes_on_from_there() {
    let on = |more| after(all_compacted(), more);
    accepts("the next entry", on(replicated(6, 1, None, &[(1, Some(1)), (2, Some(1))])));
    accepts("a restart from a snapshot", on(vec![stopped(3), started_from(3, 1, snapshot(5, 1), &[])]));
    accepts("a restart from an older one", on(vec![stopped(3), started_from(3, 1, snapshot(4, 1), &[1])]));
    accepts("another leader", on(elect(3, 2, 2, [5, 5])));
    let behind = [
        replicated(6, 1, None, &[(1, Some(1)), (2, Some(1))]),
        vec![
            committed(1, 6),
            applied(1, 6, 1),
            received(3, snapshot(6, 1)),
            durable(3, 1, None, 6),
            installed(3, 6),
        ],
    ];
    accepts("a snapshot for who is behind", on(behind.concat()));
}

#[test]
fn what_is_wrong_is_seen_as_before() {
    let on = |more| after(all_compacted(), more);
    let restart = |log: Vec<Step>| on([vec![stopped(3)], log].concat());
    rejects(
        "durable log",
        "a log without what was durable",
        restart(vec![started_from(3, 1, snapshot(4, 1), &[])]),
    );
    rejects(
        "durable log",
        "another log than was durable",
        restart(vec![started_from(3, 1, snapshot(4, 1), &[9])]),
    );
    rejects(
        "durable log",
        "a log that was let go of before a snapshot",
        restart(vec![started(3, 1, None, &[1, 1, 1])]),
    );
    rejects(
        "state machine safety",
        "another entry",
        on(vec![stopped(3), started_from(3, 1, snapshot(4, 9), &[1])]),
    );
    let without_it = [
        replicated(6, 1, None, &[(1, Some(1)), (2, Some(1))]),
        vec![committed(1, 6)],
        elect(3, 2, 2, [5, 6]),
    ];
    rejects("leader completeness", "a leader without what is committed", on(without_it.concat()));
    rejects(
        "monotonic terms and indexes",
        "a term of before",
        restart(vec![started_from(3, 0, snapshot(5, 1), &[])]),
    );
    let twice = [elect(3, 2, 2, [5, 5]), vec![voted(2, 2, 1)]];
    rejects("durable vote", "a second vote", on(twice.concat()));
}
