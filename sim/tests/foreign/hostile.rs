//! Bytes from outside: whatever they are, they are read or refused with a line that the file has.

use proptest::collection::vec;
use proptest::prelude::*;
use stormglass_sim::history::foreign::{ForeignError, Format, read_kv, read_registers};
use stormglass_sim::history::read_history;

use crate::{edn, jepsen};

/// Reads bytes in every way there is.
fn read_all(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let hold = |error: Option<ForeignError>| {
        if let Some(error) = error {
            assert!((1..=lines).contains(&error.line), "{error}, but there are {lines} lines");
            assert!(!error.message.is_empty() && !error.hint.is_empty(), "{error:?}");
        }
    };
    for format in [Format::Jepsen, Format::Edn] {
        hold(read_registers(bytes, format).err());
        hold(read_kv(bytes, format).err());
    }
    let _ = Format::detect(bytes);
    drop(read_history(bytes));
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "\n", "\r\n", "\t", "\"", "{", "}", "[", "]", ":info", ":fail", "nil", "#_", "\\"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<usize>(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<usize>(), 1..80_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<usize>(), 1..80_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        any::<usize>().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let length = bytes.len().max(1);
    let span = |at: usize, size: usize| at % length..(at % length + size).min(bytes.len());
    match change {
        Change::Set(at, byte) => {
            if let Some(slot) = bytes.get_mut(at % length) {
                *slot = *byte;
            }
        }
        Change::Insert(at, piece) => {
            let at = at % length;
            bytes.splice(at..at, piece.iter().copied());
        }
        Change::Remove(at, size) => {
            let span = span(*at, *size);
            bytes.drain(span);
        }
        Change::Repeat(at, size) => {
            let span = span(*at, *size);
            let piece = bytes[span.clone()].to_vec();
            bytes.splice(span.start..span.start, piece);
        }
        Change::Cut(at) => bytes.truncate(at % length),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_make_no_reader_panic(bytes in vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn arbitrary_words_make_no_reader_panic(
        words in vec(prop::sample::select(vec![
            "INFO", "jepsen.util", "-", "0", "1", ":invoke", ":ok", ":fail", ":info", ":read", ":write", ":cas",
            ":get", ":put", ":append", "nil", "[1 2]", "\"x\"", ":process", ":type", ":f", ":key", ":value", "{",
            "}", "[", "]", "\n", "\t", " ", "#", "#_", "\\", "\"", ";", ",", ":nemesis", ":timed-out",
        ]), 0..60)
    ) {
        read_all(words.join(" ").as_bytes());
        read_all(words.concat().as_bytes());
    }

    #[test]
    fn damaged_samples_make_no_reader_panic(
        sample in prop::sample::select(vec![edn::SAMPLE, jepsen::SAMPLE]),
        changes in vec(change(), 1..6),
    ) {
        let mut bytes = sample.as_bytes().to_vec();
        for change in &changes {
            apply(&mut bytes, change);
        }
        read_all(&bytes);
    }
}
