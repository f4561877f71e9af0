//! What a directory counts.

use serde::{Deserialize, Serialize};

/// Counters of a directory over the life of its process, and what it holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStats {
    /// Questions that came from nodes.
    pub asks: u64,
    /// Rounds of confirmation begun for them.
    pub rounds: u64,
    /// Lines granted for shared reading.
    pub granted_shared: u64,
    /// Lines granted to a sole holder.
    pub granted_exclusive: u64,
    /// Questions refused.
    pub withheld: u64,
    /// Invalidations sent, repetitions included.
    pub invalidations: u64,
    /// Holders struck off at their own word.
    pub given_up: u64,
    /// Of these, lines that a node dropped for want of room.
    pub evictions_told: u64,
    /// Holders struck off in the way of a write because their lease had run out.
    pub leases_waited_out: u64,
    /// Writes taken.
    pub writes: u64,
    /// Of these, those that had to wait for a holder or a recall.
    pub writes_held_back: u64,
    /// Recalls that ended because every member had answered.
    pub recalls_answered: u64,
    /// Recalls that ended because every lease of earlier terms had run out.
    pub recalls_waited_out: u64,
    /// Lines out at the moment.
    pub lines: u64,
    /// Writes taken and not applied at the moment.
    pub writes_under_way: u64,
    /// Whether lines of earlier terms are being recalled at the moment.
    pub is_recalling: bool,
}
