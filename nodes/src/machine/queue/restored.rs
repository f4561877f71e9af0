//! What must hold of the queue's part of a snapshot: that it is a state to which entries lead.
//!
//! Whatever a later apply relies on is here, and what else is cheap to see.

use super::message::{NEVER, State, headers_weight};
use super::producers::Producer;
use super::queues::{check_topic as check_topic_name, check_within};
use super::rates::{Mark, Rates, counted, second_of};
use super::snapshot::{MessageHead, WaiterRecord};
use super::topic::Topic;
use super::types::{
    ATTEMPTS_MAX, BATCH_MAX, DELAY_US_MAX, Death, GROUP_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX,
    MESSAGE_TTL_US_MAX, PAYLOAD_BYTES_MAX, PRODUCER_BATCHES_MAX, TopicRecent, TopicSettings, TopicTotals,
    VISIBILITY_US_MAX, VISIBILITY_US_MIN,
};
use crate::ids::{ClusterTime, LogIndex, MessageId, ProducerId};
use crate::machine::snapshot::{RestoreError, Restoring, ensure};
use crate::machine::{MachineError, Name, WAIT_US_MAX};

/// No count of a topic gets there: 36,000 years at a million a second.
const TOTAL_MAX: u64 = 1 << 60;

pub(super) fn check_settings(name: &Name, settings: &TopicSettings) -> Result<(), RestoreError> {
    consistent(settings.check(name))
}

pub(super) fn check_message(
    restoring: &Restoring<'_>,
    topic: &Name,
    id: MessageId,
    head: &MessageHead,
    payload_bytes: usize,
) -> Result<(), RestoreError> {
    restoring.applied("a message", id.index())?;
    ensure(id.ordinal() < BATCH_MAX as u64, || format!("no batch is as long as to have {id}"))?;
    past(restoring, "an enqueueing", head.enqueued_at)?;
    ensure(payload_bytes <= PAYLOAD_BYTES_MAX, || format!("{id} has {payload_bytes} bytes"))?;
    consistent(check_within("the number of headers", head.headers.len() as u64, 0, HEADERS_MAX as u64))?;
    let headers = headers_weight(&head.headers) as u64;
    consistent(check_within("the length of the headers", headers, 0, HEADERS_BYTES_MAX as u64))?;
    if let Some(group) = &head.group {
        let bytes = group.len() as u64;
        consistent(check_within("the length of the group's name", bytes, 1, GROUP_BYTES_MAX as u64))?;
    }
    if let Some(origin) = &head.origin {
        consistent(check_topic_name(&origin.topic))?;
        ensure(origin.topic != **topic, || format!("{id} came to {topic} from there"))?;
        check_death(restoring, &origin.death)?;
        ensure(origin.attempts <= ATTEMPTS_MAX, || format!("{id} was tried {} times", origin.attempts))?;
    }
    let is_tried = u32::from(head.attempts) <= head.deliveries && head.attempts <= ATTEMPTS_MAX;
    ensure(is_tried, || format!("{id} was delivered {} times, {} here", head.deliveries, head.attempts))?;
    check_state(restoring, id, head)
}

fn check_state(restoring: &Restoring<'_>, id: MessageId, head: &MessageHead) -> Result<(), RestoreError> {
    let is_mortal = head.expires != NEVER;
    ensure(!is_mortal || head.expires <= restoring.time.plus_us(MESSAGE_TTL_US_MAX), || {
        format!("{id} lives until {}", head.expires)
    })?;
    ensure(head.death.is_some() == (head.state == State::Dead), || format!("{id} is not dead or is"))?;
    match head.state {
        State::Ready | State::Dead => {
            ensure(head.until == ClusterTime(0), || format!("{id} waits for {}", head.until))?;
        }
        State::Delayed => restoring.within("a delay", head.until, DELAY_US_MAX)?,
        State::InFlight => restoring.within("a lease", head.until, VISIBILITY_US_MAX)?,
    }
    match head.state {
        State::Ready | State::Delayed => Ok(()),
        State::InFlight => ensure(head.attempts > 0, || format!("{id} is in flight and was never tried")),
        State::Dead => head.death.map_or(Ok(()), |death| check_death(restoring, &death)),
    }
}

fn check_death(restoring: &Restoring<'_>, death: &Death) -> Result<(), RestoreError> {
    past(restoring, "a death", death.at)
}

