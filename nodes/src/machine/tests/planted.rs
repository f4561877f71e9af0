//! The planted bugs change what they say they change, and nothing else gives them away: they never panic.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::generate::log;
use super::script::run;
use crate::marks;
use crate::plant::{Bug, select};

/// Runs a script with a bug planted, on this test's own thread.
fn run_with(bug: Bug, script: &str) -> String {
    select(Some(bug));
    let transcript = run(script);
    select(None);
    transcript
}

#[test]
fn a_retry_that_is_applied_twice_overwrites_a_later_write() {
    let script = "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 set key one
        2ms s2 #1 set key two
        3ms s1 #1 set key one
        get key";
    assert!(run(script).ends_with("get key\n    two of version 4\n"));
    assert!(run_with(Bug::RetryAppliedTwice, script).ends_with("get key\n    one of version 5\n"));
}

#[test]
fn a_lock_is_granted_while_half_of_its_holders_lease_still_runs() {
    let script = "
        0ms open 2s
        0ms open 10s
        0ms s1 #1 acquire door x 0s
        0ms s2 #1 acquire door x 5s
        1500ms tick
        recall s2 #1";
    assert!(run(script).ends_with("queued, 0 ahead\n"));
    assert!(run_with(Bug::LockGrantOverLease, script).ends_with("granted 5.0\n"));
}

#[test]
fn a_machine_with_a_planted_bug_never_panics() {
    for bug in [Bug::RetryAppliedTwice, Bug::LockGrantOverLease] {
        select(Some(bug));
        let mut runner = TestRunner::deterministic();
        for _ in 0..400 {
            // Making the log applies it, on this thread.
            log().new_tree(&mut runner).expect("the strategy rejects nothing").current();
        }
        select(None);
    }
    assert!(marks::count("machine.retry_answered_from_table") > 0, "the logs hold retries");
    assert!(marks::count("machine.session_expired") > 0, "and leases that end");
}
