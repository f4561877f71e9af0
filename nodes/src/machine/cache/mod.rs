//! The cache: keys and values with a time to live, each write with the log index as its version.
//!
//! A key's versions rise strictly, across deletions, expiry and eviction too, because no two entries share an
//! index; so a key that went leaves nothing behind, and a version that was seen once never comes again.
//!
//! Time is that of the log. A key that lives until a stamp is absent from the first entry on that bears this
//! stamp or a later one, before that entry's own command is looked at, and in every question to that state.
//! The stamp lies on a grid of [`EXPIRY_GRID_US`], never earlier than asked for.
//!
//! # Room
//!
//! The bounds hold after every entry: a write for which there is no room is refused. What makes room is an
//! entry of its own, [`Command::Evict`](crate::machine::Command::Evict), which the leader proposes ahead of
//! the write that needs it and which names its victims with their versions. It picks them by
//! [`Machine::victims`](crate::machine::Machine::victims), in the order of the policy. So that nothing of a
//! key is ever removed that the leader has not named, and every line of it is recalled from the near-caches
//! before: see `docs/cache-coherence.md`. An eviction is a deletion to whoever reads.

mod caches;
mod snapshot;
#[cfg(test)]
pub(super) mod tests;
mod types;
mod victims;

pub(super) use caches::{CacheLimits, Caches};
pub(super) use snapshot::CachePlace;
pub use types::{
    ANSWER_BYTES_MAX, CACHE_BYTES_MAX, CacheAction, CacheError, CacheEvent, CacheQuery, CacheReply,
    CacheSettings, CacheStats, CacheTotals, EXPIRY_GRID_US, EvictionPolicy, Expected, GET_MANY_MAX, KEYS_MAX,
    TTL_US_MAX, VALUE_BYTES_MAX, VICTIMS_MAX, Versioned, Victim,
};
pub use victims::Room;
