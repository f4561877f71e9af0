//! What becomes of each frame on each directed link: the rules of the nemesis, and what they did.
//!
//! As in the simulated world, a frame is dropped, doubled or delayed as a whole, each link draws from a stream
//! of its own, and a cut drops what is on its way at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::live::refuse::LATENCY_US_MIN;
use crate::nemesis::{LinkAction, Process, RuleEffect, RuleId};
use crate::plan::NetworkProfile;
use crate::rng::{StreamRng, Streams};
use crate::world::process_name;
use crate::world::random::{LN_2, below, chance, exponential};

/// A direction: from whom to whom.
pub(super) type Direction = (Process, Process);

/// Frames that passed the proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Frames that processes handed to a proxy.
    pub sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Frames that a proxy handed to the receiver's socket, doubles included.
    pub delivered: u64,
    /// Frames of which a double was made.
    pub duplicated: u64,
    /// Frames that a rule dropped.
    pub dropped_by_rule: u64,
    /// Frames that the network's own loss dropped.
    pub dropped_by_loss: u64,
    /// Frames that met no receiver: its process was down, or died before it had them.
    pub dropped_at_receiver: u64,
}

struct Rule {
    from: BTreeSet<Process>,
    to: BTreeSet<Process>,
    action: LinkAction,
    effect: RuleEffect,
}

impl Rule {
    fn covers(&self, (from, to): Direction) -> bool {
        from != to && self.from.contains(&from) && self.to.contains(&to)
    }
}

struct Link {
    rng: StreamRng,
    /// Delayed frames by due time and number, each with the connection that carries it.
    on_the_way: BTreeMap<(Instant, u64), (u64, Bytes)>,
}

struct State {
    streams: Streams,
    profile: NetworkProfile,
    links: BTreeMap<Direction, Link>,
    rules: BTreeMap<RuleId, Rule>,
    rules_made: u64,
    numbered: u64,
    counts: FrameCounts,
    /// Frames handed to the sockets of processes that stand still, since they do.
    awaiting: BTreeMap<Process, u64>,
}

/// All links and rules.
pub(super) struct Links {
    state: Mutex<State>,
    /// Changes with the rules.
    changed: watch::Sender<u64>,
}

