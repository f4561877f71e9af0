//! Clocks, delays, and what is still to happen.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::coherence::{CoherenceMessage, Key, RoundId, Surrender};
use crate::ids::{LocalTime, NodeId, Term};

use super::truth::Change;

/// The random numbers of one run.
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `low` up to `high`, which is excluded.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.number().is_multiple_of(n)
    }

    pub(super) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let place = self.number() % all.len() as u64;
        all[usize::try_from(place).unwrap()].clone()
    }
}

/// A local clock: runs at its own rate from its own origin.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    base_local: u64,
    base_true: u64,
    rate_ppm: u64,
}

impl Clock {
    pub(super) fn new(base_local: u64, now: u64, rate_ppm: u64) -> Self {
        Self { base_local, base_true: now, rate_ppm }
    }

    pub(super) fn read(&self, now: u64) -> LocalTime {
        LocalTime(self.base_local + (now - self.base_true) * self.rate_ppm / 1_000_000)
    }

    /// The first moment at which it shows `local` or more.
    pub(super) fn when(&self, local: LocalTime, now: u64) -> u64 {
        let left = local.0.saturating_sub(self.read(now).0);
        now + left * 1_000_000 / self.rate_ppm + 1
    }

    pub(super) fn set_rate(&mut self, now: u64, rate_ppm: u64) {
        *self = Self::new(self.read(now).0, now, rate_ppm);
    }
}

/// A write on its way to a leader.
#[derive(Clone, Debug)]
pub(super) struct WriteRequest {
    pub(super) change: Change,
    pub(super) keys: std::collections::BTreeSet<Key>,
    pub(super) ttl_us: Option<u64>,
    pub(super) surrenders: Vec<Surrender>,
}

/// Something that happens at a moment of true time.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Deliver { from: NodeId, to: NodeId, message: CoherenceMessage },
    Write { from: NodeId, to: NodeId, request: WriteRequest },
    Wake { node: NodeId },
    Client,
    Commit { term: Term },
    Apply { node: NodeId },
    RoundEnds { node: NodeId, term: Term, round: RoundId, began: u64, index: u64 },
    HearsOfTerm { node: NodeId, term: Term },
    Restart { node: NodeId },
    Trouble,
}

/// What is still to happen, in order.
#[derive(Default)]
pub(super) struct Agenda {
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
