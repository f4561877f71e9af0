//! The write-ahead log: the production store, over any [`Disk`].
//!
//! The log is a sequence of segments, `wal-<16 hex digits>.log`, each a header and records. One store
//! request is one batch of records, written with one write and made durable with one sync. Records are
//! chained by their checksums through all segments; see `record` for the bytes, `segment` and `snapshot` for
//! the files, `state` for what the records add up to, and `recover` for what may be believed after a crash,
//! and why.
//!
//! **Rolling.** The batch that reaches the size of a segment is the segment's last, and says so in its last
//! record. The next segment is made durable *before* that batch is written: if the batch is there, the
//! next segment must be, so that the loss of any segment is noticed, the last one included.
//!
//! **Preallocation.** A batch that outgrows the file takes zeros with it in the same write, up to the next
//! multiple of [`WalConfig::preallocate_bytes`]. The syncs that follow then change no file size, which on
//! common filesystems halves their cost. Zeros are no record, so recovery takes them for free space.
//!
//! **Snapshots.** The body of a snapshot is made durable in a file of its own, `snapshot-<index>-<batch>.snap`,
//! before the batch whose record names it. The file of the one before goes after that batch is durable.
//!
//! **Forgetting.** Segments go whole, from the oldest on, as soon as every entry in them that is still part
//! of the log may be forgotten. The batch of the request that allows it says which segment is the first
//! from now on; the files are removed after it. What lies in a removed segment and still counts (term, vote,
//! the name of the snapshot) stands in the header of every later one.
//!
//! Deliberately absent: reading entries back while running (the core keeps the log in memory), and removing
//! files beside the writing (a request that lets go of segments waits until their files are unlinked).

mod files;
mod record;
mod recover;
mod replay;
#[cfg(test)]
mod replay_tests;
mod segment;
mod snapshot;
mod state;

pub(super) use self::segment::{FORMAT_VERSION, SEGMENT_HEADER_BYTES, read_whole, seal_header, segment_name};
pub(super) use self::snapshot::{SNAPSHOT_HEADER_BYTES, SNAPSHOT_VERSION, snapshot_name};

use bytes::Bytes;

use self::files::remove_given_up;
use self::record::BatchDraft;
use self::recover::{Found, LogEnd};
use self::segment::{FIRST_BATCH, SegmentHeader, create_segment};
use self::snapshot::write_snapshot;
use self::state::LogState;
use super::{Identity, LogStore, StorageError};
use crate::env::{Disk, File};
use crate::ids::LogIndex;
use crate::marks;
use crate::plant::{self, Bug};
use crate::raft::{Recovered, StoreRequest};

/// Whether a file of this name is one of a log kept in files.
pub(super) fn is_of_a_log(name: &str) -> bool {
    files::LogFiles::is_one(name)
}

/// How a log is laid out. May differ from one start to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalConfig {
    /// A segment that has reached this length is complete; it exceeds it by less than one batch.
    /// Default 64 MiB; any value works, a small one makes many segments.
    pub segment_bytes: u64,
    /// Files grow by multiples of this, in zeros, up to `segment_bytes`. 0 turns preallocation off.
    /// Default 1 MiB.
    pub preallocate_bytes: u64,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, preallocate_bytes: 1024 * 1024 }
    }
}

/// An open log.
pub struct Wal<D: Disk> {
    disk: D,
    config: WalConfig,
    file: D::File,
    end: LogEnd,
    /// What the log comes to with the request that was last begun.
    state: LogState,
    /// The last entry that is durable.
    last_index: LogIndex,
    /// Why it no longer works. Set before a write begins and cleared when all of it is durable, so that a
    /// call which is dropped in between leaves it set.
    failed: Option<String>,
}

impl<D: Disk> Wal<D> {
    /// Opens the log of a node, or begins one if the disk has none. What it returns is durable.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`], [`StorageError::WrongIdentity`] and [`StorageError::NewerFormat`] if the
    /// log is not one to start from; [`StorageError::Failed`] if the disk fails. The node must not start.
    pub async fn open(
        disk: D,
        identity: Identity,
        config: WalConfig,
    ) -> Result<(Self, Recovered), StorageError> {
        let found = match recover::recover(&disk, identity).await? {
            Some(found) => found,
            None => Self::begin(&disk, identity).await?,
        };
        let Found { recovered, state, end } = found;
        let file = disk.open(&segment_name(end.header.segment), false).await?;
        let last_index = recovered.last_index();
        Ok((Self { disk, config, file, end, state, last_index, failed: None }, recovered))
    }

