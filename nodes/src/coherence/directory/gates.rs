//! Writes: taken, held back while anybody may read what they change, released, applied.

use std::collections::BTreeSet;

use super::super::types::{AskNumber, Claim, CoherenceBody, HolderId, Key, Surrender, Withheld, WriteId};
use super::asks::Ask;
use super::{Directory, Lookup, NotTaken};
use crate::ids::{LocalTime, NodeId};
use crate::marks;
use crate::plant::{self, Bug};

/// A write that is taken and not applied.
#[derive(Clone, Debug)]
pub(super) struct Write {
    keys: BTreeSet<Key>,
    /// Those of its keys that somebody may be reading.
    blocked: BTreeSet<Key>,
    pub(super) is_released: bool,
    /// Who gets the line when it is applied.
    surrenders: Vec<Ask>,
}

impl Directory {
    /// Takes a write of `keys`: every key that it may create, change, remove or evict. From now on no line of
    /// them is granted; once nobody reads them any more, the write is among the proposable ones.
    ///
    /// `origin` is a node that held lines of them and sends the write, with what it gives up for it.
    ///
    /// # Errors
    /// If this node does not lead or there are too many writes under way; nothing has changed then.
    pub fn take_write(
        &mut self,
        keys: BTreeSet<Key>,
        origin: Option<(NodeId, Vec<Surrender>)>,
        now: LocalTime,
    ) -> Result<WriteId, NotTaken> {
        let reign = self.reign.as_ref().ok_or(NotTaken::NotLeading)?;
        if reign.writes.len() >= self.settings.writes_max {
            marks::hit("coherence.writes_full");
            return Err(NotTaken::Full);
        }
        self.next_write += 1;
        let id = WriteId(self.next_write);
        let surrenders = self.take_surrenders(&keys, origin, now);
        for key in &keys {
            self.lapse(key, now);
            self.open_gate_if_clear(key);
        }
        let Some(reign) = &mut self.reign else { return Err(NotTaken::NotLeading) };
        for key in &keys {
            reign.lines.entry(key).writes.insert(id);
            reign.lines.settle(key);
        }
        let blocked: BTreeSet<Key> = keys.iter().filter(|key| reign.lines.is_held(key)).cloned().collect();
        let is_held_back = !blocked.is_empty() || reign.recall.is_some();
        self.stats.writes += 1;
        self.stats.writes_held_back += u64::from(is_held_back);
        let believed =
            if plant::is(Bug::CacheAckBeforeInvalidate) { BTreeSet::new() } else { blocked.clone() };
        reign.writes.insert(id, Write { keys, blocked: believed, is_released: false, surrenders });
        for key in blocked {
            self.invalidate(&key, now);
        }
        self.release_if_clear(id);
        Ok(id)
    }

    /// What the sender of a write reads no more is no more in its way. The line comes back with the result.
    fn take_surrenders(
        &mut self,
        keys: &BTreeSet<Key>,
        origin: Option<(NodeId, Vec<Surrender>)>,
        now: LocalTime,
    ) -> Vec<Ask> {
        let Some((node, given)) = origin else { return Vec::new() };
        let mut asks = Vec::new();
        for Surrender { key, claim } in given.into_iter().filter(|given| keys.contains(&given.key)) {
            if let Some(before) = claim.number.0.checked_sub(1) {
                self.given_up(node, &key, Claim { number: AskNumber(before), ..claim });
            }
            let holder = HolderId { node, life: claim.life };
            if let Some(reign) = &mut self.reign {
                reign.asks += 1;
            }
            asks.push(Ask { key, holder, number: claim.number, came_at: now });
        }
        asks
    }

    /// The write is applied; whoever waited for its end is granted the line.
    pub fn applied(&mut self, id: WriteId, lookup: &impl Lookup, now: LocalTime) {
        let (keys, surrenders) = self.end_write(id);
        for ask in surrenders {
            self.grant_or_park(ask, lookup, now);
        }
        self.serve_parked(&keys, lookup, now);
    }

