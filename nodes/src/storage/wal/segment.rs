//! Segments: the files of the log, their names, headers and birth.
//!
//! A segment is never seen under its own name before it is complete: its header is written and synced
//! under a temporary name, then the file is renamed and the directory synced. So a segment with a bad
//! header was damaged later; no crash leaves one behind.
//!
//! The header holds the state of the log before the segment's first batch ([`Checkpoint`]), so that the log
//! can be read from any segment on, once those before it have been given up.

use bytes::Bytes;

use super::state::Checkpoint;
use crate::env::{Disk, DiskError, File};
use crate::ids::NodeId;
use crate::storage::{Identity, StorageError};

/// Length of a segment's header; its first record follows.
pub(in crate::storage) const SEGMENT_HEADER_BYTES: usize = 192;

/// The number of the first segment of a log.
pub(super) const FIRST_SEGMENT: u64 = 1;

/// The number of the first batch of a log.
pub(super) const FIRST_BATCH: u64 = 1;

/// The format that this release writes.
pub(in crate::storage) const FORMAT_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"STORMWAL";

/// Magic, version and a CRC of both: these bytes mean the same in every version of the format.
const PREFIX_BYTES: usize = 16;

/// Where the checkpoint lies; the header's own CRC follows it.
const CHECKPOINT: std::ops::Range<usize> = 56..188;

/// What a segment says of itself.
///
/// Magic (8 bytes), version (4), CRC32C of these (4), cluster (8), node (8), segment number (8), number of
/// its first batch (8), chain value before it (4), group (4), the state before it (postcard, filled up with
/// zeros: 132), CRC32C of all before (4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Whose log it is.
    pub(super) identity: Identity,
    /// Its number, from [`FIRST_SEGMENT`] without gaps.
    pub(super) segment: u64,
    /// The number of its first batch.
    pub(super) first_batch: u64,
    /// The CRC of the last record of the segment before.
    pub(super) start_chain: u32,
    /// What all batches before it add up to.
    pub(super) checkpoint: Checkpoint,
}

impl SegmentHeader {
    /// The header of a log's first segment.
    pub(super) const fn first(identity: Identity) -> Self {
        let checkpoint = Checkpoint::BEGINNING;
        Self { identity, segment: FIRST_SEGMENT, first_batch: FIRST_BATCH, start_chain: 0, checkpoint }
    }

    /// The seed of its records' CRCs: bytes of another node's log, another segment or another history do
    /// not pass for records of this one.
    pub(super) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.fields()[16..52])
    }

    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = self.fields();
        seal_header(&mut bytes);
        bytes
    }

    /// The header without its CRCs.
    fn fields(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        write_prefix(&mut bytes, MAGIC, FORMAT_VERSION);
        bytes[16..24].copy_from_slice(&self.identity.cluster.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.identity.node.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_batch.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.start_chain.to_le_bytes());
        postcard::to_slice(&self.checkpoint, &mut bytes[CHECKPOINT])
            .expect("eleven numbers and two options take at most 112 bytes");
        bytes
    }

    /// Reads the header of the file `name`.
    pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Self, StorageError> {
        let damaged = |reason: &str| StorageError::Damaged {
            file: name.to_owned(),
            offset: 0,
            reason: reason.to_owned(),
        };
        let newer = |found: String| StorageError::NewerFormat { file: name.to_owned(), found };
        check_prefix(name, bytes, MAGIC, FORMAT_VERSION)?;
        let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(damaged("the segment's header is incomplete"));
        };
        let (fields, crc) = header.split_at(CHECKPOINT.end);
        if crc32c::crc32c(fields) != u32_of(crc) {
            return Err(damaged("the checksum of the segment's header is wrong"));
        }
        let group = u32_of(&header[52..56]);
        if group != 0 {
            return Err(newer(format!("segment of group {group}")));
        }
        let (checkpoint, rest) = postcard::take_from_bytes::<Checkpoint>(&fields[CHECKPOINT])
            .map_err(|_| damaged("the state at the beginning of the segment does not decode"))?;
        if rest.iter().any(|&byte| byte != 0) {
            return Err(newer("a longer state at the beginning of the segment".to_owned()));
        }
        Ok(Self {
            identity: Identity { cluster: u64_of(&header[16..24]), node: NodeId(u64_of(&header[24..32])) },
            segment: u64_of(&header[32..40]),
            first_batch: u64_of(&header[40..48]),
            start_chain: u32_of(&header[48..52]),
            checkpoint,
        })
    }
}

