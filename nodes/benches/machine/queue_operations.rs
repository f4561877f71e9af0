//! What else is asked of topics: groups, delays, producers, batches, dead letters, ends by themselves, questions.

use stormglass_nodes::ids::{MessageId, ProducerId, Receipt};
use stormglass_nodes::machine::{
    Command, NewMessage, PurgeScope, Query, QueueAction, QueueQuery, QueueReply, Reply, TopicSettings,
};

use super::measure::{HOUR_US, RUN, each_ns};
use super::{Bench, dequeue, plain, receipts, topic};

/// Messages of one command where it has several.
const SEVERAL: usize = 10;

/// A topic that gives each message up at its first failure, to the one that holds many.
pub(super) fn declare_strict(bench: &mut Bench) {
    let settings = TopicSettings { attempts_max: 1, dead_letter: Some(topic()), ..TopicSettings::default() };
    bench.act(QueueAction::Declare { topic: strict(), settings });
}

fn strict() -> String {
    "strict".to_owned()
}

/// One after the other; the depth stays.
pub(super) fn all(bench: &mut Bench, from: u64) -> Vec<(&'static str, f64)> {
    let mut took = groups(bench);
    took.extend(delays(bench));
    took.extend(producers(bench, from));
    took.extend(several(bench));
    took.push(("life ends", lives(bench)));
    took.extend(dead_letters(bench));
    took.extend(waits(bench));
    took.extend(questions(bench));
    took
}

/// So urgent that it comes before all that lies there.
fn urgent(number: u64) -> NewMessage {
    NewMessage { priority: u8::MAX, ..plain(number) }
}

fn enqueue(topic: String, messages: Vec<NewMessage>) -> QueueAction {
    QueueAction::Enqueue { topic, messages, producer: None }
}

fn acknowledge(bench: &mut Bench, replies: &[QueueReply]) -> f64 {
    let done = |receipt| QueueAction::Acknowledge { topic: topic(), receipts: vec![receipt] };
    bench.timed(receipts(replies).map(done).collect()).0
}

/// Takes out as many as a run puts in.
fn clear(bench: &mut Bench) {
    let (_, replies) = bench.timed(vec![dequeue(1); RUN]);
    acknowledge(bench, &replies);
}

fn groups(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let grouped = |n: u64| NewMessage { group: Some(format!("group {n}")), ..urgent(n) };
    let (enqueued, _) = bench.timed((0..RUN as u64).map(|n| enqueue(topic(), vec![grouped(n)])).collect());
    let (dequeued, replies) = bench.timed(vec![dequeue(1); RUN]);
    let acknowledged = acknowledge(bench, &replies);
    vec![
        ("enqueue in a group", enqueued),
        ("dequeue of a group", dequeued),
        ("acknowledge of a group", acknowledged),
    ]
}

fn delays(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let delayed = |n| NewMessage { delay_us: 1_000, ..urgent(n) };
    let (enqueued, _) = bench.timed((0..RUN as u64).map(|n| enqueue(topic(), vec![delayed(n)])).collect());
    let over = tick(bench, 1_000);
    clear(bench);
    vec![("enqueue with a delay", enqueued), ("delay is over", over)]
}

/// The time of one of a run's things that end together.
fn tick(bench: &mut Bench, after_us: u64) -> f64 {
    bench.time_us += after_us;
    let (took, ticked) = each_ns(RUN, || bench.apply(&Command::Tick));
    ticked.expect("a tick is never refused");
    took
}

fn producers(bench: &mut Bench, from: u64) -> Vec<(&'static str, f64)> {
    let send = |n: u64| QueueAction::Enqueue {
        topic: topic(),
        messages: vec![urgent(n)],
        producer: Some((ProducerId(1), from + n)),
    };
    let (enqueued, _) = bench.timed((1..=RUN as u64).map(send).collect());
    clear(bench);
    vec![("enqueue by a producer", enqueued)]
}