    /// The write was refused before it entered the log: it will never be applied.
    pub fn abandoned(&mut self, id: WriteId, lookup: &impl Lookup, now: LocalTime) {
        let (keys, surrenders) = self.end_write(id);
        for ask in surrenders {
            self.withhold(ask, Withheld::NotWritten);
        }
        self.serve_parked(&keys, lookup, now);
    }

    fn end_write(&mut self, id: WriteId) -> (BTreeSet<Key>, Vec<Ask>) {
        let Some(reign) = &mut self.reign else { return Default::default() };
        let Some(write) = reign.writes.remove(&id) else { return Default::default() };
        for key in &write.keys {
            reign.lines.entry(key).writes.remove(&id);
            reign.lines.settle(key);
        }
        (write.keys, write.surrenders)
    }

    /// Strikes off the holders of a key whose leases are over.
    fn lapse(&mut self, key: &Key, now: LocalTime) -> bool {
        let Some(reign) = &mut self.reign else { return false };
        let lapsed = reign.lines.lapse(key, now);
        self.stats.leases_waited_out += lapsed;
        lapsed > 0
    }

    /// Tells every holder of a key that is being written to drop it, unless it was told just now.
    fn invalidate(&mut self, key: &Key, now: LocalTime) {
        let Some(reign) = &mut self.reign else { return };
        let resend_us = self.settings.resend_us;
        let mut told = Vec::new();
        for (holder, held) in &mut reign.lines.entry(key).holders {
            if held.invalidated_at.is_none_or(|at| now >= at.plus_us(resend_us)) {
                held.invalidated_at = Some(now);
                told.push((holder.node, Claim { life: holder.life, number: held.number }));
            }
            let told_at = held.invalidated_at.unwrap_or(now);
            let due = held.until.min(told_at.plus_us(resend_us));
            reign.gates_due = Some(reign.gates_due.map_or(due, |before| before.min(due)));
        }
        reign.lines.settle(key);
        for (node, claim) in told {
            self.stats.invalidations += 1;
            self.send(node, CoherenceBody::Invalidate { key: Key::clone(key), claim });
        }
    }

    /// Holders in the way of a write lapse or are told again.
    pub(super) fn tick_gates(&mut self, now: LocalTime) {
        let Some(reign) = &mut self.reign else { return };
        reign.lines.purge(now);
        if reign.gates_due.is_none_or(|due| now < due) {
            return;
        }
        reign.gates_due = None;
        for key in reign.lines.blocked() {
            if self.lapse(&key, now) {
                marks::hit("coherence.lease_waited_out");
                self.open_gate_if_clear(&key);
            }
            self.invalidate(&key, now);
        }
    }

    /// If nobody reads this key any more, it is no more in the way of its writes.
    pub(super) fn open_gate_if_clear(&mut self, key: &Key) {
        let Some(reign) = &mut self.reign else { return };
        let Some(line) = reign.lines.get(key).filter(|line| line.holders.is_empty()) else { return };
        let waiting: Vec<WriteId> = line.writes.iter().copied().collect();
        for id in waiting {
            if let Some(write) = self.reign.as_mut().and_then(|reign| reign.writes.get_mut(&id)) {
                write.blocked.remove(key);
                self.release_if_clear(id);
            }
        }
    }

    /// After a recall: all writes in whose way nobody else is.
    pub(super) fn release_clear_writes(&mut self) {
        let Some(reign) = &self.reign else { return };
        let held_back: Vec<WriteId> =
            reign.writes.iter().filter(|(_, write)| !write.is_released).map(|(&id, _)| id).collect();
        for id in held_back {
            self.release_if_clear(id);
        }
    }

    fn release_if_clear(&mut self, id: WriteId) {
        let Some(reign) = &mut self.reign else { return };
        if reign.recall.is_some() {
            return;
        }
        if let Some(write) = reign.writes.get_mut(&id)
            && write.blocked.is_empty()
            && !write.is_released
        {
            write.is_released = true;
            self.effects.proposable.push(id);
        }
    }
}
