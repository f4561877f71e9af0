//! The write-ahead log: the production store, over any [`Disk`].
//!
//! The log is a sequence of segments, `wal-<16 hex digits>.log`, each a header and records. One store
//! request is one batch of records, written with one write and made durable with one sync. Records are
//! chained by their checksums through all segments; see `record` for the bytes, `segment` for the files,
//! `recover` for what may be believed after a crash, and why.
//!
//! **Rolling.** The batch that reaches the size of a segment is the segment's last, and says so in its last
//! record. The next segment is made durable *before* that batch is written: if the batch is there, the
//! next segment must be, so that the loss of any segment is noticed, the last one included.
//!
//! **Preallocation.** A batch that outgrows the file takes zeros with it in the same write, up to the next
//! multiple of [`WalConfig::preallocate_bytes`]. The syncs that follow then change no file size, which on
//! common filesystems halves their cost. Zeros are no record, so recovery takes them for free space.
//!
//! Deliberately absent for now: removal of segments (there are no snapshots yet), and reading entries
//! back while running (the core keeps the log in memory).

mod record;
mod recover;
mod segment;

pub(super) use self::segment::{FORMAT_VERSION, SEGMENT_HEADER_BYTES, read_whole, seal_header, segment_name};

use bytes::Bytes;

use self::record::BatchDraft;
use self::recover::LogEnd;
use self::segment::{FIRST_BATCH, SegmentHeader, create_segment};
use super::{Identity, LogStore, StorageError};
use crate::env::{Disk, File};
use crate::ids::LogIndex;
use crate::marks;
use crate::raft::{Recovered, StoreRequest};

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
        let (recovered, end) = match recover::recover(&disk, identity).await? {
            Some(found) => found,
            None => (Recovered::default(), Self::begin(&disk, identity).await?),
        };
        let file = disk.open(&segment_name(end.header.segment), false).await?;
        let last_index = LogIndex(recovered.entries.len() as u64);
        let wal = Self { disk, config, file, end, last_index, failed: None };
        Ok((wal, recovered))
    }

    async fn begin(disk: &D, identity: Identity) -> Result<LogEnd, StorageError> {
        let header = SegmentHeader::first(identity);
        create_segment(disk, header).await?;
        let length = SEGMENT_HEADER_BYTES as u64;
        let (chain, next_batch) = (header.start_chain, FIRST_BATCH);
        Ok(LogEnd { header, offset: length, allocated: length, chain, next_batch })
    }

    /// The last entry of the log.
    #[must_use]
    pub const fn last_index(&self) -> LogIndex {
        self.last_index
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
            ..header
        };
        let next_file = if seals { Some(create_segment(&self.disk, next).await?) } else { None };
        let allocated = self.allocation(end, seals);
        if allocated > self.end.allocated {
            bytes.resize((allocated - self.end.offset) as usize, 0);
        }
        self.file.write_at(self.end.offset, Bytes::from(bytes)).await?;
        self.file.sync().await?;
        self.end.chain = chain;
        self.end.next_batch += 1;
        if let Some(file) = next_file {
            marks::hit("wal.segment_rolled");
            self.file = file;
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
        let last_index = end_of_log(self.last_index, request);
        let drafted = BatchDraft::of(request);
        self.failed = Some("a store was abandoned before it ended".to_owned());
        let result = match drafted {
            Ok(Some(draft)) => self.write_batch(draft).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match &result {
            Ok(()) => {
                self.failed = None;
                self.last_index = last_index;
            }
            Err(StorageError::Failed { reason }) => self.failed = Some(reason.clone()),
            Err(other) => self.failed = Some(other.to_string()),
        }
        result
    }
}

/// Where the log ends after a request. Asserts that its entries follow without a gap.
fn end_of_log(last_index: LogIndex, request: &StoreRequest) -> LogIndex {
    let mut last = last_index;
    if let Some(from) = request.truncate_from {
        assert!(from.0 >= 1, "the log begins at index 1 and cannot be truncated from {from}");
        last = last.min(from.previous());
    }
    for entry in &request.append {
        assert_eq!(entry.index, last.next(), "an entry does not follow the end of the log");
        last = entry.index;
    }
    last
}
