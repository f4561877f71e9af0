//! One topic: its messages, who waits for them, and what it has counted.
//!
//! Every change of a message goes through [`Topic::admit`], [`Topic::change`], [`Topic::renew`] or
//! [`Topic::take`], which keep the shelves in step; every way in or out also counts in the totals, so that the
//! accounting identity holds whenever one of the topic's other methods returns.

use imbl::OrdSet;
use serde::Serialize;

use super::message::{Body, Message, NEVER, State};
use super::producers::Producers;
use super::rates::Rates;
use super::shelves::Shelves;
use super::types::{
    Death, Delivery, QueueError, REPLY_BYTES_MAX, TopicBound, TopicListing, TopicSettings, TopicStats,
    TopicTotals,
};
use crate::ids::{ClusterTime, LogIndex, MessageId, Receipt, SessionId};
use crate::machine::Table;
use crate::machine::expiry::Deadlines;
use crate::machine::service::{Asker, Moment};
use crate::marks;
use crate::plant::{self, Bug};

/// A command that waits for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Waiter {
    pub(super) by: Asker,
    pub(super) count_max: u32,
    pub(super) visibility_us: u64,
    /// When it is answered with nothing.
    pub(super) deadline: ClusterTime,
}

/// One topic.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Topic {
    pub(super) settings: TopicSettings,
    pub(super) messages: Table<MessageId, Message>,
    pub(super) shelves: Shelves,
    /// The messages in state [`State::Dead`].
    pub(super) dead: Table<MessageId, Death>,
    /// Who waits, by the entry with which it came. Nobody does while there is a first message.
    pub(super) line: Table<LogIndex, Waiter>,
    /// When the waits end.
    pub(super) waits: Deadlines<LogIndex>,
    pub(super) producers: Producers,
    /// Open sessions that have asked for messages.
    pub(super) consumers: OrdSet<SessionId>,
    pub(super) totals: TopicTotals,
    pub(super) rates: Rates,
    /// What all messages count.
    pub(super) bytes: u64,
    /// The deadline under which the topic is listed among all.
    pub(super) listed: Option<ClusterTime>,
}

impl Topic {
    /// A topic without messages.
    pub(super) fn new(settings: TopicSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Refuses what would exceed the topic's limits.
    pub(super) fn check_room(&self, messages: u64, bytes: u64) -> Result<(), QueueError> {
        check_room(&self.settings, self.shelves.counts().depth() + messages, self.bytes + bytes)
    }

    /// When a message that says nothing of it and comes at `time` ends.
    pub(super) fn expires(&self, time: ClusterTime) -> ClusterTime {
        self.settings.ttl_us.map_or(NEVER, |ttl_us| time.plus_us(ttl_us))
    }

    /// Puts a message in that is new to the topic.
    pub(super) fn admit(&mut self, id: MessageId, message: Message) {
        self.bytes += message.body.weight();
        self.shelves.add(id, &message);
        let group = message.body.group().cloned();
        let before = self.messages.insert(id, message);
        assert!(before.is_none(), "{id} names one message");
        self.shelves.settle(group.as_ref(), &self.messages);
    }

    /// Puts a message in another state.
    pub(super) fn change(&mut self, id: MessageId, state: State, until: ClusterTime) {
        self.alter(id, |message| {
            message.state = state;
            message.until = until;
        });
    }

    /// Makes a message what it was when it was enqueued: ready, never tried, with a life before it.
    pub(super) fn renew(&mut self, id: MessageId, time: ClusterTime) {
        let expires = self.expires(time);
        self.alter(id, |message| {
            if message.body.expires() != expires {
                message.body = message.body.renewed(expires, message.body.home());
            }
            message.state = State::Ready;
            message.until = ClusterTime(0);
            message.attempts = 0;
        });
    }

    fn alter(&mut self, id: MessageId, how: impl FnOnce(&mut Message)) {
        let message = self.messages.get_mut(&id).expect("the caller has seen it");
        self.shelves.remove(id, message);
        how(message);
        self.shelves.add(id, message);
        if let Some(group) = message.body.group().cloned() {
            self.shelves.settle(Some(&group), &self.messages);
        }
    }

    /// Takes a message out. The caller counts why.
    pub(super) fn take(&mut self, id: MessageId) -> Message {
        let message = self.messages.remove(&id).expect("the caller has seen it");
        self.bytes -= message.body.weight();
        self.dead.remove(&id);
        self.shelves.remove(id, &message);
        self.shelves.settle(message.body.group(), &self.messages);
        message
    }

    /// Delivers up to `count_max` messages, as many as fit a reply.
    pub(super) fn deliver(&mut self, at: Moment, count_max: u32, visibility_us: u64) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let mut room = REPLY_BYTES_MAX as u64;
        while deliveries.len() < count_max as usize
            && let Some(id) = self.first(at.time)
        {
            let weight = self.messages[&id].body.weight();
            if weight > room && !deliveries.is_empty() {
                marks::hit("queue.reply_full");
                break;
            }
            room = room.saturating_sub(weight);
            deliveries.push(self.deliver_one(id, at, visibility_us));
        }
        deliveries
    }

