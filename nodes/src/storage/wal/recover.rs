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

use bytes::Bytes;

use super::record::{RawRecord, Record, find_later_record};
use super::segment::{
    FIRST_BATCH, FIRST_SEGMENT, SEGMENT_HEADER_BYTES, SegmentHeader, is_temporary, read_whole, segment_name,
    segment_of,
};
use crate::env::{Disk, File};
use crate::ids::LogIndex;
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

/// Reads the log back and makes durable what it returns. `None` if there is no log yet.
pub(super) async fn recover<D: Disk>(
    disk: &D,
    identity: Identity,
) -> Result<Option<(Recovered, LogEnd)>, StorageError> {
    let names = disk.list().await?;
    for name in names.iter().filter(|name| is_temporary(name)) {
        marks::hit("wal.interrupted_segment_removed");
        disk.remove(name).await?;
    }
    let segments = sequence(&names)?;
    if segments.is_empty() {
        return Ok(None);
    }
    let mut replay = Replay::new(identity);
    for (position, &segment) in segments.iter().enumerate() {
        let name = segment_name(segment);
        let bytes = read_whole(&disk.open(&name, false).await?).await?;
        let header = replay.accept_header(&name, segment, &bytes)?;
        let Some(offset) = replay.read_segment(&name, header.seed(), &bytes)? else {
            continue;
        };
        remove_leftovers(disk, &replay, &name, offset, &segments[position + 1..]).await?;
        let end = settle(disk, &replay, header, offset, &bytes).await?;
        return Ok(Some((replay.recovered, end)));
    }
    let missing = segments.last().map_or(FIRST_SEGMENT, |last| last + 1);
    Err(damaged(&segment_name(missing), 0, "the segment before says that this one exists, and it does not"))
}

/// The numbers of the segments present, if none is missing in between.
fn sequence(names: &[String]) -> Result<Vec<u64>, StorageError> {
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_of(name)).collect();
    segments.sort_unstable();
    for (expected, &found) in (FIRST_SEGMENT..).zip(&segments) {
        if expected != found {
            return Err(damaged(&segment_name(expected), 0, "the segment is missing, and later ones exist"));
        }
    }
    Ok(segments)
}

/// The state so far.
struct Replay {
    identity: Identity,
    recovered: Recovered,
    chain: u32,
    next_batch: u64,
    last_batch: Option<(String, u64, Bytes)>,
}

impl Replay {
    fn new(identity: Identity) -> Self {
        let first = SegmentHeader::first(identity);
        Self {
            identity,
            recovered: Recovered::default(),
            chain: first.start_chain,
            next_batch: FIRST_BATCH,
            last_batch: None,
        }
    }

    /// Reads a segment's header and checks that it continues the log.
    fn accept_header(&self, name: &str, segment: u64, bytes: &[u8]) -> Result<SegmentHeader, StorageError> {
        let header = decode_own(name, self.identity, bytes)?;
        let expected = SegmentHeader {
            identity: self.identity,
            segment,
            first_batch: self.next_batch,
            start_chain: self.chain,
        };
        if header != expected {
            return Err(damaged(name, 0, "the segment does not continue the one before"));
        }
        Ok(header)
    }

    /// Replays the whole batches of a segment. Returns where it is open, or `None` if it is complete.
    fn read_segment(&mut self, name: &str, seed: u32, bytes: &[u8]) -> Result<Option<u64>, StorageError> {
        let mut offset = SEGMENT_HEADER_BYTES;
        loop {
            match self.read_batch(name, seed, bytes, offset)? {
                BatchRead::Whole { end, ends_segment } => {
                    let batch = Bytes::copy_from_slice(&bytes[offset..end]);
                    self.last_batch = Some((name.to_owned(), offset as u64, batch));
                    self.next_batch += 1;
                    offset = end;
                    if ends_segment {
                        return Ok(None);
                    }
                }
                BatchRead::Broken { at, reason } => {
                    if let Some(later) = find_later_record(bytes, offset, seed, self.next_batch) {
                        marks::hit("wal.damage_before_the_end");
                        let reason = format!("{reason}, yet a later batch is intact at byte {later}");
                        return Err(damaged(name, at as u64, &reason));
                    }
                    return Ok(Some(offset as u64));
                }
            }
        }
    }

