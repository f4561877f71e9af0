//! All topics, and what ties them together: names, deadlines, sessions, and messages that change topics.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdSet;
use serde::Serialize;

use super::message::State;
use super::topic::Topic;
use super::types::{
    BATCH_MAX, CONSUMERS_WAITING_MAX, DeathReason, PRODUCERS_MAX, PURGE_MAX, QueueAction, QueueError,
    QueueEvent, QueueReply, TOPIC_BYTES_MAX, TOPICS_MAX, TopicSettings,
};
use crate::ids::{ClusterTime, LogIndex, MessageId, Sequence, SessionId};
use crate::machine::expiry::Deadlines;
use crate::machine::service::{Asker, Moment, Out};
use crate::machine::{MachineError, MachineEvent, Name, Outcome, Reply, Table};
use crate::marks;

/// How many of each there may be. All nodes must have the same: production machines have the public
/// constants, always.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct QueueLimits {
    /// Topics.
    pub(in crate::machine) topics: usize,
    /// Commands waiting for messages of one topic.
    pub(in crate::machine) waiting: usize,
    /// Producers remembered by one topic.
    pub(in crate::machine) producers: usize,
    /// Messages that one purge looks at.
    pub(in crate::machine) purge: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        let (waiting, producers) = (CONSUMERS_WAITING_MAX, PRODUCERS_MAX);
        Self { topics: TOPICS_MAX, waiting, producers, purge: PURGE_MAX }
    }
}

/// All topics.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::machine) struct Queues {
    pub(super) topics: Table<Name, Arc<Topic>>,
    /// The topics by the earliest moment at which something ends there.
    due: Deadlines<Name>,
    /// Where each waiting command waits.
    pub(super) waits: Table<Asker, (Name, LogIndex)>,
    /// Of each session the topics that count it among their consumers.
    pub(super) asked: OrdSet<(SessionId, Name)>,
    /// Deleted topics whose messages have not been freed. No part of the state: nobody sees anything of them.
    #[serde(skip)]
    pub(super) deleted: Vec<Arc<Topic>>,
    #[serde(skip)]
    pub(super) limits: QueueLimits,
}

