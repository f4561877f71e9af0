//! Runs of log entries that are shared, not copied.
//!
//! An entry is made once, by its leader or by whoever decodes it. From then on the log, the messages to each
//! follower, the store request and what is handed out for applying all refer to the same memory. A run is a
//! short list of pieces, each a part of a shared array; it has one piece almost always.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::types::Entry;
use crate::ids::LogIndex;

/// Entries that are allocated before the first is read from outside, at most.
const CAPACITY_MAX: usize = 1024;

/// A part of a shared array of entries. Never empty.
#[derive(Clone, Debug)]
pub struct Piece {
    shared: Arc<[Entry]>,
    start: u32,
    end: u32,
    /// What the entries weigh together.
    bytes: usize,
}

impl Piece {
    /// All of an array, which is not empty.
    pub(super) fn whole(shared: Arc<[Entry]>) -> Self {
        let end = u32::try_from(shared.len()).expect("a run of entries is bounded by what fits into memory");
        debug_assert!(end > 0);
        let bytes = shared.iter().map(Entry::weight_bytes).sum();
        Self { shared, start: 0, end, bytes }
    }

    /// Index of the first entry.
    pub(super) fn first_index(&self) -> LogIndex {
        self.as_slice()[0].index
    }

    /// The last entry.
    pub(super) fn last(&self) -> &Entry {
        &self.shared[self.end as usize - 1]
    }

    /// What the entries weigh together: see [`Entry::weight_bytes`].
    pub(super) const fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// The entries.
    pub(super) fn as_slice(&self) -> &[Entry] {
        &self.shared[self.start as usize..self.end as usize]
    }

    /// How many.
    pub(super) const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// A part of it, by offsets, which is not empty.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        debug_assert!(range.start < range.end && range.end <= self.len());
        if range.len() == self.len() {
            return self.clone();
        }
        let start = self.start + range.start as u32;
        let bytes = self.as_slice()[range.clone()].iter().map(Entry::weight_bytes).sum();
        Self { shared: Arc::clone(&self.shared), start, end: start + range.len() as u32, bytes }
    }
}

/// A run of log entries.
#[derive(Clone, Default)]
pub struct Entries {
    pieces: SmallVec<[Piece; 1]>,
}

impl Entries {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Option<&Entry> {
        self.pieces.first().and_then(|piece| piece.as_slice().first())
    }

    /// The last.
    #[must_use]
    pub fn last(&self) -> Option<&Entry> {
        self.pieces.last().and_then(|piece| piece.as_slice().last())
    }

    /// What they weigh together: see [`Entry::weight_bytes`].
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.pieces.iter().map(Piece::weight_bytes).sum()
    }

    /// All, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.pieces.iter().flat_map(|piece| piece.as_slice())
    }

    /// Copies into an array.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Entry> {
        self.iter().cloned().collect()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }

    /// Adds a piece at the end.
    pub(super) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// The pieces, in order.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// The entries of a run, in order.
pub type Iter<'a> =
    std::iter::FlatMap<std::slice::Iter<'a, Piece>, &'a [Entry], fn(&'a Piece) -> &'a [Entry]>;

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl From<Piece> for Entries {
    fn from(piece: Piece) -> Self {
        let mut run = Self::new();
        run.push(piece);
        run
    }
}

impl From<Vec<Entry>> for Entries {
    fn from(entries: Vec<Entry>) -> Self {
        entries.into_iter().collect()
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let shared: Arc<[Entry]> = entries.into_iter().collect();
        let mut run = Self::new();
        if !shared.is_empty() {
            run.push(Piece::whole(shared));
        }
        run
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.iter().for_each(|entry| entry.hash(state));
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.len()))?;
        for entry in self.iter() {
            sequence.serialize_element(entry)?;
        }
        sequence.end()
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Run;

        impl<'de> Visitor<'de> for Run {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a run of log entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Entries, A::Error> {
                let capacity = sequence.size_hint().unwrap_or(0).min(CAPACITY_MAX);
                let mut entries = Vec::with_capacity(capacity);
                while let Some(entry) = sequence.next_element()? {
                    entries.push(entry);
                }
                Ok(Entries::from(entries))
            }
        }

        deserializer.deserialize_seq(Run)
    }
}

#[cfg(test)]
mod tests {
    use super::{Entries, Piece};
    use crate::ids::{ClusterTime, LogIndex, Term};
    use crate::raft::types::{Entry, Payload};

    fn run(indexes: std::ops::Range<u64>) -> Entries {
        let entry = |index| Entry {
            index: LogIndex(index),
            term: Term(1),
            time: ClusterTime(0),
            payload: Payload::Noop,
        };
        indexes.map(entry).collect()
    }

    #[test]
    fn a_run_of_several_pieces_is_the_same_as_one_of_a_single_piece() {
        let whole = run(1..6);
        let mut pieced = Entries::new();
        pieced.push(whole.pieces()[0].part(0..2));
        pieced.push(Piece::whole(run(3..6).iter().cloned().collect()));
        assert_eq!(whole, pieced);
        assert_eq!((pieced.len(), pieced.last()), (5, whole.last()));
        let bytes = postcard::to_stdvec(&pieced).expect("entries serialize");
        assert_eq!(bytes, postcard::to_stdvec(&whole.to_vec()).expect("entries serialize"));
        assert_eq!(postcard::from_bytes::<Entries>(&bytes).expect("and back"), whole);
    }

    #[test]
    fn no_entries_are_no_pieces() {
        assert!(run(1..1).is_empty());
        assert!(run(1..1).pieces().is_empty());
    }
}
