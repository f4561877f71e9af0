//! Replay: the records of one segment after another, back into a log.

use bytes::Bytes;

use super::record::{RawRecord, Record, find_later_record};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_name};
use super::snapshot::SnapshotReference;
use super::state::{LogState, Tail};
use crate::ids::LogIndex;
use crate::marks;
use crate::raft::Entry;
use crate::storage::{Identity, StorageError};

/// The log so far.
pub(super) struct Replay {
    identity: Identity,
    /// What it comes to.
    pub(super) state: LogState,
    /// Its entries after [`Replay::absent_to`].
    entries: Vec<Entry>,
    /// Entries up to here are not in any segment that was read. In the end a snapshot must cover them.
    absent_to: LogIndex,
    /// The segment from which on it was read.
    first_read: u64,
    /// The CRC of the last record.
    pub(super) chain: u32,
    /// The number of the next batch.
    pub(super) next_batch: u64,
    /// The last whole batch: its file, its place there, its bytes.
    pub(super) last_batch: Option<(String, u64, Bytes)>,
}

impl Replay {
    /// Begins before the first batch of a segment, from what its header says of the log until there.
    pub(super) fn begin(header: &SegmentHeader) -> Self {
        Self {
            identity: header.identity,
            state: LogState::at_start_of(header.segment, header.checkpoint),
            entries: Vec::new(),
            absent_to: header.checkpoint.last_index,
            first_read: header.segment,
            chain: header.start_chain,
            next_batch: header.first_batch,
            last_batch: None,
        }
    }

    /// Goes on to the next segment, if its header continues the log.
    pub(super) fn go_on(
        &mut self,
        name: &str,
        segment: u64,
        header: &SegmentHeader,
    ) -> Result<(), StorageError> {
        let expected = SegmentHeader {
            identity: self.identity,
            segment,
            first_batch: self.next_batch,
            start_chain: self.chain,
            checkpoint: self.state.checkpoint(),
        };
        if *header != expected {
            return Err(damaged(name, 0, "the segment does not continue the one before"));
        }
        self.state.begin_segment(segment);
        Ok(())
    }

    /// Replays the whole batches of a segment. Returns where it is open, or `None` if it is complete.
    pub(super) fn read_segment(
        &mut self,
        name: &str,
        seed: u32,
        bytes: &[u8],
    ) -> Result<Option<u64>, StorageError> {
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
                    self.apply(record).map_err(|reason| damaged(name, offset as u64, &reason))?;
                }
                self.state.settle().map_err(|reason| damaged(name, start as u64, &reason))?;
                self.chain = chain;
                return Ok(BatchRead::Whole { end: at, ends_segment: raw.ends_segment() });
            }
        }
    }

    fn apply(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::HardState(hard_state) => self.state.vote(hard_state)?,
            Record::Snapshot(snapshot) => {
                self.state.cover(snapshot.reference, snapshot.replaces_log)?;
                if snapshot.replaces_log {
                    self.entries.clear();
                    self.absent_to = snapshot.reference.index;
                }
            }
            Record::TruncateFrom(from) => {
                let kept = from.previous().0.saturating_sub(self.absent_to.0);
                self.entries.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
                self.state.truncate(from, self.tail())?;
                self.absent_to = self.absent_to.min(from.previous());
            }
            Record::Entry(entry) => {
                self.state.append(entry.index, entry.term, entry.time)?;
                self.entries.push(entry);
            }
            Record::FirstSegment(segment) => self.state.give_up(segment)?,
        }
        Ok(())
    }

    fn tail(&self) -> Tail {
        self.entries.last().map(|entry| (entry.term, entry.time))
    }

    /// Whether the log is all there. Returns its snapshot's name, and the entries after it.
    pub(super) fn finish(&mut self) -> Result<(Option<SnapshotReference>, Vec<Entry>), StorageError> {
        let at = self.state.checkpoint();
        if self.first_read > at.first_segment {
            let missing = segment_name(self.first_read - 1);
            return Err(damaged(&missing, 0, "the segment is missing, and was not given up"));
        }
        let covered_to = self.state.covered_to();
        let name = segment_name(self.first_read);
        if self.absent_to > covered_to {
            let reason = format!("no snapshot covers the entries up to {}, which are gone", self.absent_to);
            return Err(damaged(&name, 0, &reason));
        }
        let mut entries = std::mem::take(&mut self.entries);
        let covered = entries.iter().take_while(|entry| entry.index <= covered_to).count();
        let after = entries.split_off(covered);
        if let Some(snapshot) = at.snapshot {
            let joint = (snapshot.term, snapshot.time);
            let leads_up = entries.last().is_none_or(|entry| (entry.term, entry.time) == joint);
            let leads_on = after.first().is_none_or(|entry| entry.term >= joint.0 && entry.time >= joint.1);
            if !leads_up || !leads_on {
                let reason = format!("the log and the snapshot up to {covered_to} contradict each other");
                return Err(damaged(&name, 0, &reason));
            }
        }
        Ok((at.snapshot, after))
    }
}

enum BatchRead {
    Whole { end: usize, ends_segment: bool },
    Broken { at: usize, reason: &'static str },
}

/// Something is wrong with a file.
pub(super) fn damaged(file: &str, offset: u64, reason: &str) -> StorageError {
    StorageError::Damaged { file: file.to_owned(), offset, reason: reason.to_owned() }
}
