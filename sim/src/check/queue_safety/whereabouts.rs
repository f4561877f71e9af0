//! Where each message was for certain, and from when until when.
//!
//! What is there stays there until something takes it away, and what can is on record: deliveries that somebody was
//! answered, dequeues of which nobody knows, requests about deliveries, and times that may be over as soon as the fastest
//! clock has counted them. So a span begins with an answer that shows where the message is, and ends with the request, or
//! the moment, that may change it first. Of messages that other topics gave up it is known where they are only while
//! they are in flight.
//!
//! A dequeue of unknown outcome may have taken any message that lies ready. A span that the next delivery proves, by the
//! number of its attempt, knows of no such; of the others there may be as many too many as those dequeues asked for.

use super::declared::{AttemptsEver, attempts_ever};
use super::free::Free;
use super::journal::{Ask, Asked, By, Handed, Journal, Story};
use super::leases::lease_ends;
use crate::check::by_name::ByName;
use crate::check::drift::Drift;
use crate::history::VirtualTime;

const NEVER: VirtualTime = VirtualTime(u64::MAX);

/// From after one moment until before another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) since_ns: VirtualTime,
    pub(super) until_ns: VirtualTime,
}

/// What is certain of one topic's messages.
#[derive(Default)]
pub(super) struct Whereabouts<'j> {
    /// Those that lay ready, or waited for their group's turn.
    pub(super) ready: Vec<Free<'j>>,
    /// Those that were held back.
    pub(super) delayed: Vec<Span>,
    /// Those under a lease.
    pub(super) in_flight: Vec<Span>,
    /// Those that were there, in whatever state.
    pub(super) held: Vec<Span>,
    /// By when each delivery was over, if that is certain.
    pub(super) over: Vec<VirtualTime>,
    /// By when each message was given up, if that is certain.
    pub(super) given_up: Vec<VirtualTime>,
    /// When each delivery that may be a last attempt may have been over first, without an acknowledgement.
    pub(super) giving_up: Vec<VirtualTime>,
}

/// Of all topics.
pub(super) fn whereabouts<'j>(journal: &'j Journal<'_>, drift: Drift) -> ByName<'j, Whereabouts<'j>> {
    let attempts =
        journal.topics.iter().map(|(name, topic)| (name, attempts_ever(&topic.declared))).collect();
    let topics = journal.topics.names().map(|name| (name, Whereabouts::default())).collect();
    let mut search = Search { journal, drift, attempts, topics };
    let mut all = journal.by_message().peekable();
    for story in &journal.stories {
        let number = story.message.number;
        let number_of = |handed: &[Handed<'_>]| handed.first().map(|one| one.delivery.message);
        while all.next_if(|handed| number_of(handed) < Some(number)).is_some() {}
        search.note(story, all.next_if(|handed| number_of(handed) == Some(number)).unwrap_or_default());
    }
    search.topics
}

struct Search<'j, 'a> {
    journal: &'j Journal<'a>,
    drift: Drift,
    attempts: ByName<'j, AttemptsEver>,
    topics: ByName<'j, Whereabouts<'j>>,
}

fn is_end(asked: &&Asked<'_>) -> bool {
    !matches!(asked.ask, Ask::Extend { .. })
}

