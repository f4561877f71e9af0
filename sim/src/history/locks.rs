//! What histories say of locks and semaphores.

use serde::{Deserialize, Serialize};

/// What an acquisition wants of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWant {
    /// The resource.
    pub resource: String,
    /// In which way.
    pub mode: LockMode,
}

/// How a resource is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// Alone.
    Exclusive,
    /// With others that share it.
    Shared,
    /// So many permits of a semaphore.
    Permits(u64),
}

impl LockMode {
    /// The permits of a semaphore that it takes; 0 for a lock.
    #[must_use]
    pub const fn permits(self) -> u64 {
        match self {
            Self::Permits(permits) => permits,
            Self::Exclusive | Self::Shared => 0,
        }
    }

    /// Whether one holder in this mode and one in the other keep each other out, whatever the number of
    /// permits that there are.
    #[must_use]
    pub const fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Permits(_), Self::Permits(_)) => false,
            _ => matches!(self, Self::Exclusive) || matches!(other, Self::Exclusive),
        }
    }
}

/// One step of a cycle of waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlockStep {
    /// The session that waits.
    pub session: u64,
    /// What it waits for.
    pub resource: String,
}

/// The grant by which something is written that a lock guards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The resource.
    pub resource: String,
    /// The token of the grant.
    pub token: u64,
}
