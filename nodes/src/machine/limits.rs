//! The bounds of a machine's tables, gathered so that tests can reach them in a few steps.
//!
//! Every node must have the same: production machines have the public constants, always.

use super::cache::CacheLimits;
use super::lock::LockLimits;
use super::queue::QueueLimits;
use super::types::{ENDS_PER_ENTRY_MAX, MachineError, NAME_BYTES_MAX, SESSIONS_MAX};

/// How many of each there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open sessions.
    pub(super) sessions: usize,
    /// What one entry ends by itself.
    pub(super) ends: usize,
    /// Of the locks.
    pub(super) lock: LockLimits,
    /// Of the queue.
    pub(super) queue: QueueLimits,
    /// Of the cache.
    pub(super) cache: CacheLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: SESSIONS_MAX,
            ends: ENDS_PER_ENTRY_MAX,
            lock: LockLimits::default(),
            queue: QueueLimits::default(),
            cache: CacheLimits::default(),
        }
    }
}

/// How much one entry ends by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(pub(super) usize);

impl Default for Pace {
    fn default() -> Self {
        Self(ENDS_PER_ENTRY_MAX)
    }
}

/// Refuses a name that is empty or too long. `what` is "key" or "resource".
pub(super) fn check_name(what: &str, name: &str) -> Result<(), MachineError> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(MachineError::InvalidArgument(format!(
        "the {what} must have 1 to {NAME_BYTES_MAX} bytes, not {}",
        name.len()
    )))
}
