//! What an operator does, against a cluster that does at once what it is asked.

use futures_util::FutureExt;

use super::model_cluster::ModelCluster;
use super::{Timeline, execute};
use crate::plan::{Action, SCHEDULE_FORMAT, Schedule, ScheduledFault, Selector};

fn run(cluster: &ModelCluster, actions: Vec<Action>) -> Timeline {
    let fault = |(number, action): (u64, Action)| ScheduledFault {
        at_us: (number + 1) * 2_000_000,
        for_us: 1_000_000,
        pick: 7,
        serves_within_us: None,
        action,
    };
    let schedule = Schedule {
        format: SCHEDULE_FORMAT,
        scenario: "test".to_owned(),
        claim: "A test.".to_owned(),
        seed: 1,
        expect: None,
        cluster: Default::default(),
        network: Default::default(),
        disk: Default::default(),
        clocks: Default::default(),
        workload: Default::default(),
        timing: Default::default(),
        election: Default::default(),
        snapshots: Default::default(),
        reads: Default::default(),
        storage: Default::default(),
        faults: (0..).zip(actions).map(fault).collect(),
    };
    execute(&schedule, cluster, cluster, cluster).now_or_never().expect("the model never waits")
}

/// Nodes 4 and 5 are spares.
fn three_and_two_spares() -> ModelCluster {
    let cluster = ModelCluster::new(5, 1, Some(1));
    cluster.with(|state| state.founders = 3);
    cluster
}

fn members(add: Option<&str>, remove: Option<&str>) -> Action {
    let read = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    Action::Members {
        add: read(add),
        remove: read(remove),
        learner: false,
        once_caught_up: false,
        joint: false,
    }
}

#[test]
fn an_operation_that_the_cluster_does_not_carry_out_had_no_effect() {
    for action in [
        Action::Transfer { to: None },
        members(Some("spare"), None),
        Action::Replace { target: Selector::Follower },
        Action::Upgrade { target: Selector::All },
    ] {
        let cluster = three_and_two_spares();
        cluster.with(|state| state.inert = true);
        let timeline = run(&cluster, vec![action]);
        assert_eq!(timeline.vacuous().len(), 1, "{timeline:?}");
    }
}

#[test]
fn a_transfer_counts_only_if_the_one_who_was_asked_for_leads() {
    let cluster = three_and_two_spares();
    let timeline =
        run(&cluster, vec![Action::Transfer { to: Some(Selector::Node(3)) }, Action::Transfer { to: None }]);
    assert!(timeline.vacuous().is_empty(), "{timeline:?}");
    assert_eq!(timeline.faults[0].effect.leaders_replaced, 1);

    let cluster = three_and_two_spares();
    cluster.with(|state| state.leader = Some(3));
    let timeline = run(&cluster, vec![Action::Transfer { to: Some(Selector::Node(3)) }]);
    assert!(!timeline.faults[0].had_effect, "it led already");
}

#[test]
fn a_change_that_changes_nothing_had_no_effect() {
    let cluster = three_and_two_spares();
    let timeline = run(&cluster, vec![members(Some("node-2"), Some("node-5"))]);
    assert!(!timeline.faults[0].had_effect);
    let timeline = run(&cluster, vec![members(Some("node-4"), Some("node-2"))]);
    assert!(timeline.faults[0].had_effect, "{timeline:?}");
    assert_eq!(timeline.faults[0].effect.members_changes, 2, "one by one");
}

#[test]
fn nobody_leaves_where_nobody_is_left_to_come() {
    let cluster = three_and_two_spares();
    let timeline = run(
        &cluster,
        vec![
            members(Some("spare"), None),
            members(Some("spare"), None),
            members(Some("spare"), Some("follower")),
        ],
    );
    let had_effect: Vec<bool> = timeline.faults.iter().map(|fault| fault.had_effect).collect();
    assert_eq!(had_effect, [true, true, false]);
    assert_eq!(timeline.faults[2].note, "nobody was left to be added");
    assert!(timeline.faults[2].targets.is_empty());
}

#[test]
fn a_lost_disk_is_replaced_by_a_spare_and_its_node_never_starts_again() {
    let cluster = three_and_two_spares();
    let timeline = run(&cluster, vec![Action::Replace { target: Selector::Node(2) }]);
    let fault = &timeline.faults[0];
    assert!(fault.had_effect, "{fault:?}");
    assert_eq!((fault.effect.disks_lost, fault.effect.voters_replaced), (1, 1));
    assert!(!cluster.log().iter().any(|line| line.contains("restart n2")), "{:?}", cluster.log());
    assert!(timeline.died_by_themselves.is_empty(), "it was killed by the fault");
    let lost_again = run(&cluster, vec![Action::Replace { target: Selector::Node(1) }]);
    assert!(lost_again.faults[0].had_effect, "a second spare is left");
}

#[test]
fn no_more_disks_are_lost_at_a_time_than_leave_a_majority() {
    let cluster = three_and_two_spares();
    cluster.with(|state| state.inert = true);
    let target: Selector = "node-2+node-3".parse().unwrap();
    run(&cluster, vec![Action::Replace { target }, Action::Replace { target: Selector::Node(1) }]);
    let lost: Vec<String> = cluster.log().into_iter().filter(|line| line.contains("destroy")).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
}

#[test]
fn an_upgrade_takes_the_nodes_one_by_one_and_counts_once_the_version_is_raised() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    let timeline = run(&cluster, vec![Action::Upgrade { target: Selector::All }]);
    let fault = &timeline.faults[0];
    assert!(fault.had_effect, "{fault:?}");
    assert_eq!((fault.effect.nodes_upgraded, fault.effect.version_raised_to), (3, 2));
    let moves: Vec<String> = cluster.log().iter().map(|line| line.trim()[5..].to_owned()).collect();
    assert_eq!(moves, ["stop n1", "restart n1", "stop n2", "restart n2", "stop n3", "restart n3"]);
}

#[test]
fn a_version_that_rises_before_the_last_node_is_no_success() {
    let cluster = ModelCluster::new(3, 1, Some(1));
    cluster.with(|state| state.upgraded = [1, 2, 3].into());
    let timeline = run(&cluster, vec![Action::Upgrade { target: Selector::All }]);
    assert!(!timeline.faults[0].had_effect, "the first restart raised it");
}
