//! The node's side: lines that are read here, and questions for more.
//!
//! Invariants:
//! * A line is read only while its lease runs by this node's clock, counted from the moment at which this
//!   node *asked*, shortened by the drift bound.
//! * A grant is taken only as the answer to the one question that is open for its key. So whatever kills a
//!   line (an invalidation, a write from here) kills a grant that is still on the way by closing the question
//!   that it would answer; nothing has to be remembered for it, and nothing can be forgotten too early.
//! * Numbers of questions rise over all keys within one life, and no two lives are the same: what this node
//!   says of a claim stays true for ever, through restarts too.

mod counts;
mod lines;
mod pending;
mod stats;

use bytes::Bytes;

use super::settings::Settings;
use super::types::{
    AskNumber, Claim, CoherenceBody, CoherenceMessage, Content, KEY_BYTES_MAX, Key, Life, LineState,
    ReaderId, Surrender,
};
use super::watch::LineEvent;
use crate::ids::{LocalTime, LogIndex, NodeId, Term};
use crate::marks;
use crate::plant::{self, Bug};

pub use counts::{KEYS_COUNTED_MAX, KeyCounts};
use lines::{Held, Lines};
use pending::{Open, Questions};
pub use stats::HolderStats;

/// What a local read comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NearRead {
    /// The value, current at this very moment; none if there is no such key.
    Hit(Reading),
    /// An answer will be among [`HolderEffects::answers`].
    Waiting,
    /// This node cannot tell. Read as without a near-cache.
    Uncached,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The value; none if there is no such key.
    pub content: Option<Content>,
    /// The state of the log that it was granted from.
    pub as_of: LogIndex,
}

/// What the driver must do for the holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolderEffects {
    /// Messages, some of them perhaps for this node itself.
    pub messages: Vec<(NodeId, CoherenceMessage)>,
    /// Readers that waited: with the value, or none if they must read another way.
    pub answers: Vec<(ReaderId, Option<Reading>)>,
}

/// The near-cache of one node.
#[derive(Clone, Debug)]
pub struct Holder {
    life: Life,
    settings: Settings,
    leader: Option<(Term, NodeId)>,
    /// Grants of earlier terms are refused.
    term_min: Term,
    last_number: AskNumber,
    lines: Lines,
    questions: Questions,
    stats: HolderStats,
    effects: HolderEffects,
    /// What happened since it was last taken, if anybody watches.
    watched: Option<Vec<LineEvent>>,
}

impl Holder {
    /// The near-cache of a node that starts. `life` is a fresh random number.
    #[must_use]
    pub fn new(life: Life, settings: Settings) -> Self {
        Self {
            life,
            settings,
            leader: None,
            term_min: Term(0),
            last_number: AskNumber(0),
            lines: Lines::default(),
            questions: Questions::default(),
            stats: HolderStats::default(),
            effects: HolderEffects::default(),
            watched: None,
        }
    }