/// Writes magic, version and their CRC, with which every file of the log begins.
pub(super) fn write_prefix(bytes: &mut [u8], magic: [u8; 8], version: u32) {
    bytes[..8].copy_from_slice(&magic);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// Checks what [`write_prefix`] wrote.
pub(super) fn check_prefix(
    name: &str,
    bytes: &[u8],
    magic: [u8; 8],
    version: u32,
) -> Result<(), StorageError> {
    let file = name.to_owned();
    let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Err(StorageError::Damaged {
            file,
            offset: 0,
            reason: "the file's header is incomplete".to_owned(),
        });
    };
    if prefix[..8] != magic || crc32c::crc32c(&prefix[..12]) != u32_of(&prefix[12..]) {
        return Err(StorageError::Damaged {
            file,
            offset: 0,
            reason: "this is no header of such a file".to_owned(),
        });
    }
    match u32_of(&prefix[8..12]) {
        found if found > version => {
            let found = format!("format {found}, and this release knows up to {version}");
            Err(StorageError::NewerFormat { file, found })
        }
        found if found < version => {
            let found = format!("format {found}, and this release knows {version} only");
            Err(StorageError::OlderFormat { file, found })
        }
        _ => Ok(()),
    }
}

/// Writes both CRCs of an encoded header.
pub(in crate::storage) fn seal_header(bytes: &mut [u8; SEGMENT_HEADER_BYTES]) {
    let prefix = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&prefix.to_le_bytes());
    let whole = crc32c::crc32c(&bytes[..CHECKPOINT.end]);
    bytes[CHECKPOINT.end..].copy_from_slice(&whole.to_le_bytes());
}

/// Four bytes as a number.
pub(super) fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller passes 4 bytes"))
}

/// Eight bytes as a number.
pub(super) fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("the caller passes 8 bytes"))
}

/// The name of a segment's file.
pub(in crate::storage) fn segment_name(segment: u64) -> String {
    format!("wal-{segment:016x}.log")
}

/// The name of a segment's file until its header is durable.
pub(super) fn temporary_name(segment: u64) -> String {
    format!("wal-{segment:016x}.new")
}

/// The segment that a file name stands for, if any.
pub(super) fn segment_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("wal-")?.strip_suffix(".log")?;
    let segment = u64::from_str_radix(digits, 16).ok()?;
    (segment_name(segment) == name).then_some(segment)
}

/// Whether a file is a segment whose birth was interrupted.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with("wal-") && name.ends_with(".new")
}

/// Creates a segment. When it returns, header and name are durable.
pub(super) async fn create_segment<D: Disk>(disk: &D, header: SegmentHeader) -> Result<D::File, DiskError> {
    let (temporary, name) = (temporary_name(header.segment), segment_name(header.segment));
    let file = disk.open(&temporary, true).await?;
    file.set_len(0).await?;
    file.write_at(0, Bytes::copy_from_slice(&header.encode())).await?;
    file.sync().await?;
    drop(file);
    disk.rename(&temporary, &name).await?;
    disk.sync_names().await?;
    disk.open(&name, false).await
}

/// Reads a whole file, in pieces.
pub(in crate::storage) async fn read_whole<F: File>(file: &F) -> Result<Vec<u8>, DiskError> {
    const READ_BYTES: usize = 1024 * 1024;
    let length = file.len().await?;
    let mut bytes = Vec::with_capacity(length as usize);
    while (bytes.len() as u64) < length {
        let wanted = READ_BYTES.min((length - bytes.len() as u64) as usize);
        let piece = file.read_at(bytes.len() as u64, wanted).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