impl Links {
    pub(super) fn new(streams: Streams, profile: NetworkProfile) -> Self {
        let state = State {
            streams,
            profile,
            links: BTreeMap::new(),
            rules: BTreeMap::new(),
            rules_made: 0,
            numbered: 0,
            counts: FrameCounts::default(),
            awaiting: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), changed: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what becomes of frames that are sent now on a connection; returns those that are to be handed
    /// on at once.
    pub(super) fn pass(
        &self,
        direction: Direction,
        carrier: u64,
        frames: Vec<Bytes>,
        now: Instant,
    ) -> Vec<Bytes> {
        let mut state = self.state();
        let mut at_once = Vec::new();
        for frame in frames {
            state.counts.sent += 1;
            state.counts.bytes_sent += frame.len() as u64;
            for delay_us in state.delays_us(direction) {
                if delay_us == 0 {
                    at_once.push(frame.clone());
                    continue;
                }
                state.numbered += 1;
                let due = (now + Duration::from_micros(delay_us), state.numbered);
                state.link(direction).on_the_way.insert(due, (carrier, frame.clone()));
            }
        }
        at_once
    }

    /// When the next delayed frame of a connection is due.
    pub(super) fn next_due(&self, direction: Direction, carrier: u64) -> Option<Instant> {
        let state = self.state();
        let link = state.links.get(&direction)?;
        link.on_the_way.iter().find(|(_, (of, _))| *of == carrier).map(|((due, _), _)| *due)
    }

    /// Takes out the delayed frames of a connection that are due.
    pub(super) fn due(&self, direction: Direction, carrier: u64, now: Instant) -> Vec<Bytes> {
        let mut state = self.state();
        let Some(link) = state.links.get_mut(&direction) else { return Vec::new() };
        let due = link.on_the_way.extract_if(..=(now, u64::MAX), |_, (of, _)| *of == carrier);
        due.map(|(_, (_, frame))| frame).collect()
    }

    /// A connection is gone, and with it what it carried.
    pub(super) fn forget(&self, direction: Direction, carrier: u64) {
        let mut state = self.state();
        let Some(link) = state.links.get_mut(&direction) else { return };
        let before = link.on_the_way.len();
        link.on_the_way.retain(|_, (of, _)| *of != carrier);
        let lost = (before - link.on_the_way.len()) as u64;
        state.counts.dropped_at_receiver += lost;
    }

    /// Frames were handed to the receiver's socket.
    pub(super) fn delivered(&self, (_, to): Direction, frames: u64) {
        let mut state = self.state();
        state.counts.delivered += frames;
        if let Some(awaiting) = state.awaiting.get_mut(&to) {
            *awaiting += frames;
        }
    }

    /// Frames met no receiver.
    pub(super) fn lost(&self, frames: u64) {
        self.state().counts.dropped_at_receiver += frames;
    }

    pub(super) fn counts(&self) -> FrameCounts {
        self.state().counts
    }

    /// A process stands still: what reaches its sockets from now on awaits it.
    pub(super) fn stands_still(&self, process: Process) {
        self.state().awaiting.insert(process, 0);
    }

    /// It goes on, or is dead. Says how many frames awaited it.
    pub(super) fn goes_on(&self, process: Process) -> u64 {
        self.state().awaiting.remove(&process).unwrap_or(0)
    }

    pub(super) fn add_rule(
        &self,
        from: &BTreeSet<Process>,
        to: &BTreeSet<Process>,
        action: LinkAction,
    ) -> RuleId {
        let mut state = self.state();
        state.rules_made += 1;
        let id = RuleId(state.rules_made);
        let mut rule = Rule { from: from.clone(), to: to.clone(), action, effect: RuleEffect::default() };
        if action == LinkAction::Cut {
            for (direction, link) in &mut state.links {
                if rule.covers(*direction) {
                    rule.effect.dropped += link.on_the_way.len() as u64;
                    link.on_the_way.clear();
                }
            }
        }
        state.counts.dropped_by_rule += rule.effect.dropped;
        state.rules.insert(id, rule);
        drop(state);
        self.changed.send_modify(|changes| *changes += 1);
        id
    }

    /// What the rule did, if it was in force.
    pub(super) fn remove_rule(&self, id: RuleId) -> Option<RuleEffect> {
        let removed = self.state().rules.remove(&id);
        self.changed.send_modify(|changes| *changes += 1);
        removed.map(|rule| rule.effect)
    }

    /// Returns once no rule cuts this pair of processes, either way.
    pub(super) async fn whole(&self, (one, other): Direction) {
        let mut changed = self.changed.subscribe();
        let is_cut = || {
            let state = self.state();
            let cuts = |rule: &Rule| rule.covers((one, other)) || rule.covers((other, one));
            state.rules.values().any(|rule| rule.action == LinkAction::Cut && cuts(rule))
        };
        while is_cut() {
            // An error means that the proxies are being closed.
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl State {
    fn link(&mut self, direction: Direction) -> &mut Link {
        let streams = self.streams;
        self.links.entry(direction).or_insert_with(|| {
            let label = format!("net/{}->{}", process_name(direction.0), process_name(direction.1));
            Link { rng: streams.stream(&label), on_the_way: BTreeMap::new() }
        })
    }

    /// The delay of each copy of a frame that arrives; none if it is dropped.
    fn delays_us(&mut self, direction: Direction) -> Vec<u64> {
        let profile = self.profile;
        self.link(direction);
        let Self { links, rules, counts, .. } = self;
        let rng = &mut links.get_mut(&direction).expect("it was just made").rng;
        let (mut harm_us, mut is_doubled) = (0_u64, false);
        for rule in rules.values_mut().filter(|rule| rule.covers(direction)) {
            let LinkAction::Degrade { loss, duplicate, extra_delay_us, jitter_us } = rule.action else {
                rule.effect.dropped += 1;
                counts.dropped_by_rule += 1;
                return Vec::new();
            };
            if chance(rng, loss) {
                rule.effect.dropped += 1;
                counts.dropped_by_rule += 1;
                return Vec::new();
            }
            if !is_doubled && chance(rng, duplicate) {
                rule.effect.duplicated += 1;
                is_doubled = true;
            }
            let delay_us = extra_delay_us + below(rng, jitter_us.saturating_add(1));
            rule.effect.delayed += u64::from(delay_us > 0);
            harm_us = harm_us.saturating_add(delay_us);
        }
        if chance(rng, profile.loss) {
            counts.dropped_by_loss += 1;
            return Vec::new();
        }
        is_doubled |= chance(rng, profile.duplicate);
        counts.duplicated += u64::from(is_doubled);
        let copies = 1 + usize::from(is_doubled);
        (0..copies).map(|_| harm_us.saturating_add(own_delay_us(&profile, rng))).collect()
    }
}

/// The delay that the network itself is to have, where it is one that can be added.
fn own_delay_us(profile: &NetworkProfile, rng: &mut StreamRng) -> u64 {
    if profile.latency_us < LATENCY_US_MIN {
        return 0;
    }
    let tail = if profile.latency_tail_us == 0 { 0.0 } else { exponential(rng) - LN_2 };
    (profile.latency_us as f64 + profile.latency_tail_us as f64 * tail).max(0.0) as u64
}
