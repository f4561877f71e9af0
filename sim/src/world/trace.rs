//! The trace: everything that the world did, in order, as one hash and, if asked for, as a list.
//!
//! Two runs of one seed are the same run exactly if their hashes agree. When they do not, two lists kept
//! with `keep_trace` show the first place where they part.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::history::VirtualTime;
use crate::nemesis::Process;

/// Most records that a kept list holds (40 MB). Later ones are hashed and counted, but not kept.
pub const TRACE_RECORDS_MAX: usize = 1 << 20;

/// The hash over a run's trace, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u128);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TraceKind {
    /// A frame reached an inbox.
    Delivered = 1,
    /// A frame was dropped; the detail is a hash over the reason and the frame.
    Dropped,
    /// A frame was doubled.
    Duplicated,
    /// A sleep ended; the detail is its local deadline.
    Timer,
    /// A disk operation ended; the detail is a hash over it and its answer.
    Disk,
    /// The nemesis pulled a lever; the detail is a hash over what it did.
    Fault,
    /// A process started or ended; the detail is its incarnation.
    Lifecycle,
    /// A node reported something; the detail is a hash over it.
    Node,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// When.
    pub at: VirtualTime,
    /// What.
    pub kind: TraceKind,
    /// The process that did it or, of a frame, sent it.
    pub subject: Option<Process>,
    /// The receiver of a frame; else the subject again.
    pub object: Option<Process>,
    /// See [`TraceKind`]: of frames a hash over the content.
    pub detail: u64,
}

impl fmt::Display for TraceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |process: Option<Process>| process.map_or_else(|| "world".to_owned(), process_name);
        write!(f, "{} {:?} {}", self.at, self.kind, name(self.subject))?;
        if self.object != self.subject {
            write!(f, "->{}", name(self.object))?;
        }
        write!(f, " {:016x}", self.detail)
    }
}

/// A process's short name: `n1`, `c1`.
#[must_use]
pub fn process_name(process: Process) -> String {
    match process {
        Process::Node(node) => format!("n{node}"),
        Process::Client(client) => format!("c{client}"),
    }
}

/// What a run's trace amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The hash over all records.
    pub hash: TraceHash,
    /// How many records there were.
    pub length: u64,
    /// The records from the first on, if they were kept.
    pub records: Vec<TraceRecord>,
}

impl Trace {
    /// The first place at which the kept records of two runs differ, with both records.
    #[must_use]
    pub fn first_difference(
        &self,
        other: &Self,
    ) -> Option<(usize, Option<TraceRecord>, Option<TraceRecord>)> {
        let length = self.records.len().max(other.records.len());
        (0..length)
            .map(|place| (place, self.records.get(place).copied(), other.records.get(place).copied()))
            .find(|(_, mine, theirs)| mine != theirs)
    }
}

/// Writes the trace of a running world.
pub(super) struct Tracer {
    hasher: Box<Xxh3>,
    /// Records that the hasher has not seen yet: it takes many at once at a fraction of the cost.
    unhashed: Vec<u8>,
    length: u64,
    kept: Option<Vec<TraceRecord>>,
}

/// Bytes of records that are hashed at once, at most.
const UNHASHED_BYTES_MAX: usize = 100 * RECORD_BYTES;
/// Length of a record as it is hashed.
const RECORD_BYTES: usize = 40;

impl Tracer {
    pub(super) fn new(keep: bool) -> Self {
        Self {
            hasher: Box::new(Xxh3::new()),
            unhashed: Vec::with_capacity(UNHASHED_BYTES_MAX),
            length: 0,
            kept: keep.then(Vec::new),
        }
    }

