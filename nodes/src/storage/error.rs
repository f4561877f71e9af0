//! What storage may answer instead, and whose storage it is.

use std::fmt;

use thiserror::Error;

use crate::env::DiskError;
use crate::ids::NodeId;

/// Whose log it is. Written into every segment, so that a folder can never serve another node: it would
/// lend that node's votes to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, chosen by the operator.
    pub cluster: u64,
    /// The node.
    pub node: NodeId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.node, self.cluster)
    }
}

/// Why a store does not open, or no longer works. Every variant is fatal to the node.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StorageError {
    /// Something that had been made durable is missing or altered. The node must not start from it: an
    /// operator replaces the node, or restores the file.
    #[error("{file} is damaged at byte {offset}: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// Where the damage was noticed, in bytes from the start of the file.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The folder is another node's. The operator pointed this node at the wrong place.
    #[error("{file} belongs to {found}, not to {expected}")]
    WrongIdentity {
        /// The file.
        file: String,
        /// Who opened it.
        expected: Identity,
        /// Whose it is.
        found: Identity,
    },
    /// A newer release wrote this. The operator starts that release, or a newer one.
    #[error("{file} was written by a newer release: {found}")]
    NewerFormat {
        /// The file.
        file: String,
        /// What this release does not know.
        found: String,
    },
    /// An older release wrote this, in a format that is no longer read. The operator starts the release that
    /// is between.
    #[error("{file} was written by an older release: {found}")]
    OlderFormat {
        /// The file.
        file: String,
        /// What this release does not know any more.
        found: String,
    },
    /// No usable Redis was found within the time that opening has.
    #[error("the Redis at {at} cannot be used: {reason}")]
    Unreachable {
        /// Where it should be.
        at: String,
        /// What the last attempt met.
        reason: String,
    },
    /// The Redis may lose what it has acknowledged, by its settings, and that was not allowed.
    #[error("the Redis at {at} may lose what it acknowledges: {reason}")]
    MayForget {
        /// Where it is.
        at: String,
        /// The setting that says so.
        reason: String,
    },
    /// The Redis does not hold any more what it acknowledged once. A node that went on would have forgotten
    /// votes and entries: an operator restores the Redis, or replaces the node.
    #[error("the Redis at {at} has forgotten what it acknowledged: {reason}")]
    Forgot {
        /// Where it is.
        at: String,
        /// What is missing.
        reason: String,
    },
    /// The Redis holds a store under this node's name, and the folder has no mark of it: it is another cluster's of the
    /// same name, or this node's, and the folder was lost.
    #[error("the Redis at {at} holds a store of {found} already, and the folder has no mark of it")]
    Unmarked {
        /// Where it is.
        at: String,
        /// Under which name.
        found: Identity,
    },
    /// The folder shows that the node keeps its log in a store of the other kind. In this one it would have forgotten
    /// votes and entries.
    #[error("the folder is that of a node which keeps its log {found}, not {expected}")]
    OtherKind {
        /// Where the log is to be now.
        expected: &'static str,
        /// Where it was.
        found: &'static str,
    },
    /// Another process has opened the store meanwhile.
    #[error("another process has taken over the store in the Redis at {at}")]
    TakenOver {
        /// Where it is.
        at: String,
    },
    /// The disk failed, or a store was abandoned half-way. The node stops; a restart recovers what is
    /// provably durable.
    #[error("the log store has failed and stays so: {reason}")]
    Failed {
        /// The first failure.
        reason: String,
    },
}

impl StorageError {
    /// What the operator may do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => {
                "restore what is damaged from a copy of this very node, or remove the node from the cluster and add a new one under a new id"
            }
            Self::WrongIdentity { .. } => {
                "give this node its own folder or Redis, or start it under its own id"
            }
            Self::NewerFormat { .. } => "start the release that wrote it, or a newer one",
            Self::OlderFormat { .. } => "start a release in between first",
            Self::Unreachable { .. } => "is the Redis up, and are address, user and password right?",
            Self::MayForget { .. } => {
                "set `appendonly yes` and `appendfsync always` (from Redis 7.2 on `everysec` will do), or allow a volatile Redis if losing data is all right"
            }
            Self::Forgot { .. } => {
                "restore the Redis's own files; if they are gone, remove the node from the cluster and add a new one under a new id"
            }
            Self::Unmarked { .. } => {
                "is it another cluster's of the same name? Then give each a name or a Redis of its own; if it is this very node's, which lost its folder, have it taken over"
            }
            Self::OtherKind { .. } => {
                "start it with the store that it has; to change that, remove the node from the cluster and add a new one under a new id"
            }
            Self::TakenOver { .. } => "stop one of the two: a node runs once",
            Self::Failed { .. } => "look at the disk and its free space, then start the node again",
        }
    }
}

impl From<DiskError> for StorageError {
    fn from(error: DiskError) -> Self {
        Self::Failed { reason: error.to_string() }
    }
}

/// Where a log is kept, in the words of [`StorageError::OtherKind`].
pub(super) const IN_FILES: &str = "in files";
/// The same.
pub(super) const IN_A_REDIS: &str = "in a Redis";