    /// From now on what happens to lines is noted down, to be taken with [`Holder::take_watched`] before
    /// anything leaves the node that depends on it.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// Takes what happened since the last time. Nothing, if nobody watches.
    pub fn take_watched(&mut self) -> Vec<LineEvent> {
        self.watched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn tell(&mut self, event: impl FnOnce() -> LineEvent) {
        if let Some(watched) = &mut self.watched {
            watched.push(event());
        }
    }

    /// Whom this node takes for the leader. Questions to another one are given up; lines stay until that
    /// leader recalls them.
    pub fn set_leader(&mut self, term: Term, leader: Option<NodeId>) {
        let leader = leader.map(|node| (term, node));
        if leader != self.leader {
            self.leader = leader;
            for (key, open) in self.questions.take_all() {
                self.close(&key, open);
            }
        }
    }

    /// A local client reads. `reader` is the driver's name for it, used if it has to wait.
    pub fn read(&mut self, key: &str, reader: ReaderId, now: LocalTime) -> NearRead {
        if let Some(reading) = self.hit(key, now) {
            self.stats.hits += 1;
            return NearRead::Hit(reading);
        }
        self.note_miss(key);
        if self.questions.readers() >= self.settings.readers_max {
            return NearRead::Uncached;
        }
        if self.questions.join(key, reader) {
            self.stats.joined += 1;
            return NearRead::Waiting;
        }
        if !self.can_ask(key) {
            return NearRead::Uncached;
        }
        self.ask(Key::from(key), vec![reader], now);
        NearRead::Waiting
    }

    /// Reads many keys at one moment, if there is a line for each; asks for those that are missing.
    pub fn read_many<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k str>,
        now: LocalTime,
    ) -> Option<Vec<Reading>> {
        let mut readings = Some(Vec::new());
        for key in keys {
            let found = self.hit(key, now);
            self.stats.hits += u64::from(found.is_some());
            if found.is_none() {
                self.note_miss(key);
                if !self.questions.is_open(key) && self.can_ask(key) {
                    self.ask(Key::from(key), Vec::new(), now);
                }
            }
            readings = readings.zip(found).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        readings
    }

    /// A write of this key is about to be sent from here. If a line is held, it is read no more (Modified),
    /// and the result says so to the leader, which grants it again with the write's result.
    pub fn begin_write(&mut self, key: &str, now: LocalTime) -> Option<Surrender> {
        let line = self.lines.get_mut(key)?;
        if now >= line.ends_at || line.state == LineState::Modified {
            return None;
        }
        line.state = LineState::Modified;
        let key = self.lines.name(key)?;
        self.tell(|| LineEvent::Turned { key: Key::clone(&key), state: LineState::Modified });
        let open = self.questions.take(&key);
        if let Some(open) = &open {
            self.tell(|| LineEvent::Closed { key: Key::clone(&key), number: open.number });
        }
        let claim = self.next_claim();
        let readers = open.map_or_else(Vec::new, |open| open.readers);
        self.questions.open(Key::clone(&key), Open { number: claim.number, asked_at: now, readers });
        self.tell(|| LineEvent::Asked { key: Key::clone(&key), number: claim.number });
        self.stats.surrenders += 1;
        self.lines.count(&key, |counts| counts.surrenders += 1);
        Some(Surrender { key, claim })
    }

    /// A message arrived, perhaps late, twice, or meant for an earlier life.
    pub fn receive(&mut self, from: NodeId, message: CoherenceMessage, now: LocalTime) {
        let CoherenceMessage { term, body } = message;
        match body {
            CoherenceBody::Grant { key, claim, content, as_of, lease_us, exclusive } => {
                let state = if exclusive { LineState::Exclusive } else { LineState::Shared };
                let reading = Reading { content, as_of };
                self.granted((from, term), &key, claim, reading, (lease_us, state), now);
            }
            CoherenceBody::Withheld { key, claim, .. } => self.withheld(&key, claim),
            CoherenceBody::Invalidate { key, claim } => {
                self.invalidate(&key, claim);
                self.send((term, from), CoherenceBody::Invalidated { key, claim });
            }
            CoherenceBody::Demote { key, claim } => {
                if let Some(line) = self.lines.get_mut(&key)
                    && self.life == claim.life
                    && line.number == claim.number
                    && line.state == LineState::Exclusive
                {
                    line.state = LineState::Shared;
                    self.tell(|| LineEvent::Turned { key, state: LineState::Shared });
                }
            }
            CoherenceBody::Recall => {
                self.recall(term);
                self.send((term, from), CoherenceBody::Recalled);
            }
            // These are for a leader's directory.
            CoherenceBody::Ask { .. }
            | CoherenceBody::Invalidated { .. }
            | CoherenceBody::Evicted { .. }
            | CoherenceBody::Recalled => {}
        }
    }

    /// When [`Holder::tick`] is due: none if nobody waits for an answer.
    #[must_use]
    pub fn deadline(&self) -> Option<LocalTime> {
        self.questions.oldest().map(|asked_at| asked_at.plus_us(self.settings.patience_us))
    }

    /// Time has passed: what was not answered for long is given up.
    pub fn tick(&mut self, now: LocalTime) {
        while let Some((key, open)) = self.questions.take_older(now, self.settings.patience_us) {
            marks::hit("coherence.question_given_up");
            self.stats.unanswered += 1;
            self.close(&key, open);
        }
    }

    /// Takes what is to be done.
    pub fn take_effects(&mut self) -> HolderEffects {
        std::mem::take(&mut self.effects)
    }

    /// Counters over the whole life of the process.
    #[must_use]
    pub fn stats(&self) -> HolderStats {
        HolderStats { lines: self.lines.len() as u64, bytes: self.lines.bytes() as u64, ..self.stats }
    }

    /// What was counted of a key.
    #[must_use]
    pub fn counts(&self, key: &str) -> KeyCounts {
        self.lines.counts(key)
    }

    /// The state of a key's line, if there is one whose lease runs.
    #[must_use]
    pub fn state(&self, key: &str, now: LocalTime) -> Option<LineState> {
        self.lines.get(key).filter(|line| now < line.ends_at).map(|line| line.state)
    }

    /// Reads from a line; asks anew before its lease ends, so that a key in use stays near.
    fn hit(&mut self, key: &str, now: LocalTime) -> Option<Reading> {
        let line = self.lines.get(key)?;
        if now >= line.ends_at {
            marks::hit("coherence.line_lapsed");
            self.stats.lapsed += 1;
            self.lines.remove(key);
            self.lines.count(key, |counts| counts.lapsed += 1);
            self.tell(|| LineEvent::Dropped { key: Key::from(key) });
            return None;
        }
        if line.state == LineState::Modified {
            return None;
        }
        let reading = Reading { content: line.content.clone(), as_of: line.as_of };
        let wants_renewal = now >= line.renew_at && !self.questions.is_open(key) && self.can_ask(key);
        let name = self.lines.touch(key)?;
        self.tell(|| LineEvent::Read { key: Key::clone(&name), as_of: reading.as_of });
        if wants_renewal {
            self.stats.renewals += 1;
            self.ask(name, Vec::new(), now);
        }
        Some(reading)
    }

    fn note_miss(&mut self, key: &str) {
        self.stats.misses += 1;
        self.lines.count(key, |counts| counts.misses += 1);
    }

    fn can_ask(&self, key: &str) -> bool {
        let is_possible = !key.is_empty() && key.len() <= KEY_BYTES_MAX;
        let has_room = self.questions.len() < self.settings.readers_max;
        is_possible && has_room && self.leader.is_some() && self.settings.lease_us > 0
    }

    fn next_claim(&mut self) -> Claim {
        self.last_number.0 += 1;
        Claim { life: self.life, number: self.last_number }
    }

    fn ask(&mut self, key: Key, readers: Vec<ReaderId>, now: LocalTime) {
        let Some(leader) = self.leader else { return };
        let claim = self.next_claim();
        self.questions.open(Key::clone(&key), Open { number: claim.number, asked_at: now, readers });
        self.stats.asks += 1;
        self.tell(|| LineEvent::Asked { key: Key::clone(&key), number: claim.number });
        self.send(leader, CoherenceBody::Ask { key, claim });
    }

    fn send(&mut self, (term, to): (Term, NodeId), body: CoherenceBody) {
        self.effects.messages.push((to, CoherenceMessage { term, body }));
    }

    /// A question is open no more, and its readers must read another way. So must they who wait for the end of
    /// a write from here: whatever becomes of the write, its line is not known here any more.
    fn close(&mut self, key: &str, open: Open) {
        self.tell(|| LineEvent::Closed { key: Key::from(key), number: open.number });
        if self.lines.get(key).is_some_and(|line| line.state == LineState::Modified) {
            self.lines.remove(key);
            self.tell(|| LineEvent::Dropped { key: Key::from(key) });
        }
        self.effects.answers.extend(open.readers.into_iter().map(|reader| (reader, None)));
    }

    fn granted(
        &mut self,
        (from, term): (NodeId, Term),
        key: &Key,
        claim: Claim,
        reading: Reading,
        (lease_us, state): (u64, LineState),
        now: LocalTime,
    ) {
        let is_open = claim.life == self.life && self.questions.is_open_as(key, claim.number);
        if !is_open || term < self.term_min {
            marks::hit("coherence.grant_refused");
            self.stats.grants_refused += 1;
            return;
        }
        let Some(open) = self.questions.take(key) else { return };
        let lease_us = self.settings.shortened_us(lease_us.min(self.settings.lease_us));
        let begins_at = if plant::is(Bug::CacheLeaseAtGrantReceipt) { now } else { open.asked_at };
        let ends_at = begins_at.plus_us(lease_us);
        if now >= ends_at {
            marks::hit("coherence.grant_came_too_late");
            self.stats.grants_late += 1;
            return self.close(key, open);
        }
        self.stats.grants += 1;
        self.lines.count(key, |counts| counts.grants += 1);
        let readers = open.readers.into_iter().map(|reader| (reader, Some(reading.clone())));
        self.effects.answers.extend(readers);
        let Reading { content, as_of } = reading;
        let renew_at = begins_at.plus_us(lease_us - lease_us / 3);
        self.tell(|| LineEvent::Taken {
            key: Key::clone(key),
            number: claim.number,
            term,
            as_of,
            state,
            left_us: ends_at.since_us(now),
        });
        let line = Held {
            state,
            content,
            as_of,
            term,
            from,
            number: claim.number,
            ends_at,
            renew_at,
            used: 0,
            hits: 0,
        };
        self.lines.put(Key::clone(key), line);
        while let Some((key, line)) = self.lines.take_excess(self.settings.lines_max, self.settings.bytes_max)
        {
            self.stats.evicted += 1;
            self.lines.count(&key, |counts| counts.evicted += 1);
            let claim = Claim { life: self.life, number: line.number };
            self.tell(|| LineEvent::Dropped { key: Key::clone(&key) });
            self.tell(|| LineEvent::Disowned { key: Key::clone(&key), number: claim.number });
            self.send((line.term, line.from), CoherenceBody::Evicted { key, claim });
        }
    }

    fn withheld(&mut self, key: &Key, claim: Claim) {
        if claim.life == self.life && self.questions.is_open_as(key, claim.number) {
            self.stats.withheld += 1;
            if let Some(open) = self.questions.take(key) {
                self.close(key, open);
            }
        }
    }

    /// Nothing of this claim is read from here on. Of another life's claim nothing ever will be.
    fn invalidate(&mut self, key: &Key, claim: Claim) {
        self.stats.invalidations += 1;
        if claim.life != self.life {
            marks::hit("coherence.invalidation_for_an_earlier_life");
            return;
        }
        if self.lines.get(key).is_some_and(|line| line.number <= claim.number) {
            self.stats.invalidated += 1;
            self.lines.remove(key);
            self.lines.count(key, |counts| counts.invalidated += 1);
            self.tell(|| LineEvent::Dropped { key: Key::clone(key) });
        }
        if self.questions.number(key).is_some_and(|number| number <= claim.number)
            && !plant::is(Bug::CacheDeleteResurrected)
            && let Some(open) = self.questions.take(key)
        {
            marks::hit("coherence.invalidation_overtook_the_grant");
            self.stats.overtaken += 1;
            self.lines.count(key, |counts| counts.invalidated += 1);
            self.close(key, open);
        }
        self.tell(|| LineEvent::Disowned { key: Key::clone(key), number: claim.number });
    }

    /// Drops what earlier terms granted, and takes none of it any more.
    fn recall(&mut self, term: Term) {
        self.term_min = self.term_min.max(term);
        let dropped = self.lines.drop_before(term);
        self.stats.recalls += 1;
        self.stats.recalled += dropped as u64;
        self.tell(|| LineEvent::Recalled { term });
    }
}

/// Bytes that count against [`Settings::bytes_max`].
fn weight_bytes(key: &str, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len)
}
