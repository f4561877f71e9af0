//! The replicated machines: sessions, locks and a key-value register, as one pure function.
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
//! * Each apply begins with what is due at its stamp, before it looks at the command: sessions and waits
//!   whose deadline is the stamp *or earlier* end, all of them, and only then are locks handed on. So a
//!   session whose lease ends at exactly the stamp has expired, even if the command is its own keep-alive;
//!   and nobody is granted a lock by the entry at which its wait or session ends.
//! * Nothing ends between entries. [`Machine::next_deadline`] tells the leader when a [`Command::Tick`] is
//!   worth proposing.
//! * Every refusal is an outcome; nothing panics on what a command contains. Every bound of `types` holds
//!   after every apply.
//!
//! # Exactly once (Raft thesis 6.3)
//!
//! A session remembers the outcome of each sequence number that its client has not let go of; a second copy
//! of a command is answered from there and has no effect but to renew the lease. Refusals that are not
//! remembered (a malformed number, a reply let go of, a session that has ended) are such that every later
//! copy is refused as well, so a refusal is definite.
//!
//! # Locks
//!
//! First come, first served, without exception: whoever comes to a line waits at its end, even a shared
//! request that the holders would admit. When a lock falls free the longest prefix of the line whose modes
//! go together is granted. The session that was granted learns of it through [`MachineEvent::Completed`],
//! or by retrying. Deliberately absent: upgrades, re-entrance and barging.

mod apply;
mod codec;
mod expiry;
mod limits;
mod lock;
mod register;
mod session;
mod snapshot;
mod types;

#[cfg(test)]
mod tests;

pub use apply::{Applied, Machine};
pub use codec::NEWEST_VERSION;
pub use snapshot::{RestoreError, Snapshotter};
pub use types::*;

/// A key's or resource's name, shared by the tables that mention it.
type Name = std::sync::Arc<str>;

/// A table in the order of its keys, whose copies share all that neither has changed since. A change copies
/// the nodes on its way, a few of at most 16 entries each, if a copy still holds them, and is made in place
/// if none does.
type Table<K, V> = imbl::OrdMap<K, V>;
