//! Behaviours, one a script.

use super::script::{run, run_on};
use super::small_machine;

macro_rules! transcript {
    ($name:ident, $script:literal) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(run($script));
        }
    };
}

transcript!(
    messages_come_first_in_first_out_and_higher_priorities_before,
    "
    0ms open 60s
    1ms s1 put jobs a b;prio=2;head=x c
    2ms s1 put jobs d;prio=2 e;prio=9
    peek jobs
    3ms s1 get jobs 2 5s 0s
    4ms s1 get jobs 10 5s 0s
    5ms s1 get jobs 10 5s 0s
    6ms s1 ack jobs 2.0/1 2.1/1 2.2/7 9.0/1
    stats jobs"
);

transcript!(
    a_lease_that_runs_out_brings_the_message_back_to_its_old_place,
    "
    0ms open 60s
    1ms s1 put jobs a b
    2ms s1 get jobs 1 5s 0s
    next
    3ms s1 extend jobs 2.0/1 6s
    next
    6002ms tick
    peek jobs
    6003ms tick
    6003ms s1 ack jobs 2.0/1
    6003ms s1 extend jobs 2.0/1 1s
    6004ms s1 get jobs 1 5s 0s
    6005ms s1 ack jobs 2.0/1 2.0/2
    stats jobs"
);

transcript!(
    a_rejected_message_waits_for_its_delay_and_is_given_up_after_its_last_attempt,
    "
    0ms open 60s
    0ms s1 declare jobs attempts=2
    1ms s1 put jobs a
    2ms s1 get jobs 1 5s 0s
    3ms s1 reject jobs 3.0/1 1s
    stats jobs
    4ms s1 get jobs 1 5s 0s
    1003ms s1 get jobs 1 5s 0s
    1004ms s1 reject jobs 3.0/1 0s
    1004ms s1 reject jobs 3.0/2 0s
    dead jobs
    stats jobs
    1005ms s1 redrive jobs 5
    1006ms s1 get jobs 1 5s 0s
    1007ms s1 ack jobs 3.0/2 3.0/3
    stats jobs"
);

transcript!(
    a_message_given_up_moves_to_the_dead_letter_topic_in_the_same_entry_and_returns_when_redriven,
    "
    0ms open 60s
    0ms s1 declare jobs attempts=1 dead=morgue ttl=20s
    1ms s1 put jobs a;group=g;head=x;prio=3 b;group=g
    2ms s1 get jobs 1 5s 0s
    2ms s1 get morgue 1 5s 30s
    5002ms tick
    stats jobs
    stats morgue
    5003ms s1 get jobs 1 5s 0s
    5004ms s1 reject jobs 3.1/1 0s
    peek morgue
    5005ms s1 redrive morgue 10
    peek jobs
    10002ms tick
    10003ms s1 redrive morgue 10
    peek jobs
    stats morgue
    stats jobs"
);

transcript!(
    a_full_dead_letter_topic_loses_nothing,
    "
    0ms open 60s
    0ms s1 declare jobs attempts=1 dead=morgue
    0ms s1 declare morgue depth=1
    1ms s1 put jobs a b
    2ms s1 get jobs 2 1s 0s
    1002ms tick
    peek morgue
    dead jobs
    1003ms s1 declare jobs attempts=1 depth=1
    1004ms s1 redrive morgue 1
    1005ms s1 purge jobs dead
    1006ms s1 redrive morgue 1
    stats jobs
    stats morgue"
);

transcript!(
    a_group_is_strictly_in_order_and_one_at_a_time,
    "
    0ms open 60s
    1ms s1 put jobs a;group=g b;group=g;prio=9 c x;group=h;prio=5
    2ms s1 get jobs 10 5s 0s
    # b has the highest priority, and yet a comes before it
    3ms s1 reject jobs 2.0/1 1s
    4ms s1 get jobs 10 5s 0s
    # the head is delayed, and the group with it
    1003ms s1 get jobs 10 5s 0s
    1004ms s1 ack jobs 2.0/2
    peek jobs
    1005ms s1 get jobs 10 5s 0s
    stats jobs"
);

transcript!(
    a_delayed_message_is_ready_when_its_delay_is_over_and_an_old_one_expires,
    "
    0ms open 60s
    0ms s1 declare jobs ttl=3s
    1ms s1 put jobs now later;delay=1s never;delay=4s brief;ttl=500ms
    stats jobs
    501ms tick
    1001ms tick
    peek jobs
    2000ms s1 get jobs 1 5s 0s
    3001ms tick
    stats jobs
    # the one in flight expires when it comes back
    7000ms tick
    stats jobs"
);

