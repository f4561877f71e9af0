//! What a power loss may leave, case by case.

use std::collections::BTreeSet;

use bytes::Bytes;
use stormglass_nodes::env::DiskError;

use super::{DISK_BYTES_MAX, Medium, SECTOR_BYTES, UNSYNCED_CHANGES_MAX};
use crate::rng::Streams;

const SEEDS: u64 = 200;

/// A disk with one synced file `log` that holds `content`.
fn disk_with(content: &'static [u8]) -> (Medium, u64) {
    let mut disk = Medium::default();
    let log = disk.open("log", true).unwrap();
    disk.write(log, 0, Bytes::from_static(content)).unwrap();
    disk.sync(log, disk.latest_change());
    disk.sync_names(disk.latest_change());
    (disk, log)
}

fn lose_power(disk: &mut Medium, seed: u64) -> super::Loss {
    disk.lose_power(&mut Streams::new(seed).stream("disk/n1"))
}

fn content(disk: &mut Medium, name: &str) -> Option<Vec<u8>> {
    let file = disk.open(name, false).ok()?;
    Some(disk.read(file, 0, usize::MAX).to_vec())
}

#[test]
fn what_was_synced_survives_every_power_loss() {
    for seed in 0..SEEDS {
        let (mut disk, log) = disk_with(b"synced");
        disk.write(log, 6, Bytes::from_static(b" and not")).unwrap();
        let loss = lose_power(&mut disk, seed);
        let left = content(&mut disk, "log").unwrap();
        assert!(left.starts_with(b"synced"), "{left:?}");
        assert!(loss.bytes == 0 || loss.bytes == 8, "one sector is one piece: {loss:?}");
    }
}

#[test]
fn an_append_survives_wholly_or_as_length_or_not_at_all() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (mut disk, log) = disk_with(b"ab");
        disk.write(log, 2, Bytes::from_static(b"cd")).unwrap();
        lose_power(&mut disk, seed);
        seen.insert(content(&mut disk, "log").unwrap());
    }
    let legal: BTreeSet<Vec<u8>> = [&b"ab"[..], b"abcd", b"ab\0\0"].into_iter().map(<[u8]>::to_vec).collect();
    assert_eq!(seen, legal);
}

#[test]
fn a_long_write_can_be_torn_at_sectors() {
    let mut torn = 0;
    for seed in 0..SEEDS {
        let (mut disk, log) = disk_with(b"");
        disk.write(log, 0, Bytes::from(vec![7; 4096])).unwrap();
        let loss = lose_power(&mut disk, seed);
        torn += loss.torn;
        assert_eq!(loss.bytes % SECTOR_BYTES, 0);
        let left = content(&mut disk, "log").unwrap();
        assert!(left.len() == 4096 || left.is_empty());
        for sector in left.chunks(SECTOR_BYTES as usize) {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
        }
    }
    assert!(torn > SEEDS / 4 && torn < SEEDS, "{torn}");
}

#[test]
fn of_writes_to_one_sector_a_prefix_survives() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (mut disk, log) = disk_with(b"----");
        for (offset, byte) in [(0, b"1"), (1, b"2"), (2, b"3")] {
            disk.write(log, offset, Bytes::from_static(byte)).unwrap();
        }
        lose_power(&mut disk, seed);
        seen.insert(content(&mut disk, "log").unwrap());
    }
    let legal = [&b"----"[..], b"1---", b"12--", b"123-"].into_iter().map(<[u8]>::to_vec).collect();
    assert_eq!(seen, legal);
}

#[test]
fn later_writes_may_survive_where_earlier_ones_do_not() {
    let survives = |seed| {
        let (mut disk, log) = disk_with(&[0; 1024]);
        disk.write(log, 0, Bytes::from_static(b"first")).unwrap();
        disk.write(log, 512, Bytes::from_static(b"second")).unwrap();
        lose_power(&mut disk, seed);
        let left = content(&mut disk, "log").unwrap();
        (left.starts_with(b"first"), left[512..].starts_with(b"second"))
    };
    let seen: BTreeSet<_> = (0..SEEDS).map(survives).collect();
    assert_eq!(seen.len(), 4);
}

