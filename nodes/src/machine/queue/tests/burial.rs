//! What dead-letter topics and mass expiry must not do.

use std::sync::Arc;

use super::super::{BATCH_MAX, QueueAction, QueueEvent, QueueQuery, QueueReply, TopicSettings};
use super::{apply, plain};
use crate::ids::{Sequence, SessionId};
use crate::machine::{Action, Command, Machine, MachineEvent, NewMessage, Outcome, Query, Reply};

fn act(machine: &mut Machine, action: QueueAction) -> Outcome {
    let (session, sequence) = (SessionId(1), Sequence(machine.index().0));
    let action = Action::Queue(action);
    apply(
        machine,
        0,
        &Command::Once { session, sequence, lowest_open: sequence, open_below: Vec::new(), action },
    )
    .1
    .outcome
}

/// A machine with one session.
fn machine() -> Machine {
    let mut machine = Machine::new();
    apply(&mut machine, 0, &Command::OpenSession { lease_us: 60_000_000 }).1.outcome.expect("there is room");
    machine
}

fn put(machine: &mut Machine, topic: &str, message: NewMessage) {
    let messages = vec![message];
    let action = QueueAction::Enqueue { topic: topic.to_owned(), messages, producer: None };
    act(machine, action).expect("there is room");
}

/// Two topics whose dead go to "grave": one that holds one message, and one that holds more.
fn full_and_roomy() -> Machine {
    let mut machine = machine();
    for (topic, depth_max) in [("full", 1), ("roomy", 9)] {
        let dead_letter = Some("grave".to_owned());
        let settings = TopicSettings { attempts_max: 1, dead_letter, depth_max, ..TopicSettings::default() };
        let declare = QueueAction::Declare { topic: topic.to_owned(), settings };
        act(&mut machine, declare).expect("there is room");
    }
    machine
}

/// Gives a message of this topic up at its first attempt, to "grave".
fn bury(machine: &mut Machine, topic: &str) {
    put(machine, topic, plain(topic));
    let (topic, visibility_us) = (topic.to_owned(), 1_000);
    let get = QueueAction::Dequeue { topic: topic.clone(), count_max: 1, visibility_us, wait_us: 0 };
    let got = act(machine, get);
    let Ok(Reply::Queue(QueueReply::Delivered(got))) = got else { panic!("{got:?}") };
    let (id, receipt) = (got[0].id, got[0].receipt);
    let rejected = act(machine, QueueAction::Reject { topic, id, receipt, delay_us: 0 });
    assert_eq!(rejected, Ok(Reply::Queue(QueueReply::Rejected { dead: true })));
}

#[test]
fn a_topic_that_is_full_does_not_keep_others_from_getting_their_dead_back() {
    let mut machine = full_and_roomy();
    ["full", "roomy"].into_iter().for_each(|topic| bury(&mut machine, topic));
    put(&mut machine, "full", plain("new"));
    let redrive = || QueueAction::Redrive { topic: "grave".to_owned(), count_max: 1 };
    let redriven = act(&mut machine, redrive());
    assert_eq!(redriven, Ok(Reply::Queue(QueueReply::Redriven { messages: 1 })));
    let shown = machine.query(&Query::Queue(QueueQuery::Peek { topic: "roomy".to_owned(), count_max: 9 }));
    let Ok(Reply::Queue(QueueReply::Peeked(shown))) = shown else { panic!("{shown:?}") };
    assert_eq!(shown[0].payload, "roomy");
    act(&mut machine, redrive()).expect_err("what is left is of the full one");
}

#[test]
fn however_many_dead_a_full_topic_has_they_keep_no_other_from_its_own() {
    let mut machine = full_and_roomy();
    // More than one command moves, all older than the one of the other topic.
    for _ in 0..BATCH_MAX + 100 {
        bury(&mut machine, "full");
    }
    bury(&mut machine, "roomy");
    put(&mut machine, "full", plain("new"));
    let redrive = || QueueAction::Redrive { topic: "grave".to_owned(), count_max: 1 };
    let redriven = act(&mut machine, redrive());
    assert_eq!(redriven, Ok(Reply::Queue(QueueReply::Redriven { messages: 1 })));
    let stats = machine.query(&Query::Queue(QueueQuery::Stats { topic: "roomy".to_owned() }));
    assert!(matches!(stats, Ok(Reply::Queue(QueueReply::Stats(stats))) if stats.ready == 1));
    act(&mut machine, redrive()).expect_err("what is left is of the full one");
}

#[test]
fn messages_that_end_together_are_told_of_under_one_name() {
    let mut machine = machine();
    for _ in 0..3 {
        put(&mut machine, "jobs", NewMessage { ttl_us: Some(1), ..plain("a") });
    }
    let (_, applied) = apply(&mut machine, 1, &Command::Tick);
    let name = |event: &MachineEvent| match event {
        MachineEvent::Queue(QueueEvent::Expired { topic, .. }) => Arc::clone(topic),
        other => panic!("{other:?}"),
    };
    let names: Vec<Arc<str>> = applied.events.iter().map(name).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|other| Arc::ptr_eq(other, &names[0])));
}
