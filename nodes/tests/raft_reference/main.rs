//! The core against a reference: Figure 2 of the Raft paper, written as plainly as possible.
//!
//! Random schedules run through a cluster of cores. Each node has a reference beside it that is fed the same
//! timeouts, proposals and messages; after every step term, vote, role, log and commit index of the two must
//! be the same, and what the core sends must be what the reference could say. `figure_2` lists where the
//! core departs from the paper, and why.

mod cluster;
mod figure_2;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
#[cfg(feature = "planted-bugs")]
use stormglass_nodes::plant::{self, Bug};

use crate::cluster::{Cluster, Setting, Tally};

/// Steps of a schedule, at most.
const STEPS_MAX: usize = 600;

/// Runs `schedules` random ones of up to [`STEPS_MAX`] steps; returns what happened in all of them, or the shortest
/// failure that shrinking leads to.
fn compare(setting: Setting, schedules: u32) -> Result<Tally, String> {
    let config = Config { cases: schedules, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let sum = std::cell::RefCell::new(Tally::default());
    let outcome = runner.run(&vec(any::<u32>(), 1..STEPS_MAX), |words| {
        let mut cluster = Cluster::new(setting);
        for word in words {
            cluster.step(word).map_err(proptest::test_runner::TestCaseError::fail)?;
        }
        sum.borrow_mut().add(&cluster.tally);
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(sum.into_inner()),
        Err(TestError::Fail(reason, words)) => Err(format!("{reason}, after {} steps", words.len())),
        Err(TestError::Abort(reason)) => Err(format!("given up: {reason}")),
    }
}

fn is_the_same(setting: Setting, schedules: u32) -> Tally {
    let tally = compare(setting, schedules).unwrap_or_else(|error| panic!("{error}"));
    println!("{setting:?}: {tally:?}");
    tally
}

#[test]
fn with_a_disk_that_is_never_late_the_core_is_figure_2() {
    let tally = is_the_same(Setting { nodes: 3, stores_wait: false }, 2_000);
    assert!(tally.elections > 10_000 && tally.committed > 10_000 && tally.truncations > 500, "{tally:?}");
}

#[test]
fn with_a_disk_that_is_late_the_core_is_figure_2() {
    let tally = is_the_same(Setting { nodes: 3, stores_wait: true }, 2_000);
    assert!(tally.elections > 5_000 && tally.committed > 2_000 && tally.truncations > 100, "{tally:?}");
}

#[test]
fn with_five_nodes_the_core_is_figure_2() {
    let tally = is_the_same(Setting { nodes: 5, stores_wait: true }, 1_000);
    assert!(tally.elections > 1_000 && tally.committed > 200, "{tally:?}");
}

/// Plants a bug, and looks for it in up to so many schedules.
#[cfg(feature = "planted-bugs")]
fn difference(bug: Bug, setting: Setting, schedules: u32) -> String {
    plant::select(Some(bug));
    let found = compare(setting, schedules);
    plant::select(None);
    let found = found.err().unwrap_or_else(|| panic!("{bug} makes no difference"));
    println!("{bug}: {found}");
    found
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_commit_of_an_old_term_by_count_is_a_difference() {
    let found = difference(Bug::CommitOldTermByCount, Setting { nodes: 3, stores_wait: false }, 2_000);
    assert!(found.starts_with("commit index"), "{found}");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_vote_that_is_not_stored_is_a_difference() {
    let found = difference(Bug::VoteNotPersisted, Setting { nodes: 3, stores_wait: false }, 2_000);
    assert!(found.contains("is not durable: VoteResponse"), "{found}");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_stale_append_that_truncates_is_a_difference() {
    let found = difference(Bug::TruncateOnStaleAppend, Setting { nodes: 3, stores_wait: false }, 2_000);
    assert!(found.starts_with("log of"), "{found}");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn an_acknowledgement_before_durability_is_a_difference() {
    let found = difference(Bug::AckBeforeDurable, Setting { nodes: 3, stores_wait: true }, 2_000);
    assert!(found.contains("is not durable: AppendAccepted"), "{found}");
}