    /// Adds a record.
    pub(super) fn record(
        &mut self,
        at: u64,
        kind: TraceKind,
        subject: Option<Process>,
        object: Option<Process>,
        detail: u64,
    ) {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        bytes[8..16].copy_from_slice(&code(subject).to_le_bytes());
        bytes[16..24].copy_from_slice(&code(object).to_le_bytes());
        bytes[24..32].copy_from_slice(&detail.to_le_bytes());
        bytes[32] = kind as u8;
        if self.unhashed.len() == UNHASHED_BYTES_MAX {
            self.hasher.update(&self.unhashed);
            self.unhashed.clear();
        }
        self.unhashed.extend_from_slice(&bytes);
        self.length += 1;
        if let Some(kept) = &mut self.kept
            && kept.len() < TRACE_RECORDS_MAX
        {
            kept.push(TraceRecord { at: VirtualTime(at), kind, subject, object, detail });
        }
    }

    /// Adds a record of one process alone.
    pub(super) fn record_of(&mut self, at: u64, kind: TraceKind, process: Process, detail: u64) {
        self.record(at, kind, Some(process), Some(process), detail);
    }

    pub(super) fn snapshot(&self) -> Trace {
        Trace { hash: self.hash(), length: self.length, records: self.kept.clone().unwrap_or_default() }
    }

    pub(super) fn hash(&self) -> TraceHash {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.unhashed);
        TraceHash(hasher.digest128())
    }
}

/// A hash over numbers, for details that do not fit into 64 bits.
pub(super) fn digest(words: &[u64]) -> u64 {
    let mut bytes = [0; 128];
    let mut hash = 0;
    for chunk in words.chunks(bytes.len() / 8) {
        for (place, word) in chunk.iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        hash = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[..chunk.len() * 8], hash);
    }
    hash
}

/// A hash over bytes, such as a frame's content.
pub(super) fn digest_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn code(process: Option<Process>) -> u64 {
    match process {
        None => 0,
        Some(Process::Node(node)) => node << 1,
        Some(Process::Client(client)) => client << 1 | 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, TraceKind, Tracer, digest};

    #[test]
    fn every_part_of_a_record_reaches_the_hash() {
        let hash = |at, kind, subject, object, detail| {
            let mut tracer = Tracer::new(false);
            tracer.record(at, kind, Some(subject), Some(object), detail);
            tracer.hash()
        };
        let (one, two) = (Process::Node(1), Process::Node(2));
        let base = hash(1, TraceKind::Delivered, one, two, 7);
        assert_eq!(base, hash(1, TraceKind::Delivered, one, two, 7));
        assert_ne!(base, hash(2, TraceKind::Delivered, one, two, 7));
        assert_ne!(base, hash(1, TraceKind::Dropped, one, two, 7));
        assert_ne!(base, hash(1, TraceKind::Delivered, two, two, 7));
        assert_ne!(base, hash(1, TraceKind::Delivered, one, Process::Client(2), 7));
        assert_ne!(base, hash(1, TraceKind::Delivered, one, two, 8));
        assert_eq!(base.to_string().len(), 32);
    }

    #[test]
    fn the_first_difference_is_found() {
        let trace = |details: &[u64]| {
            let mut tracer = Tracer::new(true);
            for detail in details {
                tracer.record_of(5, TraceKind::Timer, Process::Node(1), *detail);
            }
            tracer.snapshot()
        };
        assert_eq!(trace(&[1, 2]).first_difference(&trace(&[1, 2])), None);
        let (place, mine, theirs) = trace(&[1, 2]).first_difference(&trace(&[1, 3])).unwrap();
        assert_eq!((place, mine.unwrap().detail, theirs.unwrap().detail), (1, 2, 3));
        assert_eq!(trace(&[1]).first_difference(&trace(&[1, 3])).unwrap().1, None);
    }

    #[test]
    fn long_digests_depend_on_every_word() {
        let words: Vec<u64> = (0..40).collect();
        let mut changed = words.clone();
        changed[39] = 0;
        assert_ne!(digest(&words), digest(&changed));
        changed = words.clone();
        changed[0] = 9;
        assert_ne!(digest(&words), digest(&changed));
    }
}
