//! Whole folders as values, to be damaged and put back; and the steps that all parts share.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::model::{IDENTITY, state_after};
use crate::env::{Disk, DiskError, File};
use crate::raft::{Recovered, StoreRequest};
use crate::storage::wal::{read_whole, segment_name};
use crate::storage::{Identity, LogStore, StorageError, Wal, WalConfig};

/// The content of each file.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

/// One segment for everything, no zeros: every byte of the file means something.
pub(super) const ONE_SEGMENT: WalConfig = WalConfig { segment_bytes: u64::MAX, preallocate_bytes: 0 };

/// Many segments, some of them with free space.
pub(super) const MANY_SEGMENTS: WalConfig = WalConfig { segment_bytes: 700, preallocate_bytes: 256 };

/// The first segment.
pub(super) fn first_segment() -> String {
    segment_name(1)
}

/// Reads a folder.
pub(super) async fn capture<D: Disk>(disk: &D) -> Result<Image, String> {
    let mut image = Image::new();
    for name in disk.list().await.map_err(say)? {
        let file = disk.open(&name, false).await.map_err(say)?;
        image.insert(name, read_whole(&file).await.map_err(say)?);
    }
    Ok(image)
}

/// Makes a folder hold exactly this. Nothing is synced: most parts end before that matters.
pub(super) async fn install<D: Disk>(disk: &D, image: &Image) -> Result<(), String> {
    for name in disk.list().await.map_err(say)? {
        if !image.contains_key(&name) {
            disk.remove(&name).await.map_err(say)?;
        }
    }
    for (name, bytes) in image {
        let file = disk.open(name, true).await.map_err(say)?;
        file.set_len(0).await.map_err(say)?;
        file.write_at(0, Bytes::copy_from_slice(bytes)).await.map_err(say)?;
    }
    Ok(())
}

/// Makes a folder hold exactly this, whatever comes.
pub(super) async fn install_durably<D: Disk>(disk: &D, image: &Image) -> Result<(), String> {
    install(disk, image).await?;
    for name in image.keys() {
        let file = disk.open(name, false).await.map_err(say)?;
        file.sync().await.map_err(say)?;
    }
    disk.sync_names().await.map_err(say)
}

/// Opens a log that must open.
pub(super) async fn open<D: Disk>(disk: D, config: WalConfig) -> Result<(Wal<D>, Recovered), String> {
    Wal::open(disk, IDENTITY, config).await.map_err(|error| format!("the log does not open: {error}"))
}

/// What opening says to a node, in a folder of this content.
pub(super) async fn open_image_as<D: Disk>(
    disk: &D,
    identity: Identity,
    image: &Image,
    config: WalConfig,
) -> Result<Result<Recovered, StorageError>, String> {
    install(disk, image).await?;
    Ok(Wal::open(disk.clone(), identity, config).await.map(|(_, recovered)| recovered))
}

/// What opening says, in a folder of this content.
pub(super) async fn open_image<D: Disk>(
    disk: &D,
    image: &Image,
    config: WalConfig,
) -> Result<Result<Recovered, StorageError>, String> {
    open_image_as(disk, IDENTITY, image, config).await
}

/// Writes a log, as a node, and returns the folder.
pub(super) async fn written_as<D: Disk>(
    disk: &D,
    identity: Identity,
    requests: &[StoreRequest],
    config: WalConfig,
) -> Result<Image, String> {
    let opened = Wal::open(disk.clone(), identity, config).await;
    let (mut wal, _) = opened.map_err(|error| format!("the log does not open: {error}"))?;
    store_all(&mut wal, requests).await?;
    capture(disk).await
}

/// Writes a log and returns the folder.
pub(super) async fn written_in<D: Disk>(
    disk: &D,
    requests: &[StoreRequest],
    config: WalConfig,
) -> Result<Image, String> {
    written_as(disk, IDENTITY, requests, config).await
}

/// The names of the segments in a folder, in order.
pub(super) fn segments_of(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.starts_with("wal-")).cloned().collect()
}

/// The names of the snapshots in a folder, in order.
pub(super) fn snapshots_of(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.starts_with("snapshot-")).cloned().collect()
}

/// Stores requests that must succeed.
pub(super) async fn store_all<D: Disk>(wal: &mut Wal<D>, requests: &[StoreRequest]) -> Result<(), String> {
    for request in requests {
        wal.store(request).await.map_err(|error| format!("a request fails: {error}"))?;
    }
    Ok(())
}

/// Writes a log and returns the folder, with the length of the one segment before each request and at the
/// end where there is but one.
pub(super) async fn written<D: Disk>(
    disk: &D,
    requests: &[StoreRequest],
    config: WalConfig,
) -> Result<(Image, Vec<usize>), String> {
    let (mut wal, _) = open(disk.clone(), config).await?;
    let mut lengths = Vec::new();
    for request in requests {
        lengths.push(capture(disk).await?[&first_segment()].len());
        store_all(&mut wal, std::slice::from_ref(request)).await?;
    }
    let image = capture(disk).await?;
    lengths.push(image[&first_segment()].len());
    Ok((image, lengths))
}

/// Fails unless the state is the one after these requests.
pub(super) fn expect_state(
    found: &Recovered,
    requests: &[StoreRequest],
    when: impl FnOnce() -> String,
) -> Result<(), String> {
    let expected = state_after(requests);
    expect(*found == expected, || format!("{}: expected {}, found {}", when(), told(&expected), told(found)))
}

/// A state in a few words.
fn told(state: &Recovered) -> String {
    let snapshot = state.snapshot.as_ref().map(|snapshot| (snapshot.meta.index, snapshot.data.len()));
    let (first, count) = (state.entries.first().map(|entry| entry.index), state.entries.len());
    format!("{:?}, snapshot {snapshot:?}, {count} entries from {first:?}", state.hard_state)
}

/// Fails with a sentence unless something holds.
pub(super) fn expect(holds: bool, sentence: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(sentence()) }
}

/// A disk's error as a sentence.
pub(super) fn say(error: DiskError) -> String {
    format!("the disk fails: {error}")
}
