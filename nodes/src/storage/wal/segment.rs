//! Segments: the files of the log, their names, headers and birth.
//!
//! A segment is never seen under its own name before it is complete: its header is written and synced
//! under a temporary name, then the file is renamed and the directory synced. So a segment with a bad
//! header was damaged later; no crash leaves one behind.

use bytes::Bytes;

use crate::env::{Disk, DiskError, File};
use crate::ids::NodeId;
use crate::storage::{Identity, StorageError};

/// Length of a segment's header; its first record follows.
pub(in crate::storage) const SEGMENT_HEADER_BYTES: usize = 64;

/// The number of the first segment of a log.
pub(super) const FIRST_SEGMENT: u64 = 1;

/// The number of the first batch of a log.
pub(super) const FIRST_BATCH: u64 = 1;

/// The format that this release writes.
pub(in crate::storage) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"STORMWAL";

/// Magic, version and a CRC of both: these bytes mean the same in every version of the format.
const PREFIX_BYTES: usize = 16;

/// What a segment says of itself.
///
/// Magic (8 bytes), version (4), CRC32C of these (4), cluster (8), node (8), segment number (8), number of
/// its first batch (8), chain value before it (4), group (4), zero (4), CRC32C of all before (4).
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
}

impl SegmentHeader {
    /// The header of a log's first segment.
    pub(super) const fn first(identity: Identity) -> Self {
        Self { identity, segment: FIRST_SEGMENT, first_batch: FIRST_BATCH, start_chain: 0 }
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
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.identity.cluster.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.identity.node.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_batch.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.start_chain.to_le_bytes());
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
        let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
            return Err(damaged("the segment's header is incomplete"));
        };
        if prefix[..8] != MAGIC || crc32c::crc32c(&prefix[..12]) != u32_of(&prefix[12..]) {
            return Err(damaged("this is no segment's header"));
        }
        let version = u32_of(&prefix[8..12]);
        if version > FORMAT_VERSION {
            return Err(newer(format!("format {version}, and this release knows up to {FORMAT_VERSION}")));
        }
        let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(damaged("the segment's header is incomplete"));
        };
        if crc32c::crc32c(&header[..60]) != u32_of(&header[60..]) {
            return Err(damaged("the checksum of the segment's header is wrong"));
        }
        if header[52..60].iter().any(|&byte| byte != 0) {
            return Err(newer(format!("group {}", u32_of(&header[52..56]))));
        }
        let identity = Identity { cluster: u64_of(&header[16..24]), node: NodeId(u64_of(&header[24..32])) };
        Ok(Self {
            identity,
            segment: u64_of(&header[32..40]),
            first_batch: u64_of(&header[40..48]),
            start_chain: u32_of(&header[48..52]),
        })
    }
}

/// Writes both CRCs of an encoded header.
pub(in crate::storage) fn seal_header(bytes: &mut [u8; SEGMENT_HEADER_BYTES]) {
    let prefix = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&prefix.to_le_bytes());
    let whole = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&whole.to_le_bytes());
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller passes 4 bytes"))
}

fn u64_of(bytes: &[u8]) -> u64 {
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

/// Reads a whole segment.
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
