//! Golden transcripts: one behaviour each, commands and answers interleaved.

/// Snapshots a script's transcript under the name of the test.
macro_rules! transcript {
    ($($name:ident: $script:literal)*) => {
        $(#[test]
        fn $name() {
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), $crate::machine::tests::script::run($script));
            });
        })*
    };
}

pub(super) use transcript;

transcript! {
    an_exclusive_lock_is_handed_on_in_the_order_of_coming: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door x 5s
        3ms s3 #1 acquire door x 5s
        lock door
        4ms s1 #2 release door 4.0
        recall s2 #1
        5ms s2 #2 release door 7.0
        6ms s3 #2 release door 8.0
        lock door
    "
    shared_waiters_come_in_together_with_rising_tokens: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door s 5s
        3ms s3 #1 acquire door s 5s
        4ms s4 #1 acquire door x 5s
        5ms s1 #2 release door 5.0
        lock door
        # The exclusive waiter gets it when the last of them has left.
        6ms s2 #2 release door 9.0
        7ms s3 #2 release door 9.1
    "
    a_shared_request_waits_behind_an_exclusive_one: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door s 0s
        2ms s2 #1 acquire door x 1s
        # The holder would admit it; the line does not.
        3ms s3 #1 acquire door s 5s
        4ms s4 #1 acquire door s 0s
        # When the exclusive waiter gives up, the shared one behind it joins the holder.
        1002ms tick
        lock door
    "
    a_try_is_refused_at_once_and_leaves_no_trace: "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door x 0s
        lock door
    "
    a_wait_ends_at_its_deadline_and_is_answered: "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door x 1s
        next
        1001ms tick
        recall s2 #1
        # Due at exactly this stamp; and the release in the same entry finds nobody in line.
        1002ms s1 #2 release door 3.0
        recall s2 #1
        lock door
    "
    a_session_ends_at_exactly_its_deadline_even_if_the_entry_would_renew_it: "
        0ms open 1s
        999ms keep s1
        next
        1998ms keep s1
        2998ms keep s1
        2998ms s1 #1 set key value
        get key
    "
    an_expired_holder_loses_its_locks_and_the_line_moves_up: "
        0ms open 1s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s1 #2 acquire attic s 0s
        3ms s2 #1 acquire door x 5s
        next
        # No command is needed but a tick.
        1002ms tick
        recall s2 #1
        lock door
        # The former holder learns of it when it comes back.
        1003ms s1 #3 release door 3.0
    "
    whoever_expires_by_an_entry_is_granted_nothing_by_it: "
        0ms open 1s
        0ms open 1s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        1ms s2 #1 acquire door x 5s
        2ms s3 #1 acquire door x 5s
        1500ms tick
        lock door
    "
    a_closed_session_gives_everything_back: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire attic x 0s
        3ms s1 #2 acquire attic x 5s
        4ms s3 #1 acquire door x 5s
        5ms close s1
        6ms close s1
        7ms keep s1
        lock attic
    "
    a_session_is_open_until_it_is_closed_or_expires: "
        session s1
        0ms open 1s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 acquire door x 5s
        session s1
        session s2
        1001ms tick
        session s1
        session s2
        1002ms close s2
        session s2
    "
    whoever_opens_by_the_same_name_gets_the_same_session: "
        0ms open 1s as c1 7
        500ms open 1s as c1 7
        500ms open 1s as c1 8
        500ms open 1s as c2 7
        # Its lease was renewed.
        1400ms keep s1
        # Once it has ended, the name is free.
        1500ms close s1
        1500ms open 2s as c1 7
        session s1
        session s7
        3500ms open 2s as c1 7
    "
    a_retry_is_answered_from_memory: "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 set key one
        2ms s2 #1 set key two
        3ms s1 #1 set key one
        get key
        4ms s1 #2 acquire door x 0s
        5ms s2 #2 acquire door x 5s
        6ms s2 #2 acquire door x 5s
        7ms s1 #3 release door 6.0
        8ms s2 #2 acquire door x 5s
    "
    replies_are_kept_until_the_client_lets_go: "
        0ms open 10s
        1ms s1 #1 set key one
        2ms s1 #2 set key two
        3ms s1 #3 ^3 set key three
        recall s1 #2
        4ms s1 #2 set key two
        get key
    "
    letting_go_of_a_wait_gives_it_up: "
        0ms open 10s
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door s 0s
        2ms s2 #1 acquire door x 5s
        3ms s3 #1 acquire door s 5s
        4ms s2 #2 ^2 set key value
        recall s2 #1
        lock door
    "
    malformed_commands_are_refused: "
        0ms open 99ms
        0ms open 3601s
        0ms open 10s
        1ms s3 #0 set key value
        1ms s3 #1 ^2 set key value
        1ms s3 #1025 ^1 set key value
        1ms s3 #1024 ^1 set key value
        1ms s3 #1 acquire door x 3601s
        1ms s9 #1 set key value
    "
    a_lock_is_given_back_only_by_its_holder_under_its_token: "
        0ms open 10s
        0ms open 10s
        1ms s1 #1 acquire door x 0s
        2ms s2 #1 release door 3.0
        3ms s1 #2 release door 2.0
        4ms s1 #3 release attic 3.0
        5ms s1 #4 acquire door s 5s
        6ms s1 #5 release door 3.0
        7ms s1 #6 release door 3.0
    "
    the_register_compares_and_counts_versions: "
        0ms open 10s
        1ms s1 #1 cas key - one
        2ms s1 #2 cas key - two
        3ms s1 #3 cas key one two
        get key
        4ms s1 #4 delete key
        5ms s1 #5 delete key
        6ms s1 #6 cas key two three
        get key
    "
}
