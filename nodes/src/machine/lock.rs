//! The lines before the locks: who holds, who waits, who is next.
//!
//! Invariants, after each apply: holders of one lock are one exclusive or any number of shared; the head of
//! a line never goes together with the holders (it would have been granted); a lock that nobody holds is
//! not in the table. Sessions, deadlines and events are the affair of `apply`.

use serde::Serialize;

use super::types::{LockHolder, LockMode, LockState, LockWaiter, WAITERS_MAX};
use super::{Name, Table};
use crate::ids::{FenceToken, LogIndex, SessionId};
use crate::marks;

// One entry grants a resource to each of its waiters and to one newcomer at most.
const _: () = assert!(WAITERS_MAX + 1 < 1 << FenceToken::ORDINAL_BITS);

/// One lock.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Lock {
    /// By token, which is the order of their grants.
    pub(super) holders: Table<FenceToken, LockHolder>,
    /// By ticket: the index of the entry with which the waiter came, which is the order of their coming.
    pub(super) line: Table<LogIndex, LockWaiter>,
    /// The latest token granted since the lock entered the table.
    pub(super) last_token: FenceToken,
}

impl Lock {
    /// Whether a holder in this mode could join those there are.
    pub(super) fn goes_with_holders(&self, mode: LockMode) -> bool {
        match self.holders.get_min() {
            None => true,
            Some((_, holder)) => mode == LockMode::Shared && holder.mode == LockMode::Shared,
        }
    }

    fn grant(&mut self, index: LogIndex, session: SessionId, mode: LockMode) -> LockHolder {
        let token = FenceToken::first_of(index).max(FenceToken(self.last_token.0 + 1));
        assert!(token.granting_index() == index, "more grants by one entry than tokens have room for");
        self.last_token = token;
        let holder = LockHolder { session, mode, token };
        self.holders.insert(token, holder);
        holder
    }
}

/// All locks that are held.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Locks {
    pub(super) locks: Table<Name, Lock>,
}

impl Locks {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.locks.len()
    }

    /// Whether anybody holds this one.
    pub(super) fn contains(&self, resource: &str) -> bool {
        self.locks.contains_key(resource)
    }

    /// Whether a newcomer would get the lock at once: its mode goes with the holders', and nobody waits.
    pub(super) fn admits(&self, resource: &str, mode: LockMode) -> bool {
        let Some(lock) = self.locks.get(resource) else { return true };
        if !lock.goes_with_holders(mode) {
            return false;
        }
        if !lock.line.is_empty() {
            marks::hit("machine.shared_waits_behind_exclusive");
        }
        lock.line.is_empty()
    }

    /// How many wait for it.
    pub(super) fn line_len(&self, resource: &str) -> usize {
        self.locks.get(resource).map_or(0, |lock| lock.line.len())
    }

    /// Grants to a newcomer that [`Locks::admits`].
    pub(super) fn grant(
        &mut self,
        resource: &Name,
        index: LogIndex,
        session: SessionId,
        mode: LockMode,
    ) -> LockHolder {
        if let Some(lock) = self.locks.get_mut(resource) {
            return lock.grant(index, session, mode);
        }
        let mut lock = Lock::default();
        let holder = lock.grant(index, session, mode);
        self.locks.insert(resource.clone(), lock);
        holder
    }

    /// Puts a newcomer, who came with the entry at `ticket`, at the end of the line.
    pub(super) fn enqueue(&mut self, resource: &str, ticket: LogIndex, waiter: LockWaiter) {
        let lock = self.locks.get_mut(resource).expect("only a held lock has a line");
        lock.line.insert(ticket, waiter);
    }

    /// Takes a holder away. The caller calls [`Locks::hand_off`] before the apply ends.
    pub(super) fn release(&mut self, resource: &str, token: FenceToken) -> LockHolder {
        let lock = self.locks.get_mut(resource).expect("a claimed lock is in the table");
        lock.holders.remove(&token).expect("a claim names a grant that holds")
    }

    /// Takes a waiter away. The caller calls [`Locks::hand_off`] before the apply ends.
    pub(super) fn leave(&mut self, resource: &str, ticket: LogIndex) -> LockWaiter {
        let lock = self.locks.get_mut(resource).expect("a claimed lock is in the table");
        lock.line.remove(&ticket).expect("a claim names a waiter in line")
    }

    /// Grants, by the entry at `index`, the longest prefix of the line that goes with the holders and with
    /// itself. Forgets the lock if nobody holds it then.
    pub(super) fn hand_off(&mut self, resource: &str, index: LogIndex) -> Vec<(LockWaiter, LockHolder)> {
        let Some(lock) = self.locks.get_mut(resource) else { return Vec::new() };
        let mut granted = Vec::new();
        while let Some(&(ticket, waiter)) = lock.line.get_min() {
            if !lock.goes_with_holders(waiter.mode) {
                break;
            }
            lock.line.remove(&ticket);
            granted.push((waiter, lock.grant(index, waiter.session, waiter.mode)));
        }
        if granted.len() > 1 {
            marks::hit("machine.shared_granted_together");
        }
        if lock.holders.is_empty() {
            self.locks.remove(resource);
        }
        granted
    }

    /// Who holds and who awaits it.
    pub(super) fn state(&self, resource: &str) -> LockState {
        self.locks.get(resource).map_or_else(LockState::default, |lock| LockState {
            holders: lock.holders.values().copied().collect(),
            waiters: lock.line.values().copied().collect(),
        })
    }

    /// The names of all locks.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.locks.keys()
    }
}
