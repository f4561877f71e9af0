//! The parts about damage to snapshots, and about segments that are missing without having been given up.

use bytes::Bytes;

use super::images::{
    Image, MANY_SEGMENTS, ONE_SEGMENT, capture, expect, expect_state, install, open, open_image,
    open_image_as, segments_of, snapshots_of, store_all, written_as, written_in,
};
use super::model::{IDENTITY, append, entries, forgetful_script, keep, request, snapshot, snapshot_script};
use super::{DiskUnderTest, Outcome};
use crate::ids::NodeId;
use crate::raft::Snapshot;
use crate::storage::wal::{SNAPSHOT_HEADER_BYTES, SNAPSHOT_VERSION, segment_name};
use crate::storage::{Identity, StorageError};

/// The image of a folder with a snapshot in it, and the snapshot's name.
async fn with_snapshot<T: DiskUnderTest>(t: &T) -> Result<(Image, String), String> {
    let image = written_in(&t.disk(), &snapshot_script(), ONE_SEGMENT).await?;
    let name = snapshots_of(&image).pop().ok_or("the folder holds no snapshot")?;
    Ok((image, name))
}

async fn expect_damaged<T: DiskUnderTest>(
    t: &T,
    image: &Image,
    file: &str,
    when: &str,
) -> Result<(), String> {
    let result = open_image(&t.disk(), image, ONE_SEGMENT).await?;
    let named = matches!(&result, Err(StorageError::Damaged { file: found, .. }) if found == file);
    expect(named, || format!("{when}: {file} should be named as damaged, and opening says {result:?}"))
}

pub(super) async fn a_lost_snapshot_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (mut image, name) = with_snapshot(t).await?;
    let bytes = image.remove(&name).ok_or("it was there")?;
    expect_damaged(t, &image, &name, "without the snapshot").await?;
    // Under the name that it had until it was complete, it is no better: it had been renamed durably.
    image.insert("snapshot-0000000000000008.new".to_owned(), bytes);
    expect_damaged(t, &image, &name, "with a snapshot whose renaming got lost").await?;
    Ok(true)
}

pub(super) async fn any_change_of_a_snapshot_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (image, name) = with_snapshot(t).await?;
    let whole = image[&name].clone();
    for offset in 0..whole.len() {
        let mut changed = image.clone();
        changed.entry(name.clone()).or_default()[offset] ^= [0x01, 0x80, 0xff, 0x10][offset % 4];
        expect_damaged(t, &changed, &name, &format!("byte {offset} changed")).await?;
    }
    for length in (0..whole.len()).step_by(3) {
        let mut cut = image.clone();
        cut.insert(name.clone(), whole[..length].to_vec());
        expect_damaged(t, &cut, &name, &format!("cut at byte {length}")).await?;
        cut.entry(name.clone()).or_default().resize(whole.len(), 0);
        expect_damaged(t, &cut, &name, &format!("zeros from byte {length}")).await?;
    }
    let mut longer = image.clone();
    longer.entry(name.clone()).or_default().push(0);
    expect_damaged(t, &longer, &name, "one byte longer").await?;
    Ok(true)
}

/// Another snapshot of the same length, whole and this node's own, under the name of the one that counts.
pub(super) async fn a_snapshot_of_another_time_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = |index, filler: u8| {
        let body = Bytes::from(vec![filler; 40]);
        let snapshot = Snapshot { data: body, ..snapshot(index, 1, 0) };
        [request(1, None, None, entries(1, 9, 1)), keep(snapshot), append(entries(10, 1, 1))]
    };
    for (index, filler) in [(7, 1), (8, 2)] {
        install(&t.disk(), &Image::new()).await?;
        let other = written_in(&t.disk(), &script(index, filler), ONE_SEGMENT).await?;
        let other = other[&snapshots_of(&other)[0]].clone();
        install(&t.disk(), &Image::new()).await?;
        let mut image = written_in(&t.disk(), &script(8, 1), ONE_SEGMENT).await?;
        let name = snapshots_of(&image).pop().ok_or("the folder holds no snapshot")?;
        let own = image.insert(name.clone(), other.clone());
        expect(own.is_some_and(|own| own.len() == other.len()), || "the lengths differ".to_owned())?;
        expect_damaged(t, &image, &name, "another snapshot").await?;
    }
    Ok(true)
}

