//! Each planted bug is noticed within a bounded number of random schedules.
//!
//! The checks of means (what is durable when a promise leaves) are switched off here, unless a test says
//! otherwise: a planted bug has to be noticed by what it does to the cluster. One test runs on one thread,
//! so selecting a bug touches no other test.

use stormglass_nodes::plant::{self, Bug};

use crate::properties::STEPS;
use crate::schedule::{self, Kind};

/// Plants `bug` and runs schedules of 3 and 5 nodes, up to `seeds` of each, until an invariant fails.
/// Returns that invariant.
fn first_noticed(bug: Bug, seeds: u64, strict: bool) -> Option<&'static str> {
    first_noticed_in(Kind::Plain, bug, seeds, strict)
}

fn first_noticed_in(kind: Kind, bug: Bug, seeds: u64, strict: bool) -> Option<&'static str> {
    plant::select(Some(bug));
    let runs = (0..seeds).flat_map(|seed| [(seed, 3), (seed, 5)]);
    let found = runs.into_iter().find_map(|(seed, size)| {
        let violation = schedule::run(kind, seed, size, STEPS, strict).err()?;
        println!("{bug}, size {size}, seed {seed}: {violation}");
        Some(violation.invariant)
    });
    plant::select(None);
    found
}

/// The invariants that a safety bug may break first.
const ENDS: &[&str] =
    &["election safety", "log matching", "leader completeness", "state machine safety", "liveness"];

fn is_noticed_by_its_ends(bug: Bug, seeds: u64) {
    let found = first_noticed(bug, seeds, false);
    assert!(found.is_some_and(|invariant| ENDS.contains(&invariant)), "{bug}: {found:?}");
}

#[test]
fn a_vote_that_is_not_stored_is_noticed() {
    is_noticed_by_its_ends(Bug::VoteNotPersisted, 1_000);
}

#[test]
fn a_commit_of_an_old_term_by_count_is_noticed() {
    is_noticed_by_its_ends(Bug::CommitOldTermByCount, 10_000);
}

#[test]
fn a_stale_append_that_truncates_is_noticed() {
    is_noticed_by_its_ends(Bug::TruncateOnStaleAppend, 500);
}

#[test]
fn an_acknowledgement_before_durability_is_noticed() {
    is_noticed_by_its_ends(Bug::AckBeforeDurable, 500);
}

#[test]
fn a_read_without_a_quorum_is_noticed() {
    assert_eq!(first_noticed(Bug::ReadIndexWithoutQuorum, 100, false), Some("read freshness"));
}

#[test]
fn promises_before_durability_are_noticed_at_once_by_the_checks_of_means() {
    assert_eq!(first_noticed(Bug::VoteNotPersisted, 2, true), Some("durable vote"));
    assert_eq!(first_noticed(Bug::AckBeforeDurable, 2, true), Some("durable acknowledgement"));
    assert_eq!(first_noticed(Bug::TruncateOnStaleAppend, 100, true), Some("durable quorum"));
}

/// What a bug of members, snapshots or leases may break first, in schedules in which these are used.
fn is_noticed_in_a_mixed_schedule(bug: Bug, seeds: u64) {
    let found = first_noticed_in(Kind::Mixed, bug, seeds, false);
    let is_end = |invariant| ENDS.contains(&invariant) || invariant == "read freshness";
    assert!(found.is_some_and(is_end), "{bug}: {found:?}");
}

#[test]
fn a_joint_configuration_decided_by_one_half_is_noticed() {
    is_noticed_in_a_mixed_schedule(Bug::JointUsesNewMajorityOnly, 2_000);
}

#[test]
fn a_learner_that_counts_is_noticed() {
    is_noticed_in_a_mixed_schedule(Bug::LearnerInQuorum, 2_000);
}

#[test]
fn a_second_change_while_one_is_unapplied_is_noticed() {
    is_noticed_in_a_mixed_schedule(Bug::SecondChangeWhileUnapplied, 2_000);
}

#[test]
fn a_snapshot_without_members_is_noticed() {
    is_noticed_in_a_mixed_schedule(Bug::SnapshotForgetsConfig, 2_000);
}

#[test]
fn a_lease_that_survives_a_transfer_is_noticed() {
    is_noticed_in_a_mixed_schedule(Bug::LeaseSurvivesTransfer, 2_000);
}
