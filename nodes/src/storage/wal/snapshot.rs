//! Snapshot files: the bodies of snapshots, each in a file of its own that a record of the log names.
//!
//! | bytes | field |
//! |-|-|
//! | 8 | magic |
//! | 4 | version |
//! | 4 | CRC32C of these: they mean the same in every version |
//! | 8 | cluster |
//! | 8 | node |
//! | 8 | number of the batch that names it |
//! | 8 | length of the machine's state |
//! | 4 | length of what the snapshot stands for |
//! | 4 | group: zero |
//! | 4 | zero |
//! | 4 | CRC32C of all before |
//! | … | what it stands for (postcard) |
//! | … | the machine's state |
//! | 8 | xxh3 of all before |
//!
//! A file is written under a temporary name, in pieces, then synced, renamed, and the directory synced, all
//! before the batch that names it is written. So whenever a record names a file, that file is there and whole;
//! if it is not, it was lost or altered later, and the log does not open. A file that no record names was
//! on its way when the node died, or has had its day; it is removed.
//!
//! Its name bears the batch's number, so that a snapshot never overwrites the one in force, not even one of
//! the same index.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::segment::{check_prefix, read_whole, u32_of, u64_of, write_prefix};
use crate::env::{Disk, DiskError, File};
use crate::ids::{ClusterTime, LogIndex, NodeId, Term};
use crate::raft::{Snapshot, SnapshotMeta};
use crate::storage::{Identity, StorageError};

/// The format that this release writes.
pub(in crate::storage) const SNAPSHOT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"STORMSNP";

/// Length of the part before what the snapshot stands for.
pub(in crate::storage) const SNAPSHOT_HEADER_BYTES: usize = 64;

const FOOTER_BYTES: usize = 8;

/// A file is written in pieces of at most this many bytes.
const PIECE_BYTES: usize = 1024 * 1024;

/// What a snapshot stands for takes at most this many bytes: some tens of thousands of members.
const META_BYTES_MAX: usize = 1024 * 1024;

/// How the log names a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotReference {
    /// The last entry that it covers.
    pub(super) index: LogIndex,
    /// That entry's term.
    pub(super) term: Term,
    /// That entry's stamp.
    pub(super) time: ClusterTime,
    /// The batch that first named it.
    pub(super) batch: u64,
    /// Length of its file.
    pub(super) file_bytes: u64,
    /// The file's last 8 bytes: xxh3 of all before them.
    pub(super) checksum: u64,
}

impl SnapshotReference {
    /// The name of its file.
    pub(super) fn file_name(&self) -> String {
        snapshot_name(self.index, self.batch)
    }
}

/// The name of a snapshot's file.
pub(in crate::storage) fn snapshot_name(index: LogIndex, batch: u64) -> String {
    format!("snapshot-{:016x}-{batch:016x}.snap", index.0)
}

/// Whether a file is a snapshot.
pub(super) fn is_snapshot(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".snap")
}

/// Whether a file is a snapshot whose birth was interrupted.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".new")
}

/// Writes a snapshot that `batch` will name. When it returns, content and name are durable.
pub(super) async fn write_snapshot<D: Disk>(
    disk: &D,
    identity: Identity,
    batch: u64,
    snapshot: &Snapshot,
) -> Result<SnapshotReference, StorageError> {
    let SnapshotMeta { index, term, time, .. } = snapshot.meta;
    let name = snapshot_name(index, batch);
    let temporary = format!("snapshot-{batch:016x}.new");
    let file = disk.open(&temporary, true).await?;
    file.set_len(0).await?;
    let mut hash = Xxh3::new();
    let mut offset = 0;
    for part in [Bytes::from(beginning(identity, batch, snapshot)?), snapshot.data.clone()] {
        for start in (0..part.len()).step_by(PIECE_BYTES) {
            let piece = part.slice(start..part.len().min(start + PIECE_BYTES));
            hash.update(&piece);
            let length = piece.len() as u64;
            file.write_at(offset, piece).await?;
            offset += length;
        }
    }
    let checksum = hash.digest();
    file.write_at(offset, Bytes::copy_from_slice(&checksum.to_le_bytes())).await?;
    file.sync().await?;
    drop(file);
    disk.rename(&temporary, &name).await?;
    disk.sync_names().await?;
    let file_bytes = offset + FOOTER_BYTES as u64;
    Ok(SnapshotReference { index, term, time, batch, file_bytes, checksum })
}

