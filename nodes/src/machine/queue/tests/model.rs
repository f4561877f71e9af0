//! The naive model: what the queue means, in flat lists that are searched from end to end. It shares the
//! vocabulary with the machine and nothing else.

use super::super::{
    Death, DeathReason, Delivery, NewMessage, Origin, QueueError, QueueEvent, QueueLimits, QueueReply,
    StoredMessage, TopicBound, TopicListing, TopicRecent, TopicSettings, TopicStats, TopicTotals,
};
use crate::ids::{ClusterTime, LogIndex, MessageId, ProducerId, Receipt, Sequence, SessionId};
use crate::machine::{LockError, MachineError, MachineEvent, Outcome, Reply};

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    Ready,
    Delayed(u64),
    InFlight(u64),
    Dead(Death),
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) id: MessageId,
    pub(super) said: NewMessage,
    pub(super) enqueued_at: u64,
    pub(super) expires: Option<u64>,
    pub(super) standing: Standing,
    pub(super) deliveries: u64,
    pub(super) attempts: u16,
    pub(super) origin: Option<Origin>,
}

#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) settings: TopicSettings,
    pub(super) totals: TopicTotals,
    /// When something was counted that has a rate, and what.
    pub(super) lately: Vec<(u64, TopicRecent)>,
    pub(super) consumers: Vec<SessionId>,
    pub(super) producers: Vec<Producer>,
}

#[derive(Clone, Debug)]
pub(super) struct Producer {
    pub(super) id: ProducerId,
    pub(super) used: LogIndex,
    pub(super) taken: Vec<(u64, MessageId)>,
}

#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) topic: String,
    pub(super) ticket: LogIndex,
    pub(super) session: SessionId,
    pub(super) sequence: Sequence,
    pub(super) count_max: u32,
    pub(super) visibility_us: u64,
    pub(super) until: u64,
}

/// The model's state.
pub(super) struct Queue {
    pub(super) limits: QueueLimits,
    /// What may still end by itself with this entry.
    pub(super) ends_left: usize,
    pub(super) index: LogIndex,
    pub(super) time: u64,
    pub(super) topics: Vec<Topic>,
    pub(super) messages: Vec<Message>,
    pub(super) waits: Vec<Wait>,
    pub(super) events: Vec<MachineEvent>,
    /// Commands that waited and are complete.
    pub(super) completed: Vec<(SessionId, Sequence, Outcome)>,
}

const BYTES_IN_REPLY: usize = 4 * 1024 * 1024;

