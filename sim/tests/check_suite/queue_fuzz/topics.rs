//! Topics too simple to be wrong: one list of messages, looked through from its beginning each time. Flaws can be planted.

use rand::RngExt;
use stormglass_sim::history::{Delivery, Message, TopicSeen};
use stormglass_sim::rng::StreamRng;

/// What a topic may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Gives out the second message before the first.
    PassesOver,
    /// Answers nothing although there is something.
    AnswersNothing,
    /// Leaves a consumer waiting when something comes.
    ForgetsWho,
    /// Gives out what somebody has under a lease.
    DeliversTwice,
    /// Drops a message that was sent.
    Loses,
    /// Answers an acknowledgement and does nothing.
    ForgetsAcknowledgement,
    /// Gives out what is held back.
    IgnoresDelay,
    /// Brings back what has no attempts left.
    TriesTooOften,
    /// Gives a message up before its last attempt.
    GivesUpEarly,
    /// Drops what goes to another topic.
    LosesOnTheWay,
    /// Ends a life at once.
    ExpiresEarly,
    /// Gives out two of a group.
    IgnoresGroups,
    /// Counts what is in flight as ready.
    CountsFlightAsReady,
    /// Counts what is ready as in flight.
    CountsReadyAsFlight,
    /// Counts what is held back as ready.
    CountsDelayedAsReady,
    /// States counts that it stated before.
    CountsOfBefore,
    /// Counts a message that came from nowhere.
    CountsOneFromNowhere,
    /// Counts a message as given up that is ready.
    CountsReadyAsGivenUp,
    /// Counts what was given up as ready.
    CountsGivenUpAsReady,
}

impl Flaw {
    pub(crate) const ALL: [Self; 19] = [
        Self::PassesOver,
        Self::AnswersNothing,
        Self::ForgetsWho,
        Self::DeliversTwice,
        Self::Loses,
        Self::ForgetsAcknowledgement,
        Self::IgnoresDelay,
        Self::TriesTooOften,
        Self::GivesUpEarly,
        Self::LosesOnTheWay,
        Self::ExpiresEarly,
        Self::IgnoresGroups,
        Self::CountsFlightAsReady,
        Self::CountsReadyAsFlight,
        Self::CountsDelayedAsReady,
        Self::CountsOfBefore,
        Self::CountsOneFromNowhere,
        Self::CountsReadyAsGivenUp,
        Self::CountsGivenUpAsReady,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Delayed,
    InFlight,
    Dead,
}

/// A message that is somewhere. Its place in the list is its place in order.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) message: Message,
    pub(crate) topic: usize,
    pub(crate) state: State,
    /// Rises whenever its state or its lease changes: what was to end before does not.
    pub(crate) change: u64,
    is_past_its_life: bool,
    attempts: u64,
    receipt: u64,
    given_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    attempts_max: u64,
    into: Option<usize>,
}

/// All topics.
pub(crate) struct Topics {
    pub(crate) items: Vec<Item>,
    settings: Vec<Settings>,
    totals: Vec<TopicSeen>,
    /// Counts that were stated, by topic.
    stated: Vec<Vec<TopicSeen>>,
    enqueued: Vec<u64>,
    flaw: Option<Flaw>,
    /// How often the flaw showed.
    pub(crate) shown: u64,
    pub(crate) rng: StreamRng,
}

impl Topics {
    pub(crate) fn new(count: usize, flaw: Option<Flaw>, rng: StreamRng) -> Self {
        Self {
            items: Vec::new(),
            settings: vec![Settings { attempts_max: 20, into: None }; count],
            totals: vec![TopicSeen::default(); count],
            stated: vec![Vec::new(); count],
            enqueued: Vec::new(),
            flaw,
            shown: 0,
            rng,
        }
    }

    /// Whether the flaw shows now, where it could.
    fn is_flawed(&mut self, flaw: Flaw) -> bool {
        let shows = self.flaw == Some(flaw) && self.rng.random_bool(0.4);
        self.shown += u64::from(shows);
        shows
    }

