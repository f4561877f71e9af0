//! The mark in the node's own folder by which it knows its Redis again.
//!
//! A Redis that was emptied (its volume was not mounted, `FLUSHALL`, a replacement) looks like that of a node which
//! has never run. A node that began anew there under its old name would have forgotten votes and entries that
//! others count on. So the store's incarnation, a number drawn when it was begun, is kept here as well: where
//! there is a mark, only the Redis with that incarnation will do.
//!
//! A folder without a mark that holds a log in files is refused: whoever took it for new would have forgotten that log.
//!
//! A folder with neither (a new one) goes with a Redis that holds nothing of this node. If it holds a store, then of
//! another cluster that has the same name, or of this node, whose folder was lost. Nobody but the operator knows, so
//! the store is taken over only if that was asked for: two clusters in one store would share votes and entries.
//! A node that lost both its folder and its Redis has lost its disk: it comes back under a new id.
//!
//! The mark is made in two steps, so that a process which dies between them finds its own store again: it *announces*
//! the incarnation before the store is begun, and *holds* it afterwards, before anything is acknowledged.

use bytes::Bytes;

use crate::env::{Disk, DiskError, File};
use crate::ids::NodeId;
use crate::storage::error::{IN_A_REDIS, IN_FILES};
use crate::storage::{Identity, StorageError, wal};

/// The mark's name in the folder.
pub(in crate::storage) const NAME: &str = "redis-mark";
const TEMPORARY: &str = "redis-mark.new";
const MAGIC: [u8; 8] = *b"STORMRED";
const VERSION: u32 = 1;
/// Magic, version, zero, cluster, node, incarnation, stage, CRC32C of all before.
const BYTES: usize = 48;

/// The stage of a mark whose store is there, and of one whose store is about to be begun.
const HELD: u32 = 0;
const ANNOUNCED: u32 = 1;

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The store that the node has.
    pub(super) incarnation: u64,
    /// Whether that store is there for certain; otherwise it was about to be begun, and nothing in it was acknowledged.
    pub(super) is_held: bool,
}

/// Reads the mark, if there is one.
pub(super) async fn read<D: Disk>(disk: &D, identity: Identity) -> Result<Option<Mark>, StorageError> {
    let file = match disk.open(NAME, false).await {
        Err(DiskError::NotFound(_)) => return is_new(disk).await.map(|()| None),
        opened => opened?,
    };
    let bytes = file.read_at(0, BYTES + 1).await?;
    let damaged =
        |reason: &str| StorageError::Damaged { file: NAME.to_owned(), offset: 0, reason: reason.to_owned() };
    let bytes: &[u8; BYTES] =
        bytes.as_ref().try_into().map_err(|_| damaged("the mark has not the length of one"))?;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let (fields, checksum) = bytes.split_at(BYTES - 4);
    if fields[..8] != MAGIC || crc32c::crc32c(fields).to_le_bytes() != checksum {
        return Err(damaged("the mark's checksum is wrong"));
    }
    let version = word(8);
    if version != u64::from(VERSION) {
        let found = format!("a mark of version {version}, and this release knows {VERSION}");
        return Err(StorageError::NewerFormat { file: NAME.to_owned(), found });
    }
    let found = Identity { cluster: word(16), node: NodeId(word(24)) };
    if found != identity {
        return Err(StorageError::WrongIdentity { file: NAME.to_owned(), expected: identity, found });
    }
    let is_held = match u32::from_le_bytes(bytes[40..44].try_into().expect("four bytes")) {
        HELD => true,
        ANNOUNCED => false,
        _ => return Err(damaged("the mark is of no stage that there is")),
    };
    Ok(Some(Mark { incarnation: word(32), is_held }))
}

/// Refuses the folder of a node that keeps its log in files: in a Redis it would have forgotten it.
async fn is_new<D: Disk>(disk: &D) -> Result<(), StorageError> {
    match disk.list().await?.iter().any(|name| wal::is_of_a_log(name)) {
        true => Err(StorageError::OtherKind { expected: IN_A_REDIS, found: IN_FILES }),
        false => Ok(()),
    }
}

/// Makes the mark. When it returns, the mark is durable.
pub(super) async fn write<D: Disk>(disk: &D, identity: Identity, mark: Mark) -> Result<(), StorageError> {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[24..32].copy_from_slice(&identity.node.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&mark.incarnation.to_le_bytes());
    let stage = if mark.is_held { HELD } else { ANNOUNCED };
    bytes[40..44].copy_from_slice(&stage.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..BYTES - 4]);
    bytes[BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    let file = disk.open(TEMPORARY, true).await?;
    file.set_len(0).await?;
    file.write_at(0, Bytes::copy_from_slice(&bytes)).await?;
    file.sync().await?;
    drop(file);
    disk.rename(TEMPORARY, NAME).await?;
    Ok(disk.sync_names().await?)
}
