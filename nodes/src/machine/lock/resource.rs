//! One resource: its holders, its line, and how far down the line there is room.
//!
//! A mutex is counted as a semaphore of [`EXCLUSIVE`] permits, of which a shared holder takes one and an
//! exclusive one all. So there is one rule: those who are in never take more than there is.
//!
//! **The admitted prefix.** A waiter is *admitted* if there is room for it beside the holders and all waiters
//! before it in the line, as if these were in already. What is admitted is a prefix of the line, because more
//! before one never makes more room. A waiter for one resource is granted as soon as it is admitted, one for
//! several as soon as it is admitted to all; until then it keeps its room, so nobody who comes later can
//! starve it. While an upgrade waits, nobody is admitted.

use serde::Serialize;

use super::types::{LockMode, WAITERS_MAX};
use super::views::LockHolder;
use crate::ids::{FenceToken, LogIndex, SessionId};
use crate::machine::Name;
use crate::machine::service::Asker;
use crate::machine::short_table::ShortTable;
use crate::plant::{self, Bug};

// One entry grants a resource to each of its waiters and to one newcomer at most.
const _: () = assert!(WAITERS_MAX + 1 < 1 << FenceToken::ORDINAL_BITS);

/// All of a mutex.
const EXCLUSIVE: u64 = 1 << 32;

/// How much of a resource a holder in this mode takes.
pub(super) fn weight(mode: LockMode) -> u64 {
    match mode {
        LockMode::Exclusive => EXCLUSIVE,
        LockMode::Shared => 1,
        LockMode::Permits(permits) => permits.into(),
    }
}

/// A resource's short name, for tables that mention it often. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct ResourceId(pub(super) u64);

/// A hold.
#[derive(Clone, Copy, Debug, Serialize, serde::Deserialize)]
pub(super) struct Holding {
    pub(super) session: SessionId,
    pub(super) mode: LockMode,
}

/// A place in line.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Waiting {
    pub(super) by: Asker,
    pub(super) mode: LockMode,
}

/// One resource.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Resource {
    pub(super) name: Name,
    /// Of a semaphore: how many it has. `None`: a mutex.
    pub(super) permits: Option<u32>,
    /// By token, which is the order of their grants.
    pub(super) holders: ShortTable<FenceToken, Holding>,
    /// By ticket: the index of the entry with which the waiter came, which is the order of their coming, the
    /// same in all lines.
    pub(super) line: ShortTable<LogIndex, Waiting>,
    /// A sharer who wants all of it.
    pub(super) upgrader: Option<Asker>,
    /// The latest token since the resource came to be known.
    pub(super) last_token: FenceToken,
    /// The index of the last change.
    pub(super) version: LogIndex,
    /// Waiters up to this ticket are admitted. Follows from the rest.
    #[serde(skip)]
    pub(super) admitted: LogIndex,
    /// What holders and admitted waiters take. Follows from the rest.
    #[serde(skip)]
    pub(super) taken: u64,
}

impl Resource {
    pub(super) fn new(name: Name, permits: Option<u32>, version: LogIndex) -> Self {
        Self {
            name,
            permits,
            holders: ShortTable::default(),
            line: ShortTable::default(),
            upgrader: None,
            last_token: FenceToken(0),
            version,
            admitted: LogIndex(0),
            taken: 0,
        }
    }

    /// How much of it there is.
    pub(super) fn capacity(&self) -> u64 {
        self.permits.map_or(EXCLUSIVE, u64::from)
    }

    /// Whether two cannot both be in, whoever else is.
    pub(super) fn conflict(&self, one: u64, other: u64) -> bool {
        one + other > self.capacity()
    }

    /// Whether there is room beside holders and admitted waiters.
    fn has_room(&self, mode: LockMode) -> bool {
        self.upgrader.is_none() && self.taken + weight(mode) <= self.capacity()
    }

    /// Whether this waiter is admitted.
    pub(super) fn is_admitted(&self, ticket: LogIndex) -> bool {
        self.upgrader.is_none() && ticket <= self.admitted
    }

    /// Whether a newcomer would be admitted at once: all before it are, and there is room.
    pub(super) fn would_admit(&self, mode: LockMode) -> bool {
        if plant::is(Bug::LockSharedPassesWaitingWriter)
            && mode == LockMode::Shared
            && !self.holders.is_empty()
            && self.upgrader.is_none()
        {
            return self.taken < self.capacity();
        }
        let is_last_admitted = self.line.get_max().is_none_or(|&(last, _)| last <= self.admitted);
        is_last_admitted && self.has_room(mode)
    }

    /// Admits the next in line, if there is room for it.
    pub(super) fn admit_next(&mut self) -> Option<Waiting> {
        let next = (std::ops::Bound::Excluded(self.admitted), std::ops::Bound::Unbounded);
        let (&ticket, &waiting) = self.line.range(next).next()?;
        if !self.has_room(waiting.mode) {
            return None;
        }
        self.admitted = ticket;
        self.taken += weight(waiting.mode);
        Some(waiting)
    }

    /// Takes the admission of all waiters back and returns them.
    pub(super) fn retract(&mut self) -> Vec<Waiting> {
        let admitted: Vec<Waiting> = self.line.range(..=self.admitted).map(|(_, &waiting)| waiting).collect();
        self.taken -= admitted.iter().map(|waiting| weight(waiting.mode)).sum::<u64>();
        self.admitted = LogIndex(0);
        admitted
    }

    /// Takes a waiter out of the line.
    pub(super) fn leave(&mut self, ticket: LogIndex) {
        let waiting = self.line.remove(&ticket).expect("who waits stands in line");
        if ticket <= self.admitted {
            self.taken -= weight(waiting.mode);
        }
    }

    /// Adds a holder by the entry at `index`, under a token later than all before.
    pub(super) fn grant(&mut self, index: LogIndex, session: SessionId, mode: LockMode) -> LockHolder {
        let token = self.next_token(index);
        self.last_token = token;
        self.version = index;
        self.taken += weight(mode);
        self.holders.insert(token, Holding { session, mode });
        LockHolder { session, mode, token }
    }

    fn next_token(&self, index: LogIndex) -> FenceToken {
        if plant::is(Bug::LockExpiryWithoutFence)
            && self.last_token.0 > 0
            && !self.holders.contains_key(&self.last_token)
        {
            return self.last_token;
        }
        let token = FenceToken::first_of(index).max(FenceToken(self.last_token.0 + 1));
        assert!(token.granting_index() == index, "more grants by one entry than tokens have room for");
        token
    }

    /// Takes a holder away by the entry at `index`.
    pub(super) fn take_away(&mut self, token: FenceToken, index: LogIndex) -> LockHolder {
        let Holding { session, mode } = self.holders.remove(&token).expect("a claim names a hold");
        self.taken -= weight(mode);
        self.version = index;
        LockHolder { session, mode, token }
    }

    /// The one holder, if there is just one.
    pub(super) fn only_holder(&self) -> Option<FenceToken> {
        (self.holders.len() == 1).then(|| self.holders.get_min().map(|&(token, _)| token)).flatten()
    }

    /// Whether nobody would miss it.
    pub(super) fn is_idle(&self) -> bool {
        self.permits.is_none() && self.holders.is_empty() && self.line.is_empty()
    }
}
