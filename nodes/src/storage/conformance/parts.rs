//! The parts about storing, restarting, failing and losing power.

use super::faulty::{FaultyDisk, Trouble};
use super::images::{
    MANY_SEGMENTS, ONE_SEGMENT, capture, expect, expect_state, first_segment, open, say, store_all, written,
};
use super::model::{append, entries, long_script, request, short_script};
use super::{DiskUnderTest, Outcome};
use crate::env::Disk;
use crate::raft::{Recovered, StoreRequest};
use crate::storage::{LogStore, StorageError, WalConfig};

pub(super) async fn an_empty_disk_opens_as_an_empty_log<T: DiskUnderTest>(t: &T) -> Outcome {
    for _ in 0..2 {
        let (wal, recovered) = open(t.disk(), ONE_SEGMENT).await?;
        expect(recovered == Recovered::default(), || format!("found {recovered:?}"))?;
        expect(wal.last_index().0 == 0, || format!("the log ends at {}", wal.last_index()))?;
    }
    Ok(true)
}

pub(super) async fn what_is_stored_is_recovered<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (mut wal, _) = open(t.disk(), WalConfig::default()).await?;
    store_all(&mut wal, &script).await?;
    drop(wal);
    let (_, recovered) = open(t.disk(), WalConfig::default()).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    Ok(true)
}

pub(super) async fn every_restart_recovers_exactly<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = long_script();
    for (position, request) in script.iter().enumerate() {
        let (mut wal, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
        expect_state(&recovered, &script[..position], || format!("at restart {position}"))?;
        store_all(&mut wal, std::slice::from_ref(request)).await?;
    }
    Ok(true)
}

pub(super) async fn a_log_spans_many_segments<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = long_script();
    let (mut wal, _) = open(t.disk(), MANY_SEGMENTS).await?;
    store_all(&mut wal, &script).await?;
    let count = t.disk().list().await.map_err(say)?.iter().filter(|name| name.starts_with("wal-")).count();
    expect(count >= 4, || format!("expected at least 4 segments, found {count}"))?;
    drop(wal);
    let (_, recovered) = open(t.disk(), MANY_SEGMENTS).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    Ok(true)
}

pub(super) async fn truncation_makes_room_for_other_entries<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = [
        request(1, None, None, entries(1, 6, 1)),
        request(2, None, Some(4), entries(4, 2, 2)),
        append(entries(6, 3, 2)),
    ];
    let (mut wal, _) = open(t.disk(), ONE_SEGMENT).await?;
    store_all(&mut wal, &script).await?;
    expect(wal.last_index().0 == 8, || format!("the log ends at {}", wal.last_index()))?;
    drop(wal);
    let (_, recovered) = open(t.disk(), ONE_SEGMENT).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    Ok(true)
}

pub(super) async fn an_empty_request_changes_nothing<T: DiskUnderTest>(t: &T) -> Outcome {
    let (mut wal, _) = open(t.disk(), ONE_SEGMENT).await?;
    let before = capture(&t.disk()).await?;
    store_all(&mut wal, &[append(vec![])]).await?;
    expect(capture(&t.disk()).await? == before, || "an empty request was written".to_owned())?;
    Ok(true)
}

pub(super) async fn preallocated_zeros_are_not_records<T: DiskUnderTest>(t: &T) -> Outcome {
    let config = WalConfig { segment_bytes: u64::MAX, preallocate_bytes: 4096 };
    let script = short_script();
    let (image, _) = written(&t.disk(), &script, config).await?;
    let length = image[&first_segment()].len();
    expect(length == 4096, || format!("the file has {length} bytes"))?;
    let (mut wal, recovered) = open(t.disk(), config).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    let more = [script, vec![append(entries(7, 4, 2))]].concat();
    store_all(&mut wal, &more[more.len() - 1..]).await?;
    drop(wal);
    let (_, recovered) = open(t.disk(), config).await?;
    expect_state(&recovered, &more, || "after another".to_owned())?;
    Ok(true)
}

pub(super) async fn a_failed_sync_poisons_the_store<T: DiskUnderTest>(t: &T) -> Outcome {
    poisons(t, Trouble::FailSyncs).await
}

pub(super) async fn a_failed_write_poisons_the_store<T: DiskUnderTest>(t: &T) -> Outcome {
    poisons(t, Trouble::FailWrites).await
}

