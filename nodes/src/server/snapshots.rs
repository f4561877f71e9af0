//! Taking snapshots of the machine while it goes on.
//!
//! After every so many entries the machine is frozen, which costs next to nothing, and a task of its own
//! encodes the frozen copy piece by piece, giving way to others in between. The driver gets the whole back and
//! hands it to the core, which has it stored and then forgets what it covers. One snapshot is taken at a time.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::applying::STATE_HASH_BYTES;
use super::probe::Probe;
use super::replica::Replica;
use crate::env::Env;
use crate::ids::LogIndex;
use crate::machine::Snapshotter;
use crate::marks;
use crate::raft::{Input, Snapshot, SnapshotMeta};

/// How much is encoded before others get their turn.
const PIECE_BYTES: usize = 64 * 1024;

/// When to take the next snapshot.
#[derive(Debug)]
pub(super) struct Snapshots {
    every_entries: u64,
    last_index: LogIndex,
    is_under_way: bool,
}

impl Snapshots {
    /// One every so many entries, the last having been taken at `last_index`.
    pub(super) const fn new(every_entries: u64, last_index: LogIndex) -> Self {
        Self { every_entries, last_index, is_under_way: false }
    }

    /// A leader's snapshot has made one of our own unnecessary.
    pub(super) fn installed(&mut self, index: LogIndex) {
        self.last_index = self.last_index.max(index);
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
        let since = self.applied_index.0 - self.snapshots.last_index.0.min(self.applied_index.0);
        if self.snapshots.is_under_way || since < self.snapshots.every_entries.max(1) {
            return None;
        }
        let meta = self.core.snapshot_meta();
        if meta.index != self.applied_index {
            return None;
        }
        self.snapshots.is_under_way = true;
        self.snapshots.last_index = self.applied_index;
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
