//! A history read as the story of each message and of each topic.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::declared::{self, Declared};
use crate::check::by_name::ByName;
use crate::history::{Answer, Call, Delivery, History, Message, Operation, Outcome, TopicSeen, VirtualTime};

/// An operation, by which client: what a client did is in order at one instant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct By {
    client: u64,
    operation: u64,
}

impl By {
    /// No operation of anybody.
    pub(super) const NOBODY: Self = Self { client: u64::MAX, operation: u64::MAX };

    pub(super) const fn of(operation: &Operation) -> Self {
        Self { client: operation.client, operation: operation.id }
    }

    /// Whether the same client did this first.
    pub(super) const fn came_before(self, other: Self) -> bool {
        self.client == other.client && self.operation < other.operation
    }
}

/// What became of one message, as its producer knows.
#[derive(Clone, Debug)]
pub(super) struct Story<'a> {
    pub(super) message: &'a Message,
    pub(super) topic: &'a str,
    /// When it was asked for first: it was not there before.
    pub(super) asked_ns: VirtualTime,
    /// Who asked for it first.
    pub(super) asked_by: By,
    /// When it was known to be there first.
    pub(super) there_ns: Option<VirtualTime>,
    /// Who was told then; whoever asked first, if nobody was.
    pub(super) there_by: By,
    /// Its place among those that were asked for with it.
    pub(super) place: usize,
    /// The operation that asked for it first.
    pub(super) operation: u64,
}

/// One message delivered once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed<'a> {
    pub(super) operation: &'a Operation,
    pub(super) topic: &'a str,
    pub(super) delivery: &'a Delivery,
    pub(super) visibility_us: u64,
    pub(super) returned_ns: VirtualTime,
    /// What was asked about it: from where on in [`Journal::asked`], and how much.
    asked: (u32, u32),
    /// The message's story in [`Journal::stories`], if its producer is known.
    story: Option<u32>,
}

/// What a consumer asked about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Acknowledge,
    Reject { delay_us: u64 },
    Extend { visibility_us: u64 },
}

/// Such a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) operation: &'a Operation,
    /// About which delivery: its message and receipt.
    pub(super) about: (u64, u64),
    pub(super) ask: Ask,
    /// Whether it was done for sure; if not, it may have been, or may yet be.
    pub(super) is_sure: bool,
    /// Whether somebody was answered with that delivery, in that topic.
    pub(super) is_of_known: bool,
}

