//! Recovery: from segments to the state that was durable, or a refusal.
//!
//! # What a crash can leave behind
//!
//! The store syncs each batch before it begins the next, a new segment is durable before the batch that
//! precedes it is written, and opening makes durable whatever it hands back. So at any time at most one
//! batch is written but not synced: the last one, number *n*. Everything before it is intact on a disk that
//! keeps what it synced. Of batch *n* itself anything may be left: nothing; zeros; a beginning; later
//! sectors without earlier ones; a longer file without the bytes; or all of it.
//!
//! # Why a torn tail may be cut
//!
//! Reading stops at the first batch that is not wholly there, *n*. If it was never acknowledged, no batch
//! after it was ever written, neither in this segment nor in a later one. If a record of a later batch can
//! be found anywhere behind it (each record proves itself, so that it can be found without its
//! predecessors), then *n* was synced and acknowledged, and is damaged now: opening is refused. If none
//! can be found, *n* is the last batch that was ever begun, and it is cut.
//!
//! What this cannot tell apart, and no log with one sync a batch can (Alagappan et al., "Protocol-Aware
//! Recovery for Consensus-Based Storage", FAST 2018): a last batch that was never acknowledged, and a last
//! batch that was acknowledged and damaged before another one followed. Nor does it notice if whole batches
//! vanish from the end without a trace, other than by the loss of a whole segment.
//!
//! # Why nothing of a torn tail ever comes back
//!
//! The file is cut at the end of the last whole batch and synced before the store accepts anything. If
//! power fails in between, recovery meets the same tail and does the same again. Behind that, every record
//! bears the number of its batch and the checksum of its predecessor: remains of a first attempt at *n* are
//! taken neither for a batch after it nor for a part of a second attempt.
//!
//! # Why what is recovered is durable
//!
//! After the death of the process alone, batch *n* may be read back whole from the page cache, although it
//! never reached the disk; and after a failed sync the system may hold its pages to be clean, so that
//! another sync would do nothing. Opening therefore writes the last batch again, byte for byte, and syncs.

//!
//! # Why a snapshot may be believed
//!
//! Its file is durable under its own name before the batch that names it is written, and nothing else ever
//! has that name: so if the record is there, the file is there, as long and with the checksum that the
//! record says. The last record of a snapshot decides. If its file is not all that it should be, opening is
//! refused, although an earlier snapshot or the entries themselves might still be there: what was durable is
//! not any more, and what else is gone nobody knows. The batch puts the snapshot, the log that begins anew
//! behind it, and the vote of the same request in force together, or none of them.
//!
//! # Why a segment may be missing
//!
//! Segments are given up by a record that says which one is the first now, in the same batch as the request
//! that allows it. They are removed only after that batch is durable, and are not missed from then on, in
//! whatever combination a power loss brings them back. Reading begins at the first of the last segments that
//! are there without a gap; its header holds the state until there. Reading ends with knowing which segment
//! had to be the first: if reading began behind it, a segment was lost that had not been given up. What was
//! given up could be: all entries that lie only in missing segments must in the end be covered by the
//! snapshot in force, or truncated.
//!
//! So a missing segment is noticed wherever it is; and if the batch that gave up segments is damaged after
//! they were removed, the log does not open, rather than open without them.
//!
//! # Why removing comes last
//!
//! Nothing is removed before everything has been read and found good, and the last batch has been made
//! durable: a folder that is refused stays as it was found.

use super::files::LogFiles;
use super::record::find_later_record;
use super::replay::{Replay, damaged};
use super::segment::{FIRST_SEGMENT, SEGMENT_HEADER_BYTES, SegmentHeader, read_whole, segment_name};
use super::snapshot::read_snapshot;
use super::state::LogState;
use crate::env::{Disk, File};
use crate::marks;
use crate::raft::Recovered;
use crate::storage::{Identity, StorageError};

/// Where the log goes on.
#[derive(Debug)]
pub(super) struct LogEnd {
    /// The segment to append to.
    pub(super) header: SegmentHeader,
    /// Where in it.
    pub(super) offset: u64,
    /// Its length: zeros from `offset` on.
    pub(super) allocated: u64,
    /// The CRC of the last record.
    pub(super) chain: u32,
    /// The number of the next batch.
    pub(super) next_batch: u64,
}

/// A log that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// What it holds.
    pub(super) recovered: Recovered,
    /// What it comes to.
    pub(super) state: LogState,
    /// Where it goes on.
    pub(super) end: LogEnd,
}

