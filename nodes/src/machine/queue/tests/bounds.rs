//! Arguments out of bounds, and the bounds on replies and commands.

use bytes::Bytes;

use super::super::{
    BATCH_MAX, DELAY_US_MAX, ENQUEUE_BYTES_MAX, GROUP_BYTES_MAX, HEADER_PLACE_BYTES, HEADERS_BYTES_MAX,
    HEADERS_MAX, MESSAGE_TTL_US_MAX, NewMessage, PAYLOAD_BYTES_MAX, QueueAction, QueueError, QueueQuery,
    QueueReply, TOPIC_BYTES_MAX, TopicBound, TopicSettings, VISIBILITY_US_MAX, VISIBILITY_US_MIN,
};
use super::{apply, plain};
use crate::ids::{MessageId, ProducerId, Receipt, Sequence, SessionId};
use crate::machine::{
    Action, Command, Machine, MachineError, Outcome, Query, Reply, VALUE_BYTES_MAX, WAIT_US_MAX,
};

/// A machine with one session.
fn machine() -> Machine {
    let mut machine = Machine::new();
    apply(&mut machine, 0, &Command::OpenSession { lease_us: 60_000_000 }).1.outcome.expect("there is room");
    machine
}

fn command(machine: &Machine, action: QueueAction) -> Command {
    let sequence = Sequence(machine.index().0);
    Command::Once {
        session: SessionId(1),
        sequence,
        lowest_open: sequence,
        open_below: Vec::new(),
        action: Action::Queue(action),
    }
}

fn act(machine: &mut Machine, action: QueueAction) -> Outcome {
    let command = command(machine, action);
    apply(machine, 0, &command).1.outcome
}

fn put(topic: &str, messages: Vec<NewMessage>) -> QueueAction {
    QueueAction::Enqueue { topic: topic.to_owned(), messages, producer: None }
}

fn get(count_max: u32, visibility_us: u64, wait_us: u64) -> QueueAction {
    QueueAction::Dequeue { topic: "jobs".to_owned(), count_max, visibility_us, wait_us }
}

#[test]
fn what_no_topic_takes_is_refused_and_makes_none() {
    let topic = "jobs".to_owned();
    let (id, receipt) = (MessageId(1), Receipt(1));
    let header = |bytes: usize| ("h".to_owned(), "v".repeat(bytes - 1));
    let with = |change: fn(&mut NewMessage)| {
        let mut message = plain("a");
        change(&mut message);
        put("jobs", vec![message])
    };
    let refused = [
        put("", vec![plain("a")]),
        put(&"t".repeat(TOPIC_BYTES_MAX + 1), vec![plain("a")]),
        put("jobs", vec![]),
        put("jobs", vec![plain("a"); BATCH_MAX + 1]),
        put("jobs", vec![NewMessage { payload: Bytes::from(vec![0; PAYLOAD_BYTES_MAX]), ..plain("") }; 2]),
        put("jobs", vec![NewMessage { headers: vec![header(1); HEADERS_MAX + 1], ..plain("") }]),
        put("jobs", vec![NewMessage { headers: vec![header(HEADERS_BYTES_MAX + 1)], ..plain("") }]),
        with(|message| message.group = Some(String::new())),
        with(|message| message.group = Some("g".repeat(GROUP_BYTES_MAX + 1))),
        with(|message| message.delay_us = DELAY_US_MAX + 1),
        with(|message| message.ttl_us = Some(0)),
        with(|message| message.ttl_us = Some(MESSAGE_TTL_US_MAX + 1)),
        QueueAction::Enqueue {
            topic: topic.clone(),
            messages: vec![plain("a")],
            producer: Some((ProducerId(1), u64::MAX)),
        },
        get(0, VISIBILITY_US_MIN, 1),
        get(BATCH_MAX as u32 + 1, VISIBILITY_US_MIN, 1),
        get(1, VISIBILITY_US_MIN - 1, 1),
        get(1, VISIBILITY_US_MAX + 1, 1),
        get(1, VISIBILITY_US_MIN, WAIT_US_MAX + 1),
        QueueAction::Acknowledge { topic: topic.clone(), receipts: vec![] },
        QueueAction::Acknowledge { topic: topic.clone(), receipts: vec![(id, receipt); BATCH_MAX + 1] },
        QueueAction::Reject { topic: topic.clone(), id, receipt, delay_us: DELAY_US_MAX + 1 },
        QueueAction::Extend { topic: topic.clone(), id, receipt, visibility_us: 0 },
        QueueAction::Redrive { topic, count_max: 0 },
    ];
    let mut machine = machine();
    for action in refused {
        let outcome = act(&mut machine, action.clone());
        assert!(matches!(outcome, Err(MachineError::InvalidArgument(_))), "{action:?}: {outcome:?}");
    }
    let list = machine.query(&Query::Queue(QueueQuery::List { after: None, count_max: 1 }));
    assert_eq!(list, Ok(Reply::Queue(QueueReply::Topics(vec![]))));
    for query in [
        QueueQuery::List { after: Some(String::new()), count_max: 1 },
        QueueQuery::List { after: None, count_max: 0 },
        QueueQuery::Peek { topic: "jobs".to_owned(), count_max: 0 },
        QueueQuery::PeekDead { topic: "jobs".to_owned(), count_max: BATCH_MAX as u32 + 1 },
        QueueQuery::Stats { topic: String::new() },
    ] {
        let outcome = machine.query(&Query::Queue(query.clone()));
        assert!(matches!(outcome, Err(MachineError::InvalidArgument(_))), "{query:?}: {outcome:?}");
    }
}