fn several(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let batch = |n: u64| (0..SEVERAL as u64).map(|k| urgent(n * 10 + k)).collect();
    let (enqueued, _) = bench.timed((0..RUN as u64).map(|n| enqueue(topic(), batch(n))).collect());
    let (dequeued, replies) = bench.timed(vec![dequeue(SEVERAL as u32); RUN]);
    let taken: Vec<Vec<(MessageId, Receipt)>> =
        replies.iter().map(|reply| receipts(std::slice::from_ref(reply)).collect()).collect();
    let done = |receipts| QueueAction::Acknowledge { topic: topic(), receipts };
    let (acknowledged, _) = bench.timed(taken.into_iter().map(done).collect());
    vec![("enqueue ten", enqueued), ("dequeue ten", dequeued), ("acknowledge ten", acknowledged)]
}

fn lives(bench: &mut Bench) -> f64 {
    let mortal = |n| NewMessage { ttl_us: Some(1_000), ..urgent(n) };
    bench.timed((0..RUN as u64).map(|n| enqueue(topic(), vec![mortal(n)])).collect());
    tick(bench, 1_000)
}

/// Messages are given up elsewhere and come here, go home again, and are purged there.
fn dead_letters(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    bench.timed((0..RUN as u64).map(|n| enqueue(strict(), vec![plain(n)])).collect());
    let get = QueueAction::Dequeue { topic: strict(), count_max: 1, visibility_us: HOUR_US, wait_us: 0 };
    let (_, replies) = bench.timed(vec![get; RUN]);
    let reject = |(id, receipt)| QueueAction::Reject { topic: strict(), id, receipt, delay_us: 0 };
    let (given_up, _) = bench.timed(receipts(&replies).map(reject).collect());
    let (redriven, _) = bench.timed(vec![QueueAction::Redrive { topic: topic(), count_max: 1 }; RUN]);
    let purge = QueueAction::Purge { topic: strict(), what: PurgeScope::All, after: None };
    let purge = bench.command(purge);
    let (purged, outcome) = each_ns(RUN, || bench.apply(&purge));
    let all = QueueReply::Purged { messages: RUN as u64, next: None };
    assert_eq!(outcome, Ok(Reply::Queue(all)), "all had come home");
    vec![("give up, to this topic", given_up), ("redrive", redriven), ("purge", purged)]
}

/// A consumer waits, and is given what comes.
fn waits(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let idle = || "idle".to_owned();
    let get = QueueAction::Dequeue { topic: idle(), count_max: 1, visibility_us: HOUR_US, wait_us: HOUR_US };
    let commands: Vec<[Command; 2]> = (0..RUN as u64)
        .map(|n| {
            let wait = bench.command(get.clone());
            let mut put = bench.command(enqueue(idle(), vec![plain(n)]));
            if let (Command::Once { sequence, .. }, Command::Once { lowest_open, .. }) = (&wait, &mut put) {
                // The wait goes on while this is done.
                *lowest_open = *sequence;
            }
            [wait, put]
        })
        .collect();
    let (took, ()) = each_ns(RUN, || {
        for [wait, put] in &commands {
            assert!(matches!(bench.apply(wait), Ok(Reply::Waiting { .. })));
            assert!(bench.apply(put).is_ok());
        }
    });
    bench.act(QueueAction::DeleteTopic { topic: idle() });
    vec![("wait and be given", took)]
}

fn questions(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let ask = |query: QueueQuery| {
        let query = Query::Queue(query);
        each_ns(RUN, || (0..RUN).for_each(|_| drop(std::hint::black_box(bench.machine.query(&query))))).0
    };
    vec![
        ("peek", ask(QueueQuery::Peek { topic: topic(), count_max: 1 })),
        ("list", ask(QueueQuery::List { after: None, count_max: 1 })),
        ("statistics", ask(QueueQuery::Stats { topic: topic() })),
    ]
}

/// Deletes the topic with all that it holds. The time of that alone, and that of an entry after it.
pub(super) fn delete(mut bench: Bench) -> [(&'static str, f64); 2] {
    let command = bench.command(QueueAction::DeleteTopic { topic: topic() });
    let (deleted, outcome) = each_ns(1, || bench.apply(&command));
    assert!(outcome.is_ok());
    let (after, outcome) = each_ns(1, || bench.apply(&Command::Tick));
    assert!(outcome.is_ok());
    [("delete the topic (once)", deleted), ("the entry after that (once)", after)]
}
