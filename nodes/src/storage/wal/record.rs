//! Records and batches: the bytes of one store request.
//!
//! A record is a header of [`RECORD_HEADER_BYTES`], all integers little-endian, and a postcard body:
//!
//! | bytes | field |
//! |-|-|
//! | 4 | CRC32C of all that follows, body included, seeded with the segment's own value |
//! | 4 | the CRC of the record before: the chain |
//! | 4 | length of the body |
//! | 1 | kind |
//! | 1 | flags: 1 last record of its batch, 2 last batch of its segment |
//! | 2 | zero |
//! | 4 | group: zero, until one log serves several groups |
//! | 8 | number of the batch, rising by one through the whole log |
//!
//! A record thus proves itself (its CRC covers only bytes of its own) and its place (the link to the one
//! before). Recovery needs both: the second to accept a record, the first to recognise that a record
//! *behind* a bad one was once written, and so that the bad one was once durable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::LogIndex;
use crate::raft::{Entry, HardState, StoreRequest};
use crate::storage::StorageError;

use super::snapshot::SnapshotReference;
use super::state::truncation_of;

/// Length of a record's header.
pub(in crate::storage) const RECORD_HEADER_BYTES: usize = 28;

/// The longest body: 16 MiB, twice the longest frame that could have brought an entry here.
pub(in crate::storage) const RECORD_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Room for what is not an entry, altogether.
const BODY_BYTES_EXPECTED: usize = 128;

/// The most records of a request that are not entries.
const OTHER_RECORDS_MAX: usize = 4;

const KIND_HARD_STATE: u8 = 1;
const KIND_TRUNCATE_FROM: u8 = 2;
const KIND_ENTRY: u8 = 3;
const KIND_SNAPSHOT: u8 = 4;
const KIND_FIRST_SEGMENT: u8 = 5;

const FLAG_LAST_OF_BATCH: u8 = 1;
const FLAG_LAST_OF_SEGMENT: u8 = 2;

/// What a record says.
#[derive(Debug)]
pub(super) enum Record {
    /// The term and the vote are now these.
    HardState(HardState),
    /// The log ends before this index.
    TruncateFrom(LogIndex),
    /// The log has one more entry.
    Entry(Entry),
    /// This snapshot is in force.
    Snapshot(SnapshotRecord),
    /// Segments before this one have been given up, and may be missing.
    FirstSegment(u64),
}

/// What a record says of a snapshot.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotRecord {
    /// Which one.
    pub(super) reference: SnapshotReference,
    /// The log begins anew behind it.
    pub(super) replaces_log: bool,
}

/// The records of one request, before their headers are known.
pub(super) struct BatchDraft {
    bytes: Vec<u8>,
    records: Vec<(usize, u8)>,
}

impl BatchDraft {
    /// Lays out a request: hard state, snapshot, truncation, entries, first segment. `None` if it asks for
    /// nothing. `snapshot` is what became of the snapshot in the request, and `first_segment` what becomes
    /// of its wish to forget.
    pub(super) fn of(
        request: &StoreRequest,
        snapshot: Option<SnapshotReference>,
        first_segment: Option<u64>,
    ) -> Result<Option<Self>, StorageError> {
        let records = request.append.len() + OTHER_RECORDS_MAX;
        let bodies = request.append.weight_bytes() + BODY_BYTES_EXPECTED;
        let mut draft = Self {
            bytes: Vec::with_capacity(records * RECORD_HEADER_BYTES + bodies),
            records: Vec::with_capacity(records),
        };
        if let Some(hard_state) = &request.hard_state {
            draft.push(KIND_HARD_STATE, hard_state)?;
        }
        if let (Some(reference), Some(write)) = (snapshot, &request.snapshot) {
            draft.push(KIND_SNAPSHOT, &SnapshotRecord { reference, replaces_log: write.replaces_log })?;
        }
        if let Some(from) = truncation_of(request) {
            draft.push(KIND_TRUNCATE_FROM, &from)?;
        }
        for entry in request.append.iter() {
            draft.push(KIND_ENTRY, entry)?;
        }
        if let Some(first_segment) = first_segment {
            draft.push(KIND_FIRST_SEGMENT, &first_segment)?;
        }
        Ok((!draft.records.is_empty()).then_some(draft))
    }