async fn poisons<T: DiskUnderTest>(t: &T, trouble: Trouble) -> Outcome {
    let (disk, lever) = FaultyDisk::new(t.disk());
    let script = short_script();
    let (before, rest) = script.split_at(2);
    let (mut wal, _) = open(disk, ONE_SEGMENT).await?;
    store_all(&mut wal, before).await?;
    lever.set(trouble);
    let first = wal.store(&rest[0]).await;
    expect(matches!(first, Err(StorageError::Failed { .. })), || format!("expected Failed, got {first:?}"))?;
    lever.set(Trouble::None);
    for request in [&rest[0], &append(vec![])] {
        let again = wal.store(request).await;
        expect(again == first, || format!("expected the same error again, got {again:?}"))?;
    }
    drop(wal);
    let (_, recovered) = open(t.disk(), ONE_SEGMENT).await?;
    all_or_nothing(&recovered, before, &rest[0])?;
    Ok(true)
}

pub(super) async fn an_abandoned_store_poisons_the_store<T: DiskUnderTest>(t: &T) -> Outcome {
    let (disk, lever) = FaultyDisk::new(t.disk());
    let script = short_script();
    let (mut wal, _) = open(disk, ONE_SEGMENT).await?;
    lever.set(Trouble::HangSyncs);
    tokio::select! {
        biased;
        result = wal.store(&script[0]) => return Err(format!("a store without a sync returned {result:?}")),
        () = lever.hung() => {}
    }
    lever.set(Trouble::None);
    let after = wal.store(&script[0]).await;
    expect(matches!(after, Err(StorageError::Failed { .. })), || format!("expected Failed, got {after:?}"))?;
    Ok(true)
}

/// The process dies between write and sync, the machine lives on: what the next process reads back, it may
/// act on, so that it must survive a power loss from then on.
pub(super) async fn a_whole_but_unacknowledged_batch_is_made_durable_before_it_is_believed<
    T: DiskUnderTest,
>(
    t: &T,
) -> Outcome {
    let script = short_script();
    let (last, before) = script.split_last().expect("a script has a last request");
    let (mut wal, _) = open(t.disk(), ONE_SEGMENT).await?;
    store_all(&mut wal, before).await?;
    drop(wal);
    store_without_sync(t, last).await?;
    let (_, first) = open(t.disk(), ONE_SEGMENT).await?;
    expect_state(&first, &script, || "after the death of the process alone".to_owned())?;
    if !t.crash() {
        return Ok(false);
    }
    let (_, second) = open(t.disk(), ONE_SEGMENT).await?;
    expect(first == second, || "a power loss took back what had been recovered".to_owned())?;
    Ok(true)
}

pub(super) async fn power_loss_keeps_all_that_was_acknowledged<T: DiskUnderTest>(t: &T) -> Outcome {
    let script = long_script();
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

pub(super) async fn power_loss_amid_a_batch_keeps_all_of_it_or_nothing<T: DiskUnderTest>(t: &T) -> Outcome {
    const ROUNDS: u64 = 32;
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        let next = kept.iter().map(|request: &StoreRequest| request.append.len() as u64).sum::<u64>() + 1;
        let (mut wal, recovered) = open(t.disk(), ONE_SEGMENT).await?;
        expect_state(&recovered, &kept, || format!("before power loss {round}"))?;
        let safe = request(round + 1, Some(round), None, entries(next, 2, round + 1));
        store_all(&mut wal, std::slice::from_ref(&safe)).await?;
        kept.push(safe);
        drop(wal);
        let risky = request(round + 1, None, None, entries(next + 2, 5, round + 1));
        store_without_sync(t, &risky).await?;
        if !t.crash() {
            return Ok(false);
        }
        let (_, recovered) = open(t.disk(), ONE_SEGMENT).await?;
        if all_or_nothing(&recovered, &kept, &risky)? {
            kept.push(risky);
        }
    }
    Ok(true)
}

/// Stores a request whose sync never returns, and abandons it.
async fn store_without_sync<T: DiskUnderTest>(t: &T, request: &StoreRequest) -> Result<(), String> {
    let (disk, lever) = FaultyDisk::new(t.disk());
    let (mut wal, _) = open(disk, ONE_SEGMENT).await?;
    lever.set(Trouble::HangSyncs);
    tokio::select! {
        biased;
        result = wal.store(request) => Err(format!("a store without a sync returned {result:?}")),
        () = lever.hung() => Ok(()),
    }
}

/// Whether a last request survived; fails if only a part of it did.
fn all_or_nothing(found: &Recovered, before: &[StoreRequest], last: &StoreRequest) -> Result<bool, String> {
    let with = [before, std::slice::from_ref(last)].concat();
    if expect_state(found, &with, String::new).is_ok() {
        return Ok(true);
    }
    expect_state(found, before, || "neither with nor without the last request".to_owned())?;
    Ok(false)
}
