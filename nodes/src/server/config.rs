//! What a node needs to know to start, and why it may stop.

use thiserror::Error;

use crate::coherence;
use crate::ids::NodeId;
use crate::machine::{NearTerms, RestoreError};
use crate::raft;
use crate::storage::{Identity, RedisConfig, StorageChoice, StorageError, StorageStatus, WalConfig};

/// How one node runs.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The cluster that the node belongs to, and its own id: what its folder must agree with.
    pub identity: Identity,
    /// The core's configuration.
    pub raft: raft::Config,
    /// How the log is laid out in files, where it is kept in files.
    pub wal: WalConfig,
    /// The Redis in which the log is kept instead. The node's folder then holds no more than a mark. Default:
    /// none, the log is kept in files.
    pub redis: Option<RedisConfig>,
    /// Tells how the store is while the node runs: keep a clone.
    pub storage_status: StorageStatus,
    /// Client requests that wait for an answer, those in line for a lock included, at most; more are refused
    /// as overloaded. Keep-alives and releases are let in up to twice this number. Default 65,536.
    pub pending_requests_max: usize,
    /// Frames taken from the network before effects are carried out, at most: the batch that one write and
    /// one round of appends may serve. Default 128.
    pub frames_per_turn_max: usize,
    /// A snapshot of the machine is taken after so many applied entries. 1 or more; default 10,000.
    pub snapshot_every_entries: u64,
    /// A snapshot is taken, too, once the entries applied since the last one weigh so many bytes: few, but
    /// large entries must not fill the disk. 1 or more; default 64 MiB.
    pub snapshot_every_bytes: u64,
    /// The near-cache. Its lease is how long a write may have to wait for a holder that is gone, and the first
    /// write of a new leader for a member that is: the default is half of the election timeout's, so that
    /// neither lengthens the time without a leader by much.
    pub near: coherence::Settings,
}

impl NodeConfig {
    /// The defaults for node `id` of `cluster`.
    #[must_use]
    pub fn new(cluster: u64, id: NodeId, voters: Vec<NodeId>) -> Self {
        Self {
            identity: Identity { cluster, node: id },
            raft: raft::Config::new(id, voters),
            wal: WalConfig::default(),
            redis: None,
            storage_status: StorageStatus::default(),
            pending_requests_max: 65_536,
            frames_per_turn_max: 128,
            snapshot_every_entries: 10_000,
            snapshot_every_bytes: 64 * 1024 * 1024,
            near: coherence::Settings::default(),
        }
    }

    /// Where the log is kept.
    #[must_use]
    pub fn storage(&self) -> StorageChoice {
        self.redis.clone().map_or(StorageChoice::Wal(self.wal), StorageChoice::Redis)
    }
}

/// Why a node stopped. Every one is fatal to this incarnation of the node.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The log could not be opened, or a write failed.
    #[error("the node stops because its storage failed: {0}")]
    Storage(#[from] StorageError),
    /// The storage task is gone.
    #[error("the node stops because its storage task ended")]
    StorageTaskEnded,
    /// The snapshot on disk, or one that a leader sent, cannot be read by this program.
    #[error("the node stops because it cannot read a snapshot: {0}")]
    Snapshot(#[from] RestoreError),
    /// The members have agreed on other terms of their near-caches than those that this node is set to.
    #[error(
        "the node stops because its near-cache is set to {own}, and the cluster has agreed on {agreed}: start it with the same"
    )]
    NearTerms {
        /// What the cluster has agreed on.
        agreed: NearTerms,
        /// What this node is set to.
        own: NearTerms,
    },
    /// The cluster speaks a later version than this program.
    #[error(
        "the node stops because the cluster speaks version {cluster} and this program only up to {own}: start a newer program on the same folder"
    )]
    TooOld {
        /// What the cluster speaks.
        cluster: u16,
        /// What this program speaks.
        own: u16,
    },
}