/// Reads the log back and makes durable what it returns. `None` if there is no log yet.
pub(super) async fn recover<D: Disk>(disk: &D, identity: Identity) -> Result<Option<Found>, StorageError> {
    let files = LogFiles::of(disk).await?;
    let run = files.run()?;
    let Some(mut reading) = Reading::begin(disk, identity, run).await? else {
        return Ok(None);
    };
    let (reference, entries) = reading.replay.finish()?;
    let snapshot = match &reference {
        Some(reference) => Some(read_snapshot(disk, identity, reference).await?),
        None => None,
    };
    let end = reading.settle(disk).await?;
    let state = reading.replay.state;
    files.remove_useless(disk, &state.checkpoint()).await?;
    disk.sync_names().await?;
    let hard_state = state.checkpoint().hard_state;
    Ok(Some(Found { recovered: Recovered { hard_state, snapshot, entries }, state, end }))
}

/// A log that has been read up to its end.
struct Reading {
    replay: Replay,
    /// The segment that is open.
    header: SegmentHeader,
    /// Where its last whole batch ends.
    offset: u64,
    length: u64,
    /// Whether there is anything but zeros behind the last whole batch.
    torn: bool,
    /// A segment that was prepared behind a batch which then did not get written.
    unused: Option<String>,
}

impl Reading {
    /// Reads a run of segments. `None` if it is empty.
    async fn begin<D: Disk>(disk: &D, identity: Identity, run: &[u64]) -> Result<Option<Self>, StorageError> {
        let mut so_far: Option<Replay> = None;
        for (position, &segment) in run.iter().enumerate() {
            let name = segment_name(segment);
            let bytes = read_whole(&disk.open(&name, false).await?).await?;
            let header = decode_own(&name, identity, &bytes)?;
            let mut replay = match so_far.take() {
                Some(mut replay) => {
                    replay.go_on(&name, segment, &header)?;
                    replay
                }
                None => Replay::begin(first_read(&name, segment, &header)?),
            };
            let Some(offset) = replay.read_segment(&name, header.seed(), &bytes)? else {
                so_far = Some(replay);
                continue;
            };
            let unused = unused_segment(disk, identity, &name, offset, &run[position + 1..]).await?;
            let torn = bytes[offset as usize..].iter().any(|&byte| byte != 0);
            let length = bytes.len() as u64;
            return Ok(Some(Self { replay, header, offset, length, torn, unused }));
        }
        let Some(last) = run.last() else {
            return Ok(None);
        };
        let reason = "the segment before says that this one exists, and it does not";
        Err(damaged(&segment_name(last.saturating_add(1)), 0, reason))
    }

    /// Cuts what lies behind the last whole batch, and makes durable all that was read.
    async fn settle<D: Disk>(&self, disk: &D) -> Result<LogEnd, StorageError> {
        if let Some(name) = &self.unused {
            marks::hit("wal.unused_segment_removed");
            disk.remove(name).await?;
        }
        let file = disk.open(&segment_name(self.header.segment), false).await?;
        let mut allocated = self.length;
        if self.torn {
            marks::hit("wal.torn_tail_cut");
            file.set_len(self.offset).await?;
            allocated = self.offset;
        }
        file.sync().await?;
        if let Some((name, start, batch)) = &self.replay.last_batch {
            let file = disk.open(name, false).await?;
            file.write_at(*start, batch.clone()).await?;
            file.sync().await?;
        }
        let (chain, next_batch) = (self.replay.chain, self.replay.next_batch);
        Ok(LogEnd { header: self.header, offset: self.offset, allocated, chain, next_batch })
    }
}

/// Checks the header at which reading begins.
fn first_read<'a>(
    name: &str,
    segment: u64,
    header: &'a SegmentHeader,
) -> Result<&'a SegmentHeader, StorageError> {
    let begins_log = segment == FIRST_SEGMENT && *header != SegmentHeader::first(header.identity);
    if header.segment != segment || begins_log {
        return Err(damaged(name, 0, "the segment is not the one that its name says"));
    }
    Ok(header)
}

/// The segment that was prepared behind a batch which then did not get written. It must be empty: a record in
/// it proves that the batch was durable.
async fn unused_segment<D: Disk>(
    disk: &D,
    identity: Identity,
    open: &str,
    offset: u64,
    later: &[u64],
) -> Result<Option<String>, StorageError> {
    let lost = "the segment breaks off, yet later segments hold records";
    let &[segment] = later else {
        return if later.is_empty() { Ok(None) } else { Err(damaged(open, offset, lost)) };
    };
    let name = segment_name(segment);
    let bytes = read_whole(&disk.open(&name, false).await?).await?;
    let header = decode_own(&name, identity, &bytes)?;
    let before = header.first_batch.saturating_sub(1);
    if find_later_record(&bytes, SEGMENT_HEADER_BYTES, header.seed(), before).is_some() {
        return Err(damaged(open, offset, lost));
    }
    Ok(Some(name))
}

/// Decodes a header and refuses another node's.
fn decode_own(name: &str, identity: Identity, bytes: &[u8]) -> Result<SegmentHeader, StorageError> {
    let header = SegmentHeader::decode(name, bytes)?;
    if header.identity == identity {
        return Ok(header);
    }
    let file = name.to_owned();
    Err(StorageError::WrongIdentity { file, expected: identity, found: header.identity })
}
