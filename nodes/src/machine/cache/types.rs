//! The vocabulary of the cache.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{ClusterTime, LogIndex};

/// A write to the cache. A key has 1 to [`NAME_BYTES_MAX`](crate::machine::NAME_BYTES_MAX) bytes, a value up
/// to [`VALUE_BYTES_MAX`], a time to live 1 to [`TTL_US_MAX`] microseconds of cluster time; without one, a key
/// lives for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheAction {
    /// Write unconditionally. The time to live is as given here, whatever it was.
    Set {
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
        /// How long it lives.
        ttl_us: Option<u64>,
    },
    /// Write if the key is as expected; otherwise the reply is [`CacheReply::Mismatch`].
    CompareAndSet {
        /// The key.
        key: String,
        /// What is to be replaced.
        expected: Expected,
        /// The new value.
        value: Bytes,
        /// How long it lives.
        ttl_us: Option<u64>,
    },
    /// Remove the value, if any.
    Delete {
        /// The key.
        key: String,
    },
    /// Remove the value if the key is as expected; otherwise the reply is [`CacheReply::Mismatch`].
    CompareAndDelete {
        /// The key.
        key: String,
        /// What is to be removed.
        expected: Expected,
    },
    /// Add to a counter: a value that is a number in decimal digits, with a sign if it is negative.
    Add {
        /// The key.
        key: String,
        /// What to add.
        delta: i64,
        /// What to count from if there is no value.
        initial: i64,
        /// How long it lives if there was no value; the life of one that there is goes on as it was.
        ttl_us: Option<u64>,
    },
    /// Let the key live from now on for so long, or for ever. It is a write: the key gets a new version.
    Touch {
        /// The key.
        key: String,
        /// How long.
        ttl_us: Option<u64>,
    },
    /// Set the bounds and the policy. Nothing is removed by it: what is too much is evicted bit by bit, and
    /// until then nothing new is taken in.
    Configure(CacheSettings),
}

/// What a conditional write expects of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// It has no value.
    Absent,
    /// It has exactly this value.
    Value(Bytes),
    /// It has this version.
    Version(LogIndex),
}

/// The bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSettings {
    /// Keys at a time: 1 to [`KEYS_MAX`], which is the default.
    pub entries_max: u64,
    /// Bytes of keys and values at a time: 1 to [`CACHE_BYTES_MAX`], which is the default.
    pub bytes_max: u64,
    /// Whom to evict.
    pub policy: EvictionPolicy,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            entries_max: KEYS_MAX as u64,
            bytes_max: CACHE_BYTES_MAX,
            policy: EvictionPolicy::LeastRecentlyWritten,
        }
    }
}

/// Whom to evict when room is wanted. Reads do not pass through the log, so no policy knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvictionPolicy {
    /// Nobody: writes that need room are refused.
    Refuse,
    /// The key whose latest write is the longest ago.
    LeastRecentlyWritten,
    /// The key that expires first, of several the least recently written; those that live for ever come last.
    SoonestToExpire,
}

/// A key to be evicted, if it is still of this version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Victim {
    /// The key.
    pub key: String,
    /// Its version. One that was written since stays.
    pub version: LogIndex,
}

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// The log index of its write.
    pub version: LogIndex,
}

/// A question about the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheQuery {
    /// The value of a key.
    Get {
        /// The key.
        key: String,
    },
    /// The values of up to [`GET_MANY_MAX`] keys, all of the same state.
    GetMany {
        /// The keys.
        keys: Vec<String>,
    },
    /// When a key expires.
    Expiry {
        /// The key.
        key: String,
    },
    /// What the cache holds and has done.
    Stats,
}