impl<'j, 'a> Search<'j, 'a> {
    fn note(&mut self, story: &'j Story<'a>, handed: &'j [Handed<'a>]) {
        let is_at_home = |one: &&Handed<'_>| one.topic == story.topic && !one.delivery.given_up;
        let home = &handed[..handed.iter().take_while(is_at_home).count()];
        self.comes(story, home.first());
        for (place, one) in home.iter().enumerate() {
            self.comes_back(story, one, home.get(place + 1));
        }
        self.stays(story, home);
        for (place, one) in handed.iter().enumerate() {
            self.is_out(story, one, handed.get(place + 1), place < home.len());
        }
    }

    fn topic(&mut self, name: &'j str) -> &mut Whereabouts<'j> {
        self.topics.or_default(name)
    }

    /// The earliest end of a message's life.
    fn life(&self, story: &Story<'_>) -> VirtualTime {
        story.message.ttl_us.map_or(NEVER, |ttl_us| self.drift.earliest(story.asked_ns, ttl_us))
    }

    /// It comes into its topic, and stays as it is until somebody gets it or its life is over.
    fn comes(&mut self, story: &'j Story<'a>, first: Option<&Handed<'_>>) {
        let Some(there_ns) = story.there_ns else { return };
        let life = if first.is_some() { NEVER } else { self.life(story) };
        if story.message.delay_us > 0 {
            let until_ns = self.drift.earliest(story.asked_ns, story.message.delay_us).min(life);
            self.is_delayed(story.topic, there_ns, until_ns);
        } else {
            self.is_ready(story, (there_ns, story.there_by), first, (0, life));
        }
    }

    /// It was rejected, and comes back if it has attempts left.
    fn comes_back(&mut self, story: &'j Story<'a>, one: &Handed<'_>, next: Option<&Handed<'_>>) {
        let all = self.journal.asked_about(one);
        let Some((rejected, delay_us)) = all.iter().find_map(|asked| match asked.ask {
            Ask::Reject { delay_us } if asked.is_sure => Some((asked.operation, delay_us)),
            _ => None,
        }) else {
            return;
        };
        let (Some(back_ns), Some(there_ns)) = (rejected.returned_ns, story.there_ns) else { return };
        if next.is_none() && one.delivery.attempt >= self.attempts[story.topic].fewest(rejected.invoked_ns) {
            return;
        }
        let life = if next.is_some() { NEVER } else { self.life(story) };
        if delay_us > 0 {
            let until_ns = self.drift.earliest(rejected.invoked_ns, delay_us).min(life);
            self.is_delayed(story.topic, back_ns, until_ns);
        } else {
            let since =
                if back_ns >= there_ns { (back_ns, By::of(rejected)) } else { (there_ns, story.there_by) };
            self.is_ready(story, since, next, (one.delivery.attempt, life));
        }
    }

    fn is_delayed(&mut self, topic: &'j str, since_ns: VirtualTime, until_ns: VirtualTime) {
        if since_ns < until_ns {
            self.topic(topic).delayed.push(Span { since_ns, until_ns });
        }
    }

    /// It lies there after so many attempts, until it is delivered next.
    fn is_ready(
        &mut self,
        story: &'j Story<'a>,
        (since_ns, since_by): (VirtualTime, By),
        next: Option<&Handed<'_>>,
        (attempts, life): (u64, VirtualTime),
    ) {
        let (until_ns, until_by) =
            next.map_or((life, By::NOBODY), |next| (next.operation.invoked_ns, By::of(next.operation)));
        let is_proved = next.is_some_and(|next| Some(next.delivery.attempt) == attempts.checked_add(1));
        let is_back = attempts > 0;
        if since_ns < until_ns {
            let free = Free { story, since_ns, since_by, until_ns, until_by, is_back, is_proved };
            self.topic(story.topic).ready.push(free);
        }
    }

    /// It is there until it may have been acknowledged, its life may be over, or it may have been given up.
    fn stays(&mut self, story: &'j Story<'a>, home: &[Handed<'_>]) {
        let told = home.first().map(|first| first.returned_ns);
        let Some(since_ns) = story.there_ns.into_iter().chain(told).min() else { return };
        let topic = &self.journal.topics[story.topic];
        let last = home.last();
        // No earlier delivery is of use any more.
        let receipt = last.map_or(0, |last| last.delivery.receipt);
        let acknowledged =
            self.journal.asked_of_message(topic, story.message.number).iter().filter_map(|asked| {
                let may_end = asked.ask == Ask::Acknowledge && asked.about.1 >= receipt;
                may_end.then_some(asked.operation.invoked_ns)
            });
        let life = self.life(story).max(last.map_or(VirtualTime(0), |last| last.operation.invoked_ns));
        let tried_ns = last.map_or(story.asked_ns, |last| last.operation.invoked_ns);
        let fewest = self.attempts[story.topic].fewest(tried_ns);
        let tried = last.map_or(0, |last| last.delivery.attempt);
        let given_up = if topic.declared.is_empty() {
            NEVER
        } else if let Some(last) = last.filter(|_| tried >= fewest) {
            self.earliest_end(last)
        } else {
            // So many dequeues of which nobody knows must have used up the rest.
            let needed = usize::try_from(fewest - tried).unwrap_or(usize::MAX);
            topic.unknown.get(needed.saturating_sub(1)).map_or(NEVER, |dequeue| dequeue.invoked_ns)
        };
        let until_ns = acknowledged.chain([life, given_up]).min().unwrap_or(NEVER);
        if since_ns < until_ns {
            self.topic(story.topic).held.push(Span { since_ns, until_ns });
        }
    }

    /// When a delivery can be over first.
    fn earliest_end(&self, one: &Handed<'_>) -> VirtualTime {
        let ends = self.journal.asked_about(one).iter().filter(is_end);
        let lease = lease_ends(self.journal, self.drift, one);
        ends.map(|asked| asked.operation.invoked_ns).min().map_or(lease, |end| end.min(lease))
    }

    /// Somebody has it under a lease.
    fn is_out(&mut self, story: &Story<'_>, one: &Handed<'a>, next: Option<&Handed<'_>>, is_at_home: bool) {
        let earliest = self.earliest_end(one);
        let ends = self.journal.asked_about(one).iter().filter(is_end);
        let done =
            ends.filter(|asked| asked.is_sure).find_map(|asked| Some((asked, asked.operation.returned_ns?)));
        let over =
            done.map(|(_, done_ns)| done_ns).into_iter().chain(next.map(|next| next.returned_ns)).min();
        let attempts = self.attempts[one.topic];
        let may_be_last = one.delivery.attempt >= attempts.fewest(one.operation.invoked_ns);
        let was_last =
            attempts.most(one.operation.invoked_ns).is_some_and(|most| one.delivery.attempt >= most);
        let life = self.life(story);
        let topic = self.topic(one.topic);
        if one.returned_ns < earliest {
            topic.in_flight.push(Span { since_ns: one.returned_ns, until_ns: earliest });
        }
        topic.over.extend(over);
        let is_acknowledged = done.is_some_and(|(asked, _)| asked.ask == Ask::Acknowledge);
        if may_be_last && !is_acknowledged {
            topic.giving_up.push(earliest);
        }
        let rejected = done.filter(|_| !is_acknowledged).map(|(_, done_ns)| done_ns);
        topic.given_up.extend(rejected.filter(|done_ns| was_last && is_at_home && *done_ns < life));
    }
}