    pub(crate) fn declare(&mut self, topic: usize, attempts_max: u64, into: usize) {
        self.settings[topic] = Settings { attempts_max, into: Some(into) };
    }

    /// The places of those that came; nothing if they had come before.
    pub(crate) fn enqueue(&mut self, topic: usize, messages: &[Message]) -> Vec<usize> {
        if self.enqueued.contains(&messages[0].number) {
            return Vec::new();
        }
        self.enqueued.push(messages[0].number);
        let from = self.items.len();
        for message in messages {
            self.totals[topic].enqueued += 1;
            if self.is_flawed(Flaw::Loses) {
                self.totals[topic].acknowledged += 1;
                continue;
            }
            let state = if message.delay_us > 0 { State::Delayed } else { State::Ready };
            self.items.push(Item {
                message: *message,
                topic,
                state,
                change: 0,
                is_past_its_life: false,
                attempts: 0,
                receipt: 0,
                given_up: false,
            });
        }
        (from..self.items.len()).collect()
    }

    /// Those that could be delivered, in order.
    fn free(&mut self, topic: usize) -> Vec<usize> {
        let ignores_groups = self.flaw == Some(Flaw::IgnoresGroups);
        let here = |item: &Item| item.topic == topic && item.state != State::Dead;
        let mut free: Vec<usize> = Vec::new();
        for (place, item) in self.items.iter().enumerate().filter(|(_, item)| here(item)) {
            let group = item.message.group;
            let mut others = self.items.iter().enumerate().filter(|(other, one)| {
                here(one) && *other != place && group.is_some() && one.message.group == group
            });
            let waits = others.any(|(other, one)| other < place || one.state == State::InFlight);
            if item.state == State::Ready && (!waits || ignores_groups) {
                self.shown += u64::from(waits);
                free.push(place);
            }
        }
        free.sort_by_key(|place| (std::cmp::Reverse(self.items[*place].message.priority), *place));
        free
    }

    pub(crate) fn has_some(&mut self, topic: usize) -> bool {
        !self.free(topic).is_empty() && !self.is_flawed(Flaw::ForgetsWho)
    }

    /// Gives out so many, with their places.
    pub(crate) fn deliver(&mut self, topic: usize, count_max: u64) -> Vec<(usize, Delivery)> {
        let mut delivered: Vec<(usize, Delivery)> = Vec::new();
        if !self.free(topic).is_empty() && self.is_flawed(Flaw::AnswersNothing) {
            return delivered;
        }
        while (delivered.len() as u64) < count_max {
            let free = self.free(topic);
            let mut next = free.first().copied();
            if free.len() > 1 && self.is_flawed(Flaw::PassesOver) {
                next = Some(free[1]);
            }
            for (flaw, state) in
                [(Flaw::DeliversTwice, State::InFlight), (Flaw::IgnoresDelay, State::Delayed)]
            {
                let given = |place: usize| delivered.iter().any(|(other, _)| *other == place);
                let wrong = (0..self.items.len()).find(|place| {
                    let item = &self.items[*place];
                    item.topic == topic && item.state == state && !given(*place)
                });
                if wrong.is_some() && self.is_flawed(flaw) {
                    next = wrong;
                }
            }
            let Some(place) = next else { break };
            let item = &mut self.items[place];
            item.state = State::InFlight;
            item.change += 1;
            item.attempts += 1;
            item.receipt += 1;
            let delivery = Delivery {
                message: item.message.number,
                id: place as u64,
                receipt: item.receipt,
                attempt: item.attempts,
                given_up: item.given_up,
            };
            delivered.push((place, delivery));
        }
        delivered
    }

    /// The message that is in flight by this delivery.
    pub(crate) fn in_hand(&self, topic: usize, number: u64, receipt: u64) -> Option<usize> {
        self.items.iter().position(|item| {
            item.topic == topic
                && item.message.number == number
                && item.state == State::InFlight
                && item.receipt == receipt
        })
    }

    pub(crate) fn acknowledge(&mut self, place: usize) {
        if !self.is_flawed(Flaw::ForgetsAcknowledgement) {
            self.totals[self.items[place].topic].acknowledged += 1;
            self.leave(place);
        }
    }