impl Queues {
    /// No topics, with these bounds.
    pub(in crate::machine) fn within(limits: QueueLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Carries an action out.
    pub(in crate::machine) fn act(
        &mut self,
        at: Moment,
        by: Asker,
        action: &QueueAction,
        out: &mut Out,
    ) -> Outcome {
        match action {
            QueueAction::Declare { topic, settings } => self.declare(topic, settings),
            QueueAction::DeleteTopic { topic } => self.delete_topic(topic, out),
            QueueAction::Purge { topic, what, after } => self.purge(at, topic, *what, *after, out),
            QueueAction::Enqueue { topic, messages, producer } => {
                self.enqueue(at, topic, messages, *producer, out)
            }
            QueueAction::Dequeue { topic, count_max, visibility_us, wait_us } => {
                self.dequeue(at, by, topic, (*count_max, *visibility_us), *wait_us, out)
            }
            QueueAction::Acknowledge { topic, receipts } => self.acknowledge(at, topic, receipts, out),
            QueueAction::Reject { topic, id, receipt, delay_us } => {
                self.reject(at, topic, (*id, *receipt), *delay_us, out)
            }
            QueueAction::Extend { topic, id, receipt, visibility_us } => {
                self.extend(at, topic, (*id, *receipt), *visibility_us, out)
            }
            QueueAction::Redrive { topic, count_max } => self.redrive(at, topic, *count_max, out),
        }
    }

    /// Ends what is due at the stamp, as far as there is room, topic by topic in the order of names: first waits, then
    /// leases, delays and lives. Only then does anybody get what has become ready.
    pub(in crate::machine) fn expire(&mut self, at: Moment, out: &mut Out) {
        self.free_deleted();
        let mut touched = BTreeSet::new();
        while let Some(name) = self.due.take_due(at.time) {
            touched.insert(name);
        }
        if touched.is_empty() {
            return;
        }
        let due: Vec<Name> = touched.iter().cloned().collect();
        for name in &due {
            self.must(name).listed = None;
            while self.topics[name].waits.next().is_some_and(|end| end <= at.time)
                && out.may_end()
                && let Some(ticket) = self.must(name).waits.take_due(at.time)
            {
                marks::hit("queue.wait_timed_out");
                let by = self.must(name).leave(ticket).by;
                self.waits.remove(&by);
                out.complete(by, nothing());
            }
        }
        for name in &due {
            while self.topics[name].shelves.next_deadline().is_some_and(|end| end <= at.time)
                && out.may_end()
                && let Some(id) = self.must(name).shelves.take_due(at.time)
            {
                self.end(at, name, id, &mut touched, out);
            }
        }
        if out.ends_left == 0 {
            marks::hit("queue.entry_ended_all_it_may");
        }
        for name in &touched {
            self.hand_on(at, name, out);
        }
    }

    /// Something about this message has ended: its lease, its delay or its life.
    fn end(&mut self, at: Moment, name: &Name, id: MessageId, touched: &mut BTreeSet<Name>, out: &mut Out) {
        let topic = self.must(name);
        let message = &topic.messages[&id];
        match message.state {
            State::InFlight => {
                marks::hit("queue.lease_expired");
                let receipt = message.receipt();
                topic.totals.lease_expired += 1;
                tell(out, QueueEvent::LeaseExpired { topic: name.clone(), id, receipt });
                self.come_back(at, name, id, (DeathReason::LeaseExpired, 0), touched, out);
            }
            _ if message.body.expires() <= at.time => self.expire_message(name, id, out),
            State::Delayed => {
                marks::hit("queue.delay_over");
                topic.change(id, State::Ready, ClusterTime(0));
            }
            State::Ready | State::Dead => unreachable!("nothing else ends by itself"),
        }
    }

    /// A message's time to live is over.
    pub(super) fn expire_message(&mut self, name: &Name, id: MessageId, out: &mut Out) {
        marks::hit("queue.message_expired");
        let topic = self.must(name);
        topic.take(id);
        topic.totals.expired += 1;
        tell(out, QueueEvent::Expired { topic: name.clone(), id });
    }

    /// A session has ended: its waits are over. What it has in flight stays so until the lease runs out, for
    /// a lease is the delivery's, and whoever has the receipt may use it in another session.
    pub(in crate::machine) fn session_ended(&mut self, id: SessionId, _at: Moment, out: &mut Out) {
        let [first, last] = [0, u64::MAX].map(|sequence| Asker { session: id, sequence: Sequence(sequence) });
        let waits: Vec<Asker> = self.waits.range(first..=last).map(|(&by, _)| by).collect();
        out.also_ended(waits.len());
        for by in waits {
            self.end_wait(by, Err(MachineError::SessionExpired), out);
        }
        while let Some(entry) = self.asked.get_next(&(id, Name::from(""))).cloned()
            && entry.0 == id
        {
            out.also_ended(1);
            self.must(&entry.1).consumers.remove(&id);
            self.asked.remove(&entry);
        }
    }

    /// The client has let go of a command that waits: it is answered with nothing.
    pub(in crate::machine) fn wait_given_up(&mut self, by: Asker, _at: Moment, out: &mut Out) {
        marks::hit("queue.wait_given_up");
        self.end_wait(by, nothing(), out);
    }

    fn end_wait(&mut self, by: Asker, outcome: Outcome, out: &mut Out) {
        let (name, ticket) = self.waits.remove(&by).expect("the caller has seen it wait");
        self.must(&name).leave(ticket);
        out.complete(by, outcome);
        self.relist(&name);
    }

    /// The earliest moment at which something ends.
    pub(in crate::machine) fn next_deadline(&self) -> Option<ClusterTime> {
        self.due.next()
    }

    /// Gives what can be delivered to those who wait, first come, first served, and lists the topic under its
    /// deadline as it is then. Every action ends with this for each topic that it touched.
    pub(super) fn hand_on(&mut self, at: Moment, name: &Name, out: &mut Out) {
        let Some(topic) = self.topics.get_mut(name).map(Arc::make_mut) else { return };
        while topic.first(at.time).is_some()
            && let Some(&(ticket, _)) = topic.line.get_min()
        {
            marks::hit("queue.wait_answered");
            let waiter = topic.leave(ticket);
            let deliveries = topic.deliver(at, waiter.count_max, waiter.visibility_us);
            self.waits.remove(&waiter.by);
            out.complete_delivery(waiter.by, name, deliveries);
        }
        topic.debug_check(at.time);
        self.relist(name);
    }

    /// Lists the topic under its deadline as it is now.
    pub(super) fn relist(&mut self, name: &Name) {
        let topic = &self.topics[name];
        let next = topic.next_deadline();
        if topic.listed == next {
            return;
        }
        let topic = self.must(name);
        let listed = std::mem::replace(&mut topic.listed, next);
        if let Some(listed) = listed {
            self.due.remove(listed, name.clone());
        }
        if let Some(next) = next {
            self.due.add(next, name.clone());
        }
    }

    /// The topic, which exists.
    pub(super) fn must(&mut self, name: &str) -> &mut Topic {
        Arc::make_mut(self.topics.get_mut(name).expect("the caller knows it to exist"))
    }

    /// The name that the tables share, if there is such a topic.
    ///
    /// # Errors
    ///
    /// [`QueueError::UnknownTopic`], or an argument that can name none.
    pub(super) fn named(&self, topic: &str) -> Result<Name, MachineError> {
        check_topic(topic)?;
        let found = self.topics.get_key_value(topic);
        Ok(found.ok_or(QueueError::UnknownTopic)?.0.clone())
    }

    /// The same, and makes the topic if there is none.
    pub(super) fn named_or_made(&mut self, topic: &str, out: &mut Out) -> Result<Name, QueueError> {
        if let Some((name, _)) = self.topics.get_key_value(topic) {
            return Ok(name.clone());
        }
        let name = self.make(topic, TopicSettings::default())?;
        tell(out, QueueEvent::TopicMade { topic: name.clone() });
        Ok(name)
    }

    /// Makes a topic that there is not.
    pub(super) fn make(&mut self, topic: &str, settings: TopicSettings) -> Result<Name, QueueError> {
        if self.topics.len() >= self.limits.topics {
            marks::hit("queue.topics_full");
            return Err(QueueError::TooManyTopics);
        }
        let name = Name::from(topic);
        self.topics.insert(name.clone(), Arc::new(Topic::new(settings)));
        Ok(name)
    }

    /// Takes a topic out of the index of deadlines, which is going to be removed.
    pub(super) fn unlist(&mut self, name: &Name, listed: Option<ClusterTime>) {
        if let Some(listed) = listed {
            self.due.remove(listed, name.clone());
        }
    }
}

/// The answer to who waited in vain.
pub(super) fn nothing() -> Outcome {
    Ok(Reply::Queue(QueueReply::Delivered(Vec::new())))
}

/// Reports an event.
pub(super) fn tell(out: &mut Out, event: QueueEvent) {
    out.events.push(MachineEvent::Queue(event));
}

/// Refuses a name that no topic can have.
pub(in crate::machine) fn check_topic(topic: &str) -> Result<(), MachineError> {
    check_within("the length of the topic's name", topic.len() as u64, 1, TOPIC_BYTES_MAX as u64)
}

/// Refuses a number of messages that is none or too many.
pub(super) fn check_count(what: &str, count: u64) -> Result<(), MachineError> {
    check_within(what, count, 1, BATCH_MAX as u64)
}

/// Refuses what is outside its bounds.
pub(super) fn check_within(what: &str, found: u64, min: u64, max: u64) -> Result<(), MachineError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(MachineError::InvalidArgument(format!("{what} must be {min} to {max}, not {found}")))
}
