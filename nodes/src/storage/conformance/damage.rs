//! The parts about damage: which is refused, which is cut, and that nothing else ever happens.

use super::images::{
    Image, MANY_SEGMENTS, ONE_SEGMENT, capture, expect, expect_state, first_segment, install,
    install_durably, open, open_image, store_all, written,
};
use super::model::{IDENTITY, long_script, request, short_script};
use super::{DiskUnderTest, Outcome};
use crate::ids::NodeId;
use crate::storage::wal::{FORMAT_VERSION, SEGMENT_HEADER_BYTES, seal_header, segment_name};
use crate::storage::{Identity, StorageError, Wal};

/// A file that ends early holds the batches which are wholly in it, no more and no fewer. Where the header
/// itself is cut, the log is refused: a crash cannot do that.
pub(super) async fn a_tail_cut_at_any_byte_loses_only_unfinished_batches<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (image, lengths) = written(&t.disk(), &script, ONE_SEGMENT).await?;
    for length in 0..=image[&first_segment()].len() {
        let mut cut = image.clone();
        cut.entry(first_segment()).or_default().truncate(length);
        let result = open_image(&t.disk(), &cut, ONE_SEGMENT).await?;
        if length < SEGMENT_HEADER_BYTES {
            let refused = matches!(result, Err(StorageError::Damaged { .. }));
            expect(refused, || format!("cut at {length} within the header: {result:?}"))?;
            continue;
        }
        let whole = lengths[1..].iter().filter(|&&end| end <= length).count();
        let recovered = result.map_err(|error| format!("cut at {length}: {error}"))?;
        expect_state(&recovered, &script[..whole], || format!("cut at {length}"))?;
    }
    Ok(true)
}

/// Sectors of the last batch that never arrived read as zeros, wherever they are. Any such hole costs the
/// last batch and nothing else, unless the bytes were zeros anyway.
pub(super) async fn a_tail_with_any_hole_is_cut<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (image, lengths) = written(&t.disk(), &script, ONE_SEGMENT).await?;
    let (start, end) = (lengths[script.len() - 1], lengths[script.len()]);
    for hole_start in (start..end).step_by(7) {
        for hole_end in (hole_start + 1..=end).step_by(17) {
            let mut holed = image.clone();
            let bytes = holed.entry(first_segment()).or_default();
            bytes[hole_start..hole_end].fill(0);
            let kept = if holed == image { script.len() } else { script.len() - 1 };
            let when = || format!("a hole from {hole_start} to {hole_end}");
            let recovered = open_image(&t.disk(), &holed, ONE_SEGMENT).await?;
            let recovered = recovered.map_err(|error| format!("{}: {error}", when()))?;
            expect_state(&recovered, &script[..kept], when)?;
        }
    }
    Ok(true)
}

/// A changed byte in the last batch looks like a torn tail: that batch is cut, wholly. Anywhere else
/// before the end it is refused. Behind the end, in the free space, it costs nothing.
pub(super) async fn any_changed_byte_is_refused_or_cut_with_the_last_batch<T: DiskUnderTest>(
    t: &T,
) -> Outcome {
    const FREE_BYTES: usize = 40;
    let script = short_script();
    let (mut image, lengths) = written(&t.disk(), &script, ONE_SEGMENT).await?;
    let (last, end) = (lengths[script.len() - 1], lengths[script.len()]);
    image.entry(first_segment()).or_default().resize(end + FREE_BYTES, 0);
    for offset in 0..end + FREE_BYTES {
        let mask = [0x01, 0x80, 0xff, 0x10, 0x02][offset % 5];
        let result = open_image(&t.disk(), &changed(&image, offset, mask), ONE_SEGMENT).await?;
        let when = || format!("byte {offset} changed by {mask:#04x}");
        if offset < last {
            expect(result.is_err(), || format!("{}: not refused", when()))?;
            continue;
        }
        let kept = if offset < end { script.len() - 1 } else { script.len() };
        let recovered = result.map_err(|error| format!("{}: {error}", when()))?;
        expect_state(&recovered, &script[..kept], when)?;
    }
    Ok(true)
}

fn changed(image: &Image, offset: usize, mask: u8) -> Image {
    let mut image = image.clone();
    image.entry(first_segment()).or_default()[offset] ^= mask;
    image
}

