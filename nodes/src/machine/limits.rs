//! The bounds of a machine's tables, gathered so that tests can reach them in a few steps.
//!
//! Every node must have the same: production machines have the public constants, always.

use super::types::{KEYS_MAX, LOCKS_MAX, MachineError, NAME_BYTES_MAX, SESSIONS_MAX, WAITERS_MAX};

/// How many of each there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open sessions.
    pub(super) sessions: usize,
    /// Waiters of one lock; at most [`WAITERS_MAX`].
    pub(super) waiters: usize,
    /// Locks held or awaited.
    pub(super) locks: usize,
    /// Keys with a value.
    pub(super) keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: SESSIONS_MAX, waiters: WAITERS_MAX, locks: LOCKS_MAX, keys: KEYS_MAX }
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