    /// It is nowhere any more.
    fn leave(&mut self, place: usize) {
        self.items[place].topic = usize::MAX;
        self.items[place].change += 1;
    }

    /// Its life is over.
    pub(crate) fn end_life(&mut self, place: usize) {
        self.items[place].is_past_its_life = true;
        if matches!(self.items[place].state, State::Ready | State::Delayed) {
            self.totals[self.items[place].topic].expired += 1;
            self.leave(place);
        }
    }

    pub(crate) fn expires_early(&mut self) -> bool {
        self.is_flawed(Flaw::ExpiresEarly)
    }

    /// It was in flight or held back, and comes back, perhaps held back. Whether it is held back now.
    pub(crate) fn come_back(&mut self, place: usize, delay_us: u64) -> bool {
        self.items[place].change += 1;
        if self.items[place].is_past_its_life {
            self.items[place].state = State::Ready;
            self.end_life(place);
            return false;
        }
        let Settings { attempts_max, into } = self.settings[self.items[place].topic];
        let was_out = self.items[place].state == State::InFlight;
        let mut is_last = was_out && self.items[place].attempts >= attempts_max;
        if is_last && self.is_flawed(Flaw::TriesTooOften) {
            is_last = false;
        }
        if was_out && !is_last && self.is_flawed(Flaw::GivesUpEarly) {
            is_last = true;
        }
        // The other topic may be full.
        let is_full = self.rng.random_bool(0.1);
        let item = &mut self.items[place];
        item.state = if delay_us > 0 { State::Delayed } else { State::Ready };
        if !is_last {
            return delay_us > 0;
        }
        let Some(into) = into.filter(|_| !is_full) else {
            item.state = State::Dead;
            return false;
        };
        self.totals[item.topic].moved_out += 1;
        item.topic = into;
        item.state = State::Ready;
        item.attempts = 0;
        item.given_up = true;
        item.message.ttl_us = None;
        if self.is_flawed(Flaw::LosesOnTheWay) {
            self.leave(place);
            return false;
        }
        // Its place there is that of its own id.
        self.totals[into].moved_in += 1;
        false
    }

    /// The counts.
    pub(crate) fn stats(&mut self, topic: usize) -> TopicSeen {
        let mut seen = self.totals[topic];
        for item in self.items.iter().filter(|item| item.topic == topic) {
            match item.state {
                State::Ready => seen.ready += 1,
                State::Delayed => seen.delayed += 1,
                State::InFlight => seen.in_flight += 1,
                State::Dead => seen.dead += 1,
            }
        }
        self.stated[topic].push(seen);
        if seen.in_flight > 0 && self.is_flawed(Flaw::CountsFlightAsReady) {
            (seen.in_flight, seen.ready) = (seen.in_flight - 1, seen.ready + 1);
        }
        if seen.ready > 0 && self.is_flawed(Flaw::CountsReadyAsFlight) {
            (seen.in_flight, seen.ready) = (seen.in_flight + 1, seen.ready - 1);
        }
        if seen.delayed > 0 && self.is_flawed(Flaw::CountsDelayedAsReady) {
            (seen.delayed, seen.ready) = (seen.delayed - 1, seen.ready + 1);
        }
        if seen.ready > 0 && self.is_flawed(Flaw::CountsReadyAsGivenUp) {
            (seen.moved_out, seen.ready) = (seen.moved_out + 1, seen.ready - 1);
        }
        if seen.moved_out > 0 && self.is_flawed(Flaw::CountsGivenUpAsReady) {
            (seen.moved_out, seen.ready) = (seen.moved_out - 1, seen.ready + 1);
        }
        if self.is_flawed(Flaw::CountsOneFromNowhere) {
            (seen.moved_in, seen.ready) = (seen.moved_in + 1, seen.ready + 1);
        }
        let stated = &self.stated[topic];
        if stated[0] != seen && self.flaw == Some(Flaw::CountsOfBefore) {
            self.shown += 1;
            seen = stated[self.rng.random_range(0..stated.len() - 1)];
        }
        seen
    }
}
