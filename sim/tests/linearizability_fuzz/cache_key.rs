//! A key of the cache that works, for random histories.

use stormglass_sim::check::linearizability::{
    CacheAnswer, CacheAsk, CacheModel, CacheOp, Entry, EntryOf, Life,
};
use stormglass_sim::rng::StreamRng;

use crate::generate::{World, below};

/// Times that lives and operations are drawn from are below this. They need not be those of the history: whatever they
/// are, all that judge by them have to agree.
const TIMES: u64 = 6;
/// From here on the keys of half of all histories may be evicted.
pub(crate) const EVICTED_FROM: u64 = 3;

/// A key with versions, lives and counters.
#[derive(Default)]
pub(crate) struct CacheKey {
    value: Option<(i64, u64)>,
    version: u64,
    /// Whether most of what is asked is to add.
    counts: bool,
}

impl CacheKey {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn counter() -> Self {
        Self { counts: true, ..Self::default() }
    }

    fn write(&mut self, rng: &mut StreamRng, value: i64) -> u64 {
        self.version += 1 + below(rng, 2);
        self.value = Some((value, self.version));
        self.version
    }
}

fn life(rng: &mut StreamRng) -> Life {
    let over_from = below(rng, TIMES);
    match below(rng, 4) {
        0 => Life { over_from, over_by: over_from + below(rng, TIMES) },
        1 => Life { over_from, over_by: u64::MAX },
        _ => Life::ENDLESS,
    }
}

impl World for CacheKey {
    type Op = CacheOp;
    type Answer = CacheAnswer;

    fn ask(&mut self, rng: &mut StreamRng, _process: u64) -> CacheOp {
        let value = below(rng, 3) as i64;
        let kinds = if self.counts { 16 } else { 9 };
        let ask = match below(rng, kinds) {
            0..3 => CacheAsk::Get,
            3..5 => CacheAsk::Set { value, life: life(rng) },
            5 => CacheAsk::Compare { expected: None, value, life: life(rng) },
            6 => {
                CacheAsk::Compare { expected: Some(1 + below(rng, self.version + 1)), value, life: life(rng) }
            }
            7 => CacheAsk::Delete,
            _ => CacheAsk::Add(below(rng, 4) as i64 - 1),
        };
        let from = below(rng, TIMES);
        match below(rng, 3) {
            0 => CacheOp { ask, from, until: from + below(rng, TIMES) },
            _ => CacheOp::at_any_time(ask),
        }
    }

    fn take_effect(&mut self, rng: &mut StreamRng, op: &CacheOp) -> Option<CacheAnswer> {
        if below(rng, 12) == 0 {
            self.value = None;
        }
        let found = self.value;
        Some(match op.ask {
            CacheAsk::Get | CacheAsk::Vanish => CacheAnswer::Found(found),
            CacheAsk::Compare { expected, .. } if expected != found.map(|(_, version)| version) => {
                CacheAnswer::Refused(found)
            }
            CacheAsk::Set { value, .. } | CacheAsk::Compare { value, .. } => {
                CacheAnswer::Written { version: self.write(rng, value) }
            }
            CacheAsk::Add(by) => {
                let value = found.map_or(0, |(value, _)| value) + by;
                CacheAnswer::Counted { value, version: self.write(rng, value) }
            }
            CacheAsk::Delete => {
                let version = self.write(rng, 0);
                self.value = None;
                CacheAnswer::Deleted { existed: found.is_some(), version }
            }
        })
    }

    fn any_answer(&self, rng: &mut StreamRng, op: &CacheOp, like: &CacheAnswer) -> CacheAnswer {
        let version = 1 + below(rng, self.version + 2);
        let found = match *like {
            CacheAnswer::Found(found) | CacheAnswer::Refused(found) => found,
            _ => (below(rng, 3) > 0).then_some((below(rng, 3) as i64, version)),
        };
        match op.ask {
            CacheAsk::Get | CacheAsk::Vanish => CacheAnswer::Found(found),
            CacheAsk::Compare { .. } if below(rng, 2) == 0 => CacheAnswer::Refused(found),
            CacheAsk::Set { .. } | CacheAsk::Compare { .. } => CacheAnswer::Written { version },
            CacheAsk::Add(_) => CacheAnswer::Counted { value: below(rng, 4) as i64 - 1, version },
            CacheAsk::Delete => CacheAnswer::Deleted { existed: below(rng, 2) == 0, version },
        }
    }
}

/// The history with the end of a life, or an eviction, before each operation of which nobody knows what it found, as the
/// specification wants it, and the specification by which it is judged.
pub(crate) fn with_vanishing(
    mut entries: Vec<EntryOf<CacheModel>>,
) -> (CacheModel, Vec<EntryOf<CacheModel>>) {
    let mut vanishing = Vec::new();
    for entry in entries.iter_mut().filter(|entry| entry.returned.is_none()) {
        entry.op = CacheOp::at_any_time(entry.op.ask);
        if entry.op.ask.may_begin_anew() {
            let ask = CacheOp::at_any_time(CacheAsk::Vanish);
            vanishing.push(Entry::unanswered(u64::MAX - entry.id, u64::MAX, 0, ask));
        }
    }
    let evicted_from = if entries.len().is_multiple_of(2) { EVICTED_FROM } else { u64::MAX };
    entries.splice(0..0, vanishing);
    (CacheModel { evicted_from }, entries)
}
