//! The parts about crashes between any two operations: every folder that can be left behind is opened.

use std::collections::BTreeSet;

use super::images::{
    Image, MANY_SEGMENTS, capture, expect, expect_state, install, install_durably, open, open_image,
    segments_of, snapshots_of, store_all, written_in,
};
use super::journal::JournalDisk;
use super::model::{append, entries, forget, keep, replace, request, snapshot, state_after};
use super::{DiskUnderTest, Outcome};
use crate::ids::LogIndex;
use crate::raft::StoreRequest;
use crate::storage::LogStore;

/// A log of several segments, the first of which has been given up, with a snapshot in force.
fn beginning() -> Vec<StoreRequest> {
    let mut script = vec![request(1, Some(3), None, vec![])];
    script.extend((0..20).map(|round| append(entries(round * 4 + 1, 4, 1))));
    script.extend([keep(snapshot(60, 1, 40)), forget(20), append(entries(81, 2, 1))]);
    script
}

/// Stores one request after [`beginning`] and opens every folder that a crash could leave behind meanwhile:
/// each holds all of the request or nothing, all once it is acknowledged, and no file too many after opening.
async fn crash_everywhere<T: DiskUnderTest>(t: &T, last: StoreRequest) -> Outcome {
    let before = beginning();
    let with = [before.as_slice(), std::slice::from_ref(&last)].concat();
    let image = written_in(&t.disk(), &before, MANY_SEGMENTS).await?;
    install_durably(&t.disk(), &image).await?;
    let disk = JournalDisk::new(t.disk(), &image);
    let (mut wal, _) = open(disk.clone(), MANY_SEGMENTS).await?;
    expect(capture(&t.disk()).await? == image, || "opening changed the folder".to_owned())?;
    disk.forget_operations();
    wal.store(&last).await.map_err(|error| format!("the request fails: {error}"))?;
    drop(wal);
    let images = disk.crash_images(&image)?;
    let mut opened = BTreeSet::new();
    let (mut with_it, mut without_it) = (0, 0);
    for (position, left) in images.iter().enumerate() {
        let acknowledged = position + 1 == images.len();
        for image in left {
            if !acknowledged && !opened.insert(image) {
                continue;
            }
            let when = || format!("after {position} of {} operations", images.len() - 1);
            let found = open_image(&t.disk(), image, MANY_SEGMENTS).await?;
            let found = found.map_err(|error| format!("{}: {error}", when()))?;
            if expect_state(&found, &with, String::new).is_ok() {
                with_it += 1;
            } else {
                expect(!acknowledged, || format!("{}: an acknowledged request is gone", when()))?;
                expect_state(&found, &before, || format!("{}: neither with nor without it", when()))?;
                without_it += 1;
            }
            expect_tidy(&capture(&t.disk()).await?, found.snapshot.is_some())?;
        }
    }
    install(&t.disk(), &Image::new()).await?;
    // What is forgotten is not to be seen from outside.
    let both = with_it > 0 && (without_it > 0 || state_after(&before) == state_after(&with));
    expect(both, || format!("{with_it} folders with it, {without_it} without"))?;
    Ok(true)
}

/// No segment before the first that is needed, one snapshot at most, nothing unfinished.
fn expect_tidy(image: &Image, has_snapshot: bool) -> Result<(), String> {
    let (segments, snapshots) = (segments_of(image), snapshots_of(image));
    let whole = segments.iter().all(|name| name.ends_with(".log"))
        && snapshots.iter().all(|name| name.ends_with(".snap"))
        && snapshots.len() == usize::from(has_snapshot);
    expect(whole, || format!("opening leaves {segments:?} and {snapshots:?}"))
}

pub(super) async fn a_crash_while_a_snapshot_is_kept_leaves_all_or_nothing<T: DiskUnderTest>(
    t: &T,
) -> Outcome {
    let last = StoreRequest {
        append: entries(83, 2, 2).into(),
        hard_state: request(2, Some(1), None, vec![]).hard_state,
        ..keep(snapshot(80, 1, 60))
    };
    crash_everywhere(t, last).await?;
    // Up to the same entry as the one in force, with another content.
    install(&t.disk(), &Image::new()).await?;
    crash_everywhere(t, keep(snapshot(60, 1, 70))).await
}

/// The request does everything at once: vote, snapshot, truncation by it, entries, forgetting, and it fills its
/// segment.
pub(super) async fn a_crash_while_a_snapshot_is_installed_leaves_all_or_nothing<T: DiskUnderTest>(
    t: &T,
) -> Outcome {
    let last = StoreRequest {
        compact_to: Some(LogIndex(100)),
        ..replace(2, snapshot(100, 2, 60), entries(101, 12, 2))
    };
    crash_everywhere(t, last).await
}

pub(super) async fn a_crash_while_segments_are_removed_loses_none_of_the_others<T: DiskUnderTest>(
    t: &T,
) -> Outcome {
    let image = written_in(&t.disk(), &beginning(), MANY_SEGMENTS).await?;
    let segments = segments_of(&image);
    let begun = segments.len() >= 4 && segments[0] != crate::storage::wal::segment_name(1);
    expect(begun, || format!("there are only {segments:?}"))?;
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    store_all(&mut wal, &[forget(60)]).await?;
    let left = segments_of(&capture(&t.disk()).await?);
    expect(left.len() + 2 <= segments.len(), || format!("of {segments:?} there remain {left:?}"))?;
    drop(wal);
    install(&t.disk(), &Image::new()).await?;
    crash_everywhere(t, forget(60)).await
}

/// All that can be removed at once, while entries are cut and others written.
pub(super) async fn a_crash_amid_a_request_that_does_everything_leaves_all_or_nothing<T: DiskUnderTest>(
    t: &T,
) -> Outcome {
    let last = StoreRequest {
        compact_to: Some(LogIndex(80)),
        append: entries(82, 20, 3).into(),
        truncate_from: Some(LogIndex(82)),
        hard_state: request(3, Some(2), None, vec![]).hard_state,
        ..keep(snapshot(80, 1, 60))
    };
    crash_everywhere(t, last).await
}