pub(super) fn check_waiter(
    restoring: &Restoring<'_>,
    ticket: LogIndex,
    waiter: &WaiterRecord,
) -> Result<(), RestoreError> {
    restoring.done_by(waiter.session, "a wait", ticket)?;
    restoring.within("a wait", waiter.deadline, WAIT_US_MAX)?;
    consistent(check_within("count_max", u64::from(waiter.count_max), 1, BATCH_MAX as u64))?;
    consistent(check_within("visibility_us", waiter.visibility_us, VISIBILITY_US_MIN, VISIBILITY_US_MAX))
}

pub(super) fn check_producer(
    restoring: &Restoring<'_>,
    id: ProducerId,
    producer: &Producer,
) -> Result<(), RestoreError> {
    restoring.applied("a producer's use", producer.used)?;
    let batches = &producer.batches;
    ensure((1..=PRODUCER_BATCHES_MAX).contains(&batches.len()), || {
        format!("{id} has {} batches", batches.len())
    })?;
    let (mut next, mut last) = (batches[0].first, LogIndex(0));
    ensure(producer.start <= next, || format!("{id} began at {} and before", producer.start))?;
    for batch in batches {
        ensure(batch.first == next && batch.index > last, || format!("the batches of {id} have gaps"))?;
        ensure((1..=BATCH_MAX as u64).contains(&batch.count), || format!("a batch has {}", batch.count))?;
        let end = batch.first.checked_add(batch.count);
        next = end.ok_or_else(|| RestoreError::Inconsistent(format!("{id} has run out of numbers")))?;
        last = batch.index;
    }
    ensure(next == producer.next, || format!("{id} goes on with {}, not {next}", producer.next))?;
    ensure(last <= producer.used, || format!("{id} was heard of after {}", producer.used))
}

/// The marks say what was counted when: no more than now, and no less than at the mark before.
pub(super) fn check_rates(
    time: ClusterTime,
    name: &Name,
    marks: &[Mark],
    totals: &TopicTotals,
) -> Result<(), RestoreError> {
    let counts = |recent: &TopicRecent| [recent.enqueued, recent.delivered, recent.acknowledged];
    let rises = |(earlier, later): (&Mark, &Mark)| {
        let grows =
            counts(&earlier.counted).into_iter().zip(counts(&later.counted)).all(|(was, is)| was <= is);
        earlier.second < later.second && grows
    };
    let now = Mark { second: second_of(time) + 1, counted: counted(totals) };
    let is_sound =
        marks.len() <= Rates::MARKS_MAX && marks.iter().zip(marks.iter().skip(1).chain([&now])).all(rises);
    ensure(is_sound, || format!("the marks of {name} contradict each other or its totals"))
}

/// With all that is in it.
pub(super) fn check_topic(time: ClusterTime, name: &Name, topic: &Topic) -> Result<(), RestoreError> {
    let TopicTotals {
        enqueued,
        moved_in,
        moved_out,
        delivered,
        redelivered,
        acknowledged,
        rejected,
        lease_expired,
        expired,
        purged,
        dead_lettered,
        redriven,
    } = topic.totals;
    let totals = [
        enqueued,
        moved_in,
        moved_out,
        delivered,
        redelivered,
        acknowledged,
        rejected,
        lease_expired,
        expired,
        purged,
        dead_lettered,
        redriven,
    ];
    ensure(totals.iter().all(|&total| total < TOTAL_MAX), || format!("{name} has counted too much"))?;
    let accounts = topic.totals.check_accounts(topic.depth());
    accounts.map_err(|imbalance| RestoreError::Inconsistent(format!("{name}: {imbalance}")))?;
    let waits_in_vain = !topic.line.is_empty() && topic.first(time).is_some();
    ensure(!waits_in_vain, || format!("a command waits for messages of {name}, and there are some"))?;
    let mut askers = topic.line.values().map(|waiter| waiter.by.session);
    ensure(askers.all(|session| topic.consumers.contains(&session)), || {
        format!("a command waits for messages of {name}, and its session is not among the consumers")
    })
}

fn past(restoring: &Restoring<'_>, what: &str, at: ClusterTime) -> Result<(), RestoreError> {
    ensure(at <= restoring.time, || format!("{what} happened at {at}, after {}", restoring.time))
}

fn consistent(checked: Result<(), MachineError>) -> Result<(), RestoreError> {
    checked.map_err(|error| RestoreError::Inconsistent(error.to_string()))
}
