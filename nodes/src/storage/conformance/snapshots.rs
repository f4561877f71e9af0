//! The parts about snapshots and forgetting: what is kept, what goes, and that the folder stays small.

use std::collections::BTreeSet;

use super::images::{
    Image, MANY_SEGMENTS, ONE_SEGMENT, capture, expect, expect_state, install, open, open_image, segments_of,
    snapshots_of, store_all, written_in,
};
use super::model::{
    append, entries, forget, forgetful_script, keep, replace, request, snapshot, snapshot_script, state_after,
};
use super::{DiskUnderTest, Outcome};
use crate::raft::StoreRequest;
use crate::storage::WalConfig;
use crate::storage::wal::{segment_name, snapshot_name};

/// Every request of the script, alone and after all those before it.
pub(super) async fn snapshots_and_what_follows_them_are_recovered<T: DiskUnderTest>(t: &T) -> Outcome {
    for (script, config) in [(snapshot_script(), ONE_SEGMENT), (forgetful_script(), MANY_SEGMENTS)] {
        install(&t.disk(), &Image::new()).await?;
        for (position, request) in script.iter().enumerate() {
            let (mut wal, recovered) = open(t.disk(), config).await?;
            expect_state(&recovered, &script[..position], || format!("at restart {position}"))?;
            expect(wal.last_index() == recovered.last_index(), || format!("ends at {}", wal.last_index()))?;
            store_all(&mut wal, std::slice::from_ref(request)).await?;
            let expected = state_after(&script[..=position]).last_index();
            expect(wal.last_index() == expected, || {
                format!("request {position} ends at {}", wal.last_index())
            })?;
        }
        let (_, recovered) = open(t.disk(), config).await?;
        expect_state(&recovered, &script, || "at the end".to_owned())?;
    }
    Ok(true)
}

/// A snapshot takes the place of a log that ends before it, goes beyond it, or says something else.
pub(super) async fn an_installed_snapshot_takes_the_place_of_any_log<T: DiskUnderTest>(t: &T) -> Outcome {
    for (index, count) in [(5, 0), (10, 0), (10, 3), (40, 2)] {
        install(&t.disk(), &Image::new()).await?;
        let script = [
            request(1, Some(2), None, entries(1, 10, 1)),
            replace(2, snapshot(index, 2, 64), entries(index + 1, count, 2)),
            append(entries(index + 1 + count, 4, 2)),
            request(3, None, Some(index + 2), entries(index + 2, 1, 3)),
        ];
        for stored in 2..=script.len() {
            install(&t.disk(), &Image::new()).await?;
            written_in(&t.disk(), &script[..stored], ONE_SEGMENT).await?;
            let (_, recovered) = open(t.disk(), ONE_SEGMENT).await?;
            expect_state(&recovered, &script[..stored], || format!("a snapshot up to {index}"))?;
        }
    }
    // The segments of the log that is replaced go at once, whatever indexes they hold.
    install(&t.disk(), &Image::new()).await?;
    let mut script = vec![request(1, Some(2), None, vec![])];
    script.extend((0..20).map(|round| append(entries(round * 3 + 1, 3, 1))));
    let before = segments_of(&written_in(&t.disk(), &script, MANY_SEGMENTS).await?);
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    store_all(&mut wal, &[replace(2, snapshot(20, 2, 9), vec![])]).await?;
    let after = segments_of(&capture(&t.disk()).await?);
    let kept: Vec<&String> = before.iter().filter(|&name| after.contains(name)).collect();
    expect(before.len() > 3 && kept == [&before[before.len() - 1]], || {
        format!("{before:?}, then {after:?}")
    })?;
    Ok(true)
}

pub(super) async fn a_snapshot_of_many_pieces_comes_back_whole<T: DiskUnderTest>(t: &T) -> Outcome {
    const SEVERAL_PIECES_BYTES: usize = 2_500_000;
    let script = [
        request(1, None, None, entries(1, 3, 1)),
        keep(snapshot(2, 1, SEVERAL_PIECES_BYTES)),
        append(entries(4, 1, 1)),
    ];
    written_in(&t.disk(), &script, ONE_SEGMENT).await?;
    let (_, recovered) = open(t.disk(), ONE_SEGMENT).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    Ok(true)
}

