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
    for bug in [
        Bug::RetryAppliedTwice,
        Bug::LockGrantOverLease,
        Bug::LockExpiryWithoutFence,
        Bug::LockSharedPassesWaitingWriter,
        Bug::LockUpgradeJumps,
        Bug::LockReleaseByOther,
        Bug::DeadlockMissedShared,
        Bug::SessionEvictedEarly,
        Bug::ApplyIteratesHash,
    ] {
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

#[test]
fn an_expired_holders_token_is_that_of_the_next_holder() {
    let script = "
        0ms open 1s
        0ms open 10s
        0ms s1 #1 acquire door x 0s
        0ms s2 #1 acquire door x 5s
        1000ms tick
        check door 3.0";
    assert!(run(script).ends_with("stale, the latest is 5.0\n"));
    assert!(run_with(Bug::LockExpiryWithoutFence, script).ends_with("current\n"));
}

#[test]
fn a_reader_passes_a_writer_that_waits() {
    let script = "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        0ms s1 #1 acquire door s 0s
        0ms s2 #1 acquire door x 5s
        0ms s3 #1 acquire door s 0s";
    assert!(run(script).ends_with("refused: the lock was not granted within the time given\n"));
    assert!(run_with(Bug::LockSharedPassesWaitingWriter, script).ends_with("granted 6.0\n"));
}

#[test]
fn an_upgrade_is_granted_beside_another_reader() {
    let script = "
        0ms open 10s
        0ms open 10s
        0ms s1 #1 acquire door s 0s
        0ms s2 #1 acquire door s 0s
        0ms s1 #2 upgrade door 3.0 5s
        lock door";
    assert!(run(script).contains("held [s1 Shared 3.0, s2 Shared 4.0]"));
    let jumped = run_with(Bug::LockUpgradeJumps, script);
    assert!(jumped.contains("held [s2 Shared 4.0, s1 Exclusive 5.0]"));
}

#[test]
fn a_stale_release_ends_somebody_elses_hold() {
    let script = "
        0ms open 10s
        0ms open 10s
        0ms s1 #1 acquire door x 0s
        0ms s2 #1 release door 1.0
        lock door";
    assert!(run(script).contains("held [s1 Exclusive 3.0]"));
    assert!(run_with(Bug::LockReleaseByOther, script).contains("held []"));
}

#[test]
fn a_deadlock_with_a_sharer_is_missed() {
    let script = "
        0ms open 10s
        0ms open 10s
        0ms s1 #1 acquire attic s 0s
        0ms s2 #1 acquire barn s 0s
        0ms s1 #2 acquire barn x 5s
        0ms s2 #2 acquire attic x 5s";
    assert!(run(script).contains("refused: to wait would be a deadlock"));
    assert!(run_with(Bug::DeadlockMissedShared, script).ends_with("queued, 0 ahead\n"));
}

#[test]
fn a_reply_that_was_forgotten_too_early_lets_a_retry_take_effect_again() {
    let script = "
        0ms open 10s
        0ms s1 #1 set key one
        0ms s1 #2 set key two
        0ms s1 #3 set other three
        0ms s1 #1 set key one
        get key";
    assert!(run(script).ends_with("two of version 3\n"));
    assert!(run_with(Bug::SessionEvictedEarly, script).ends_with("one of version 5\n"));
}

#[test]
fn those_who_are_granted_together_come_in_any_order() {
    let mut script = "0ms open 10s\n".repeat(9) + "0ms s1 #1 acquire door x 0s\n";
    for session in 2..=9 {
        script += &format!("0ms s{session} #1 acquire door s 5s\n");
    }
    script += "0ms s1 #2 release door 10.0\n";
    let sound = run(&script);
    assert_eq!(run(&script), sound);
    // Of 40,320 orders one is right; five times in a row is no accident.
    let mut runs = (0..5).map(|_| run_with(Bug::ApplyIteratesHash, &script));
    assert!(runs.any(|transcript| transcript != sound));
}
