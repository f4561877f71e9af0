//! Room: what writes under way may take up, and whom to evict ahead of them.
//!
//! The machine refuses what finds no room; so that this does not happen in the ordinary course, the leader
//! proposes, ahead of a write, the eviction of as many keys as that write may need beyond all others that are
//! under way. It promises too much rather than too little: a write is counted as if its condition held.

use std::collections::{BTreeMap, BTreeSet};

use super::super::probe::Probe;
use super::super::replica::Replica;
use super::{Gated, NO_ROOM, keys};
use crate::coherence::{Key, WriteId};
use crate::env::Env;
use crate::machine::{CacheAction, Command, Machine, Room};
use crate::marks;

/// A counter's value has at most so many bytes.
const COUNTER_BYTES_MAX: u64 = 20;

/// Room that is spoken for.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By writes that are not applied.
    writes: BTreeMap<WriteId, (BTreeSet<Key>, Room)>,
    wanted: Room,
    /// How many of those change each key. Such a key stays: an eviction names the version that it found, which is
    /// another by the time at which it is applied.
    changing: BTreeMap<Key, usize>,
    /// Keys on their way out, by the eviction that removes them.
    leaving: BTreeMap<Key, WriteId>,
    evictions: BTreeMap<WriteId, Room>,
    freed: Room,
}

impl Claims {
    pub(super) fn want(&mut self, write: WriteId, changed: BTreeSet<Key>, room: Room) {
        for key in &changed {
            *self.changing.entry(Key::clone(key)).or_default() += 1;
        }
        self.writes.insert(write, (changed, room));
        self.wanted = plus(self.wanted, room);
    }

    /// Whether the key is on its way out: by then a write finds no room that it already takes up.
    pub(super) fn is_leaving(&self, key: &str) -> bool {
        self.leaving.contains_key(key)
    }

    /// The write or eviction is over.
    pub(super) fn end(&mut self, write: WriteId) {
        if let Some((changed, room)) = self.writes.remove(&write) {
            self.wanted = minus(self.wanted, room);
            for key in changed {
                let count = self.changing.get_mut(&key).expect("it was counted when it was taken");
                *count -= 1;
                if *count == 0 {
                    self.changing.remove(&key);
                }
            }
        }
        if let Some(room) = self.evictions.remove(&write) {
            self.freed = minus(self.freed, room);
            self.leaving.retain(|_, eviction| *eviction != write);
        }
    }
}

fn plus(one: Room, other: Room) -> Room {
    Room { entries: one.entries + other.entries, bytes: one.bytes + other.bytes }
}

fn minus(one: Room, other: Room) -> Room {
    Room { entries: one.entries.saturating_sub(other.entries), bytes: one.bytes.saturating_sub(other.bytes) }
}

/// The room that a write may take up beyond what its key has by then.
pub(super) fn room_of(machine: &Machine, claims: &Claims, action: &CacheAction) -> Room {
    let (key, value_bytes) = match action {
        CacheAction::Set { key, value, .. } | CacheAction::CompareAndSet { key, value, .. } => {
            (key, value.len() as u64)
        }
        CacheAction::Add { key, .. } => (key, COUNTER_BYTES_MAX),
        CacheAction::Delete { .. }
        | CacheAction::CompareAndDelete { .. }
        | CacheAction::Touch { .. }
        | CacheAction::Configure(_) => return NO_ROOM,
    };
    match machine.find(key).filter(|_| !claims.is_leaving(key)) {
        Some((found, _)) => Room { entries: 0, bytes: value_bytes.saturating_sub(found.value.len() as u64) },
        None => Room { entries: 1, bytes: key.len() as u64 + value_bytes },
    }
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// Makes room for what is wanted beyond all that is spoken for; returns the eviction that the write which
    /// wants it must follow in the log, if one is needed. The keys of `spared` stay: they are about to be
    /// written.
    pub(super) fn make_room(&mut self, wanted: Room, spared: &BTreeSet<Key>) -> Option<WriteId> {
        // Only a leader has one.
        self.core.cluster_time(self.env.now())?;
        let near = &mut self.near;
        let wanted = plus(near.claims.wanted, wanted);
        let claims = &near.claims;
        let stays =
            |key: &str| claims.is_leaving(key) || claims.changing.contains_key(key) || spared.contains(key);
        let victims = self.machine.victims(wanted, claims.freed, stays);
        if victims.is_empty() {
            return None;
        }
        let now = self.env.now();
        let names = keys(victims.iter().map(|victim| &victim.key));
        let eviction = match near.directory.take_write(names.clone(), None, now) {
            Ok(eviction) => eviction,
            Err(_) => {
                marks::hit("server.eviction_not_taken");
                return None;
            }
        };
        marks::hit("server.evicts");
        let bytes = victims.iter().map(|victim| self.machine.weight_bytes(&victim.key)).sum();
        let freed = Room { entries: victims.len() as u64, bytes };
        let keys = if P::WATCHING { names.clone() } else { BTreeSet::new() };
        near.claims.leaving.extend(names.into_iter().map(|key| (key, eviction)));
        near.claims.evictions.insert(eviction, freed);
        near.claims.freed = plus(near.claims.freed, freed);
        let id = self.pending.name();
        let command = self.encode(&Command::Evict { victims });
        self.near.gated.insert(eviction, Gated { id, command, keys, after: None, is_released: false });
        Some(eviction)
    }
}
