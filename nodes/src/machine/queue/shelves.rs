//! The order in which a topic's messages are delivered, and when each has to be looked at: what can be
//! derived from the messages alone.
//!
//! Invariants, once [`Shelves::settle`] has been called for the group that changed:
//!
//! * On the shelf of each priority lie, in the order of their ids, the ready messages without a group, and
//!   of each group at most one.
//! * A group's line has all its messages but the dead, in the order of their ids. Its first is on the shelf
//!   if it is ready and none of the group is in flight.
//! * Every message with a deadline is listed under it.
//! * The counts are those of the messages in each state.

use std::cmp::Reverse;
use std::ops::Bound;

use imbl::OrdSet;
use serde::Serialize;

use super::message::{Message, State};
use super::strangers::{Strangers, Walk};
use crate::ids::{ClusterTime, MessageId};
use crate::machine::expiry::Deadlines;
use crate::machine::short_table::ShortTable;
use crate::machine::{Name, Table};
use crate::plant::{self, Bug};

/// How many messages there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) ready: u64,
    pub(super) delayed: u64,
    pub(super) in_flight: u64,
    pub(super) dead: u64,
}

impl Counts {
    fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Ready => &mut self.ready,
            State::Delayed => &mut self.delayed,
            State::InFlight => &mut self.in_flight,
            State::Dead => &mut self.dead,
        }
    }

    /// All messages held.
    pub(super) fn depth(&self) -> u64 {
        self.ready + self.delayed + self.in_flight + self.dead
    }
}

/// The messages of one group that are not dead.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Group {
    pub(super) line: ShortTable<MessageId, ()>,
    pub(super) in_flight: Option<MessageId>,
    /// The one on the shelf.
    shown: Option<MessageId>,
}

/// What can be derived from a topic's messages.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Shelves {
    shelves: Table<Reverse<u8>, OrdSet<MessageId>>,
    deliverable: u64,
    groups: Table<Name, Group>,
    /// Messages ready or delayed that another topic gave up.
    strangers: Strangers,
    deadlines: Deadlines<MessageId>,
    counts: Counts,
}

impl Shelves {
    /// A message is there, in this state. The caller then calls [`Shelves::settle`].
    pub(super) fn add(&mut self, id: MessageId, message: &Message) {
        *self.counts.of(message.state) += 1;
        if let Some(deadline) = message.deadline() {
            self.deadlines.add(deadline, id);
        }
        if let Some(home) = message.body.home_topic()
            && matches!(message.state, State::Ready | State::Delayed)
        {
            self.strangers.add(home, id);
        }
        let Some(name) = message.body.group() else {
            if message.state == State::Ready {
                self.show(message.priority, id);
            }
            return;
        };
        if message.state == State::Dead {
            return;
        }
        if !self.groups.contains_key(name) {
            self.groups.insert(name.clone(), Group::default());
        }
        let group = self.groups.get_mut(name).expect("it was put there if it was not");
        group.line.insert(id, ());
        if message.state == State::InFlight {
            group.in_flight = Some(id);
        }
    }

    /// A message that was there in this state no longer is. The caller then calls [`Shelves::settle`].
    pub(super) fn remove(&mut self, id: MessageId, message: &Message) {
        *self.counts.of(message.state) -= 1;
        if let Some(deadline) = message.deadline() {
            self.deadlines.remove(deadline, id);
        }
        if let Some(home) = message.body.home_topic() {
            self.strangers.remove(home, id);
        }
        let Some(name) = message.body.group() else {
            if message.state == State::Ready {
                self.hide(message.priority, id);
            }
            return;
        };
        let Some(group) = self.groups.get_mut(name) else { return };
        group.line.remove(&id);
        group.in_flight = group.in_flight.filter(|&other| other != id);
        if group.shown == Some(id) {
            group.shown = None;
            self.hide(message.priority, id);
        }
    }

    /// Puts on the shelf which message of the group has its turn now, in place of another; forgets a group
    /// without messages.
    pub(super) fn settle(&mut self, name: Option<&Name>, messages: &Table<MessageId, Message>) {
        let Some(name) = name else { return };
        let Some(group) = self.groups.get(name) else { return };
        if group.line.is_empty() {
            self.groups.remove(name);
            return;
        }
        let next = turn(group).filter(|id| messages[id].state == State::Ready);
        let shown = group.shown;
        if next == shown {
            return;
        }
        self.groups.get_mut(name).expect("it was there a line ago").shown = next;
        if let Some(id) = shown {
            self.hide(messages[&id].priority, id);
        }
        if let Some(id) = next {
            self.show(messages[&id].priority, id);
        }
    }

    fn show(&mut self, priority: u8, id: MessageId) {
        self.deliverable += 1;
        if let Some(shelf) = self.shelves.get_mut(&Reverse(priority)) {
            shelf.insert(id);
        } else {
            self.shelves.insert(Reverse(priority), OrdSet::unit(id));
        }
    }

    fn hide(&mut self, priority: u8, id: MessageId) {
        let shelf = self.shelves.get_mut(&Reverse(priority)).expect("what is shown has a shelf");
        shelf.remove(&id).expect("what is shown is on its shelf");
        self.deliverable -= 1;
        if shelf.is_empty() {
            self.shelves.remove(&Reverse(priority));
        }
    }

    /// The message to be delivered next.
    pub(super) fn first(&self) -> Option<MessageId> {
        let (_, shelf) = self.shelves.get_min()?;
        shelf.get_min().copied()
    }

    /// The messages that could be delivered now, in the order in which they would be.
    pub(super) fn in_order(&self) -> impl Iterator<Item = MessageId> {
        self.shelves.values().flat_map(|shelf| shelf.iter().copied())
    }

    /// The oldest one on each shelf.
    pub(super) fn oldest(&self) -> impl Iterator<Item = MessageId> {
        self.shelves.values().filter_map(|shelf| shelf.get_min().copied())
    }

    /// How many could be delivered now.
    pub(super) fn deliverable(&self) -> u64 {
        self.deliverable
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A walk through the messages that other topics gave up and that nobody has in hand, oldest first.
    pub(super) fn strangers(&self) -> Walk {
        self.strangers.walk()
    }

    /// The earliest moment at which a message has to be looked at.
    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        self.deadlines.next()
    }

    /// One of the messages that have to be looked at by `time`, the earliest first.
    pub(super) fn take_due(&mut self, time: ClusterTime) -> Option<MessageId> {
        self.deadlines.take_due(time)
    }

    /// Whether the group has a message in flight.
    pub(super) fn is_in_flight(&self, name: &Name) -> bool {
        self.groups.get(name).is_some_and(|group| group.in_flight.is_some())
    }

    /// The name of a group, shared with its messages if it has any.
    pub(super) fn shared_name(&self, group: &str) -> Name {
        self.groups.get_key_value(group).map_or_else(|| Name::from(group), |(name, _)| name.clone())
    }

    /// The name of another topic, shared with the messages that it gave up if there are any.
    pub(super) fn shared_home(&self, topic: &str) -> Name {
        self.strangers.shared_home(topic)
    }
}

/// The message of a group that has its turn, though it may be held back.
fn turn(group: &Group) -> Option<MessageId> {
    if plant::is(Bug::QueueGroupParallel)
        && let Some(in_flight) = group.in_flight
    {
        return group.line.range((Bound::Excluded(in_flight), Bound::Unbounded)).next().map(|(&id, ())| id);
    }
    if group.in_flight.is_some() { None } else { group.line.get_min().map(|&(id, ())| id) }
}