pub(super) async fn a_snapshot_of_another_node_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    for other in [Identity { cluster: 8, ..IDENTITY }, Identity { node: NodeId(4), ..IDENTITY }] {
        install(&t.disk(), &Image::new()).await?;
        let theirs = written_as(&t.disk(), other, &snapshot_script(), ONE_SEGMENT).await?;
        install(&t.disk(), &Image::new()).await?;
        let (mut image, name) = with_snapshot(t).await?;
        image.insert(name.clone(), theirs[&name].clone());
        let result = open_image(&t.disk(), &image, ONE_SEGMENT).await?;
        let expected = StorageError::WrongIdentity { file: name.clone(), expected: IDENTITY, found: other };
        expect(result == Err(expected), || format!("{other}: {result:?}"))?;
        // With segment and snapshot, the whole folder is the other's.
        let result = open_image_as(&t.disk(), IDENTITY, &theirs, ONE_SEGMENT).await?;
        let refused = matches!(result, Err(StorageError::WrongIdentity { .. }));
        expect(refused, || format!("{other}, with the segment: {result:?}"))?;
    }
    Ok(true)
}

pub(super) async fn a_newer_snapshot_format_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (mut image, name) = with_snapshot(t).await?;
    let bytes = image.entry(name).or_default();
    bytes[8..12].copy_from_slice(&(SNAPSHOT_VERSION + 1).to_le_bytes());
    let prefix = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&prefix.to_le_bytes());
    let whole = crc32c::crc32c(&bytes[..SNAPSHOT_HEADER_BYTES - 4]);
    bytes[SNAPSHOT_HEADER_BYTES - 4..SNAPSHOT_HEADER_BYTES].copy_from_slice(&whole.to_le_bytes());
    let result = open_image(&t.disk(), &image, ONE_SEGMENT).await?;
    let refused = matches!(result, Err(StorageError::NewerFormat { .. }));
    expect(refused, || format!("a newer version: {result:?}"))?;
    Ok(true)
}

/// After segments have been given up and removed, each one that is left is still missed, and so is any run
/// of them from the front: the log never takes a loss for a removal.
pub(super) async fn a_segment_that_was_not_given_up_is_missed<T: DiskUnderTest>(t: &T) -> Outcome {
    const IMAGES: usize = 4;
    let script = forgetful_script();
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    let mut images = Vec::new();
    for (position, request) in script.iter().enumerate() {
        store_all(&mut wal, std::slice::from_ref(request)).await?;
        let image = capture(&t.disk()).await?;
        let segments = segments_of(&image);
        if segments.len() >= 3 && segments[0] != segment_name(1) && images.len() < IMAGES {
            images.push((position + 1, segments, image));
        }
    }
    drop(wal);
    expect(images.len() == IMAGES, || format!("only {} logs begin with a later segment", images.len()))?;
    for (stored, segments, image) in images {
        for (position, missing) in segments.iter().enumerate() {
            let mut rest = image.clone();
            rest.remove(missing);
            expect_missing(t, &rest, missing).await?;
            segments[..position].iter().for_each(|earlier| drop(rest.remove(earlier)));
            if position + 1 < segments.len() {
                expect_missing(t, &rest, missing).await?;
            }
        }
        let recovered =
            open_image(&t.disk(), &image, MANY_SEGMENTS).await?.map_err(|error| error.to_string())?;
        expect_state(&recovered, &script[..stored], || "with all of them".to_owned())?;
    }
    Ok(true)
}

async fn expect_missing<T: DiskUnderTest>(t: &T, image: &Image, missing: &str) -> Result<(), String> {
    let result = open_image(&t.disk(), image, MANY_SEGMENTS).await?;
    let named = matches!(&result, Err(StorageError::Damaged { file, .. }) if file == missing);
    expect(named, || format!("{missing} is missing, and opening says {result:?}"))
}

/// Without any segment there is no log; with a snapshot there was one.
pub(super) async fn a_snapshot_without_a_log_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (mut image, name) = with_snapshot(t).await?;
    image.retain(|file, _| *file == name);
    expect_damaged(t, &image, &segment_name(1), "a snapshot alone").await?;
    Ok(true)
}

/// Every byte of a header counts, the state in it included, in a segment at which reading begins.
pub(super) async fn a_changed_header_is_refused_where_reading_begins<T: DiskUnderTest>(t: &T) -> Outcome {
    use crate::storage::wal::SEGMENT_HEADER_BYTES;
    let image = written_in(&t.disk(), &forgetful_script(), MANY_SEGMENTS).await?;
    let first = segments_of(&image)[0].clone();
    for offset in 0..SEGMENT_HEADER_BYTES {
        let mut changed = image.clone();
        changed.entry(first.clone()).or_default()[offset] ^= 0x04;
        let result = open_image(&t.disk(), &changed, MANY_SEGMENTS).await?;
        let named = matches!(&result, Err(StorageError::Damaged { file, .. }) if *file == first);
        expect(named, || format!("byte {offset} of {first} changed: {result:?}"))?;
    }
    Ok(true)
}
