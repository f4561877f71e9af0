//! The vocabulary of the locks: what may be asked of them, and why they may refuse.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::views::{ForcedRelease, LockHolder, LockState, LockStats, SessionLocks, TokenStatus};
use crate::ids::{FenceToken, Sequence, SessionId};

/// How a resource is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// One holder.
    Exclusive,
    /// Many holders, all shared.
    Shared,
    /// This many permits of a semaphore, at least one.
    Permits(u32),
}

/// One resource of an acquire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRequest {
    /// The resource: 1 to [`NAME_BYTES_MAX`](crate::machine::NAME_BYTES_MAX) bytes.
    pub resource: String,
    /// How it is to be held.
    pub mode: LockMode,
}

/// One resource that was granted, and the token under which it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockGrant {
    /// The resource.
    pub resource: String,
    /// The fencing token of the grant.
    pub token: FenceToken,
}

/// An operation on locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockAction {
    /// Get all of these or none, waiting in line if need be. Answered with [`LockReply::Granted`], in the
    /// order of the requests.
    Acquire {
        /// 1 to [`REQUESTS_MAX`], each for another resource.
        requests: Vec<LockRequest>,
        /// How long to wait in line: 0 is "try". After it the outcome is [`LockError::Timeout`].
        wait_us: u64,
    },
    /// Give all of these back or, if one of them is not held, none.
    Release {
        /// 1 to [`REQUESTS_MAX`] grants, each of another resource.
        grants: Vec<LockGrant>,
    },
    /// Make a shared hold exclusive, before all who stand in line, as soon as the other sharers have left.
    /// Refused with [`LockError::Deadlock`], even where there is no other sharer, if it would close a cycle.
    /// Answered with [`LockReply::Granted`] and a new token; until then the old one holds, and after it the
    /// old one is stale.
    Upgrade {
        /// The resource.
        resource: String,
        /// The token of the shared hold.
        token: FenceToken,
        /// As of an acquire.
        wait_us: u64,
    },
    /// Make an exclusive hold shared at once. Answered with [`LockReply::Granted`] and a new token; the old
    /// one is stale then, so that what was done under the exclusive hold and arrives late can be refused.
    Downgrade {
        /// The resource.
        resource: String,
        /// The token of the exclusive hold.
        token: FenceToken,
    },
    /// End a wait of the same session, for locks or, though that is the queue's, for messages: its outcome is
    /// [`LockError::Cancelled`], or a delivery of nothing.
    Cancel {
        /// The command that waits.
        sequence: Sequence,
    },
    /// Make this resource a semaphore, or change how many permits it has. Fewer permits take effect as those
    /// given out come back; a waiter that asks for more than there are now is refused.
    DeclareSemaphore {
        /// The resource.
        resource: String,
        /// How many permits, at least one.
        permits: u32,
    },
    /// Forget a semaphore that nobody holds or awaits.
    RemoveSemaphore {
        /// The resource.
        resource: String,
    },
    /// End somebody's hold for them, by whatever session: an operator's last resort. It is recorded.
    ForceRelease {
        /// The resource.
        resource: String,
        /// The token of the hold to end.
        token: FenceToken,
        /// For the record: up to [`REASON_BYTES_MAX`] bytes.
        reason: String,
    },
}

/// A question about locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockQuery {
    /// Who holds and who awaits a resource. Answered with [`LockReply::State`].
    State {
        /// The resource.
        resource: String,
    },
    /// What a session holds and awaits. Answered with [`LockReply::OfSession`].
    OfSession {
        /// The session.
        session: SessionId,
    },
    /// Whether a token is the one to obey. Answered with [`LockReply::Checked`].
    Check {
        /// The resource.
        resource: String,
        /// The token.
        token: FenceToken,
    },
    /// The latest forced releases. Answered with [`LockReply::Forced`].
    ForcedReleases,
    /// How much there is of everything. Answered with [`LockReply::Stats`].
    Stats,
}

/// What the locks answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockReply {
    /// Everything that was asked for is held.
    Granted {
        /// In the order in which it was asked for.
        grants: Vec<LockGrant>,
    },
    /// A resource's state.
    State(Box<LockState>),
    /// What a session holds and awaits.
    OfSession(Box<SessionLocks>),
    /// What is known of a token.
    Checked(TokenStatus),
    /// Up to [`FORCED_RELEASES_KEPT`] forced releases, the latest last.
    Forced(Vec<ForcedRelease>),
    /// How much there is of everything.
    Stats(LockStats),
}

/// One step of a cycle: this session waits at this resource for the session of the next step, and that of
/// the last step for that of the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlockStep {
    /// Who waits.
    pub session: SessionId,
    /// For what.
    pub resource: String,
}

