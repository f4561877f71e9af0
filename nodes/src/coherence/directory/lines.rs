//! The lines that are out in one term: by key, and by the end of their leases.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::types::{AskNumber, HolderId, Key, LineState, WriteId};
use super::HolderView;
use super::asks::Ask;
use crate::ids::LocalTime;

/// Expired holders that are struck off in one go where room is wanted.
const PURGE_MAX: usize = 64;

/// One holder of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The latest question that was answered with the line.
    pub(super) number: AskNumber,
    /// By the leader's clock: a whole lease after the latest question came.
    pub(super) until: LocalTime,
    pub(super) state: LineState,
    /// When it was last told to drop it.
    pub(super) invalidated_at: Option<LocalTime>,
}

/// What there is to know of a key: who holds it, and who waits for what.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) holders: BTreeMap<HolderId, Held>,
    /// Writes of this key that are taken and not applied.
    pub(super) writes: BTreeSet<WriteId>,
    /// Questions that wait until there are none.
    pub(super) parked: VecDeque<Ask>,
}

/// All lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<Key, Line>,
    by_until: BTreeSet<(LocalTime, Key, HolderId)>,
    /// Keys that have both holders and writes.
    blocked: BTreeSet<Key>,
}

impl Lines {
    /// How many pairs of key and holder there are.
    pub(super) fn held(&self) -> usize {
        self.by_until.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Line> {
        self.lines.get(key)
    }

    /// Whether somebody may be reading the key.
    pub(super) fn is_held(&self, key: &str) -> bool {
        self.lines.get(key).is_some_and(|line| !line.holders.is_empty())
    }

    /// The writes and questions of a key; creates what is missing. The caller calls [`Lines::settle`] after.
    pub(super) fn entry(&mut self, key: &Key) -> &mut Line {
        self.lines.entry(Key::clone(key)).or_default()
    }

    /// Puts a holder down, in place of what was known of it.
    pub(super) fn hold(&mut self, key: &Key, holder: HolderId, held: Held) {
        let line = self.lines.entry(Key::clone(key)).or_default();
        if let Some(before) = line.holders.insert(holder, held) {
            self.by_until.remove(&(before.until, Key::clone(key), holder));
        }
        self.by_until.insert((held.until, Key::clone(key), holder));
    }

    /// Strikes a holder off if all it holds was asked for under numbers up to this one.
    pub(super) fn give_up(&mut self, key: &Key, holder: HolderId, number: AskNumber) -> bool {
        let Some(line) = self.lines.get_mut(key) else { return false };
        let Some(held) = line.holders.get(&holder).copied().filter(|held| held.number <= number) else {
            return false;
        };
        line.holders.remove(&holder);
        self.by_until.remove(&(held.until, Key::clone(key), holder));
        self.settle(key);
        true
    }

    /// Strikes off the holders of a key whose leases are over; returns how many.
    pub(super) fn lapse(&mut self, key: &Key, now: LocalTime) -> u64 {
        let Some(line) = self.lines.get_mut(key) else { return 0 };
        let over: Vec<(LocalTime, HolderId)> = line
            .holders
            .iter()
            .filter(|(_, held)| held.until <= now)
            .map(|(&holder, held)| (held.until, holder))
            .collect();
        for &(until, holder) in &over {
            line.holders.remove(&holder);
            self.by_until.remove(&(until, Key::clone(key), holder));
        }
        self.settle(key);
        over.len() as u64
    }

    /// Strikes off some holders whose leases are over and in whose way nobody is; see [`Lines::lapse`] for
    /// the others.
    pub(super) fn purge(&mut self, now: LocalTime) {
        let over = self.by_until.iter().take(PURGE_MAX).take_while(|(until, ..)| *until <= now);
        let keys: BTreeSet<Key> = over.map(|(_, key, _)| Key::clone(key)).collect();
        let idle: Vec<Key> = keys.difference(&self.blocked).cloned().collect();
        for key in &idle {
            self.lapse(key, now);
        }
    }

    /// Brings the index of blocked keys up to date and forgets a key of which nothing is known.
    pub(super) fn settle(&mut self, key: &Key) {
        let Some(line) = self.lines.get(key) else { return };
        if !line.holders.is_empty() && !line.writes.is_empty() {
            self.blocked.insert(Key::clone(key));
        } else {
            self.blocked.remove(key);
        }
        if line.holders.is_empty() && line.writes.is_empty() && line.parked.is_empty() {
            self.lines.remove(key);
        }
    }

    /// The keys whose holders are in the way of a write.
    pub(super) fn blocked(&self) -> Vec<Key> {
        self.blocked.iter().cloned().collect()
    }

    pub(super) fn holders(&self, key: &str) -> Vec<HolderView> {
        let Some(line) = self.lines.get(key) else { return Vec::new() };
        let view = |(&holder, held): (&HolderId, &Held)| HolderView {
            holder,
            state: held.state,
            until: held.until,
            is_invalidating: held.invalidated_at.is_some(),
        };
        line.holders.iter().map(view).collect()
    }
}
