//! The replicated machines: sessions and three services, as one pure function.
//!
//! [`Machine::apply`] takes a committed entry (index, stamp, command) and yields its outcome and events.
//! Every node applies the same entries in the same order and so comes to the same state; [`Machine::digest`]
//! lets a check compare them. Nothing here reads a clock, draws a number or iterates an unordered map.
//!
//! The tables are persistent maps, which share their structure with their copies: [`Machine::clone`] costs a
//! few counters however large the state is, and a copy never changes with its original. That is how
//! [`Machine::snapshot`] writes the state of one instant to bytes while the machine goes on.
//!
//! # Contract
//!
//! * Entries are applied in order, each index once, none left out: a leader's no-op, or an entry that
//!   [`Command::decode`] refuses, is applied as [`Command::Tick`]. Stamps never go back. Breaking this is a
//!   bug of the caller and asserted.
//! * Each apply begins with what is due at its stamp, before it looks at the command: sessions first, then
//!   what waits in the services. What has its deadline at the stamp *or earlier* ends, and only then is anybody
//!   served. So a
//!   session whose lease ends at exactly the stamp has expired, even if the command is its own keep-alive;
//!   and nobody is granted anything by the entry at which its wait or session ends.
//! * One entry ends no more than [`ENDS_PER_ENTRY_MAX`] of all that is due. What is left over is *overdue* until an
//!   entry ends it ([`Machine::is_behind`]). An overdue session can do nothing any more; what it holds is held, and
//!   what it awaits stands in line, until then. An overdue wait may yet be served. Overdue messages and keys count as
//!   ended: none of them is delivered or read, no receipt of them is good, nor is a new life given to them; they are
//!   counted where they were, as ready, delayed, in flight or held.
//! * Nothing ends between entries. [`Machine::next_deadline`] tells the leader when a [`Command::Tick`] is
//!   worth proposing.
//! * Every refusal is an outcome; nothing panics on what a command contains. Every bound of `types` holds
//!   after every apply.
//!
//! # Exactly once (Raft thesis 6.3)
//!
//! A session remembers the outcome of each sequence number that its client has not let go of (`remembered` says
//! what of it); a second copy of a command is answered from there and has no effect but to renew the lease. Refusals that are not
//! remembered (a malformed number, a reply let go of, a session that has ended) are such that every later
//! copy is refused as well, so a refusal is definite.
//!
//! # The services
//!
//! Each has a folder with its vocabulary, its state and its tests; `service` says how the machine drives
//! them. A command that has to wait does so in the replicated state, so that no change of the leader can lose
//! it: its session learns of the end through [`MachineEvent::Completed`], or by retrying.

mod apply;
mod cache;
mod codec;
mod expiry;
mod limits;
mod lock;
mod queue;
mod remembered;
mod service;
mod session;
mod short_table;
mod snapshot;
mod types;

#[cfg(test)]
mod tests;

pub use apply::{Applied, Machine};
pub use cache::{
    ANSWER_BYTES_MAX, CACHE_BYTES_MAX, CacheAction, CacheError, CacheEvent, CacheQuery, CacheReply,
    CacheSettings, CacheStats, CacheTotals, EXPIRY_GRID_US, EvictionPolicy, Expected, GET_MANY_MAX, KEYS_MAX,
    Room, TTL_US_MAX, VALUE_BYTES_MAX, VICTIMS_MAX, Versioned, Victim,
};
pub use codec::NEWEST_VERSION;
pub use lock::{
    AwaitedLock, CLAIMS_MAX, CLAIMS_OF_ALL_MAX, DEADLOCK_STEPS_NAMED_MAX, DeadlockStep, FORCED_RELEASES_KEPT,
    ForcedRelease, HeldLock, LOCKS_MAX, LockAction, LockError, LockEvent, LockGrant, LockHolder, LockMode,
    LockQuery, LockReply, LockRequest, LockState, LockStats, LockWaiter, REASON_BYTES_MAX, REQUESTS_MAX,
    SessionLocks, TokenStatus, WAIT_GRAPH_STEPS_MAX, WAITERS_MAX,
};
pub use queue::{
    ATTEMPTS_MAX, Acknowledgement, BATCH_MAX, CONSUMERS_WAITING_MAX, DELAY_US_MAX, DEPTH_MAX, Death,
    DeathReason, Delivery, ENQUEUE_BYTES_MAX, GROUP_BYTES_MAX, HEADER_PLACE_BYTES, HEADERS_BYTES_MAX,
    HEADERS_MAX, Imbalance, MESSAGE_TTL_US_MAX, NewMessage, Origin, PAYLOAD_BYTES_MAX, PRODUCER_BATCHES_MAX,
    PRODUCERS_MAX, PURGE_MAX, PurgeScope, QueueAction, QueueError, QueueEvent, QueueQuery, QueueReply,
    RATE_WINDOW_S, REPLY_BYTES_MAX, StoredMessage, TOPIC_BYTES_MAX, TOPIC_STORED_BYTES_MAX, TOPICS_MAX,
    TopicBound, TopicListing, TopicRecent, TopicSettings, TopicStats, TopicTotals, VISIBILITY_US_MAX,
    VISIBILITY_US_MIN,
};
pub use snapshot::{RestoreError, Snapshotter};
pub use types::*;

/// A key's or resource's name, shared by the tables that mention it.
type Name = std::sync::Arc<str>;

/// A table in the order of its keys, whose copies share all that neither has changed since. A change copies
/// the nodes on its way, a few of at most 16 entries each, if a copy still holds them, and is made in place
/// if none does.
type Table<K, V> = imbl::OrdMap<K, V>;
