//! Where a node keeps what it must not forget: the log-store contract, and the stores that keep it: files of its
//! own (`wal`), or a Redis (`redis`).
//!
//! # The contract
//!
//! A store holds the persistent state of the Raft paper's Figure 2: term and vote (one unit), and the log,
//! of which the latest snapshot may stand for the beginning (section 7). The core hands it one [`StoreRequest`] at a time; [`LogStore::store`] is given the next only after the
//! one before has returned. What is durable when a call returns:
//!
//! | call | returns | what survives a power loss at any later time |
//! |-|-|-|
//! | opening | `Ok` | all that it handed back as recovered, although a request that was never acknowledged may be among it |
//! | `store` | `Ok` | the whole request, and every one before it |
//! | `store` | `Err`, or dropped before it ended | every earlier request; this one wholly, or not at all |
//!
//! The last row is stronger than Raft needs (a prefix of the request, in the order hard state, snapshot,
//! truncation, entries, would do): a request is atomic, so that a half-made promise never has to be reasoned about.
//!
//! **Group commit** belongs to the core, not to the store. While a request is being made durable, the core
//! gathers whatever comes in; the next request carries all of it, and costs one write and one sync.
//!
//! **Errors are final.** A store that has failed once fails always, with the same error: after a failed
//! sync nobody knows what the disk holds (Rebello et al., "Can Applications Recover from fsync Failures?",
//! ATC 2020), so trying again and believing the answer would acknowledge what may not be there. The node
//! stops; it starts again from what recovery can prove. A Redis that is down or cut off has not failed: like a disk
//! that stalls, it makes a request take long.
//!
//! **Damage is never guessed away.** Recovery removes an unfinished request from the end of the log only
//! where it was never acknowledged. Anything else that is wrong makes opening fail: a node that has lost
//! a vote or an entry and votes all the same can undo a decision of the cluster.
//!
//! **Forgetting is no promise.** What a request allows to be forgotten is forgotten when that is cheap, and
//! may be there again after a crash, but is never handed back: opening hands back the snapshot and the
//! entries behind it.

mod choice;
pub mod conformance;
mod error;
pub mod redis;
mod status;
pub mod wal;

use std::future::Future;

pub use choice::{StorageChoice, Store};
pub use error::{Identity, StorageError};
pub use redis::{RedisConfig, RedisStore};
pub use status::{Durability, StorageReport, StorageStatus};
pub use wal::{Wal, WalConfig};

use crate::raft::StoreRequest;

/// A durable log with the contract of this module.
pub trait LogStore: Send + 'static {
    /// Makes one request durable, atomically. An empty request is durable already.
    ///
    /// # Errors
    ///
    /// The same one for this call and every later one: [`StorageError::Failed`], or what a Redis turned out to
    /// be ([`StorageError::Forgot`], [`StorageError::TakenOver`] and others). The node must stop.
    ///
    /// # Panics
    ///
    /// If the log would not make sense afterwards: entries that leave a gap, terms or stamps that go back, a
    /// truncation of what a snapshot covers, a snapshot beyond the end of the log that does not replace it,
    /// an entry to be forgotten that no snapshot covers. All are bugs of the caller.
    fn store(&mut self, request: &StoreRequest) -> impl Future<Output = Result<(), StorageError>> + Send;
}
