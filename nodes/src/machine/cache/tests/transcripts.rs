//! Golden transcripts: one behaviour each, commands and answers interleaved.

use crate::machine::tests::script::run;

/// Snapshots a script's transcript under the name of the test.
macro_rules! transcript {
    ($($name:ident: $script:literal)*) => {
        $(#[test]
        fn $name() {
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), run($script));
            });
        })*
    };
}

transcript! {
    conditional_writes_tell_what_they_found_instead: "
        0ms open 10s
        1ms s1 #1 cas key - one
        2ms s1 #2 cas key - two
        3ms s1 #3 cas key @2 two
        4ms s1 #4 cas key @2 three
        5ms s1 #5 cas key two three
        6ms s1 #6 cad key @4
        7ms s1 #7 cad key @6
        8ms s1 #8 cad key @6
        get key
    "
    a_key_is_gone_from_its_stamp_on_in_commands_and_questions_alike: "
        0ms open 60s
        0ms s1 #1 set key one ttl 100ms
        expiry key
        next
        99ms tick
        get key
        # The entry that bears the stamp finds it gone already.
        100ms s1 #2 cas key - two
        expiry key
        stats
    "
    ends_lie_on_a_grid_and_never_before_what_was_asked_for: "
        0ms open 60s
        3ms s1 #1 set a one ttl 1us
        3ms s1 #2 set b one ttl 7ms
        3ms s1 #3 set c one ttl 8ms
        expiry a
        expiry b
        expiry c
    "
    a_write_sets_the_time_to_live_anew_and_a_touch_only_that: "
        0ms open 60s
        0ms s1 #1 set key one ttl 100ms
        10ms s1 #2 set key two
        expiry key
        20ms s1 #3 touch key 50ms
        get key
        expiry key
        30ms s1 #4 touch key -
        expiry key
        40ms s1 #5 touch other 1s
    "
    a_version_never_comes_again_across_deletion_expiry_and_eviction: "
        0ms open 60s
        0ms s1 #1 set key one ttl 20ms
        20ms tick
        30ms s1 #2 set key two
        31ms s1 #3 delete key
        32ms s1 #4 set key three
        33ms evict key@6
        34ms s1 #5 set key four
        35ms s1 #6 cas key @6 five
        get key
    "
    counters_count_from_where_they_are_told_to_and_refuse_what_is_no_number: "
        0ms open 60s
        1ms s1 #1 add hits 1
        2ms s1 #2 add hits 41
        3ms s1 #3 add hits -50
        4ms s1 #4 add other 5 from 100 ttl 50ms
        # The life of a counter that there is goes on as it was.
        5ms s1 #5 add other 5 from 0 ttl 9s
        expiry other
        get hits
        6ms s1 #6 set word 007
        7ms s1 #7 add word 1
        8ms s1 #8 set most 9223372036854775807
        9ms s1 #9 add most 1
        get most
    "
    what_finds_no_room_is_refused_until_somebody_is_evicted: "
        0ms open 60s
        1ms s1 #1 configure 2 100 written
        2ms s1 #2 set a one
        3ms s1 #3 set b two
        4ms s1 #4 set c three
        # What is there may be written.
        5ms s1 #5 set a four
        victims 1 0
        6ms evict b@4
        7ms s1 #6 set c three
        stats
    "
    a_victim_that_was_written_meanwhile_stays: "
        0ms open 60s
        1ms s1 #1 configure 1 100 written
        2ms s1 #2 set a one
        victims 1 0
        3ms s1 #3 set a two
        4ms evict a@3
        get a
        5ms evict a@5
        get a
    "
    bytes_are_bounded_and_what_shrinks_is_let_in: "
        0ms open 60s
        1ms s1 #1 set a 123456789
        2ms s1 #2 configure 5 12 written
        3ms s1 #3 set b 12345
        4ms s1 #4 set b 1
        5ms s1 #5 configure 5 6 written
        6ms s1 #6 set a 12345678
        7ms s1 #7 set a 1234
        8ms s1 #8 set b 12
        victims 0 0
        victims 0 1
    "
    whom_to_evict_depends_on_the_policy: "
        0ms open 60s
        1ms s1 #1 set a 1
        2ms s1 #2 set b 1 ttl 1s
        3ms s1 #3 set c 1 ttl 500ms
        4ms s1 #4 set a 2
        5ms s1 #5 configure 3 100 written
        victims 2 0
        6ms s1 #6 configure 3 100 expiring
        victims 3 0
        7ms s1 #7 configure 3 100 refuse
        victims 2 0
    "
    many_keys_are_read_from_one_state: "
        0ms open 60s
        1ms s1 #1 set a one
        2ms s1 #2 set b two
        many a b c a
        many
    "
    what_makes_no_sense_is_refused: "
        0ms open 60s
        1ms s1 #1 set a one ttl 0us
        2ms s1 #2 configure 0 1 written
        3ms s1 #3 configure 2000000 1 written
        4ms s1 #4 configure 1 4 written
        5ms s1 #5 set key four
        stats
    "
}
