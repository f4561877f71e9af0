//! The queue's part of a snapshot: how many topics, then each with its settings and totals, its messages, who
//! waits, its producers, and its consumers. Shelves, groups, sizes and deadlines follow from these.

use bytes::Bytes;
use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use super::message::{Body, Home, Message, Rare, Raw, State};
use super::producers::{Producer, Producers};
use super::queues::Queues;
use super::rates::{Mark, Rates};
use super::restored;
use super::topic::{Topic, Waiter};
use super::types::{Death, Origin, TopicSettings, TopicTotals};
use crate::ids::{ClusterTime, LogIndex, MessageId, ProducerId, Sequence, SessionId};
use crate::machine::service::{Asker, Service};
use crate::machine::snapshot::{Reader, RestoreError, Restoring, beyond, ensure, put, rises};
use crate::machine::{DEPTH_MAX, Name, PRODUCERS_MAX, Table};
use crate::plant::{self, Bug};
use std::sync::Arc;

/// How far the part has been written.
#[derive(Clone, Default)]
pub(in crate::machine) enum QueuePlace {
    /// Nothing of it.
    #[default]
    Start,
    /// This topic up to this message, or up to its messages.
    Messages { of: Name, after: Option<MessageId> },
    /// This topic, and all before it.
    Topic { after: Name },
}

/// A topic, between its name and its messages.
#[derive(Serialize, Deserialize)]
struct TopicHead {
    settings: TopicSettings,
    totals: TopicTotals,
    rates: Vec<Mark>,
}

/// A message, between its id and its payload.
#[derive(Serialize, Deserialize)]
pub(super) struct MessageHead {
    pub(super) enqueued_at: ClusterTime,
    pub(super) expires: ClusterTime,
    pub(super) priority: u8,
    pub(super) headers: Vec<(String, String)>,
    pub(super) group: Option<String>,
    pub(super) origin: Option<Origin>,
    pub(super) state: State,
    pub(super) until: ClusterTime,
    pub(super) deliveries: u32,
    pub(super) attempts: u16,
    pub(super) death: Option<Death>,
}

/// A command that waits, after its ticket.
#[derive(Serialize, Deserialize)]
pub(super) struct WaiterRecord {
    pub(super) session: SessionId,
    pub(super) sequence: Sequence,
    pub(super) count_max: u32,
    pub(super) visibility_us: u64,
    pub(super) deadline: ClusterTime,
}

impl Queues {
    /// Writes from `place` on, until the buffer holds `bytes_max`. Returns the place reached, or `None` at
    /// the end of the part. The waiters, producers and consumers of one topic are written together.
    pub(in crate::machine) fn write(
        &self,
        place: &QueuePlace,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Option<QueuePlace> {
        let mut place = place.clone();
        if matches!(place, QueuePlace::Start) {
            put(buffer, &self.topics.len());
        }
        loop {
            place = match &place {
                QueuePlace::Start => self.begin_topic(None, buffer)?,
                QueuePlace::Topic { after } => self.begin_topic(Some(after), buffer)?,
                QueuePlace::Messages { of, after } => self.write_messages(of, *after, buffer, bytes_max),
            };
            if buffer.len() >= bytes_max {
                return Some(place);
            }
        }
    }

    /// The topic after this one, up to its messages; `None` if there is no other.
    fn begin_topic(&self, after: Option<&Name>, buffer: &mut Vec<u8>) -> Option<QueuePlace> {
        let (name, topic) = self.topics.range::<_, Name>(beyond(after)).next()?;
        let rates = topic.rates.marks().copied().collect();
        put(buffer, &(name, TopicHead { settings: topic.settings.clone(), totals: topic.totals, rates }));
        put(buffer, &topic.messages.len());
        Some(QueuePlace::Messages { of: name.clone(), after: None })
    }

    fn write_messages(
        &self,
        of: &Name,
        after: Option<MessageId>,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> QueuePlace {
        let topic = &self.topics[of];
        for (&id, message) in topic.messages.range(beyond(after)) {
            put(buffer, &(id, topic.head_of(id, message), Raw(message.body.payload())));
            if buffer.len() >= bytes_max {
                return QueuePlace::Messages { of: of.clone(), after: Some(id) };
            }
        }
        topic.write_rest(buffer);
        QueuePlace::Topic { after: of.clone() }
    }

    /// Reads the part into an empty queue.
    ///
    /// # Errors
    ///
    /// Whatever is no state of the queue, or contradicts the sessions.
    pub(in crate::machine) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
    ) -> Result<(), RestoreError> {
        let mut ids = Vec::new();
        for _ in 0..reader.count("topics", self.limits.topics)? {
            let name = reader.name("topic")?;
            rises("topics", self.topics.get_max(), &name)?;
            let TopicHead { settings, totals, rates } = reader.item()?;
            restored::check_settings(&name, &settings)?;
            restored::check_rates(restoring.time, &name, &rates, &totals)?;
            let mut topic = Topic { totals, rates: Rates::of(rates), ..Topic::new(settings) };
            topic.read_messages(&name, reader, restoring)?;
            self.read_line(&name, &mut topic, reader, restoring)?;
            topic.producers = read_producers(reader, restoring, self.limits.producers)?;
            topic.consumers = self.read_consumers(&name, reader, restoring)?;
            restored::check_topic(restoring.time, &name, &topic)?;
            ids.extend(topic.messages.keys().copied());
            self.topics.insert(name.clone(), Arc::new(topic));
            self.relist(&name);
        }
        ids.sort_unstable();
        ensure(ids.windows(2).all(|pair| pair[0] < pair[1]), || "a message is in two topics".to_owned())
    }

    fn read_line(
        &mut self,
        name: &Name,
        topic: &mut Topic,
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
    ) -> Result<(), RestoreError> {
        for _ in 0..reader.count("waiting commands of one topic", self.limits.waiting)? {
            let (ticket, record): (LogIndex, WaiterRecord) = reader.item()?;
            rises("waiting commands", topic.line.get_max(), &ticket)?;
            restored::check_waiter(restoring, ticket, &record)?;
            let WaiterRecord { session, sequence, count_max, visibility_us, deadline } = record;
            let by = Asker { session, sequence };
            restoring.waits(by, Service::Queue)?;
            self.waits.insert(by, (name.clone(), ticket));
            topic.wait(ticket, Waiter { by, count_max, visibility_us, deadline });
        }
        Ok(())
    }

    fn read_consumers(
        &mut self,
        name: &Name,
        reader: &mut Reader<'_>,
        restoring: &Restoring<'_>,
    ) -> Result<OrdSet<SessionId>, RestoreError> {
        let mut consumers = OrdSet::new();
        for _ in 0..reader.count("consumers of one topic", restoring.sessions.max())? {
            let session: SessionId = reader.item()?;
            let last: Option<&SessionId> = consumers.get_max();
            ensure(last.is_none_or(|&last| last < session), || "its consumers are out of order".to_owned())?;
            ensure(restoring.sessions.open.contains_key(&session), || {
                format!("{session} consumes and is not open")
            })?;
            consumers.insert(session);
            self.asked.insert((session, name.clone()));
        }
        Ok(consumers)
    }
}

impl Topic {
    fn head_of(&self, id: MessageId, message: &Message) -> MessageHead {
        let body = &message.body;
        MessageHead {
            enqueued_at: body.enqueued_at(),
            expires: body.expires(),
            priority: message.priority,
            headers: body.headers().to_vec(),
            group: body.group().map(|group| group.to_string()),
            origin: body.home().map(|home| home.origin()),
            state: message.state,
            until: message.until,
            deliveries: message.deliveries,
            attempts: message.attempts,
            death: self.dead.get(&id).copied(),
        }
    }