impl Queue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            ends_left: 0,
            index: LogIndex(0),
            time: 0,
            topics: Vec::new(),
            messages: Vec::new(),
            waits: Vec::new(),
            events: Vec::new(),
            completed: Vec::new(),
        }
    }

    pub(super) fn topic_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.topics.iter().map(|topic| topic.name.clone()).collect();
        names.sort();
        names
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let ends = self.messages.iter().filter_map(Message::ends);
        ends.chain(self.waits.iter().map(|wait| wait.until)).min()
    }

    /// How many commands of a session wait, and how many topics count it among their consumers.
    pub(super) fn count_of(&self, session: SessionId) -> usize {
        let waits = self.waits.iter().filter(|wait| wait.session == session).count();
        waits + self.topics.iter().filter(|topic| topic.consumers.contains(&session)).count()
    }

    /// Everything of a session ends: its waits in the order of their numbers.
    pub(super) fn session_ended(&mut self, session: SessionId) {
        let mut ended: Vec<Wait> =
            self.waits.iter().filter(|wait| wait.session == session).cloned().collect();
        ended.sort_by_key(|wait| wait.sequence);
        for wait in ended {
            self.end_wait(&wait, Err(MachineError::SessionExpired));
        }
        for topic in &mut self.topics {
            topic.consumers.retain(|&consumer| consumer != session);
        }
    }

    /// What a retry is told, the first answer having been this.
    pub(super) fn again(&self, answer: &Outcome) -> Outcome {
        let Ok(Reply::Queue(QueueReply::Delivered(given))) = answer else { return answer.clone() };
        let (mut deliveries, mut over) = (Vec::new(), Vec::new());
        for delivery in given {
            let lasts = self.messages.iter().any(|message| {
                let is_it = message.id == delivery.id && message.deliveries == delivery.receipt.0;
                is_it && message.is_held_at(self.time)
            });
            if lasts {
                deliveries.push(delivery.clone());
            } else {
                over.push((delivery.id, delivery.receipt));
            }
        }
        if over.is_empty() {
            return answer.clone();
        }
        Ok(Reply::Queue(QueueReply::DeliveredBefore { deliveries, over }))
    }

    /// The client has let go of these.
    pub(super) fn cancel(&mut self, session: SessionId, sequence: Sequence) -> Outcome {
        if !self.waits.iter().any(|wait| (wait.session, wait.sequence) == (session, sequence)) {
            return Err(LockError::NotWaiting.into());
        }
        self.let_go(session, |number| number == sequence);
        Ok(Reply::Done)
    }

    pub(super) fn let_go(&mut self, session: SessionId, is_let_go: impl Fn(Sequence) -> bool) {
        let is_below = |wait: &&Wait| wait.session == session && is_let_go(wait.sequence);
        let mut ended: Vec<Wait> = self.waits.iter().filter(is_below).cloned().collect();
        ended.sort_by_key(|wait| wait.sequence);
        for wait in ended {
            self.end_wait(&wait, delivered(Vec::new()));
        }
    }

    pub(super) fn end_wait(&mut self, wait: &Wait, outcome: Outcome) {
        self.waits.retain(|other| other.ticket != wait.ticket);
        let (session, sequence) = (wait.session, wait.sequence);
        self.events.push(MachineEvent::Completed { session, sequence, outcome: outcome.clone() });
        self.completed.push((session, sequence, outcome));
    }

    pub(super) fn expire(&mut self) {
        let mut late: Vec<Wait> = self.waits.iter().filter(|wait| wait.until <= self.time).cloned().collect();
        late.sort_by_key(|wait| (wait.topic.clone(), wait.until, wait.ticket));
        late.truncate(self.ends_left);
        self.ends_left -= late.len();
        for wait in late {
            self.end_wait(&wait, delivered(Vec::new()));
        }
        let is_due = |message: &&Message| message.ends().is_some_and(|end| end <= self.time);
        let mut due: Vec<Message> = self.messages.iter().filter(is_due).cloned().collect();
        due.sort_by_key(|message| (message.topic.clone(), message.ends(), message.id));
        due.truncate(self.ends_left);
        self.ends_left -= due.len();
        for message in due {
            self.end(&message);
        }
        self.serve();
    }

    fn end(&mut self, message: &Message) {
        let (topic, id) = (message.topic.clone(), message.id);
        match message.standing {
            Standing::InFlight(_) => {
                self.topic(&topic).totals.lease_expired += 1;
                let receipt = Receipt(message.deliveries);
                self.tell(QueueEvent::LeaseExpired { topic: topic.into(), id, receipt });
                self.come_back(message, DeathReason::LeaseExpired, 0);
            }
            _ if message.expires.is_some_and(|expires| expires <= self.time) => self.forget_expired(message),
            _ => self.message(id).standing = Standing::Ready,
        }
    }

    fn forget_expired(&mut self, message: &Message) {
        self.messages.retain(|other| other.id != message.id);
        self.topic(&message.topic).totals.expired += 1;
        self.tell(QueueEvent::Expired { topic: message.topic.as_str().into(), id: message.id });
    }

    pub(super) fn come_back(&mut self, message: &Message, reason: DeathReason, delay_us: u64) -> bool {
        let time = self.time;
        if message.expires.is_some_and(|expires| expires <= time) {
            self.forget_expired(message);
            return false;
        }
        if message.attempts < self.topic(&message.topic).settings.attempts_max {
            self.message(message.id).standing =
                if delay_us > 0 { Standing::Delayed(time + delay_us) } else { Standing::Ready };
            return false;
        }
        let death = Death { reason, at: ClusterTime(time) };
        let to = self.topic(&message.topic).settings.dead_letter.clone();
        let to = to.filter(|to| self.make(to).is_ok() && self.room(to, 1, message.weight()).is_ok());
        self.topic(&message.topic).totals.dead_lettered += 1;
        if let Some(to) = &to {
            let origin = Origin { topic: message.topic.clone(), death, attempts: message.attempts };
            self.move_to(message, to, Some(origin));
        } else {
            self.message(message.id).standing = Standing::Dead(death);
        }
        let (topic, to) = (message.topic.as_str().into(), to.map(Into::into));
        self.tell(QueueEvent::DeadLettered { topic, id: message.id, reason, to });
        true
    }

    pub(super) fn move_to(&mut self, message: &Message, to: &str, origin: Option<Origin>) {
        self.topic(&message.topic).totals.moved_out += 1;
        self.topic(to).totals.moved_in += 1;
        let expires = self.topic(to).settings.ttl_us.map(|ttl_us| self.time + ttl_us);
        let moved = self.message(message.id);
        moved.topic = to.to_owned();
        moved.standing = Standing::Ready;
        moved.attempts = 0;
        moved.expires = expires;
        moved.origin = origin;
    }

    /// Gives what there is to those who wait, topic by topic, first come, first served.
    pub(super) fn serve(&mut self) {
        for topic in self.topic_names() {
            loop {
                let line = self.waits.iter().filter(|wait| wait.topic == topic);
                let first = line.min_by_key(|wait| wait.ticket).cloned();
                let Some(wait) = first.filter(|_| self.next_alive(&topic).is_some()) else { break };
                let deliveries = self.deliver(&topic, wait.count_max, wait.visibility_us);
                self.end_wait(&wait, delivered(deliveries));
            }
        }
    }

    /// The message of the topic that would be delivered next.
    pub(super) fn next(&self, topic: &str) -> Option<&Message> {
        let here = || self.messages.iter().filter(|message| message.topic == topic);
        let is_blocked = |message: &Message| {
            message.said.group.is_some()
                && here().filter(|other| other.said.group == message.said.group).any(|other| {
                    matches!(other.standing, Standing::InFlight(_))
                        || (other.id < message.id && !matches!(other.standing, Standing::Dead(_)))
                })
        };
        let free = here().filter(|message| message.standing == Standing::Ready && !is_blocked(message));
        free.min_by_key(|message| (255 - message.said.priority, message.id))
    }

    /// The same, unless its life is over and no entry has ended it yet.
    pub(super) fn next_alive(&self, topic: &str) -> Option<&Message> {
        self.next(topic).filter(|message| message.expires.is_none_or(|expires| expires > self.time))
    }

    pub(super) fn deliver(&mut self, topic: &str, count_max: u32, visibility_us: u64) -> Vec<Delivery> {
        let (mut deliveries, mut bytes) = (Vec::new(), 0);
        while deliveries.len() < count_max as usize {
            let Some(message) = self.next_alive(topic) else { break };
            bytes += message.weight() as usize;
            if bytes > BYTES_IN_REPLY && !deliveries.is_empty() {
                break;
            }
            let (id, until) = (message.id, self.time + visibility_us);
            let message = self.message(id);
            message.standing = Standing::InFlight(until);
            message.deliveries += 1;
            message.attempts += 1;
            let message = message.clone();
            let totals = &mut self.topic(topic).totals;
            totals.delivered += 1;
            totals.redelivered += u64::from(message.deliveries > 1);
            self.counted(topic, TopicRecent { delivered: 1, ..TopicRecent::default() });
            deliveries.push(Delivery {
                id,
                receipt: Receipt(message.deliveries),
                lease_until: ClusterTime(until),
                attempt: message.attempts,
                enqueued_at: ClusterTime(message.enqueued_at),
                priority: message.said.priority,
                group: message.said.group,
                headers: message.said.headers,
                payload: message.said.payload,
                origin: message.origin,
            });
        }
        deliveries
    }

    pub(super) fn stats(&self, name: &str) -> TopicStats {
        let topic = self.topics.iter().find(|topic| topic.name == name).expect("it exists");
        let here: Vec<&Message> = self.messages.iter().filter(|message| message.topic == name).collect();
        let count =
            |is: fn(&Standing) -> bool| here.iter().filter(|message| is(&message.standing)).count() as u64;
        let order = self.in_order(name);
        TopicStats {
            ready: count(|standing| *standing == Standing::Ready),
            deliverable: order.len() as u64,
            delayed: count(|standing| matches!(standing, Standing::Delayed(_))),
            in_flight: count(|standing| matches!(standing, Standing::InFlight(_))),
            dead: count(|standing| matches!(standing, Standing::Dead(_))),
            bytes: here.iter().map(|message| message.weight()).sum(),
            oldest_ready_us: order.iter().map(|message| self.time - message.enqueued_at).max(),
            waiting: self.waits.iter().filter(|wait| wait.topic == name).count() as u64,
            consumers: topic.consumers.len() as u64,
            totals: topic.totals,
            recent: self.recent(topic),
            settings: topic.settings.clone(),
        }
    }

    pub(super) fn counted(&mut self, topic: &str, what: TopicRecent) {
        let time = self.time;
        self.topic(topic).lately.push((time, what));
    }

    /// What was counted in the ten whole seconds before this one.
    fn recent(&self, topic: &Topic) -> TopicRecent {
        let second = self.time / 1_000_000;
        let mut sum = TopicRecent::default();
        for (time, what) in &topic.lately {
            if time / 1_000_000 < second && time / 1_000_000 + 10 >= second {
                sum.enqueued += what.enqueued;
                sum.delivered += what.delivered;
                sum.acknowledged += what.acknowledged;
            }
        }
        sum
    }

    /// What a peek shows.
    pub(super) fn peek(&self, topic: &str, count_max: usize) -> Vec<StoredMessage> {
        let order = self.in_order(topic).into_iter();
        let alive = order.filter(|message| message.expires.is_none_or(|expires| expires > self.time));
        alive.take(count_max).map(Message::stored).collect()
    }

    pub(super) fn peek_dead(&self, topic: &str, count_max: usize) -> Vec<StoredMessage> {
        let here = self.messages.iter().filter(|message| message.topic == topic);
        let mut dead: Vec<&Message> =
            here.filter(|message| matches!(message.standing, Standing::Dead(_))).collect();
        dead.sort_by_key(|message| message.id);
        dead.into_iter().take(count_max).map(Message::stored).collect()
    }

    pub(super) fn list(&self) -> Vec<TopicListing> {
        let listing = |topic: String| {
            let here = self.messages.iter().filter(|message| message.topic == topic);
            let (depth, bytes) = here.fold((0, 0), |(n, bytes), message| (n + 1, bytes + message.weight()));
            TopicListing { topic, depth, bytes }
        };
        self.topic_names().into_iter().map(listing).collect()
    }

    /// The messages that could be delivered, in order: each is the first of those left, as far as its group
    /// lets it.
    fn in_order(&self, topic: &str) -> Vec<&Message> {
        let mut free: Vec<&Message> = self
            .messages
            .iter()
            .filter(|message| message.topic == topic && message.standing == Standing::Ready)
            .filter(|message| !self.is_held_up(message))
            .collect();
        free.sort_by_key(|message| (255 - message.said.priority, message.id));
        free
    }

    fn is_held_up(&self, message: &Message) -> bool {
        let Some(group) = &message.said.group else { return false };
        self.messages
            .iter()
            .filter(|other| other.topic == message.topic && other.said.group.as_ref() == Some(group))
            .any(|other| match other.standing {
                Standing::InFlight(_) => true,
                Standing::Dead(_) => false,
                Standing::Ready | Standing::Delayed(_) => other.id < message.id,
            })
    }

    pub(super) fn exists(&self, topic: &str) -> bool {
        self.topics.iter().any(|other| other.name == topic)
    }

    pub(super) fn known(&self, topic: &str) -> Result<(), QueueError> {
        if self.exists(topic) { Ok(()) } else { Err(QueueError::UnknownTopic) }
    }

    pub(super) fn make(&mut self, topic: &str) -> Result<(), QueueError> {
        if self.exists(topic) {
            return Ok(());
        }
        self.add_topic(topic)?;
        self.tell(QueueEvent::TopicMade { topic: topic.into() });
        Ok(())
    }

    pub(super) fn add_topic(&mut self, topic: &str) -> Result<(), QueueError> {
        if self.topics.len() == self.limits.topics {
            return Err(QueueError::TooManyTopics);
        }
        self.topics.push(Topic {
            name: topic.to_owned(),
            settings: TopicSettings::default(),
            totals: TopicTotals::default(),
            lately: Vec::new(),
            consumers: Vec::new(),
            producers: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn settings_of(&self, topic: &str) -> TopicSettings {
        let topic = self.topics.iter().find(|other| other.name == topic);
        topic.map_or_else(TopicSettings::default, |topic| topic.settings.clone())
    }

    pub(super) fn room(&self, topic: &str, messages: u64, bytes: u64) -> Result<(), QueueError> {
        let settings = self.settings_of(topic);
        let here = self.messages.iter().filter(|message| message.topic == topic);
        let (depth, held) = here.fold((0, 0), |(n, bytes), message| (n + 1, bytes + message.weight()));
        if depth + messages > settings.depth_max {
            return Err(QueueError::Full { bound: TopicBound::Depth, max: settings.depth_max });
        }
        if held + bytes > settings.bytes_max {
            return Err(QueueError::Full { bound: TopicBound::Bytes, max: settings.bytes_max });
        }
        Ok(())
    }

    pub(super) fn room_if_there(&self, topic: &str, messages: u64, bytes: u64) -> Result<(), QueueError> {
        if self.exists(topic) { self.room(topic, messages, bytes) } else { Ok(()) }
    }

    pub(super) fn topic(&mut self, name: &str) -> &mut Topic {
        self.topics.iter_mut().find(|topic| topic.name == name).expect("it exists")
    }

    pub(super) fn message(&mut self, id: MessageId) -> &mut Message {
        self.messages.iter_mut().find(|message| message.id == id).expect("it is there")
    }

    fn tell(&mut self, event: QueueEvent) {
        self.events.push(MachineEvent::Queue(event));
    }
}

impl Message {
    /// When something about it ends.
    fn ends(&self) -> Option<u64> {
        match self.standing {
            Standing::Ready => self.expires,
            Standing::Delayed(until) => Some(self.expires.map_or(until, |expires| expires.min(until))),
            Standing::InFlight(until) => Some(until),
            Standing::Dead(_) => None,
        }
    }

    pub(super) fn weight(&self) -> u64 {
        weight(&self.said)
    }

    /// Whether somebody has it in hand, and may say something of it.
    pub(super) fn is_held_at(&self, time: u64) -> bool {
        matches!(self.standing, Standing::InFlight(until) if until > time)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.standing, Standing::InFlight(_))
    }

    fn stored(&self) -> StoredMessage {
        StoredMessage {
            id: self.id,
            attempts: self.attempts,
            enqueued_at: ClusterTime(self.enqueued_at),
            priority: self.said.priority,
            group: self.said.group.clone(),
            headers: self.said.headers.clone(),
            payload: self.said.payload.clone(),
            origin: self.origin.clone(),
            death: if let Standing::Dead(death) = self.standing { Some(death) } else { None },
        }
    }
}

pub(super) fn weight(said: &NewMessage) -> u64 {
    let headers: usize = said.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (said.payload.len() + headers + said.headers.len() * 48 + said.group.as_ref().map_or(0, String::len))
        as u64
}

fn delivered(deliveries: Vec<Delivery>) -> Outcome {
    Ok(Reply::Queue(QueueReply::Delivered(deliveries)))
}