/// The bytes before the machine's state.
fn beginning(identity: Identity, batch: u64, snapshot: &Snapshot) -> Result<Vec<u8>, StorageError> {
    let failed = |reason: String| StorageError::Failed { reason };
    let mut bytes = vec![0; SNAPSHOT_HEADER_BYTES];
    write_prefix(&mut bytes, MAGIC, SNAPSHOT_VERSION);
    bytes[16..24].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[24..32].copy_from_slice(&identity.node.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&batch.to_le_bytes());
    bytes[40..48].copy_from_slice(&(snapshot.data.len() as u64).to_le_bytes());
    let mut bytes = postcard::to_extend(&snapshot.meta, bytes)
        .map_err(|error| failed(format!("a snapshot's members do not encode: {error}")))?;
    let meta_bytes = bytes.len() - SNAPSHOT_HEADER_BYTES;
    if meta_bytes > META_BYTES_MAX {
        return Err(failed(format!(
            "a snapshot's members take {meta_bytes} bytes, and the bound is {META_BYTES_MAX}"
        )));
    }
    bytes[48..52].copy_from_slice(&(meta_bytes as u32).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Reads the snapshot that the log names.
pub(super) async fn read_snapshot<D: Disk>(
    disk: &D,
    identity: Identity,
    reference: &SnapshotReference,
) -> Result<Snapshot, StorageError> {
    let name = reference.file_name();
    let damaged = |offset: u64, reason: &str| StorageError::Damaged {
        file: name.clone(),
        offset,
        reason: reason.to_owned(),
    };
    let file = match disk.open(&name, false).await {
        Err(DiskError::NotFound(_)) => {
            return Err(damaged(0, "the log says that this snapshot exists, and it does not"));
        }
        opened => opened?,
    };
    let header = file.read_at(0, SNAPSHOT_HEADER_BYTES).await?;
    let meta_bytes = check_header(&name, identity, reference, &header)?;
    let length = file.len().await?;
    if length != reference.file_bytes {
        let reason =
            format!("the snapshot's file has {length} bytes, and the log says {}", reference.file_bytes);
        return Err(damaged(length.min(reference.file_bytes), &reason));
    }
    let bytes = Bytes::from(read_whole(&file).await?);
    let state_end = bytes.len().saturating_sub(FOOTER_BYTES);
    let state_start = SNAPSHOT_HEADER_BYTES + meta_bytes;
    if state_start as u64 + u64_of(&header[40..48]) != state_end as u64 {
        return Err(damaged(40, "the lengths of the snapshot's parts do not add up to its file's"));
    }
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..state_end]);
    if checksum != reference.checksum || bytes[state_end..] != checksum.to_le_bytes() {
        return Err(damaged(state_end as u64, "the snapshot's checksum is wrong"));
    }
    let meta: SnapshotMeta = match postcard::take_from_bytes(&bytes[SNAPSHOT_HEADER_BYTES..state_start]) {
        Ok((meta, [])) => meta,
        _ => {
            return Err(damaged(
                SNAPSHOT_HEADER_BYTES as u64,
                "what the snapshot stands for does not decode",
            ));
        }
    };
    if (meta.index, meta.term, meta.time) != (reference.index, reference.term, reference.time) {
        return Err(damaged(SNAPSHOT_HEADER_BYTES as u64, "the snapshot is not the one that the log names"));
    }
    Ok(Snapshot { meta, data: bytes.slice(state_start..state_end) })
}

/// Checks the first bytes of a file. Returns the length of what the snapshot stands for.
fn check_header(
    name: &str,
    identity: Identity,
    reference: &SnapshotReference,
    bytes: &[u8],
) -> Result<usize, StorageError> {
    let damaged =
        |reason: &str| StorageError::Damaged { file: name.to_owned(), offset: 0, reason: reason.to_owned() };
    check_prefix(name, bytes, MAGIC, SNAPSHOT_VERSION)?;
    let Some(header) = bytes.first_chunk::<SNAPSHOT_HEADER_BYTES>() else {
        return Err(damaged("the snapshot's header is incomplete"));
    };
    if crc32c::crc32c(&header[..60]) != u32_of(&header[60..]) {
        return Err(damaged("the checksum of the snapshot's header is wrong"));
    }
    let found = Identity { cluster: u64_of(&header[16..24]), node: NodeId(u64_of(&header[24..32])) };
    if found != identity {
        return Err(StorageError::WrongIdentity { file: name.to_owned(), expected: identity, found });
    }
    if header[52..60].iter().any(|&byte| byte != 0) {
        let found = format!("snapshot of group {}", u32_of(&header[52..56]));
        return Err(StorageError::NewerFormat { file: name.to_owned(), found });
    }
    let meta_bytes = u32_of(&header[48..52]) as usize;
    if u64_of(&header[32..40]) != reference.batch || meta_bytes > META_BYTES_MAX {
        return Err(damaged("the snapshot is not the one that the log names"));
    }
    Ok(meta_bytes)
}