#[test]
fn what_follows_a_cut_survives_only_if_the_cut_does() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (mut disk, log) = disk_with(b"old!");
        disk.set_length(log, 0).unwrap();
        disk.write(log, 0, Bytes::from_static(b"new")).unwrap();
        lose_power(&mut disk, seed);
        seen.insert(content(&mut disk, "log").unwrap());
    }
    let legal = [&b"old!"[..], b"", b"new", b"\0\0\0"].into_iter().map(<[u8]>::to_vec).collect();
    assert_eq!(seen, legal);
}

#[test]
fn a_new_file_may_vanish_until_names_are_synced() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(b"x");
        let new = disk.open("new", true).unwrap();
        disk.write(new, 0, Bytes::from_static(b"content")).unwrap();
        disk.sync(new, disk.latest_change());
        lose_power(&mut disk, seed);
        found.insert(content(&mut disk, "new"));
    }
    assert_eq!(found, BTreeSet::from([None, Some(b"content".to_vec())]));
}

#[test]
fn a_renaming_is_atomic_and_loses_neither_file_content() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(b"old");
        let next = disk.open("next", true).unwrap();
        disk.write(next, 0, Bytes::from_static(b"new")).unwrap();
        disk.sync(next, disk.latest_change());
        disk.sync_names(disk.latest_change());
        disk.rename("next", "log").unwrap();
        lose_power(&mut disk, seed);
        found.insert((content(&mut disk, "log"), content(&mut disk, "next")));
    }
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    assert_eq!(found, BTreeSet::from([(old, new.clone()), (new, None)]));
}

#[test]
fn names_that_depend_on_a_lost_change_are_lost_with_it() {
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(b"old");
        disk.rename("log", "kept").unwrap();
        disk.open("log", true).unwrap();
        lose_power(&mut disk, seed);
        let left = (content(&mut disk, "log"), content(&mut disk, "kept"));
        assert!(left.0.as_deref() == Some(b"old") || left.1.as_deref() == Some(b"old"), "{left:?}");
    }
}

#[test]
fn a_removed_file_is_freed_once_nothing_leads_to_it() {
    let (mut disk, log) = disk_with(&[1; 1000]);
    assert_eq!(disk.bytes, 1000);
    disk.remove("log").unwrap();
    assert_eq!(disk.read(log, 0, 1), Bytes::from_static(&[1]), "an open file stays readable");
    disk.sync_names(disk.latest_change());
    assert_eq!(disk.bytes, 1000);
    disk.close(log);
    assert_eq!((disk.bytes, disk.inodes.len()), (0, 0));
}

#[test]
fn a_full_disk_refuses_and_stays_as_it_was() {
    let (mut disk, log) = disk_with(b"ab");
    assert_eq!(disk.set_length(log, DISK_BYTES_MAX + 1), Err(DiskError::Full(String::new())));
    let beyond = disk.write(log, u64::MAX, Bytes::from_static(b"x"));
    assert_eq!(beyond, Err(DiskError::Full(String::new())));
    assert_eq!(disk.length(log), 2);
}

#[test]
fn bad_names_are_refused() {
    let mut disk = Medium::default();
    for name in ["", "a/b", "..\0", "ü"] {
        assert!(matches!(disk.open(name, true), Err(DiskError::Io { .. })), "{name:?}");
    }
    assert_eq!(disk.open("absent", false), Err(DiskError::NotFound("absent".to_owned())));
    assert_eq!(disk.remove("absent"), Err(DiskError::NotFound("absent".to_owned())));
    assert_eq!(disk.rename("absent", "x"), Err(DiskError::NotFound("absent".to_owned())));
}

#[test]
fn the_device_writes_back_the_oldest_of_too_many_changes() {
    let (mut disk, log) = disk_with(b"");
    for number in 0..=UNSYNCED_CHANGES_MAX as u64 {
        disk.write(log, 0, Bytes::from(number.to_le_bytes().to_vec())).unwrap();
    }
    assert_eq!(disk.inode(log).unsynced.len(), UNSYNCED_CHANGES_MAX);
    assert_eq!(disk.inode(log).durable, 0_u64.to_le_bytes());
}
