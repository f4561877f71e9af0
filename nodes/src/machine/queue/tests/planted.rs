//! The planted bugs change what they say they change.

use super::super::{QueueQuery, QueueReply, TopicStats};
use super::bytes_of;
use super::script::{run, run_on};
use crate::machine::{Machine, Query, Reply};
use crate::plant::{Bug, select};

/// Does something with a bug planted, on this test's own thread.
fn with<T>(bug: Bug, what: impl FnOnce() -> T) -> T {
    select(Some(bug));
    let result = what();
    select(None);
    result
}

/// The answer to the last line of a script.
fn last(transcript: &str) -> &str {
    transcript.lines().last().expect("a script has lines").trim()
}

fn stats(machine: &Machine, topic: &str) -> TopicStats {
    match machine.query(&Query::Queue(QueueQuery::Stats { topic: topic.to_owned() })) {
        Ok(Reply::Queue(QueueReply::Stats(stats))) => *stats,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stale_consumer_acknowledges_what_another_has_in_hand() {
    let script = "
        0ms open 60s
        0ms open 60s
        1ms s1 put jobs a
        1ms s1 get jobs 1 1s 0s
        1001ms s2 get jobs 1 1s 0s
        1002ms s1 ack jobs 3.0/1";
    assert_eq!(last(&run(script)), "6 -> acknowledged: [Stale]");
    assert_eq!(last(&with(Bug::QueueAckByStaleConsumer, || run(script))), "6 -> acknowledged: [Done]");
}

#[test]
fn a_message_is_visible_before_the_end_of_its_lease() {
    let script = "
        0ms open 60s
        0ms open 60s
        1ms s1 put jobs a
        1ms s1 get jobs 1 10s 0s
        5001ms s2 get jobs 1 10s 0s";
    assert_eq!(last(&run(script)), "5 -> nothing");
    let transcript = with(Bug::QueueVisibleEarly, || run(script));
    assert!(transcript.contains("/1 until 10001ms"), "the consumer is told of the whole lease");
    assert_eq!(last(&transcript), "5 -> /2 until 15001ms: 3.0 \"a\" tried 2");
}

#[test]
fn a_node_restored_from_a_snapshot_takes_a_batch_again() {
    let resend = || {
        let mut machine = Machine::new();
        run_on(&mut machine, "0ms open 60s\n1ms s1 put jobs@7:1 a");
        let mut restored = Machine::restore(&bytes_of(&machine, 4_096)).expect("it was just written");
        run_on(&mut restored, "2ms open 60s\n3ms s3 put jobs@7:1 a")
    };
    assert_eq!(last(&resend()), "4 -> enqueued 2.0 before");
    assert_eq!(last(&with(Bug::QueueDedupePerNode, resend)), "4 -> enqueued 4.0");
}

#[test]
fn a_message_given_up_never_reaches_the_dead_letter_topic() {
    let give_up = || {
        let mut machine = Machine::new();
        let script = "
            0ms open 60s
            0ms s1 declare jobs attempts=1 dead=morgue
            1ms s1 put jobs a
            1ms s1 get jobs 1 1s 0s
            1001ms tick";
        run_on(&mut machine, script);
        (stats(&machine, "jobs"), stats(&machine, "morgue"))
    };
    let (jobs, morgue) = give_up();
    assert_eq!((jobs.depth(), morgue.depth()), (0, 1));
    assert_eq!((jobs.totals.moved_out, morgue.totals.moved_in), (1, 1));
    let (jobs, morgue) = with(Bug::QueueDeadletterDrops, give_up);
    assert_eq!((jobs.depth(), morgue.depth()), (0, 0));
    assert_eq!((jobs.totals.moved_out, morgue.totals.moved_in), (1, 0), "it moved out and not in");
}

#[test]
fn two_messages_of_a_group_are_in_flight() {
    let deliver = || {
        let mut machine = Machine::new();
        run_on(&mut machine, "0ms open 60s\n1ms s1 put jobs a;group=g b;group=g\n2ms s1 get jobs 9 5s 0s");
        // They come back without a panic, whatever the order.
        run_on(
            &mut machine,
            "3ms open 60s\n4ms s4 reject jobs 2.1/1 0s\n5ms s4 get jobs 9 5s 0s\n6000ms tick",
        );
        stats(&machine, "jobs").totals
    };
    assert_eq!(deliver().delivered, 1);
    assert_eq!(with(Bug::QueueGroupParallel, deliver).delivered, 2);
}
