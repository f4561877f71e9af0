//! The folder of a log: which files it holds, and which of them are of no more use.
//!
//! Files go only after it is durable that nothing needs them, and it is never durable at once that they are
//! gone: a power loss may bring any of them back, in any combination. So recovery removes again whatever the
//! log has given up.

use super::segment::{self, FIRST_SEGMENT, segment_name, segment_of};
use super::snapshot;
use super::state::Checkpoint;
use crate::env::{Disk, DiskError};
use crate::marks;
use crate::storage::StorageError;
use crate::storage::error::{IN_A_REDIS, IN_FILES};
use crate::storage::redis::REDIS_MARK;

/// What a folder holds of a log.
#[derive(Debug)]
pub(super) struct LogFiles {
    /// Segments, in order, whether given up or not.
    segments: Vec<u64>,
    snapshots: Vec<String>,
    /// Files whose birth was interrupted.
    temporary: Vec<String>,
    /// Whether the folder has the mark of a node that keeps its log elsewhere.
    is_marked: bool,
}

impl LogFiles {
    /// Looks into a folder.
    pub(super) async fn of<D: Disk>(disk: &D) -> Result<Self, DiskError> {
        let names = disk.list().await?;
        let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_of(name)).collect();
        segments.sort_unstable();
        let those = |is: fn(&str) -> bool| names.iter().filter(|name| is(name)).cloned().collect();
        let temporary = those(|name| segment::is_temporary(name) || snapshot::is_temporary(name));
        let is_marked = names.iter().any(|name| name == REDIS_MARK);
        Ok(Self { segments, snapshots: those(snapshot::is_snapshot), temporary, is_marked })
    }

    /// The segments from which the log is read: the last ones, without gaps. Whether those before them may
    /// be missing, only the log itself can say.
    ///
    /// # Errors
    ///
    /// If there are none, yet there are snapshots, or the mark of a log in a Redis.
    pub(super) fn run(&self) -> Result<&[u64], StorageError> {
        if self.is_marked {
            return Err(StorageError::OtherKind { expected: IN_FILES, found: IN_A_REDIS });
        }
        let gap = self.segments.windows(2).rposition(|pair| pair[0] + 1 != pair[1]);
        let run = &self.segments[gap.map_or(0, |position| position + 1)..];
        if run.is_empty() && !self.snapshots.is_empty() {
            return Err(StorageError::Damaged {
                file: segment_name(FIRST_SEGMENT),
                offset: 0,
                reason: "the folder holds a snapshot, and no segment that names it".to_owned(),
            });
        }
        Ok(run)
    }

    /// Whether a name is that of a log's file.
    pub(super) fn is_one(name: &str) -> bool {
        segment_of(name).is_some() || snapshot::is_snapshot(name)
    }

    /// Removes what is of no use to a log that has come to this.
    pub(super) async fn remove_useless<D: Disk>(&self, disk: &D, at: &Checkpoint) -> Result<(), DiskError> {
        for name in &self.temporary {
            marks::hit("wal.interrupted_file_removed");
            disk.remove(name).await?;
        }
        for &segment in self.segments.iter().filter(|&&segment| segment < at.first_segment) {
            marks::hit("wal.returned_segment_removed");
            disk.remove(&segment_name(segment)).await?;
        }
        let current = at.snapshot.map(|snapshot| snapshot.file_name());
        for name in self.snapshots.iter().filter(|&name| Some(name) != current.as_ref()) {
            marks::hit("wal.nameless_snapshot_removed");
            disk.remove(name).await?;
        }
        Ok(())
    }
}

/// Removes what the log needed in one state and gave up on its way to another, the oldest first. The later
/// state is durable.
pub(super) async fn remove_given_up<D: Disk>(
    disk: &D,
    before: &Checkpoint,
    after: &Checkpoint,
) -> Result<(), DiskError> {
    for segment in before.first_segment..after.first_segment {
        marks::hit("wal.segment_removed");
        disk.remove(&segment_name(segment)).await?;
    }
    match before.snapshot {
        Some(snapshot) if before.snapshot != after.snapshot => {
            marks::hit("wal.snapshot_superseded");
            disk.remove(&snapshot.file_name()).await
        }
        _ => Ok(()),
    }
}