    fn deliver_one(&mut self, id: MessageId, at: Moment, visibility_us: u64) -> Delivery {
        let lease_until = at.time.plus_us(visibility_us);
        let until =
            if plant::is(Bug::QueueVisibleEarly) { at.time.plus_us(visibility_us / 2) } else { lease_until };
        self.alter(id, |message| {
            message.state = State::InFlight;
            message.until = until;
            message.deliveries = message.deliveries.saturating_add(1);
            message.attempts += 1;
        });
        self.rates.note(at.time, &self.totals);
        let message = &self.messages[&id];
        self.totals.delivered += 1;
        if message.deliveries > 1 {
            marks::hit("queue.redelivered");
            self.totals.redelivered += 1;
        }
        message.delivery(id, lease_until)
    }

    /// The message that is in flight by this delivery, if it is.
    pub(super) fn in_hand(&self, time: ClusterTime, id: MessageId, receipt: Receipt) -> Option<&Message> {
        let message = self.messages.get(&id)?;
        (message.is_in_flight(time) && message.receipt() == receipt).then_some(message)
    }

    /// The message to be delivered next. None while one stands before it whose life is over and that no entry
    /// has had room to remove.
    pub(super) fn first(&self, time: ClusterTime) -> Option<MessageId> {
        self.shelves.first().filter(|id| self.messages[id].body.expires() > time)
    }

    /// The earliest moment at which something ends here.
    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        [self.shelves.next_deadline(), self.waits.next()].into_iter().flatten().min()
    }

    /// Puts a command at the end of the line.
    pub(super) fn wait(&mut self, ticket: LogIndex, waiter: Waiter) {
        self.waits.add(waiter.deadline, ticket);
        self.line.insert(ticket, waiter);
    }

    /// Takes a command out of the line.
    pub(super) fn leave(&mut self, ticket: LogIndex) -> Waiter {
        let waiter = self.line.remove(&ticket).expect("a wait names a command in line");
        self.waits.remove(waiter.deadline, ticket);
        waiter
    }

    /// Messages held.
    pub(super) fn depth(&self) -> u64 {
        self.shelves.counts().depth()
    }

    /// The topic as it is at `time`.
    pub(super) fn stats(&self, time: ClusterTime) -> TopicStats {
        let counts = self.shelves.counts();
        let enqueued_at = |id: MessageId| self.messages[&id].body.enqueued_at();
        let oldest = self.shelves.oldest().map(enqueued_at).min();
        TopicStats {
            ready: counts.ready,
            deliverable: self.shelves.deliverable(),
            delayed: counts.delayed,
            in_flight: counts.in_flight,
            dead: counts.dead,
            bytes: self.bytes,
            oldest_ready_us: oldest.map(|oldest| time.0.saturating_sub(oldest.0)),
            waiting: self.line.len() as u64,
            consumers: self.consumers.len() as u64,
            totals: self.totals,
            recent: self.rates.recent(time, &self.totals),
            settings: self.settings.clone(),
        }
    }

    /// The topic as a line in a list.
    pub(super) fn listing(&self, topic: &str) -> TopicListing {
        TopicListing { topic: topic.to_owned(), depth: self.depth(), bytes: self.bytes }
    }

    /// Holds what can be checked at no cost: the accounting identity, and that nobody waits in vain.
    pub(super) fn debug_check(&self, time: ClusterTime) {
        debug_assert_eq!(self.totals.check_accounts(self.depth()), Ok(()));
        debug_assert_eq!(self.depth(), self.messages.len() as u64);
        debug_assert_eq!(self.shelves.counts().dead, self.dead.len() as u64);
        debug_assert!(self.line.is_empty() || self.first(time).is_none(), "somebody waits in vain");
    }
}

/// Refuses a topic of this depth with these bytes.
pub(super) fn check_room(settings: &TopicSettings, depth: u64, bytes: u64) -> Result<(), QueueError> {
    if depth > settings.depth_max {
        marks::hit("queue.depth_full");
        return Err(QueueError::Full { bound: TopicBound::Depth, max: settings.depth_max });
    }
    if bytes > settings.bytes_max {
        marks::hit("queue.bytes_full");
        return Err(QueueError::Full { bound: TopicBound::Bytes, max: settings.bytes_max });
    }
    Ok(())
}

/// A message that begins its life in a topic.
pub(super) fn fresh(body: Body, priority: u8, time: ClusterTime, delay_us: u64) -> Message {
    let (state, until) =
        if delay_us == 0 { (State::Ready, ClusterTime(0)) } else { (State::Delayed, time.plus_us(delay_us)) };
    Message { body, until, deliveries: 0, attempts: 0, state, priority }
}