pub(super) async fn a_changed_byte_before_the_last_segment_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (image, _) = written(&t.disk(), &long_script(), MANY_SEGMENTS).await?;
    // The log says where its records end; the free space behind them holds nothing to lose.
    let used = image[&first_segment()].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for offset in 0..used {
        let result = open_image(&t.disk(), &changed(&image, offset, 0x10), MANY_SEGMENTS).await?;
        expect(result.is_err(), || format!("byte {offset} changed: not refused"))?;
    }
    for length in (0..used).step_by(5) {
        let mut cut = image.clone();
        cut.entry(first_segment()).or_default().truncate(length);
        let result = open_image(&t.disk(), &cut, MANY_SEGMENTS).await?;
        let refused = matches!(result, Err(StorageError::Damaged { .. }));
        expect(refused, || format!("cut at {length}: {result:?}"))?;
    }
    Ok(true)
}

pub(super) async fn a_missing_segment_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (image, _) = written(&t.disk(), &long_script(), MANY_SEGMENTS).await?;
    for missing in image.keys() {
        let mut rest = image.clone();
        rest.remove(missing);
        let result = open_image(&t.disk(), &rest, MANY_SEGMENTS).await?;
        let named = matches!(&result, Err(StorageError::Damaged { file, .. }) if file == missing);
        expect(named, || format!("{missing} is missing, and opening says {result:?}"))?;
    }
    Ok(true)
}

pub(super) async fn a_folder_of_another_node_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (image, _) = written(&t.disk(), &short_script(), ONE_SEGMENT).await?;
    let others = [Identity { cluster: 8, ..IDENTITY }, Identity { node: NodeId(4), ..IDENTITY }];
    for other in others {
        let result = Wal::open(t.disk(), other, ONE_SEGMENT).await.map(|_| ());
        let expected =
            StorageError::WrongIdentity { file: first_segment(), expected: other, found: IDENTITY };
        expect(result == Err(expected), || format!("{other}: {result:?}"))?;
    }
    let after = capture(&t.disk()).await?;
    expect(after == image, || "a refused folder was changed".to_owned())?;
    Ok(true)
}

pub(super) async fn a_newer_format_is_refused<T: DiskUnderTest>(t: &T) -> Outcome {
    let (mut image, _) = written(&t.disk(), &short_script(), ONE_SEGMENT).await?;
    let bytes = image.entry(first_segment()).or_default();
    let header = bytes.first_chunk_mut::<SEGMENT_HEADER_BYTES>().ok_or("the segment is too short")?;
    header[8..12].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    seal_header(header);
    let result = open_image(&t.disk(), &image, ONE_SEGMENT).await?;
    let refused = matches!(result, Err(StorageError::NewerFormat { .. }));
    expect(refused, || format!("a newer version: {result:?}"))?;
    Ok(true)
}

/// The next segment is prepared before the batch that completes the one before. Where that batch got lost,
/// the prepared segment is of no use, and goes.
pub(super) async fn an_unused_segment_is_replaced<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = long_script();
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    let mut before = capture(&t.disk()).await?;
    for (position, request) in script.iter().enumerate() {
        store_all(&mut wal, std::slice::from_ref(request)).await?;
        let mut after = capture(&t.disk()).await?;
        if after.len() > before.len() {
            let complete = segment_name(before.len() as u64);
            after.insert(complete.clone(), before[&complete].clone());
            install(&t.disk(), &after).await?;
            let (mut wal, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
            expect_state(&recovered, &script[..position], || format!("without request {position}"))?;
            store_all(&mut wal, &script[position..]).await?;
            drop(wal);
            let (_, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
            expect_state(&recovered, &script, || "after the log went on".to_owned())?;
            return Ok(true);
        }
        before = after;
    }
    Err("the script fills no segment".to_owned())
}

/// A cut tail is followed by a batch as long as the first record of what was cut: whatever was left behind
/// the cut would be read next.
/// A power loss at each step, where the disk has one to offer, changes nothing.
pub(super) async fn remains_of_a_cut_tail_never_return<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (image, lengths) = written(&t.disk(), &script, ONE_SEGMENT).await?;
    let last = script.len() - 1;
    for offset in (lengths[last]..lengths[last + 1]).step_by(5) {
        install_durably(&t.disk(), &changed(&image, offset, 0x20)).await?;
        drop(open(t.disk(), ONE_SEGMENT).await?);
        t.crash();
        let length = capture(&t.disk()).await?[&first_segment()].len();
        expect(length == lengths[last], || format!("byte {offset} changed: {length} bytes are left"))?;
        let mut kept = script[..last].to_vec();
        let (mut wal, recovered) = open(t.disk(), ONE_SEGMENT).await?;
        expect_state(&recovered, &kept, || format!("byte {offset} changed"))?;
        kept.push(request(9, Some(9), None, vec![]));
        store_all(&mut wal, &kept[last..]).await?;
        drop(wal);
        t.crash();
        let (_, recovered) = open(t.disk(), ONE_SEGMENT).await?;
        expect_state(&recovered, &kept, || format!("byte {offset} changed, then a vote stored"))?;
    }
    Ok(true)
}
