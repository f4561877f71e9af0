//! Taking snapshots of the machine while it goes on.
//!
//! After every so many entries, or bytes of entries, the machine is frozen, which costs next to nothing, and a task of its own
//! encodes the frozen copy piece by piece, giving way to others in between. The driver gets the whole back and
//! hands it to the core, which has it stored and then forgets what it covers. One snapshot is taken at a time.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::NodeConfig;
use super::applying::STATE_HASH_BYTES;
use super::probe::Probe;
use super::replica::Replica;
use crate::env::Env;
use crate::ids::LogIndex;
use crate::machine::Snapshotter;
use crate::marks;
use crate::raft::{Entry, Input, Snapshot, SnapshotMeta};

/// How much is encoded before others get their turn.
const PIECE_BYTES: usize = 64 * 1024;

/// When to take the next snapshot.
#[derive(Debug)]
pub(super) struct Snapshots {
    every_entries: u64,
    every_bytes: u64,
    last_index: LogIndex,
    /// Weight of the entries applied since the last snapshot.
    bytes_since: u64,
    is_under_way: bool,
}

impl Snapshots {
    /// One every so often as `config` says, the last having been taken at `last_index`.
    pub(super) fn new(config: &NodeConfig, last_index: LogIndex) -> Self {
        Self {
            every_entries: config.snapshot_every_entries.max(1),
            every_bytes: config.snapshot_every_bytes.max(1),
            last_index,
            bytes_since: 0,
            is_under_way: false,
        }
    }

    /// An entry was applied.
    pub(super) fn applied(&mut self, entry: &Entry) {
        self.bytes_since = self.bytes_since.saturating_add(entry.weight_bytes() as u64);
    }

    /// A leader's snapshot has made one of our own unnecessary.
    pub(super) fn installed(&mut self, index: LogIndex) {
        self.taken_at(self.last_index.max(index));
    }

    fn taken_at(&mut self, index: LogIndex) {
        self.last_index = index;
        self.bytes_since = 0;
    }

    fn is_due(&self, applied_index: LogIndex) -> bool {
        let entries_since = applied_index.0.saturating_sub(self.last_index.0);
        let is_much = entries_since >= self.every_entries || self.bytes_since >= self.every_bytes;
        entries_since > 0 && is_much && !self.is_under_way
    }
}

/// A snapshot to be taken.
pub(super) struct Job {
    meta: SnapshotMeta,
    frozen: Snapshotter,
    state_hash: u64,
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// A snapshot to be taken now, if it is time for one.
    pub(super) fn snapshot_due(&mut self) -> Option<Job> {
        if !self.snapshots.is_due(self.applied_index) {
            return None;
        }
        let meta = self.core.snapshot_meta();
        if meta.index != self.applied_index {
            return None;
        }
        self.snapshots.is_under_way = true;
        self.snapshots.taken_at(self.applied_index);
        Some(Job { meta, frozen: self.machine.snapshot(), state_hash: self.state_hash })
    }

    /// A snapshot has been taken.
    pub(super) fn on_snapshot(&mut self, snapshot: Snapshot) {
        marks::hit("server.snapshot_taken");
        self.snapshots.is_under_way = false;
        self.core.step(Input::SnapshotTaken(Box::new(snapshot)), self.env.now());
    }
}

/// Encodes a frozen machine, a piece at a time.
pub(super) async fn take(mut job: Job, done: mpsc::Sender<Snapshot>) {
    let mut data = BytesMut::with_capacity(STATE_HASH_BYTES + PIECE_BYTES);
    data.extend_from_slice(&job.state_hash.to_le_bytes());
    while let Some(piece) = job.frozen.next_piece(PIECE_BYTES) {
        data.extend_from_slice(&piece);
        tokio::task::yield_now().await;
    }
    let data: Bytes = data.freeze();
    // The driver is gone only if the node has failed.
    let _ = done.send(Snapshot { meta: job.meta, data }).await;
}