    /// Replays one batch if it is wholly there; changes nothing otherwise.
    fn read_batch(
        &mut self,
        name: &str,
        seed: u32,
        bytes: &[u8],
        start: usize,
    ) -> Result<BatchRead, StorageError> {
        let (mut at, mut chain) = (start, self.chain);
        let mut records = Vec::new();
        loop {
            let raw = match RawRecord::read(bytes, at, seed) {
                Ok(raw) => raw,
                Err(reason) => return Ok(BatchRead::Broken { at, reason }),
            };
            if raw.previous != chain || raw.batch != self.next_batch {
                let reason = "an intact record does not follow the one before";
                if at == start && raw.batch == self.next_batch {
                    return Err(damaged(name, at as u64, reason));
                }
                return Ok(BatchRead::Broken { at, reason });
            }
            records.push((at, raw.decode(name, at)?));
            (at, chain) = (at + raw.length, raw.crc);
            if raw.ends_batch() {
                for (offset, record) in records {
                    self.apply(name, offset, record)?;
                }
                self.chain = chain;
                return Ok(BatchRead::Whole { end: at, ends_segment: raw.ends_segment() });
            }
        }
    }

    fn apply(&mut self, name: &str, offset: usize, record: Record) -> Result<(), StorageError> {
        let entries = &mut self.recovered.entries;
        match record {
            Record::HardState(hard_state) => self.recovered.hard_state = hard_state,
            Record::TruncateFrom(from) => {
                entries.truncate(usize::try_from(from.previous().0).unwrap_or(usize::MAX));
            }
            Record::Entry(entry) => {
                let expected = LogIndex(entries.len() as u64 + 1);
                if entry.index != expected {
                    let reason = format!("entry {} stands where {expected} belongs", entry.index);
                    return Err(damaged(name, offset as u64, &reason));
                }
                entries.push(entry);
            }
        }
        Ok(())
    }
}

enum BatchRead {
    Whole { end: usize, ends_segment: bool },
    Broken { at: usize, reason: &'static str },
}

/// Removes the segment that was prepared behind a batch which then did not get written. It must be empty:
/// a record in it proves that the batch was durable.
async fn remove_leftovers<D: Disk>(
    disk: &D,
    replay: &Replay,
    open: &str,
    offset: u64,
    later: &[u64],
) -> Result<(), StorageError> {
    let lost = "the segment breaks off, yet later segments hold records";
    let &[segment] = later else {
        return if later.is_empty() { Ok(()) } else { Err(damaged(open, offset, lost)) };
    };
    let name = segment_name(segment);
    let bytes = read_whole(&disk.open(&name, false).await?).await?;
    let header = decode_own(&name, replay.identity, &bytes)?;
    let before = header.first_batch.saturating_sub(1);
    if find_later_record(&bytes, SEGMENT_HEADER_BYTES, header.seed(), before).is_some() {
        return Err(damaged(open, offset, lost));
    }
    marks::hit("wal.unused_segment_removed");
    disk.remove(&name).await?;
    Ok(())
}

/// Cuts what lies behind the last whole batch, and makes durable all that was read.
async fn settle<D: Disk>(
    disk: &D,
    replay: &Replay,
    header: SegmentHeader,
    offset: u64,
    bytes: &[u8],
) -> Result<LogEnd, StorageError> {
    let file = disk.open(&segment_name(header.segment), false).await?;
    let mut allocated = bytes.len() as u64;
    if bytes[offset as usize..].iter().any(|&byte| byte != 0) {
        marks::hit("wal.torn_tail_cut");
        file.set_len(offset).await?;
        allocated = offset;
    }
    file.sync().await?;
    if let Some((name, start, batch)) = &replay.last_batch {
        let file = disk.open(name, false).await?;
        file.write_at(*start, batch.clone()).await?;
        file.sync().await?;
    }
    disk.sync_names().await?;
    let (chain, next_batch) = (replay.chain, replay.next_batch);
    Ok(LogEnd { header, offset, allocated, chain, next_batch })
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

fn damaged(file: &str, offset: u64, reason: &str) -> StorageError {
    StorageError::Damaged { file: file.to_owned(), offset, reason: reason.to_owned() }
}
