//! The locks: mutexes held exclusively or shared, and semaphores with permits.
//!
//! # Who gets what
//!
//! First come, first served, at every resource. Whoever comes stands at the end of the line, unless there is
//! room for it beside the holders *and* all who stand there. So a writer that waits is not starved by readers,
//! nor a large request for permits by small ones.
//!
//! An acquire of several resources is granted all of them at once or none. It stands in each line with one
//! ticket, keeps its room where it has come to the front, and is granted by the entry that makes the last room.
//! Lines alone cannot deadlock; sessions that hold something while they wait can, and are refused:
//! `deadlock` has the proof of the one and the terms of the other.
//!
//! An upgrade goes before the line: it waits for the other sharers only. There is one at a time, for two would
//! wait for each other.
//!
//! # Tokens
//!
//! Each grant has a fencing token, later than all before it on the same resource for ever, because it is made
//! of the index of the granting entry. A change of mode is a new grant: upgrade and downgrade end the hold
//! under the old token and begin one under a new one. A waiting upgrade goes on holding under the old one.
//!
//! # Sessions
//!
//! A session has at most one claim at each resource, be it a hold or a place in line. There is no re-entrance:
//! who needs two permits asks for two at once. What a session holds and awaits ends with it.
//!
//! Deliberately absent: barging, priorities, and waits without a deadline.

mod acquire;
mod behind;
mod deadlock;
mod locks;
mod parties;
mod query;
mod release;
mod resource;
mod settle;
mod snapshot;
mod types;
mod views;
mod waits;

pub(super) use locks::{LockLimits, Locks};
pub(super) use snapshot::LockPlace;
pub use types::{
    CLAIMS_MAX, CLAIMS_OF_ALL_MAX, DEADLOCK_STEPS_NAMED_MAX, DeadlockStep, FORCED_RELEASES_KEPT, LOCKS_MAX,
    LockAction, LockError, LockEvent, LockGrant, LockMode, LockQuery, LockReply, LockRequest,
    REASON_BYTES_MAX, REQUESTS_MAX, WAIT_GRAPH_STEPS_MAX, WAITERS_MAX,
};
pub use views::{
    AwaitedLock, ForcedRelease, HeldLock, LockHolder, LockState, LockStats, LockWaiter, SessionLocks,
    TokenStatus,
};