transcript!(
    who_waits_is_served_first_come_first_served_by_the_entry_that_brings_a_message,
    "
    0ms open 60s
    0ms open 60s
    1ms s1 get jobs 2 5s 10s
    2ms s2 get jobs 2 5s 10s
    3ms s1 get jobs 1 5s 1s
    stats jobs
    next
    4ms s2 put jobs a b c
    1003ms tick
    stats jobs"
);

transcript!(
    a_wait_ends_empty_when_its_time_is_up_or_its_client_lets_go_or_its_session_ends_or_the_topic,
    "
    0ms open 60s
    0ms open 60s
    1ms s1 get jobs 1 5s 1s
    2ms s2 get jobs 1 5s 10s
    3ms s2 get other 1 5s 10s
    1001ms tick
    1002ms s1 put jobs a
    1003ms s1 get jobs 1 5s 1s
    1004ms s1 ^ get other 1 5s 10s
    1005ms close s2
    1006ms s1 drop other
    1007ms s1 drop other
    list"
);

transcript!(
    a_batch_sent_twice_by_its_producer_is_taken_once_in_whatever_session,
    "
    0ms open 60s
    0ms open 60s
    1ms s1 put jobs@7:1 a b
    2ms s1 put jobs@7:3 c
    3ms s2 put jobs@7:1 a b
    4ms s2 put jobs@7:2 b c
    5ms s2 put jobs@7:3 c d
    6ms s2 put jobs@7:9 z
    7ms s2 put jobs@8:9 z
    8ms s2 put jobs@8:8 z
    9ms s2 put other@7:1 a b
    stats jobs"
);

transcript!(
    the_ids_of_batches_long_past_are_forgotten_and_the_batches_still_taken_once,
    "
    0ms open 60s
    1ms s1 put jobs@7:1 a
    1ms s1 put jobs@7:2 a
    1ms s1 put jobs@7:3 a
    1ms s1 put jobs@7:4 a
    1ms s1 put jobs@7:5 a
    1ms s1 put jobs@7:6 a
    1ms s1 put jobs@7:7 a
    1ms s1 put jobs@7:8 a
    1ms s1 put jobs@7:9 a
    2ms s1 put jobs@7:1 a
    3ms s1 put jobs@7:2 a"
);

transcript!(
    what_is_full_or_too_large_is_refused_whole,
    "
    0ms open 60s
    0ms s1 declare jobs depth=3 bytes=10 payload=6
    1ms s1 put jobs a b
    2ms s1 put jobs c d
    3ms s1 put jobs 1234567
    4ms s1 put jobs 123456;group=g;head=x
    5ms s1 put jobs 123456
    6ms s1 declare jobs depth=1
    7ms s1 put jobs x
    8ms s1 get jobs 9 5s 0s
    stats jobs"
);

transcript!(
    a_purge_takes_what_it_is_asked_to_take,
    "
    0ms open 60s
    0ms s1 declare jobs attempts=1
    1ms s1 put jobs a b c;delay=9s d
    2ms s1 get jobs 2 5s 0s
    3ms s1 reject jobs 3.0/1 0s
    4ms s1 purge jobs waiting
    stats jobs
    5ms s1 purge jobs dead
    6ms s1 put jobs e
    7ms s1 purge jobs all
    8ms s1 ack jobs 3.1/1
    9ms s1 purge nothing all
    stats jobs"
);

transcript!(
    topics_are_made_declared_listed_and_deleted,
    "
    0ms open 60s
    1ms s1 get jobs 1 5s 0s
    list
    2ms s1 put jobs a
    3ms s1 declare jobs attempts=3
    4ms s1 declare jobs attempts=3
    5ms s1 declare mails
    6ms s1 declare mails dead=mails
    7ms s1 declare mails attempts=0
    list
    8ms s1 drop jobs
    stats jobs
    peek jobs
    9ms s1 ack jobs 3.0/1
    10ms s1 redrive jobs 1"
);

#[test]
fn bounds_on_topics_waits_and_producers_are_refused_or_forgotten() {
    insta::assert_snapshot!(run_on(
        &mut small_machine(),
        "
        0ms open 60s
        1ms s1 put a 1
        1ms s1 put b 1
        1ms s1 put c 1
        1ms s1 declare d attempts=1 dead=e
        1ms s1 put e 1
        1ms s1 declare e
        # a dead-letter topic that cannot be made loses nothing either
        2ms s1 put d 1
        2ms s1 get d 1 5s 0s
        2ms s1 reject d 8.0/1 0s
        3ms s1 get d 1 5s 1s
        3ms s1 get d 1 5s 1s
        3ms s1 get d 1 5s 1s
        3ms s1 get d 1 5s 1s
        4ms s1 put a@1:1 x
        4ms s1 put a@2:1 x
        4ms s1 put a@1:1 x
        4ms s1 put a@3:1 x
        # producer 2 was not heard of for longest
        4ms s1 put a@1:1 x
        4ms s1 put a@2:1 x",
    ));
}
