//! What the bytes guarantee: the whole state, of one instant, the same from everyone who is in it.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::generate::{Entry, limits, log};
use super::super::script::run_on;
use super::image::Image;
use super::{bytes_of, furnished, machine_of};
use crate::machine::{Machine, Snapshotter, VALUE_BYTES_MAX};

/// A log, and a place in it.
fn log_cut_in_two() -> impl Strategy<Value = (Vec<Entry>, usize)> {
    (log(), any::<Index>()).prop_map(|(log, cut)| {
        let cut = cut.index(log.len() + 1);
        (log, cut)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_machine_is_the_one_frozen_and_goes_on_like_it((log, cut) in log_cut_in_two()) {
        let mut original = machine_of(&log[..cut]);
        let bytes = bytes_of(original.snapshot(), 64);
        let mut restored = Machine::restore_within(&bytes, limits()).unwrap();
        prop_assert_eq!(restored.digest(), original.digest());
        prop_assert_eq!((restored.index(), restored.time()), (original.index(), original.time()));
        prop_assert_eq!(restored.next_deadline(), original.next_deadline());
        for Entry { index, time, command } in &log[cut..] {
            let applied = restored.apply(*index, *time, command);
            prop_assert_eq!(applied, original.apply(*index, *time, command), "at {}", index);
            prop_assert_eq!(restored.digest(), original.digest(), "at {}", index);
        }
    }

    #[test]
    fn a_snapshot_encoded_while_the_original_goes_on_is_of_its_own_instant((log, cut) in log_cut_in_two()) {
        let mut machine = machine_of(&log[..cut]);
        let (at, digest) = (machine.index(), machine.digest());
        let at_once = bytes_of(machine.snapshot(), 1 << 20);
        let mut snapshot = machine.snapshot();
        let mut interleaved = Vec::new();
        for Entry { index, time, command } in &log[cut..] {
            interleaved.extend(snapshot.next_piece(5).unwrap_or_default());
            machine.apply(*index, *time, command);
        }
        interleaved.extend(bytes_of(snapshot.clone(), 5));
        prop_assert_eq!(snapshot.index(), at);
        prop_assert_eq!(&interleaved, &at_once);
        prop_assert_eq!(Machine::restore_within(&interleaved, limits()).unwrap().digest(), digest);
        prop_assert_eq!(machine.digest(), machine_of(&log).digest(), "nor does the original notice");
    }

    #[test]
    fn equal_states_have_equal_bytes_whatever_their_past((log, cut) in log_cut_in_two(), size in 1_usize..300) {
        let applied = machine_of(&log);
        let mut restored = Machine::restore_within(&bytes_of(machine_of(&log[..cut]).snapshot(), 99), limits()).unwrap();
        for Entry { index, time, command } in &log[cut..] {
            restored.apply(*index, *time, command);
        }
        prop_assert_eq!(bytes_of(applied.snapshot(), size), bytes_of(restored.snapshot(), 1 << 20));
    }

    #[test]
    fn the_format_is_as_told_a_second_time(log in log()) {
        let bytes = bytes_of(machine_of(&log).snapshot(), 1 << 20);
        prop_assert_eq!(Image::of(&bytes).sealed(), bytes);
    }

    #[test]
    fn all_pieces_but_the_last_are_of_the_size_asked_for(log in log(), size in 1_usize..300) {
        let mut snapshot = machine_of(&log).snapshot();
        let mut sizes = Vec::new();
        while let Some(piece) = snapshot.next_piece(size) {
            sizes.push(piece.len());
        }
        let (last, others) = sizes.split_last().unwrap();
        prop_assert!((1..=size).contains(last));
        prop_assert!(others.iter().all(|len| *len == size));
        prop_assert_eq!(snapshot.next_piece(size), None, "the end is the end");
    }
}

#[test]
fn the_machine_before_its_first_entry_has_a_snapshot_too() {
    let restored = Machine::restore(&bytes_of(Machine::new().snapshot(), 7)).unwrap();
    assert_eq!(restored.digest(), Machine::new().digest());
}

#[test]
fn a_value_far_larger_than_a_piece_is_handed_out_in_pieces() {
    let mut machine = furnished();
    let value = "v".repeat(VALUE_BYTES_MAX);
    let script = format!("4ms s3 #4 set large {value}\n 5ms s3 #5 cas large - x");
    assert!(run_on(&mut machine, &script).contains("mismatch"));
    let bytes = bytes_of(machine.snapshot(), 1_000);
    assert!(bytes.len() > 2 * VALUE_BYTES_MAX, "the value is there and in a remembered reply");
    assert_eq!(Machine::restore(&bytes).unwrap().digest(), machine.digest());
}

/// The format as it is on disks: bytes that change here are a new version of the format.
#[test]
fn version_5_of_the_format_has_not_changed() {
    let mut machine = Machine::new();
    run_on(
        &mut machine,
        "
        0ms open 1s
        0ms open 1s as c1 7
        0ms s1 #1 acquire door x 0s
        0ms s2 #1 acquire door s 1s
        0ms s2 #2 set key one",
    );
    #[rustfmt::skip]
    let expected = [
        b"STORMGLS\x05\0\0\0".as_slice(), b"\xae\x0f3\xe9",
        b"\x05\0",                                      // index 5, stamp 0
        b"\0\0",                                        // the near-caches have agreed on nothing
        b"\x02",                                        // two sessions
        b"\x01\xc0\x84\x3d\xc0\x84\x3d\0\x01\0",        // s1: lease, deadline, no name, lowest open number, none below
        b"\x01\x01\0\0\x03\0\x01\x04door\x80\xc0\x01",     // one outcome: #1, kept whole, granted door f24576
        b"\x02\xc0\x84\x3d\xc0\x84\x3d\x01\x01\x07\x01\0", // s2, opened by c1 as 7
        b"\x02\x01\0\0\x02\0\x02\0\0\x04\0\x05",        // #1 waits behind 0, #2 written as 5
        b"\x01\0\x01",                                  // latest id 1, nothing forgotten yet, one lock
        b"\x01\x04door\0\x80\xc0\x01\x04",                // 1: door, a mutex, its latest token, version 4
        b"\x01\x80\xc0\x01\x01\0",                        // one holder: token, s1, exclusive
        b"\x01\x02\x01\x04\xc0\x84\x3d\0\x01\x01\x01",        // one wait: s2 #1, ticket, deadline, acquires 1 shared
        b"\0",                                          // no forced releases
        b"\0",                                          // no topics
        b"\x80\x80\x40\x80\x80\x80\x80\x04\x01",         // bounds of the cache, least recently written first
        b"\x01\0\0\0\0\0",                            // one key created, nothing else
        b"\x01\x03key\x03one\x05\0",                    // one key, version 5, for ever
    ];
    let bytes = bytes_of(machine.snapshot(), 64);
    let (body, seal) = bytes.split_at(bytes.len() - 8);
    assert_eq!(body.escape_ascii().to_string(), expected.concat().escape_ascii().to_string());
    assert_eq!(u64::from_le_bytes(seal.try_into().unwrap()), xxhash_rust::xxh3::xxh3_64(body));
}

#[test]
fn a_snapshot_can_be_encoded_by_another_task() {
    fn is_sendable<T: Send + 'static>(_: &T) {}
    let snapshot: Snapshotter = furnished().snapshot();
    is_sendable(&snapshot);
}

#[test]
#[should_panic(expected = "a piece has at least one byte")]
fn pieces_of_nothing_are_a_bug() {
    let _ = furnished().snapshot().next_piece(0);
}
