//! Proof that the search can fail: each planted bug is found, with the shortest run that shows it.
//!
//! A bug is looked for twice: by what it does to the cluster, promises being taken on trust, and then with
//! the checks of promises as well, which notice it earlier. What bounds it needs is part of what is tested:
//! Figure 8 of the Raft paper takes four terms, everything else two at most.

use stormglass_nodes::plant::{self, Bug};

use crate::bounds::Bounds;
use crate::variants::{self, Summary};

/// Searches with `bug` planted, and returns what is broken and in how many steps.
fn found(bug: Bug, bounds: &Bounds) -> (String, usize) {
    plant::select(Some(bug));
    let Summary { found, told, .. } = variants::run(&bug.to_string(), bounds.clone());
    plant::select(None);
    let (what, _) = found.violation.unwrap_or_else(|| panic!("{bug} is not found"));
    let (told, steps) = told.expect("a violation is told");
    println!("{told}");
    (what, steps)
}

fn is_found(bug: Bug, bounds: Bounds, by: &str, steps: usize) {
    let (what, taken) = found(bug, &bounds);
    assert!(what.starts_with(by), "{bug}: {what}");
    assert!(taken <= steps, "{bug}: {steps} steps were enough once, and now the shortest run has {taken}");
}

fn trusting(bounds: Bounds) -> Bounds {
    Bounds { strict: false, ..bounds }
}

/// One message at a time, and one crash to make a leader follow again.
fn figure_8(terms: u64) -> Bounds {
    trusting(Bounds { crashes: 1, ..Bounds::plain(terms, 2, 1) })
}

#[test]
fn a_commit_of_an_old_term_by_count_is_found_in_four_terms() {
    is_found(Bug::CommitOldTermByCount, figure_8(4), "leader completeness", 25);
}

#[test]
fn three_terms_do_not_show_a_commit_of_an_old_term_by_count() {
    plant::select(Some(Bug::CommitOldTermByCount));
    let Summary { found, .. } = variants::run("three terms", figure_8(3));
    plant::select(None);
    assert!(found.violation.is_none() && !found.is_cut, "{found:?}");
}

#[test]
fn a_vote_that_is_not_stored_is_found() {
    let bounds = Bounds { crashes: 1, ..Bounds::plain(1, 1, 2) };
    is_found(Bug::VoteNotPersisted, trusting(bounds.clone()), "election safety", 7);
    is_found(Bug::VoteNotPersisted, bounds, "promise before it is durable", 2);
}

#[test]
fn a_stale_append_that_truncates_is_found() {
    let bounds = Bounds { duplicates: 1, ..Bounds::plain(2, 2, 2) };
    is_found(Bug::TruncateOnStaleAppend, trusting(bounds.clone()), "leader completeness", 12);
    is_found(Bug::TruncateOnStaleAppend, bounds, "durable quorum", 9);
}

#[test]
fn an_acknowledgement_before_durability_is_found() {
    let bounds = Bounds { stores_wait: true, crashes: 1, ..Bounds::plain(2, 1, 1) };
    is_found(Bug::AckBeforeDurable, trusting(bounds.clone()), "leader completeness", 14);
    is_found(Bug::AckBeforeDurable, bounds, "promise before it is durable", 6);
}
