//! A disk that keeps exactly what was completed, and how logs are compared: as rows of marks.

use stormglass_nodes::ids::LogIndex;
use stormglass_nodes::raft::{Entry, HardState, Payload, Recovered, Snapshot, StoreRequest};

use crate::numbers::hash_of_value;

/// What an entry is, in short: its term, and a hash of what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark(pub(crate) u32);

impl Mark {
    /// An entry that is covered by a snapshot which is not at hand.
    pub(crate) const COVERED: Self = Self(0);

    /// The mark of an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        let kind = match &entry.payload {
            Payload::Noop => 0,
            Payload::Command(_) => 1,
            other => hash_of_value(other) as u32 % 0xfff0 + 2,
        };
        Self((entry.term.0 as u32) << 16 | kind)
    }

    /// The entry's term.
    pub(crate) const fn term(self) -> u64 {
        (self.0 >> 16) as u64
    }

    /// What it carries: 0 nothing, 1 a command, else a change.
    pub(crate) const fn kind(self) -> u32 {
        self.0 & 0xffff
    }

    /// A row of marks as a snapshot's data.
    pub(crate) fn to_bytes(marks: &[Self]) -> Vec<u8> {
        marks.iter().flat_map(|mark| mark.0.to_le_bytes()).collect()
    }

    /// And back.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<Self> {
        let number = |four: &[u8]| u32::from_le_bytes(four.try_into().expect("four bytes"));
        bytes.chunks_exact(4).map(|four| Self(number(four))).collect()
    }
}

/// What a node's disk holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: Option<Snapshot>,
    entries: Vec<Entry>,
    /// How many entries before those are gone.
    forgotten: u64,
}

impl Disk {
    /// How many parts a request has: see [`Disk::write`].
    pub(crate) fn parts(request: &StoreRequest) -> usize {
        Self::default().write(request, 0)
    }

    /// Makes the first `parts` of a request durable, in the order of the contract. Returns how many there are.
    pub(crate) fn write(&mut self, request: &StoreRequest, parts: usize) -> usize {
        let mut done = 0;
        let mut is_due = || {
            done += 1;
            done <= parts
        };
        if let Some(hard_state) = request.hard_state
            && is_due()
        {
            self.hard_state = hard_state;
        }
        if let Some(write) = &request.snapshot
            && is_due()
        {
            if write.replaces_log {
                self.entries.clear();
                self.forgotten = write.snapshot.meta.index.0;
            }
            self.snapshot = Some(write.snapshot.clone());
        }
        if let Some(from) = request.truncate_from
            && is_due()
        {
            self.entries.truncate((from.previous().0 - self.forgotten) as usize);
        }
        for entry in &request.append {
            if is_due() {
                let next = self.forgotten + self.entries.len() as u64 + 1;
                assert_eq!(entry.index.0, next, "the log on disk has no gaps");
                self.entries.push(entry.clone());
            }
        }
        if let Some(to) = request.compact_to
            && is_due()
        {
            let covered = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.index.0);
            assert!(to.0 <= covered, "nothing is forgotten that no durable snapshot covers");
            let count = to.0.saturating_sub(self.forgotten).min(self.entries.len() as u64);
            self.entries.drain(..count as usize);
            self.forgotten += count;
        }
        done
    }

    /// What a core starts from.
    pub(crate) fn recovered(&self) -> Recovered {
        let covered = self.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
        let entries = self.entries.iter().filter(|entry| entry.index > covered).cloned().collect();
        Recovered { hard_state: self.hard_state, snapshot: self.snapshot.clone(), entries }
    }

    /// The whole log from its beginning, what the snapshot covers included.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mut marks = self.snapshot.as_ref().map(|one| Mark::from_bytes(&one.data)).unwrap_or_default();
        let covered = marks.len() as u64;
        marks.extend(self.entries.iter().filter(|entry| entry.index.0 > covered).map(Mark::of));
        marks
    }
}
