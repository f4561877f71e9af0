//! What an operator may ask of a store while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What an acknowledged write survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The store is not open yet.
    #[default]
    Unknown,
    /// Any loss of power: it is synced before it is acknowledged.
    Synced,
    /// Not even that: the operator allowed a store that may lose what it has acknowledged.
    Volatile {
        /// Which setting is to blame.
        reason: String,
    },
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Synced => f.write_str("synced"),
            Self::Volatile { reason } => write!(f, "volatile: {reason}"),
        }
    }
}

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageReport {
    /// What it is kept in: `wal`, or `redis` and its address, without a password. Empty until it is open.
    pub kind: String,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Whether the last request, or the one on its way, has met no trouble. A node whose store is not available
    /// gives way as leader and acknowledges nothing until it is again.
    pub is_available: bool,
    /// What the trouble is, or was.
    pub last_trouble: Option<String>,
    /// How often a connection was lost and found again.
    pub reconnects: u64,
}

/// A handle to the report of one store; clones see the same.
#[derive(Clone, Debug, Default)]
pub struct StorageStatus {
    report: Arc<Mutex<StorageReport>>,
    in_use: watch::Sender<bool>,
}

impl StorageStatus {
    /// The report now.
    #[must_use]
    pub fn report(&self) -> StorageReport {
        self.lock().clone()
    }

    /// Returns once a node has started from what the store holds.
    pub async fn in_use(&self) {
        // This handle is a sender, so there is one.
        drop(self.in_use.subscribe().wait_for(|is_in_use| *is_in_use).await);
    }

    /// A node has started from what the store holds.
    pub(crate) fn taken_up(&self) {
        self.in_use.send_replace(true);
    }

    pub(super) fn opened(&self, kind: String, durability: Durability) {
        let mut report = self.lock();
        (report.kind, report.durability, report.is_available) = (kind, durability, true);
    }

    pub(super) fn troubled(&self, reason: &str) {
        let mut report = self.lock();
        (report.is_available, report.last_trouble) = (false, Some(reason.to_owned()));
    }

    pub(super) fn reconnected(&self, durability: Durability) {
        let mut report = self.lock();
        (report.is_available, report.durability) = (true, durability);
        report.reconnects += 1;
    }

    fn lock(&self) -> MutexGuard<'_, StorageReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