/// What happened to one topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Topic<'a> {
    /// In the order of the requests.
    pub(super) deliveries: Vec<Handed<'a>>,
    /// Dequeues that got nothing.
    pub(super) empty: Vec<&'a Operation>,
    /// Dequeues that may have got something that nobody knows of.
    pub(super) unknown: Vec<&'a Operation>,
    /// Requests about a message's delivery that found it stale, in the order of messages and receipts.
    pub(super) stale: Vec<(&'a Operation, (u64, u64))>,
    /// What was asked about messages' deliveries, until all is noted.
    noted: Vec<Asked<'a>>,
    /// From then on, where that is in [`Journal::asked`].
    asked: Range<usize>,
    /// Its counts, as they were stated.
    pub(super) counts: Vec<(&'a Operation, TopicSeen)>,
    /// What was declared of it, in the order of the requests.
    pub(super) declared: Vec<Declared<'a>>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal<'a> {
    /// In the order of their numbers.
    pub(super) stories: Vec<Story<'a>>,
    pub(super) topics: ByName<'a, Topic<'a>>,
    /// By topic, those that were ever declared to give up into it.
    sources: BTreeMap<&'a str, Vec<&'a str>>,
    /// All deliveries, by message, and for each message in the order of their receipts.
    handed: Vec<Handed<'a>>,
    /// What was asked about deliveries: by topic, message and receipt, and for each delivery in the order of the
    /// requests.
    asked: Vec<Asked<'a>>,
}

impl<'a> Journal<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut journal = Self::default();
        for operation in &history.operations {
            if !matches!(operation.outcome, Outcome::Fail { .. }) {
                journal.note(operation);
            }
        }
        journal.merge_stories();
        let mut deliveries = 0;
        for (name, topic) in journal.topics.iter_mut() {
            declared::supersede(&mut topic.declared);
            for declared in &topic.declared {
                let sources = journal.sources.entry(declared.into).or_default();
                if sources.last() != Some(&name) {
                    sources.push(name);
                }
            }
            topic.stale.sort_unstable_by_key(|(operation, about)| (*about, operation.id));
            topic.file(&mut journal.asked, &journal.stories);
            // Long histories are judged in little more memory than they take.
            topic.deliveries.shrink_to_fit();
            deliveries += topic.deliveries.len();
        }
        journal.handed.reserve_exact(deliveries);
        journal.handed.extend(journal.topics.values().flat_map(|topic| &topic.deliveries).copied());
        journal.handed.sort_by_key(|handed| (handed.delivery.message, handed.delivery.receipt));
        journal
    }

    fn note(&mut self, operation: &'a Operation) {
        match &operation.call {
            Call::DeclareTopic { topic, attempts_max, dead_letter } => {
                self.topic(topic).declared.push(Declared::by(operation, *attempts_max, dead_letter));
            }
            Call::Enqueue { topic, messages, .. } => {
                self.topic(topic);
                self.note_enqueue(operation, topic, messages);
            }
            Call::Dequeue { topic, visibility_us, .. } => {
                self.topic(topic).note_dequeue(operation, topic, *visibility_us);
            }
            Call::Acknowledge { topic, message, receipt } => {
                self.topic(topic).note_asked(operation, (*message, *receipt), Ask::Acknowledge);
            }
            Call::Reject { topic, message, receipt, delay_us } => {
                let ask = Ask::Reject { delay_us: *delay_us };
                self.topic(topic).note_asked(operation, (*message, *receipt), ask);
            }
            Call::Extend { topic, message, receipt, visibility_us } => {
                let ask = Ask::Extend { visibility_us: *visibility_us };
                self.topic(topic).note_asked(operation, (*message, *receipt), ask);
            }
            Call::TopicStats { topic } => {
                if let Outcome::Ok { answer: Answer::Counts { seen } } = &operation.outcome {
                    self.topic(topic).counts.push((operation, **seen));
                }
            }
            _ => {}
        }
    }

    fn topic(&mut self, name: &'a str) -> &mut Topic<'a> {
        self.topics.or_default(name)
    }

    fn note_enqueue(&mut self, operation: &'a Operation, topic: &'a str, messages: &'a [Message]) {
        let is_sure = matches!(operation.outcome, Outcome::Ok { .. });
        let there_ns = operation.returned_ns.filter(|_| is_sure);
        for (place, message) in messages.iter().enumerate() {
            self.stories.push(Story {
                message,
                topic,
                asked_ns: operation.invoked_ns,
                asked_by: By::of(operation),
                there_ns,
                there_by: By::of(operation),
                place,
                operation: operation.id,
            });
        }
    }

    /// What was asked for several times is one story: there from the first answer on.
    fn merge_stories(&mut self) {
        self.stories.sort_by_key(|story| story.message.number);
        self.stories.dedup_by(|again, first| {
            let is_one = again.message.number == first.message.number;
            let is_earlier = |there| first.there_ns.is_none_or(|known| there < known);
            if is_one && again.there_ns.is_some_and(is_earlier) {
                (first.there_ns, first.there_by) = (again.there_ns, again.there_by);
            }
            is_one
        });
        self.stories.shrink_to_fit();
    }

    /// The story of a message that was delivered, if its producer is known.
    pub(super) fn story(&self, handed: &Handed<'_>) -> Option<&Story<'a>> {
        self.stories.get(handed.story? as usize)
    }

    /// The topics that may give up into this one.
    pub(super) fn sources_of(&self, topic: &str) -> impl Iterator<Item = (&'a str, &Topic<'a>)> {
        let sources = self.sources.get(topic).map_or(&[][..], Vec::as_slice);
        sources.iter().filter_map(|name| Some((*name, self.topics.get(name)?)))
    }

    /// The topics that messages may have come from to this one, by any number of steps.
    pub(super) fn all_sources_of(&self, topic: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = self.sources_of(topic).map(|(name, _)| name).collect();
        while let Some(name) = open.pop() {
            if let Some((name, _)) = self.topics.get_named(name)
                && found.insert(name)
            {
                open.extend(self.sources_of(name).map(|(name, _)| name));
            }
        }
        found
    }

    /// The topics that messages of this one may have gone to by then, by any number of steps.
    pub(super) fn beyond(&self, topic: &str, by: VirtualTime) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = vec![topic];
        while let Some(name) = open.pop() {
            let declared = self.topics.get(name).map_or(&[][..], |topic| topic.declared.as_slice());
            for declared in declared.iter().filter(|declared| declared.asked_ns <= by) {
                if found.insert(declared.into) {
                    open.push(declared.into);
                }
            }
        }
        found
    }

    /// Whether the message may have been in another topic between two deliveries of it.
    pub(super) fn may_have_left(&self, one: &Handed<'_>, next: &Handed<'_>) -> bool {
        let is_given_up = next.delivery.given_up;
        one.topic != next.topic
            || is_given_up && !one.delivery.given_up
            || is_given_up && self.beyond(one.topic, next.returned_ns).contains(one.topic)
    }

    /// All deliveries of each message, in the order of their receipts.
    pub(super) fn by_message(&self) -> impl Iterator<Item = &[Handed<'a>]> {
        self.handed.chunk_by(|one, other| one.delivery.message == other.delivery.message)
    }

    /// The delivery of this message under this receipt, if one is known.
    pub(super) fn delivery(&self, about: (u64, u64)) -> Option<&Handed<'a>> {
        let key = |handed: &Handed<'_>| (handed.delivery.message, handed.delivery.receipt);
        let place = self.handed.partition_point(|handed| key(handed) < about);
        self.handed.get(place).filter(|handed| key(handed) == about)
    }

    /// Whether something was asked about a delivery that found it stale.
    pub(super) fn found_stale(&self, handed: &Handed<'_>) -> bool {
        let key = (handed.delivery.message, handed.delivery.receipt);
        let stale = self.topics.get(handed.topic).map_or(&[][..], |topic| topic.stale.as_slice());
        stale.binary_search_by_key(&key, |(_, about)| *about).is_ok()
    }

    /// What was asked about a delivery.
    pub(super) fn asked_about(&self, handed: &Handed<'_>) -> &[Asked<'a>] {
        let (from, count) = handed.asked;
        &self.asked[from as usize..][..count as usize]
    }

    /// What was asked about deliveries of a topic: by message and receipt, and for each in the order of the requests.
    pub(super) fn asked_in(&self, topic: &Topic<'_>) -> &[Asked<'a>] {
        &self.asked[topic.asked.clone()]
    }

    /// What was asked about any delivery of a message in a topic.
    pub(super) fn asked_of_message(&self, topic: &Topic<'_>, message: u64) -> &[Asked<'a>] {
        within(self.asked_in(topic), (message, 0), (message, u64::MAX)).1
    }
}