    fn push(&mut self, kind: u8, body: &impl Serialize) -> Result<(), StorageError> {
        let start = self.bytes.len();
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(start + RECORD_HEADER_BYTES, 0);
        self.bytes = postcard::to_extend(body, bytes)
            .map_err(|error| StorageError::Failed { reason: format!("a record does not encode: {error}") })?;
        let length = self.bytes.len() - start - RECORD_HEADER_BYTES;
        if length > RECORD_BODY_BYTES_MAX {
            let reason =
                format!("a record of {length} bytes is longer than the bound of {RECORD_BODY_BYTES_MAX}");
            return Err(StorageError::Failed { reason });
        }
        self.records.push((start, kind));
        Ok(())
    }

    /// Its length, which no longer changes.
    pub(super) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Fills in the headers. Returns the bytes and the chain value after them.
    pub(super) fn finish(mut self, seed: u32, chain: u32, batch: u64, seals: bool) -> (Vec<u8>, u32) {
        let mut chain = chain;
        for (position, &(start, kind)) in self.records.iter().enumerate() {
            let next = self.records.get(position + 1).map(|record| record.0);
            let end = next.unwrap_or(self.bytes.len());
            let mut flags = 0;
            if next.is_none() {
                flags |= FLAG_LAST_OF_BATCH;
                if seals {
                    flags |= FLAG_LAST_OF_SEGMENT;
                }
            }
            let record = &mut self.bytes[start..end];
            let length = (record.len() - RECORD_HEADER_BYTES) as u32;
            record[4..8].copy_from_slice(&chain.to_le_bytes());
            record[8..12].copy_from_slice(&length.to_le_bytes());
            record[12] = kind;
            record[13] = flags;
            record[20..28].copy_from_slice(&batch.to_le_bytes());
            chain = crc32c::crc32c_append(seed, &record[4..]);
            record[..4].copy_from_slice(&chain.to_le_bytes());
        }
        (self.bytes, chain)
    }
}

/// A record whose CRC is right, not yet understood.
pub(super) struct RawRecord<'a> {
    /// Its own CRC, which the next record repeats.
    pub(super) crc: u32,
    /// The CRC of the record before, as it was when this one was written.
    pub(super) previous: u32,
    /// Its batch.
    pub(super) batch: u64,
    /// Its length in the file, header included.
    pub(super) length: usize,
    kind: u8,
    flags: u8,
    reserved: u16,
    group: u32,
    body: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Reads the record that starts at `offset`; says what is wrong if there is none.
    pub(super) fn read(bytes: &'a [u8], offset: usize, seed: u32) -> Result<Self, &'static str> {
        let rest = bytes.get(offset..).unwrap_or_default();
        let Some(header) = rest.first_chunk::<RECORD_HEADER_BYTES>() else {
            return Err("a record's header is incomplete");
        };
        let body_length = u32_at(header, 8) as usize;
        if header[12] == 0 || body_length > RECORD_BODY_BYTES_MAX {
            return Err("these bytes are no record's header");
        }
        let length = RECORD_HEADER_BYTES + body_length;
        let Some(record) = rest.get(..length) else {
            return Err("a record's body is incomplete");
        };
        let crc = u32_at(header, 0);
        if crc32c::crc32c_append(seed, &record[4..]) != crc {
            return Err("a record's checksum is wrong");
        }
        Ok(Self {
            crc,
            previous: u32_at(header, 4),
            batch: batch_at(header),
            length,
            kind: header[12],
            flags: header[13],
            reserved: u16::from_le_bytes([header[14], header[15]]),
            group: u32_at(header, 16),
            body: &record[RECORD_HEADER_BYTES..],
        })
    }

    /// Whether its batch ends with it.
    pub(super) const fn ends_batch(&self) -> bool {
        self.flags & FLAG_LAST_OF_BATCH != 0
    }

    /// Whether its segment ends with it.
    pub(super) const fn ends_segment(&self) -> bool {
        self.flags & FLAG_LAST_OF_SEGMENT != 0
    }

    /// Understands it.
    pub(super) fn decode(&self, file: &str, offset: usize) -> Result<Record, StorageError> {
        let newer = |found: String| StorageError::NewerFormat { file: file.to_owned(), found };
        if self.flags & !(FLAG_LAST_OF_BATCH | FLAG_LAST_OF_SEGMENT) != 0 {
            return Err(newer(format!("record flags {:#04x} at byte {offset}", self.flags)));
        }
        if self.reserved != 0 || self.group != 0 {
            return Err(newer(format!("record of group {} at byte {offset}", self.group)));
        }
        let malformed = || StorageError::Damaged {
            file: file.to_owned(),
            offset: offset as u64,
            reason: "a record with a right checksum does not decode".to_owned(),
        };
        match self.kind {
            KIND_HARD_STATE => whole(self.body).map(Record::HardState).ok_or_else(malformed),
            KIND_TRUNCATE_FROM => whole(self.body).map(Record::TruncateFrom).ok_or_else(malformed),
            KIND_ENTRY => whole(self.body).map(Record::Entry).ok_or_else(malformed),
            KIND_SNAPSHOT => whole(self.body).map(Record::Snapshot).ok_or_else(malformed),
            KIND_FIRST_SEGMENT => whole(self.body).map(Record::FirstSegment).ok_or_else(malformed),
            kind => Err(newer(format!("record kind {kind} at byte {offset}"))),
        }
    }
}

