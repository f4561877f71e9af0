//! The vocabulary of the locks: what a question shows.

use serde::{Deserialize, Serialize};

use super::types::LockMode;
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};

/// Who holds and who awaits a resource. A resource that nobody holds or awaits looks like one that never was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockState {
    /// How many permits it has, if it is a semaphore.
    pub permits: Option<u32>,
    /// The log index of the last change of anything here. Of a resource that is not known, when one was
    /// forgotten for the last time: no less than its last change, so whoever watches for changes after a
    /// version may be woken in vain but misses none.
    pub version: LogIndex,
    /// Holders in the order of their grants.
    pub holders: Vec<LockHolder>,
    /// Waiters in the order in which they will be served: an upgrade, then the line.
    pub waiters: Vec<LockWaiter>,
}

/// One holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its session.
    pub session: SessionId,
    /// Its mode.
    pub mode: LockMode,
    /// Its fencing token.
    pub token: FenceToken,
}

/// One waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWaiter {
    /// Its session.
    pub session: SessionId,
    /// The command with which it waits.
    pub sequence: Sequence,
    /// The mode it wants.
    pub mode: LockMode,
    /// When it gives up.
    pub deadline: ClusterTime,
    /// Whether it holds the resource shared and is to hold it exclusively.
    pub is_upgrade: bool,
}

/// What a session holds and awaits, in the order in which the resources came to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLocks {
    /// What it holds.
    pub held: Vec<HeldLock>,
    /// What it awaits; of an acquire of several resources, all.
    pub awaited: Vec<AwaitedLock>,
}

/// A resource that a session holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLock {
    /// The resource.
    pub resource: String,
    /// How.
    pub mode: LockMode,
    /// Under which token.
    pub token: FenceToken,
}

/// A resource that a session awaits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedLock {
    /// The resource.
    pub resource: String,
    /// How it wants it.
    pub mode: LockMode,
    /// The command with which it waits.
    pub sequence: Sequence,
    /// When it gives up.
    pub deadline: ClusterTime,
}

/// Whether a protected resource is to obey a token. Only [`TokenStatus::Current`] says yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenStatus {
    /// The lock is held under it.
    Current,
    /// It was granted, perhaps on another resource, and the lock is not held under it now.
    Stale {
        /// The latest token of the resource.
        latest: FenceToken,
    },
    /// Nothing is known of it: the resource is neither held nor awaited, or the token is later than its
    /// latest.
    Unknown,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockStats {
    /// Resources that are held, awaited, or declared as semaphores.
    pub resources: u64,
    /// Holds: each holder of each resource.
    pub holds: u64,
    /// Commands that wait, each counted once however many resources it is for.
    pub waits: u64,
}

/// The record of a forced release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedRelease {
    /// The entry that did it.
    pub index: LogIndex,
    /// Its stamp.
    pub time: ClusterTime,
    /// The resource.
    pub resource: String,
    /// Who held it, and how.
    pub holder: LockHolder,
    /// The session that forced it.
    pub by: SessionId,
    /// Why.
    pub reason: String,
}
