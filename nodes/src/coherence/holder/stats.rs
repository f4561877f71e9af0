//! What a holder counts.

use serde::{Deserialize, Serialize};

/// Counters of a near-cache over the life of its process, and what it holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderStats {
    /// Reads answered from a line at once: no message, no log entry.
    pub hits: u64,
    /// Reads that found no line.
    pub misses: u64,
    /// Of these, reads that joined a question which was open already.
    pub joined: u64,
    /// Questions sent to a leader, renewals included.
    pub asks: u64,
    /// Of these, questions for a line whose lease was about to end.
    pub renewals: u64,
    /// Grants taken.
    pub grants: u64,
    /// Grants refused because their question was not open any more, or their term over.
    pub grants_refused: u64,
    /// Grants whose lease was over when they came.
    pub grants_late: u64,
    /// Questions that the leader refused.
    pub withheld: u64,
    /// Questions that nobody answered.
    pub unanswered: u64,
    /// Invalidations received.
    pub invalidations: u64,
    /// Lines dropped because of one.
    pub invalidated: u64,
    /// Questions closed because of one: it overtook the grant that it kills.
    pub overtaken: u64,
    /// Recalls received.
    pub recalls: u64,
    /// Lines dropped because of one.
    pub recalled: u64,
    /// Lines dropped because their lease was over.
    pub lapsed: u64,
    /// Lines dropped for want of room.
    pub evicted: u64,
    /// Lines given up for a write from here.
    pub surrenders: u64,
    /// Lines held at the moment, those included whose lease is over and that nobody has read since.
    pub lines: u64,
    /// Their keys and values.
    pub bytes: u64,
}