/// Why the locks refused. Every one is definite: this command had no effect, or none any more.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockError {
    /// Not to be had in time.
    #[error("the lock was not granted within the time given")]
    Timeout,
    /// The wait was cancelled, or its client let go of it.
    #[error("the wait was cancelled")]
    Cancelled,
    /// This session holds one of the resources already or waits for it already.
    #[error("this session already holds or awaits this lock")]
    Reentrant,
    /// Nothing of this session and token is held on the resource, or not any more.
    #[error("this session does not hold this lock under this token")]
    NotHeld,
    /// An upgrade of what is not shared, or a downgrade of what is not exclusive.
    #[error("the lock is held in a mode that does not allow this")]
    WrongMode,
    /// The session waits with no such command.
    #[error("nothing is awaited by this command")]
    NotWaiting,
    /// To wait, or to upgrade though others wait for that then, would close a cycle of sessions that wait for
    /// each other.
    #[error("to wait would be a deadlock: {}", cycle_text(.cycle))]
    Deadlock {
        /// The cycle; the first step is the session that asked. Of a cycle of more than
        /// [`DEADLOCK_STEPS_NAMED_MAX`] steps so many, from the first on.
        cycle: Vec<DeadlockStep>,
    },
    /// So many wait for each other that looking for a cycle would take too long.
    #[error("too many sessions wait for each other: at most {WAIT_GRAPH_STEPS_MAX} steps")]
    WaitGraphTooLarge,
    /// Permits are asked of what is no semaphore.
    #[error("the resource is not a semaphore")]
    NotASemaphore,
    /// A mode of a mutex is asked of a semaphore.
    #[error("the resource is a semaphore")]
    IsASemaphore,
    /// More permits are asked for than there are at all.
    #[error("the semaphore has only {permits} permits")]
    TooFewPermits {
        /// How many there are.
        permits: u32,
    },
    /// The resource is held or awaited.
    #[error("the resource is held or awaited")]
    InUse,
    /// Too many wait for this resource already.
    #[error("too many waiters for one lock: at most {WAITERS_MAX}")]
    TooManyWaiters,
    /// Too many resources are held, awaited or declared already.
    #[error("too many locks are held or awaited: at most {LOCKS_MAX}")]
    TooManyLocks,
    /// The session holds or awaits too many already.
    #[error("this session holds or awaits too many locks: at most {CLAIMS_MAX}")]
    TooManyClaims,
    /// All sessions together hold or await too many already.
    #[error("locks are held and awaited too many times: at most {CLAIMS_OF_ALL_MAX}")]
    TooManyClaimsOfAll,
}

fn cycle_text(cycle: &[DeadlockStep]) -> String {
    let steps: Vec<String> =
        cycle.iter().map(|step| format!("{} waits at {:?}", step.session, step.resource)).collect();
    steps.join(", ")
}

/// What happened to a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockEvent {
    /// It was granted, at once or by hand-off.
    Granted {
        /// The resource.
        resource: String,
        /// The new holder.
        holder: LockHolder,
    },
    /// It is no longer held by this holder under this token.
    Released {
        /// The resource.
        resource: String,
        /// The former holder.
        holder: LockHolder,
    },
    /// The release just told of was forced.
    Forced(ForcedRelease),
    /// A semaphore was declared, changed or removed.
    Semaphore {
        /// The resource.
        resource: String,
        /// How many permits it has now; `None` if it is no more.
        permits: Option<u32>,
    },
}

/// Resources in one acquire or release.
pub const REQUESTS_MAX: usize = 16;
/// Waiters in line for one lock.
pub const WAITERS_MAX: usize = 4096;
/// Locks held, awaited or declared at a time.
pub const LOCKS_MAX: usize = 1_048_576;
/// Locks that one session holds or awaits.
pub const CLAIMS_MAX: usize = 1024;
/// What all sessions hold and await together, each place in a line counted: four for each lock that there may be.
pub const CLAIMS_OF_ALL_MAX: usize = 4 * LOCKS_MAX;
/// Longest reason of a forced release.
pub const REASON_BYTES_MAX: usize = 256;
/// Forced releases that are kept on record.
pub const FORCED_RELEASES_KEPT: usize = 64;
/// Steps of a cycle that a refusal names: of a longer one the first of them, lest the refusal, which the
/// session table keeps, be thousands of times as long as the command.
pub const DEADLOCK_STEPS_NAMED_MAX: usize = 32;
/// Steps of one search for a deadlock, from each end: whom the session would wait for, and who waits for it. Among
/// mutexes there is one for each waiter and holder come by, and so room for a dozen full lines at either end;
/// whichever has no more than that decides.
pub const WAIT_GRAPH_STEPS_MAX: usize = 65_536;
