//! More falls due together than one entry ends: what is left over counts as ended.

use super::super::{Acknowledgement, PurgeScope, QueueAction, QueueQuery, QueueReply, TopicStats};
use super::{apply, plain};
use crate::ids::{MessageId, Sequence, SessionId};
use crate::machine::{
    Action, BATCH_MAX, Command, ENDS_PER_ENTRY_MAX, Machine, NewMessage, Outcome, PURGE_MAX, Query,
    QueueError, Reply,
};

/// Batches that are more than one entry ends.
const BATCHES: usize = 2 * ENDS_PER_ENTRY_MAX / BATCH_MAX + 1;

fn act(machine: &mut Machine, time_us: u64, action: QueueAction) -> Outcome {
    let (session, sequence) = (SessionId(1), Sequence(machine.index().0));
    let (lowest_open, open_below, action) = (sequence, Vec::new(), Action::Queue(action));
    apply(machine, time_us, &Command::Once { session, sequence, lowest_open, open_below, action }).1.outcome
}

/// A topic with many of these messages.
fn machine_with(message: &NewMessage) -> Machine {
    let mut machine = Machine::new();
    apply(&mut machine, 0, &Command::OpenSession { lease_us: 60_000_000 }).1.outcome.expect("there is room");
    for _ in 0..BATCHES {
        let messages = vec![message.clone(); BATCH_MAX];
        let put = QueueAction::Enqueue { topic: "jobs".to_owned(), messages, producer: None };
        act(&mut machine, 0, put).expect("there is room");
    }
    machine
}

fn get(count_max: u32, wait_us: u64) -> QueueAction {
    QueueAction::Dequeue { topic: "jobs".to_owned(), count_max, visibility_us: 1_000, wait_us }
}

fn stats(machine: &Machine) -> TopicStats {
    match machine.query(&Query::Queue(QueueQuery::Stats { topic: "jobs".to_owned() })) {
        Ok(Reply::Queue(QueueReply::Stats(stats))) => {
            stats.check_accounts().expect("the accounts balance");
            *stats
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lives_that_end_together_end_over_several_entries_and_no_such_message_is_seen_meanwhile() {
    let mut machine = machine_with(&NewMessage { ttl_us: Some(1_000), ..plain("mortal") });
    let depth = (BATCHES * BATCH_MAX) as u64;
    let waits = act(&mut machine, 999, get(1, 60_000)).map(|reply| matches!(reply, Reply::Waiting { .. }));
    assert_eq!(waits, Ok(false), "they live to the last moment");
    let (_, applied) = apply(&mut machine, 1_000, &Command::Tick);
    assert_eq!(applied.events.len(), ENDS_PER_ENTRY_MAX);
    assert!(machine.is_behind());
    let left = stats(&machine);
    assert_eq!((left.totals.expired, left.depth()), (ENDS_PER_ENTRY_MAX as u64, depth - left.totals.expired));
    let peeked = machine.query(&Query::Queue(QueueQuery::Peek { topic: "jobs".to_owned(), count_max: 9 }));
    assert_eq!(peeked, Ok(Reply::Queue(QueueReply::Peeked(Vec::new()))));

    // The next entry is a command: it finds none of them, and waits for what is alive.
    let alive =
        QueueAction::Enqueue { topic: "jobs".to_owned(), messages: vec![plain("alive")], producer: None };
    act(&mut machine, 1_000, alive).expect("there is room");
    assert!(machine.is_behind());
    let mut entries = 0;
    while machine.is_behind() {
        entries += 1;
        apply(&mut machine, 1_000, &Command::Tick);
    }
    assert_eq!(entries, 1);
    assert_eq!(stats(&machine).totals.expired, depth - 1, "but for the one that was delivered");
    let got = act(&mut machine, 1_000, get(9, 0));
    assert!(
        matches!(got, Ok(Reply::Queue(QueueReply::Delivered(got))) if got.len() == 1 && got[0].payload == "alive")
    );
}

#[test]
fn a_receipt_is_stale_from_the_end_of_its_lease_though_no_entry_has_had_room_to_end_it() {
    let mut machine = machine_with(&plain("job"));
    let mut last = None;
    for _ in 0..BATCHES {
        let got = act(&mut machine, 0, get(BATCH_MAX as u32, 0));
        let Ok(Reply::Queue(QueueReply::Delivered(got))) = got else { panic!("{got:?}") };
        last = got.last().map(|delivery| (delivery.id, delivery.receipt));
    }
    let (id, receipt) = last.expect("there were some");
    let topic = "jobs".to_owned();
    let acknowledged =
        act(&mut machine, 1_000, QueueAction::Acknowledge { topic, receipts: vec![(id, receipt)] });
    assert!(machine.is_behind());
    let stale = vec![Acknowledgement::Stale];
    assert_eq!(acknowledged, Ok(Reply::Queue(QueueReply::Acknowledged(stale))));
    assert_eq!(stats(&machine).in_flight, (BATCHES * BATCH_MAX - ENDS_PER_ENTRY_MAX) as u64);
    let extend = QueueAction::Extend { topic: "jobs".to_owned(), id, receipt, visibility_us: 9_000 };
    assert_eq!(act(&mut machine, 1_000, extend), Err(QueueError::StaleReceipt.into()));
}

#[test]
fn a_purge_looks_at_so_many_messages_and_says_where_to_go_on() {
    let mut machine = machine_with(&plain("job"));
    let mut after: Option<MessageId> = None;
    let mut purged = Vec::new();
    loop {
        let purge = QueueAction::Purge { topic: "jobs".to_owned(), what: PurgeScope::Waiting, after };
        let outcome = act(&mut machine, 0, purge);
        let Ok(Reply::Queue(QueueReply::Purged { messages, next })) = outcome else { panic!("{outcome:?}") };
        purged.push(messages);
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(purged, [PURGE_MAX as u64, PURGE_MAX as u64, BATCH_MAX as u64]);
    assert_eq!(stats(&machine).depth(), 0);
}
