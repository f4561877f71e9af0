//! What becomes of operations of unknown outcome on a key of the cache before any search.
//!
//! * *Reads* say nothing: dropped.
//! * *A write whose value was seen, when it alone could have written it*, did take effect, before the first who saw it
//!   returned; and its version is the one that they saw.
//! * *A write whose effect nobody can have noticed* is dropped. If some order contains it, nothing between it and the
//!   next write depends on it, so the order without it is just as good; versions after it stay high enough.
//! * *A write of which only the presence of some value can have been noticed* is kept, but marked: it is of use only
//!   where nothing is there, and any other such write is as good.
//! * *A delete*, or a write that ends by itself, also matters to those who found nothing afterwards.
//!
//! Additions stay, and what may have been added to: sums say little of what they are made of.

use std::collections::{BTreeMap, BTreeSet};

use super::{CacheAnswer, CacheAsk, CacheModel, EntryOf, Life};

type CacheEntry = EntryOf<CacheModel>;

/// What answers say about one value.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The versions that it was seen with of which no answer says that they were made.
    unmade: BTreeSet<u64>,
    /// When the first who saw one of those returned.
    earliest: Option<u64>,
    /// When the last who saw it returned.
    latest: u64,
    /// How many operations of unknown outcome may have written it, additions aside.
    writers: u64,
}

/// What answers say about a key.
#[derive(Default)]
struct Sightings {
    /// By value.
    seen: BTreeMap<i64, Seen>,
    /// When the last returned that found some value, no matter which.
    presence: u64,
    /// When the last returned that found nothing.
    absence: u64,
    /// Whether additions of unknown outcome may have had effect.
    adds: bool,
    /// Whether what is written may live for a time only.
    lives: bool,
    /// Whether somebody compared with a version that no answer tells the value of.
    compares_unseen: bool,
}

impl Sightings {
    fn of(entries: &[CacheEntry]) -> Self {
        let mut sightings = Self::default();
        // Versions that answers tell the value of.
        let mut told: BTreeSet<u64> = BTreeSet::new();
        let mut made_by_answer: BTreeSet<u64> = BTreeSet::new();
        for entry in entries {
            match &entry.answer {
                Some(CacheAnswer::Found(Some((_, version))) | CacheAnswer::Refused(Some((_, version)))) => {
                    told.insert(*version);
                }
                Some(answer) => {
                    told.extend(answer.made());
                    made_by_answer.extend(answer.made());
                }
                None => {}
            }
        }
        for entry in entries {
            sightings.add(entry, &made_by_answer);
            if let CacheAsk::Compare { expected: Some(expected), .. } = entry.op.ask
                && !matches!(entry.answer, Some(CacheAnswer::Refused(_)))
            {
                sightings.compares_unseen |= !told.contains(&expected);
            }
        }
        sightings
    }

    fn add(&mut self, entry: &CacheEntry, made_by_answer: &BTreeSet<u64>) {
        let returned = entry.returned.unwrap_or(u64::MAX);
        match (entry.op.ask, entry.answer) {
            (_, Some(CacheAnswer::Found(None) | CacheAnswer::Refused(None)))
            | (CacheAsk::Compare { expected: None, .. }, None | Some(CacheAnswer::Written { .. }))
            | (_, Some(CacheAnswer::Deleted { existed: false, .. })) => {
                self.absence = self.absence.max(returned);
            }
            (
                _,
                Some(
                    CacheAnswer::Found(Some((value, version))) | CacheAnswer::Refused(Some((value, version))),
                ),
            ) => {
                let seen = self.seen.entry(value).or_default();
                seen.latest = seen.latest.max(returned);
                if !made_by_answer.contains(&version) {
                    seen.unmade.insert(version);
                    seen.earliest = Some(seen.earliest.map_or(returned, |earliest| earliest.min(returned)));
                }
            }
            (_, Some(CacheAnswer::Deleted { existed: true, .. })) => {
                self.presence = self.presence.max(returned)
            }
            (CacheAsk::Add(by), Some(CacheAnswer::Counted { value, .. })) => match value.checked_sub(by) {
                Some(0) => {
                    self.absence = self.absence.max(returned);
                    let seen = self.seen.entry(0).or_default();
                    seen.latest = seen.latest.max(returned);
                }
                Some(found) => {
                    let seen = self.seen.entry(found).or_default();
                    seen.latest = seen.latest.max(returned);
                }
                None => {}
            },
            (CacheAsk::Add(_), None) => self.adds = true,
            _ => {}
        }
        if let Some((value, life)) = written(entry) {
            self.lives |= life != Life::ENDLESS;
            self.seen.entry(value).or_default().writers += u64::from(entry.answer.is_none());
        }
    }
}

/// What an operation wrote, or would have, but for additions.
const fn written(entry: &CacheEntry) -> Option<(i64, Life)> {
    match entry.op.ask {
        CacheAsk::Set { value, life } | CacheAsk::Compare { value, life, .. } => Some((value, life)),
        CacheAsk::Get | CacheAsk::Add(_) | CacheAsk::Delete | CacheAsk::Vanish => None,
    }
}

/// Settles what can be settled. Does not change whether the entries are linearizable.
pub(super) fn settle(entries: &mut Vec<CacheEntry>) {
    if entries.iter().all(|entry| entry.answer.is_some()) {
        return;
    }
    let sightings = Sightings::of(entries);
    entries.retain_mut(|entry| {
        if entry.answer.is_some() {
            return true;
        }
        match (entry.op.ask, written(entry)) {
            (_, Some((value, life))) => settle_write(entry, value, life, &sightings),
            (CacheAsk::Get, _) => false,
            (CacheAsk::Delete, _) => sightings.adds || sightings.absence >= entry.invoked,
            _ => true,
        }
    });
}

/// Bounds a write if it is known to have happened; returns whether it is to be kept.
fn settle_write(entry: &mut CacheEntry, value: i64, life: Life, sightings: &Sightings) -> bool {
    let Some(seen) = sightings.seen.get(&value) else { return true };
    let versions: Vec<u64> = seen.unmade.iter().copied().collect();
    if let ([version], Some(bound)) = (versions.as_slice(), seen.earliest)
        && seen.writers == 1
        && !sightings.adds
        && bound >= entry.invoked
    {
        entry.returned = Some(bound);
        entry.answer = Some(CacheAnswer::Written { version: *version });
        return true;
    }
    if sightings.adds || sightings.compares_unseen || seen.latest >= entry.invoked {
        return true;
    }
    // What ends by itself may have left nothing behind of what was there before.
    if life != Life::ENDLESS && sightings.absence >= entry.invoked {
        return true;
    }
    if sightings.lives {
        // What is there instead may live longer.
        return sightings.presence >= entry.invoked;
    }
    let replaces = matches!(entry.op.ask, CacheAsk::Compare { expected: Some(_), .. });
    entry.anonymous = !replaces;
    !replaces && sightings.presence >= entry.invoked
}