pub(super) async fn a_superseded_snapshot_leaves_the_folder<T: DiskUnderTest>(t: &T) -> Outcome {
    let (mut wal, _) = open(t.disk(), ONE_SEGMENT).await?;
    for (position, request) in snapshot_script().iter().enumerate() {
        store_all(&mut wal, std::slice::from_ref(request)).await?;
        let expected = state_after(&snapshot_script()[..=position]).snapshot.is_some();
        let found = snapshots_of(&capture(&t.disk()).await?);
        let when = || format!("after request {position}: {found:?}");
        expect(found.len() == usize::from(expected), when)?;
    }
    Ok(true)
}

/// Segments go as soon as all their entries may be forgotten, oldest first, and never the one that is
/// written to. Then the log begins with a later segment, and goes on as ever.
pub(super) async fn whole_segments_are_forgotten<T: DiskUnderTest>(t: &T) -> Outcome {
    let mut script = vec![request(1, Some(2), None, vec![])];
    script.extend((0..20).map(|round| append(entries(round * 3 + 1, 3, 1))));
    script.extend([keep(snapshot(50, 1, 30)), forget(50)]);
    let image = written_in(&t.disk(), &script[..22], MANY_SEGMENTS).await?;
    let before = segments_of(&image);
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    store_all(&mut wal, &script[22..]).await?;
    let after = segments_of(&capture(&t.disk()).await?);
    expect(after.len() + 3 <= before.len(), || format!("of {before:?} there remain {after:?}"))?;
    expect(before.ends_with(&after), || format!("of {before:?} there remain {after:?}"))?;
    // Neither a smaller wish nor the same one again changes anything.
    let image = capture(&t.disk()).await?;
    store_all(&mut wal, &[forget(20), forget(50)]).await?;
    expect(capture(&t.disk()).await? == image, || "something was written".to_owned())?;
    script.extend([request(2, Some(1), Some(58), entries(58, 2, 2)), append(entries(60, 9, 2))]);
    store_all(&mut wal, &script[script.len() - 2..]).await?;
    drop(wal);
    let (_, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    Ok(true)
}

/// A vote, and the name of a snapshot, outlive the segments in which they were written.
pub(super) async fn what_still_counts_outlives_its_segment<T: DiskUnderTest>(t: &T) -> Outcome {
    let mut script = vec![request(7, Some(2), None, entries(1, 30, 7)), keep(snapshot(30, 7, 20))];
    // Enough votes to fill the segments that hold the snapshot's name, and the last of them.
    script.extend((8..60).map(|term| request(term, Some(term % 3 + 1), None, vec![])));
    script.extend((0..4).map(|round| append(entries(round * 10 + 31, 10, 59))));
    script.push(forget(30));
    let (image, named) = (written_in(&t.disk(), &script, MANY_SEGMENTS).await?, segment_name(3));
    let segments = segments_of(&image);
    expect(segments.first() > Some(&named), || format!("there are {segments:?}"))?;
    for when in ["once", "twice"] {
        let (_, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
        expect_state(&recovered, &script, || format!("restarted {when}"))?;
    }
    Ok(true)
}

/// Round after round of entries, snapshots and forgetting: the folder holds a few segments and one snapshot,
/// never more.
pub(super) async fn the_folder_stays_small<T: DiskUnderTest>(t: &T) -> Outcome {
    const ROUNDS: u64 = 60;
    const ROUND_ENTRIES: u64 = 40;
    const SNAPSHOT_BYTES: usize = 500;
    /// A round takes about six times this much.
    const CONFIG: WalConfig = WalConfig { segment_bytes: 500, preallocate_bytes: 0 };
    let (mut wal, _) = open(t.disk(), CONFIG).await?;
    store_all(&mut wal, &[request(1, None, None, vec![])]).await?;
    let (mut in_first_rounds, mut largest, mut written) = (0, 0, 0);
    for round in 0..ROUNDS {
        let first = round * ROUND_ENTRIES + 1;
        let last = first + ROUND_ENTRIES - 1;
        let appends: Vec<StoreRequest> =
            (first..=last).step_by(4).map(|from| append(entries(from, 4, 1))).collect();
        store_all(&mut wal, &appends).await?;
        let before = folder_bytes(&capture(&t.disk()).await?);
        store_all(&mut wal, &[keep(snapshot(last, 1, SNAPSHOT_BYTES)), forget(last)]).await?;
        let after = folder_bytes(&capture(&t.disk()).await?);
        expect(after < before, || format!("round {round}: {before} bytes before, {after} after"))?;
        if round < 2 {
            in_first_rounds = before.max(in_first_rounds);
        }
        largest = before.max(largest);
        written += before.saturating_sub(after);
    }
    // Later indexes take a few bytes more than early ones.
    let bound = in_first_rounds + in_first_rounds / 4;
    expect(largest <= bound, || format!("{largest} bytes at most, {in_first_rounds} in the first rounds"))?;
    expect(written > 10 * largest, || format!("{written} bytes were forgotten, {largest} held at most"))?;
    Ok(true)
}

fn folder_bytes(image: &Image) -> usize {
    image.values().map(Vec::len).sum()
}

/// Whatever a power loss brings back of what had been removed goes again, in any combination.
pub(super) async fn given_up_files_that_return_are_removed_again<T: DiskUnderTest>(t: &T) -> Outcome {
    const RETURNED: usize = 3;
    let script = forgetful_script();
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    let mut ever = Image::new();
    for request in &script {
        store_all(&mut wal, std::slice::from_ref(request)).await?;
        ever.extend(capture(&t.disk()).await?);
    }
    drop(wal);
    let image = capture(&t.disk()).await?;
    let gone: Vec<&String> = ever.keys().filter(|&name| !image.contains_key(name)).collect();
    let (segments, snapshots): (Vec<&String>, Vec<&String>) =
        gone.iter().partition(|name| name.starts_with("wal-"));
    expect(segments.len() >= RETURNED && snapshots.len() >= 2, || format!("only {gone:?} are gone"))?;
    let returned: Vec<&String> =
        [&segments[segments.len() - RETURNED..], &snapshots[snapshots.len() - 2..]].concat();
    for chosen in 0..1_usize << returned.len() {
        let mut with = image.clone();
        for (_, &name) in returned.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1) {
            with.insert(name.clone(), ever[name].clone());
        }
        let recovered = open_image(&t.disk(), &with, MANY_SEGMENTS).await?;
        let recovered = recovered.map_err(|error| format!("with returned files {chosen:#b}: {error}"))?;
        expect_state(&recovered, &script, || format!("with returned files {chosen:#b}"))?;
        let after: BTreeSet<String> = capture(&t.disk()).await?.into_keys().collect();
        let expected: BTreeSet<String> = image.keys().cloned().collect();
        expect(after == expected, || format!("with returned files {chosen:#b} there remain {after:?}"))?;
    }
    Ok(true)
}

/// Files that were on their way when the node died are removed.
pub(super) async fn snapshots_that_no_record_names_are_removed<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = snapshot_script();
    let image = written_in(&t.disk(), &script, ONE_SEGMENT).await?;
    let whole = image[&snapshots_of(&image)[0]].clone();
    let mut with = image.clone();
    let batch = script.len() as u64 + 1;
    with.insert(snapshot_name(crate::ids::LogIndex(26), batch), whole.clone());
    with.insert(snapshot_name(crate::ids::LogIndex(26), batch + 1), vec![]);
    with.insert(format!("snapshot-{batch:016x}.new"), whole[..whole.len() / 2].to_vec());
    with.insert(segment_name(2).replace(".log", ".new"), vec![0; 5]);
    let recovered = open_image(&t.disk(), &with, ONE_SEGMENT).await?.map_err(|error| error.to_string())?;
    expect_state(&recovered, &script, || "with nameless files".to_owned())?;
    let after = capture(&t.disk()).await?;
    expect(after == image, || format!("there remain {:?}", after.keys()))?;
    Ok(true)
}

pub(super) async fn power_loss_after_any_request_keeps_snapshots_too<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = forgetful_script();
    for (position, request) in script.iter().enumerate() {
        let (mut wal, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
        expect_state(&recovered, &script[..position], || format!("after power loss {position}"))?;
        store_all(&mut wal, std::slice::from_ref(request)).await?;
        drop(wal);
        if !t.crash() {
            return Ok(false);
        }
    }
    Ok(true)
}