/// Looks for a record of a batch after `batch`, at any offset from `start` on. Finding one proves that
/// `batch` was durable once, since no batch is written before the sync of the one before has returned.
pub(super) fn find_later_record(bytes: &[u8], start: usize, seed: u32, batch: u64) -> Option<usize> {
    let headers = bytes.get(start..)?.windows(RECORD_HEADER_BYTES);
    let batches_max = (bytes.len() / RECORD_HEADER_BYTES) as u64 + 1;
    headers.enumerate().map(|(position, header)| (start + position, header)).find_map(|(offset, header)| {
        let ahead = batch_at(header).checked_sub(batch)?;
        let plausible = header[12] != 0 && (1..=batches_max).contains(&ahead);
        (plausible && RawRecord::read(bytes, offset, seed).is_ok()).then_some(offset)
    })
}

/// Decodes a body that holds one value and nothing after it.
fn whole<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    postcard::take_from_bytes(body).ok().and_then(|(value, rest)| rest.is_empty().then_some(value))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn batch_at(header: &[u8]) -> u64 {
    u64::from_le_bytes(header[20..28].try_into().expect("a header holds a batch number at 20..28"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Term;
    use crate::raft::StoreToken;

    const SEED: u32 = 5;

    /// A record of a vote with one byte of its header replaced and a right checksum.
    fn patched(at: usize, value: u8) -> Vec<u8> {
        let hard_state = Some(HardState { term: Term(4), voted_for: None });
        let request = StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(1)) };
        let draft = BatchDraft::of(&request, None, None).unwrap().unwrap();
        let (mut bytes, _) = draft.finish(SEED, 0, 1, false);
        bytes[at] = value;
        let crc = crc32c::crc32c_append(SEED, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<Record, StorageError> {
        RawRecord::read(bytes, 0, SEED).unwrap().decode("wal", 0)
    }

    #[test]
    fn what_a_newer_release_may_write_is_refused_as_such() {
        assert!(matches!(decoded(&patched(12, KIND_HARD_STATE)), Ok(Record::HardState(_))));
        for (at, value) in [(12, 9), (13, 4), (14, 1), (16, 1)] {
            let result = decoded(&patched(at, value));
            assert!(matches!(result, Err(StorageError::NewerFormat { .. })), "byte {at}: {result:?}");
        }
    }

    #[test]
    fn a_record_of_another_kind_than_its_body_is_damage() {
        let result = decoded(&patched(12, KIND_TRUNCATE_FROM));
        assert!(matches!(result, Err(StorageError::Damaged { .. })), "{result:?}");
    }

    #[test]
    fn a_record_proves_itself_only_under_its_own_seed() {
        let bytes = patched(12, KIND_HARD_STATE);
        assert!(RawRecord::read(&bytes, 0, SEED + 1).is_err());
        assert!(RawRecord::read(&bytes, 1, SEED).is_err());
    }
}
