//! Golden transcripts of the locks: several at once, semaphores, upgrades, deadlocks, force.

use super::transcripts::transcript;

transcript! {
    several_locks_are_granted_together_or_not_at_all: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire attic x 0s
        2ms s2 #1 acquire attic x barn s 0s
        3ms s2 #2 acquire attic x barn s 5s
        locks s2
        # It has come to the front at the barn and keeps its room there: a writer waits, a reader does not.
        4ms s3 #1 acquire barn x 0s
        5ms s3 #2 acquire barn s 0s
        6ms s1 #2 release attic 4.0
        lock barn
        locks s2
        7ms s2 #3 release attic 9.0 barn 4.0
        8ms s2 #4 release attic 9.0 barn 9.0
        lock barn
        # Nobody holds or awaits the attic any more: its version is when a lock was forgotten last.
        lock attic
    "
    lists_of_locks_are_bounded_and_name_each_once: "
        0ms open 10s
        1ms s1 #1 acquire door x door s 0s
        2ms s1 #2 acquire 0s
        3ms s1 #3 acquire a x b x c x d x e x f x g x h x i x j x k x l x m x n x o x p x q x 0s
        4ms s1 #4 release
    "
    permits_are_given_out_in_the_order_of_coming: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 declare pool 3
        2ms s1 #2 acquire pool 2 0s
        3ms s2 #1 acquire pool 3 5s
        # There is room for one, but whoever wants three is not to be starved.
        4ms s3 #1 acquire pool 1 0s
        5ms s3 #2 acquire pool 1 5s
        6ms s4 #1 acquire pool 2 5s
        lock pool
        7ms s1 #3 release pool 6.0
        8ms s2 #2 release pool 11.0
        lock pool
    "
    a_semaphore_that_shrinks_takes_permits_as_they_come_back: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 declare pool 4
        2ms s1 #2 acquire pool 3 0s
        3ms s2 #1 acquire pool 2 5s
        4ms s3 #1 acquire pool 4 5s
        # The second waiter asks for more than there are now.
        5ms s1 #3 declare pool 2
        lock pool
        6ms s1 #4 release pool 5.0
        lock pool
        7ms s1 #5 remove pool
        8ms s2 #2 release pool 9.0
        9ms s1 #6 remove pool
        lock pool
    "
    a_semaphore_is_no_mutex_and_a_mutex_no_semaphore: "
        0ms open 10s
        1ms s1 #1 acquire pool 1 0s
        2ms s1 #2 declare pool 2
        3ms s1 #3 acquire pool x 0s
        4ms s1 #4 acquire pool 3 0s
        5ms s1 #5 acquire door x 0s
        6ms s1 #6 declare door 2
        7ms s1 #7 remove door
        8ms s1 #8 acquire pool 0 0s
        9ms s1 #9 declare pool 0
    "
    an_upgrade_goes_before_the_line_and_waits_for_the_other_sharers: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door s 0s
        2ms s2 #1 acquire door s 0s
        3ms s3 #1 acquire door x 5s
        4ms s1 #2 upgrade door 4.0 0s
        5ms s1 #3 upgrade door 4.0 5s
        lock door
        # Until it is granted the old token holds.
        check door 4.0
        6ms s2 #2 release door 5.0
        check door 4.0
        check door 9.0
        lock door
    "
    the_second_of_two_upgrades_is_a_deadlock: "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door s 0s
        2ms s2 #1 acquire door s 0s
        3ms s1 #2 upgrade door 3.0 5s
        4ms s2 #2 upgrade door 4.0 5s
        lock door
    "
    a_downgrade_lets_the_readers_in: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door s 5s
        3ms s3 #1 acquire door x 5s
        4ms s1 #2 downgrade door 4.0
        lock door
        check door 4.0
        5ms s1 #3 downgrade door 7.0
        6ms s1 #4 release door 4.0
    "
    a_cycle_is_refused_by_name_when_it_would_close: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire attic x 0s
        2ms s2 #1 acquire barn x 0s
        3ms s3 #1 acquire cellar x 0s
        4ms s1 #2 acquire barn x 5s
        5ms s2 #2 acquire cellar x 5s
        6ms s3 #2 acquire attic s 5s
        # What it holds it still holds, and can give back.
        7ms s3 #3 release cellar 6.0
        # To try is not to wait.
        8ms s3 #4 acquire attic x 0s
    "
    a_cycle_through_a_line_is_found: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door s 0s
        2ms s2 #1 acquire attic x 0s
        3ms s2 #2 acquire door x 5s
        # The holder of the door would admit it; the writer in line, which waits for the attic's holder, would not.
        4ms s3 #1 acquire barn x 0s
        5ms s1 #2 acquire barn x 5s
        6ms s3 #2 acquire door s 5s
    "
    a_place_in_line_is_no_hold_under_any_token: "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door x 5s
        3ms s2 #2 release door 0.0
        4ms s2 #3 upgrade door 0.0 5s
        5ms s2 #4 downgrade door 0.0
        6ms s2 #5 force door 0.0 zero
        check door 0.0
    "
    a_wait_is_cancelled_by_its_own_session: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door s 0s
        2ms s2 #1 acquire door x 5s
        3ms s3 #1 acquire door s 5s
        4ms s3 #2 cancel #7
        5ms s2 #2 cancel #1
        recall s2 #1
        lock door
    "
    a_forced_release_is_recorded_and_the_former_holder_refused: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door x 5s
        3ms s3 #1 force door 4.0 the holder is stuck
        check door 4.0
        check door 6.0
        4ms s1 #2 release door 4.0
        5ms s3 #2 force door 4.0 again
        forced
        6ms keep s1
        7ms keep s2
    "
    tokens_rise_after_a_lock_was_forgotten: "
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s1 #2 release door 2.0
        check door 2.0
        3ms s1 #3 acquire door x 0s
        check door 2.0
        check door 4.0
        check door 5.0
    "
}