/// What the cache answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheReply {
    /// A write took place.
    Written {
        /// The version of the key now: the log index of the write.
        version: LogIndex,
    },
    /// What a read found.
    Value(Option<Versioned>),
    /// A conditional write did not take place, because it found this instead.
    Mismatch(Option<Versioned>),
    /// A delete removed something, or there was nothing.
    Deleted {
        /// Whether there was something.
        existed: bool,
        /// The log index of the delete.
        version: LogIndex,
    },
    /// A counter was added to.
    Counted {
        /// What it is now.
        value: i64,
        /// The version of the key now.
        version: LogIndex,
    },
    /// What a read of many found, in the order of the question.
    Values(Vec<Option<Versioned>>),
    /// When a key expires.
    Expiry {
        /// Whether the key has a value.
        exists: bool,
        /// The first stamp at which it has none any more, if it does not live for ever.
        expires: Option<ClusterTime>,
        /// The time of the answer.
        now: ClusterTime,
    },
    /// What the cache holds and has done.
    Stats(CacheStats),
    /// What a read found in the near-cache of the node that answers, which asked nobody.
    Near(Option<Versioned>),
}

/// What the cache holds and has done. `created = entries + deleted + expired + evicted`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStats {
    /// The bounds.
    pub settings: CacheSettings,
    /// Keys that have a value.
    pub entries: u64,
    /// Of these, how many do not live for ever.
    pub expiring: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// What has been done.
    pub totals: CacheTotals,
}

/// What the cache has done since its first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheTotals {
    /// Writes to keys without a value.
    pub created: u64,
    /// Writes to keys with a value.
    pub overwritten: u64,
    /// Values removed by command.
    pub deleted: u64,
    /// Values whose time to live ran out.
    pub expired: u64,
    /// Values evicted.
    pub evicted: u64,
    /// Writes refused for want of room.
    pub refused: u64,
}

/// Something happened to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheEvent {
    /// It was written.
    Written {
        /// The key.
        key: String,
        /// Its version now.
        version: LogIndex,
    },
    /// It was removed by command.
    Deleted {
        /// The key.
        key: String,
        /// The version that went.
        version: LogIndex,
    },
    /// Its time to live ran out.
    Expired {
        /// The key.
        key: String,
        /// The version that went.
        version: LogIndex,
    },
    /// It made room.
    Evicted {
        /// The key.
        key: String,
        /// The version that went.
        version: LogIndex,
    },
}

impl CacheEvent {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Written { key, .. }
            | Self::Deleted { key, .. }
            | Self::Expired { key, .. }
            | Self::Evicted { key, .. } => key,
        }
    }
}

/// Why the cache refused. Every one is definite: this command had no effect.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheError {
    /// There is no room for it at present. Room is made in the background unless the policy forbids it: wait a
    /// little, then send it as a new command.
    #[error("the cache is full")]
    Full,
    /// The value is not a number in decimal digits.
    #[error("the value of the key is not a counter")]
    NotACounter,
    /// The counter would leave the range of 64-bit numbers.
    #[error("the counter would overflow")]
    CounterOverflow,
    /// The key has no value.
    #[error("there is no such key")]
    NoSuchKey,
    /// The answer would be too long: ask for fewer keys.
    #[error("the values have more than {ANSWER_BYTES_MAX} bytes together")]
    AnswerTooLong,
    /// Key and value alone are more than the cache as it is set now may hold: no room that is made would do.
    #[error("key and value have {bytes} bytes, and the cache is set to hold {bytes_max} at most")]
    TooLarge {
        /// Of key and value together.
        bytes: u64,
        /// Of all keys and values, as the settings have it.
        bytes_max: u64,
    },
}

/// Longest value.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Keys at a time.
pub const KEYS_MAX: usize = 1_048_576;
/// Bytes of keys and values at a time: 1 GiB.
pub const CACHE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Longest time to live: ten years of 366 days.
pub const TTL_US_MAX: u64 = 10 * 366 * 86_400 * 1_000_000;
/// Keys expire at multiples of this, rounded up, so that a great many that live equally long cost the log a
/// bounded number of entries a second: 10 ms.
pub const EXPIRY_GRID_US: u64 = 10_000;
/// Keys of one read of many.
pub const GET_MANY_MAX: usize = 1024;
/// Bytes of values that one read of many returns.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Keys that one entry evicts.
pub const VICTIMS_MAX: usize = 1024;