    /// What comes after the messages.
    fn write_rest(&self, buffer: &mut Vec<u8>) {
        put(buffer, &self.line.len());
        for (ticket, waiter) in &self.line {
            let &Waiter { by: Asker { session, sequence }, count_max, visibility_us, deadline } = waiter;
            put(buffer, &(ticket, WaiterRecord { session, sequence, count_max, visibility_us, deadline }));
        }
        let producers = &self.producers.table;
        let producers = if plant::is(Bug::QueueDedupePerNode) { &Table::new() } else { producers };
        put(buffer, &producers.len());
        producers.iter().for_each(|producer| put(buffer, &producer));
        put(buffer, &self.consumers.len());
        self.consumers.iter().for_each(|session| put(buffer, session));
    }

    fn read_messages(
        &mut self,
        name: &Name,
        reader: &mut Reader<'_>,
        restoring: &Restoring<'_>,
    ) -> Result<(), RestoreError> {
        for _ in 0..reader.count("messages of one topic", DEPTH_MAX as usize)? {
            let (id, head, payload): (MessageId, MessageHead, Bytes) = reader.item()?;
            rises("messages", self.messages.get_max(), &id)?;
            restored::check_message(restoring, name, id, &head, payload.len())?;
            let MessageHead { enqueued_at, expires, priority, headers, group, origin, .. } = head;
            let group = group.map(|group| self.shelves.shared_name(&group));
            if let Some(group) = &group
                && head.state == State::InFlight
            {
                let is_first = !self.shelves.is_in_flight(group) || plant::is(Bug::QueueGroupParallel);
                ensure(is_first, || format!("two messages of the group {group} are in flight"))?;
            }
            if let Some(death) = head.death {
                self.dead.insert(id, death);
            }
            let home = origin.map(|Origin { topic, death, attempts }| {
                Home::new(self.shelves.shared_home(&topic), death, attempts)
            });
            let body = Body::new(enqueued_at, expires, Rare { headers, group, home }, &payload);
            let MessageHead { state, until, deliveries, attempts, .. } = head;
            self.admit(id, Message { body, until, deliveries, attempts, state, priority });
        }
        Ok(())
    }
}

fn read_producers(
    reader: &mut Reader<'_>,
    restoring: &Restoring<'_>,
    max: usize,
) -> Result<Producers, RestoreError> {
    let mut producers = Producers::default();
    for _ in 0..reader.count("producers of one topic", max.min(PRODUCERS_MAX))? {
        let (id, producer): (ProducerId, Producer) = reader.item()?;
        rises("producers", producers.table.get_max(), &id)?;
        restored::check_producer(restoring, id, &producer)?;
        let earlier = producers.by_use.insert(producer.used, id);
        ensure(earlier.is_none(), || "one entry was two producers'".to_owned())?;
        producers.table.insert(id, producer);
    }
    Ok(producers)
}