#[test]
fn a_reply_ends_before_the_message_that_would_make_it_too_long_for_a_frame() {
    let mut machine = machine();
    let large = NewMessage { payload: Bytes::from(vec![7; PAYLOAD_BYTES_MAX]), ..plain("") };
    for _ in 0..6 {
        act(&mut machine, put("jobs", vec![large.clone()])).expect("there is room");
    }
    let peeked = machine.query(&Query::Queue(QueueQuery::Peek { topic: "jobs".to_owned(), count_max: 9 }));
    let Ok(Reply::Queue(QueueReply::Peeked(messages))) = peeked else { panic!("{peeked:?}") };
    assert_eq!(messages.len(), 4);
    for expected in [4, 2, 0] {
        let outcome = act(&mut machine, get(9, VISIBILITY_US_MAX, 0));
        let Ok(Reply::Queue(QueueReply::Delivered(deliveries))) = outcome else { panic!("{outcome:?}") };
        assert_eq!(deliveries.len(), expected);
    }
}

#[test]
fn the_longest_batch_that_is_taken_fits_a_log_entry() {
    let machine = machine();
    let payload = Bytes::from(vec![7; ENQUEUE_BYTES_MAX / BATCH_MAX - 16 - HEADER_PLACE_BYTES]);
    let message = NewMessage {
        payload,
        headers: vec![(String::new(), String::new())],
        priority: u8::MAX,
        group: Some("g".repeat(16)),
        delay_us: DELAY_US_MAX,
        ttl_us: Some(MESSAGE_TTL_US_MAX),
    };
    let action = QueueAction::Enqueue {
        topic: "t".repeat(TOPIC_BYTES_MAX),
        messages: vec![message; BATCH_MAX],
        producer: Some((ProducerId(u64::MAX), u64::MAX / 2)),
    };
    let encoded = command(&machine, action.clone()).encode_as(2);
    assert!(encoded.len() <= 2 * VALUE_BYTES_MAX, "{}", encoded.len());
    let mut machine = machine;
    assert!(act(&mut machine, action).is_ok());
}

#[test]
fn headers_without_a_name_or_a_value_count_against_the_limit_in_bytes_all_the_same() {
    let mut machine = machine();
    let settings = TopicSettings { bytes_max: 1_000, ..TopicSettings::default() };
    act(&mut machine, QueueAction::Declare { topic: "jobs".to_owned(), settings }).expect("there is room");
    let headers = vec![(String::new(), String::new()); HEADERS_MAX];
    let outcome = act(&mut machine, put("jobs", vec![NewMessage { headers, ..plain("") }]));
    let full = QueueError::Full { bound: TopicBound::Bytes, max: 1_000 };
    assert_eq!(outcome, Err(full.into()));
    let headers = vec![(String::new(), "x".to_owned()); 2];
    act(&mut machine, put("jobs", vec![NewMessage { headers, ..plain("abc") }])).expect("there is room");
    let stats = machine.query(&Query::Queue(QueueQuery::Stats { topic: "jobs".to_owned() }));
    let Ok(Reply::Queue(QueueReply::Stats(stats))) = stats else { panic!("{stats:?}") };
    assert_eq!(stats.bytes, 3 + 2 * (1 + HEADER_PLACE_BYTES as u64));
}

#[test]
fn a_deleted_topic_is_freed_by_the_entries_that_follow_so_much_with_each() {
    let mut machine = super::small_machine();
    apply(&mut machine, 0, &Command::OpenSession { lease_us: 60_000_000 }).1.outcome.expect("there is room");
    act(&mut machine, put("jobs", vec![plain("a"); 10])).expect("there is room");
    let deleted = act(&mut machine, QueueAction::DeleteTopic { topic: "jobs".to_owned() });
    assert_eq!(deleted, Ok(Reply::Queue(QueueReply::Deleted { messages: Some(10) })));
    let left = |machine: &Machine| machine.queues.deleted.iter().map(|topic| topic.depth()).sum::<u64>();
    let frozen = machine.clone();
    for expected in [10, 6, 2, 0, 0] {
        assert_eq!(left(&machine), expected);
        apply(&mut machine, 0, &Command::Tick);
    }
    assert!(machine.queues.deleted.is_empty());
    assert_eq!(left(&frozen), 10, "a frozen state keeps what it had");
    // A new topic of that name has nothing to do with the old one.
    act(&mut machine, put("jobs", vec![plain("b")])).expect("there is room");
    let stats = machine.query(&Query::Queue(QueueQuery::Stats { topic: "jobs".to_owned() }));
    assert!(matches!(stats, Ok(Reply::Queue(QueueReply::Stats(stats))) if stats.ready == 1));
}