/// What was asked about deliveries from one to another, these included, and where that begins.
fn within<'s, 'a>(all: &'s [Asked<'a>], first: (u64, u64), last: (u64, u64)) -> (usize, &'s [Asked<'a>]) {
    let from = all.partition_point(|asked| asked.about < first);
    let rest = &all[from..];
    (from, &rest[..rest.iter().take_while(|asked| asked.about <= last).count()])
}

impl<'a> Topic<'a> {
    fn note_dequeue(&mut self, operation: &'a Operation, topic: &'a str, visibility_us: u64) {
        let (Outcome::Ok { answer: Answer::Delivered { deliveries } }, Some(returned_ns)) =
            (&operation.outcome, operation.returned_ns)
        else {
            return self.unknown.push(operation);
        };
        if deliveries.is_empty() {
            return self.empty.push(operation);
        }
        let handed = |delivery: &'a Delivery| Handed {
            operation,
            topic,
            delivery,
            visibility_us,
            returned_ns,
            asked: (0, 0),
            story: None,
        };
        self.deliveries.extend(deliveries.iter().map(handed));
    }

    /// When it was first asked that this topic give up into that one.
    pub(super) fn first_into(&self, into: &str) -> Option<VirtualTime> {
        self.declared.iter().find(|declared| declared.into == into).map(|declared| declared.asked_ns)
    }

    /// A request that found the delivery stale did nothing.
    fn note_asked(&mut self, operation: &'a Operation, about: (u64, u64), ask: Ask) {
        let is_sure = match &operation.outcome {
            Outcome::Ok { answer: Answer::Stale } => return self.stale.push((operation, about)),
            outcome => matches!(outcome, Outcome::Ok { .. }),
        };
        self.noted.push(Asked { operation, about, ask, is_sure, is_of_known: false });
    }

    /// Puts what was asked about its deliveries beside what was asked about others, and tells each delivery where, and where
    /// its message's story is.
    fn file(&mut self, all: &mut Vec<Asked<'a>>, stories: &[Story<'_>]) {
        let mut noted = std::mem::take(&mut self.noted);
        noted.sort_unstable_by_key(|asked| (asked.about, asked.operation.id));
        let start = all.len();
        // One after the other, so that what is next is near.
        let key = |handed: &Handed<'_>| (handed.delivery.message, handed.delivery.receipt);
        let mut order: Vec<((u64, u64), usize)> =
            self.deliveries.iter().enumerate().map(|(place, handed)| (key(handed), place)).collect();
        order.sort_unstable();
        let mut from = 0;
        for (key, place) in order {
            from += noted[from..].iter().take_while(|asked| asked.about < key).count();
            let about = noted[from..].iter_mut().take_while(|asked| asked.about == key);
            let count = about.map(|asked| asked.is_of_known = true).count();
            let story = stories.binary_search_by_key(&key.0, |story| story.message.number);
            let handed = &mut self.deliveries[place];
            // A history has fewer operations than that.
            handed.asked = (u32::try_from(start + from).unwrap_or(u32::MAX), count as u32);
            handed.story = story.ok().and_then(|place| u32::try_from(place).ok());
        }
        all.append(&mut noted);
        self.asked = start..all.len();
    }
}

impl Handed<'_> {
    /// For a counterexample.
    pub(super) fn text(&self) -> String {
        format!(
            "message {} of {:?} to operation #{} of client {} under receipt {} (attempt {}), asked for at {}, \
             answered at {}",
            self.delivery.message,
            self.topic,
            self.operation.id,
            self.operation.client,
            self.delivery.receipt,
            self.delivery.attempt,
            self.operation.invoked_ns,
            self.returned_ns
        )
    }
}