    async fn begin(disk: &D, identity: Identity) -> Result<Found, StorageError> {
        let header = SegmentHeader::first(identity);
        create_segment(disk, header).await?;
        let length = SEGMENT_HEADER_BYTES as u64;
        let (chain, next_batch) = (header.start_chain, FIRST_BATCH);
        let end = LogEnd { header, offset: length, allocated: length, chain, next_batch };
        let state = LogState::at_start_of(header.segment, header.checkpoint);
        Ok(Found { recovered: Recovered::default(), state, end })
    }

    /// The last entry of the log, or the last that its snapshot covers.
    #[must_use]
    pub const fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// Carries a request out: the snapshot's file, then the batch, then what nothing needs any more.
    async fn carry_out(&mut self, request: &StoreRequest) -> Result<(), StorageError> {
        let LogEnd { header, next_batch, .. } = self.end;
        let snapshot = match &request.snapshot {
            Some(write) => {
                Some(write_snapshot(&self.disk, header.identity, next_batch, &write.snapshot).await?)
            }
            None => None,
        };
        let before = self.state.checkpoint();
        let first_segment = self.state.follow(request, snapshot).unwrap_or_else(|reason| {
            panic!("the log store is asked for the impossible: {reason}");
        });
        if let Some(draft) = BatchDraft::of(request, snapshot, first_segment)? {
            self.write_batch(draft).await?;
        }
        let after = self.state.checkpoint();
        self.last_index = after.last_index;
        Ok(remove_given_up(&self.disk, &before, &after).await?)
    }

    async fn write_batch(&mut self, draft: BatchDraft) -> Result<(), StorageError> {
        let end = self.end.offset + draft.length();
        let seals = end >= self.config.segment_bytes;
        let LogEnd { header, chain, next_batch, .. } = self.end;
        let (mut bytes, chain) = draft.finish(header.seed(), chain, next_batch, seals);
        let next = SegmentHeader {
            segment: header.segment + 1,
            first_batch: next_batch + 1,
            start_chain: chain,
            checkpoint: self.state.checkpoint(),
            ..header
        };
        let next_file = if seals { Some(create_segment(&self.disk, next).await?) } else { None };
        let allocated = self.allocation(end, seals);
        if allocated > self.end.allocated {
            bytes.resize((allocated - self.end.offset) as usize, 0);
        }
        self.file.write_at(self.end.offset, Bytes::from(bytes)).await?;
        if !plant::is(Bug::FsyncSkipped) {
            self.file.sync().await?;
        }
        self.end.chain = chain;
        self.end.next_batch += 1;
        if let Some(file) = next_file {
            marks::hit("wal.segment_rolled");
            self.file = file;
            self.state.begin_segment(next.segment);
            let length = SEGMENT_HEADER_BYTES as u64;
            self.end = LogEnd { header: next, offset: length, allocated: length, ..self.end };
        } else {
            self.end.offset = end;
            self.end.allocated = allocated;
        }
        Ok(())
    }

    /// The length that the file has after a batch which ends at `end`.
    fn allocation(&self, end: u64, seals: bool) -> u64 {
        let step = self.config.preallocate_bytes;
        if end <= self.end.allocated || seals || step == 0 {
            return end.max(self.end.allocated);
        }
        end.next_multiple_of(step).min(self.config.segment_bytes).max(end)
    }
}

impl<D: Disk> LogStore for Wal<D> {
    async fn store(&mut self, request: &StoreRequest) -> Result<(), StorageError> {
        if let Some(reason) = &self.failed {
            return Err(StorageError::Failed { reason: reason.clone() });
        }
        self.failed = Some("a store was abandoned before it ended".to_owned());
        let result = self.carry_out(request).await;
        self.failed = match &result {
            Ok(()) => None,
            Err(StorageError::Failed { reason }) => Some(reason.clone()),
            Err(other) => Some(other.to_string()),
        };
        result
    }
}
