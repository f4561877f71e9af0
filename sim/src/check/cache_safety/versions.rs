//! What the versions of one key say.

use std::collections::BTreeMap;

use super::Calm;
use super::unknown::Unknown;
use crate::check::drift::Drift;
use crate::history::{Answer, Call, Operation, Outcome, VirtualTime};

/// A write or delete that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    pub(super) operation: &'a Operation,
    pub(super) returned_ns: VirtualTime,
    /// What it left: nothing, for a delete.
    pub(super) value: Option<i64>,
    pub(super) ttl_us: Option<u64>,
}

impl<'a> Write<'a> {
    /// What it was answered.
    pub(super) fn answer(&self) -> Option<&'a Answer> {
        match &self.operation.outcome {
            Outcome::Ok { answer } => Some(answer),
            _ => None,
        }
    }
}

/// A read that was answered, or a conditional write that found something else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a> {
    pub(super) operation: &'a Operation,
    pub(super) returned_ns: VirtualTime,
    /// What it saw: value and version; nothing, where there was nothing.
    pub(super) seen: Option<(i64, u64)>,
    pub(super) local: bool,
}

/// An answer that names a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    pub(super) version: u64,
    pub(super) operation: &'a Operation,
    pub(super) returned_ns: VirtualTime,
    pub(super) writes: bool,
}

/// One key.
#[derive(Clone, Debug, Default)]
pub(super) struct Key<'a> {
    /// By version.
    pub(super) writes: BTreeMap<u64, Write<'a>>,
    /// In the order of the requests.
    pub(super) reads: Vec<Read<'a>>,
    /// Those that may be stale, each with its age in microseconds, in the order of the requests.
    pub(super) aged: Vec<(Read<'a>, u64)>,
    /// Writes, deletes and additions of unknown outcome.
    pub(super) unknown: Unknown,
    /// All answers that name a version, in the order of the requests.
    sights: Vec<Sight<'a>>,
    /// What is wrong about an answer by itself: two writes under one version; a refusal of what was found.
    absurd: Option<String>,
    /// The sights in the order of their answers.
    by_return: Vec<u32>,
    /// For each of those, the latest version up to there.
    latest: Vec<u64>,
    /// For each sight, the one of the earliest version from there on.
    earliest: Vec<u32>,
}

impl<'a> Key<'a> {
    /// All that was asked of one key, in the order of the requests.
    pub(super) fn of(operations: &[&'a Operation], drift: Drift) -> Self {
        let mut key = Self::default();
        operations.iter().for_each(|operation| key.note(operation, drift));
        key.sort();
        key
    }

    fn note(&mut self, operation: &'a Operation, drift: Drift) {
        let (answer, returned_ns) = match (&operation.outcome, operation.returned_ns) {
            (Outcome::Fail { .. }, _) => return,
            (Outcome::Ok { answer }, Some(returned_ns)) => (answer, returned_ns),
            _ if matches!(operation.call, Call::CacheGet { .. } | Call::CacheGetWithin { .. }) => return,
            _ => return self.unknown.note(operation, drift),
        };
        match answer {
            Answer::Cached { value, version, local } => {
                self.note_read(operation, returned_ns, value.zip(*version), *local);
            }
            Answer::CachedThen { value, version, age_us } => {
                let read = Read { operation, returned_ns, seen: value.zip(*version), local: false };
                self.aged.push((read, *age_us));
            }
            Answer::Refused { value, version } => {
                let wanted = match &operation.call {
                    Call::CacheCompareAndSet { expected_version, .. } => Some(*expected_version),
                    Call::CacheSetIfAbsent { .. } => Some(None),
                    _ => None,
                };
                if wanted == Some(*version) {
                    let what = "was refused although it found what it wanted";
                    self.absurd = Some(format!("{} {what}\n", text(operation)));
                }
                self.note_read(operation, returned_ns, value.zip(*version), false);
            }
            Answer::Written { version } => {
                let (value, ttl_us) = written(&operation.call);
                self.note_write(*version, Write { operation, returned_ns, value, ttl_us });
            }
            Answer::Deleted { version, .. } => {
                self.note_write(*version, Write { operation, returned_ns, value: None, ttl_us: None });
            }
            Answer::Counted { value, version } => {
                let write = Write { operation, returned_ns, value: Some(*value), ttl_us: None };
                self.note_write(*version, write);
            }
            _ => {}
        }
    }

    fn note_read(
        &mut self,
        operation: &'a Operation,
        returned_ns: VirtualTime,
        seen: Option<(i64, u64)>,
        local: bool,
    ) {
        self.reads.push(Read { operation, returned_ns, seen, local });
        if let Some((_, version)) = seen {
            self.sights.push(Sight { version, operation, returned_ns, writes: false });
        }
    }

    fn note_write(&mut self, version: u64, write: Write<'a>) {
        let Write { operation, returned_ns, .. } = write;
        self.sights.push(Sight { version, operation, returned_ns, writes: true });
        if let Some(other) = self.writes.insert(version, write) {
            let ids = (other.operation.id, operation.id);
            self.absurd = Some(format!("operations #{} and #{} wrote version {version}\n", ids.0, ids.1));
        }
    }

    /// Once all is noted.
    fn sort(&mut self) {
        self.unknown.sort();
        let sights = &self.sights;
        self.by_return = (0..).zip(sights).map(|(place, _)| place).collect();
        self.by_return.sort_by_key(|place| sights[*place as usize].returned_ns);
        let latest = |most: &mut u64, place: &u32| {
            *most = sights[*place as usize].version.max(*most);
            Some(*most)
        };
        self.latest = self.by_return.iter().scan(0, latest).collect();
        self.earliest = (0..).zip(sights).map(|(place, _)| place).collect();
        let mut least: Option<u32> = None;
        for place in self.earliest.iter_mut().rev() {
            let version = |place: u32| sights[place as usize].version;
            *place = least.filter(|least| version(*least) <= version(*place)).unwrap_or(*place);
            least = Some(*place);
        }
    }

    /// An answer that is wrong by itself; or a version seen after a later one had been, in true time.
    pub(super) fn out_of_order(&self) -> Option<String> {
        if self.absurd.is_some() {
            return self.absurd.clone();
        }
        let in_order = self.by_return.iter().map(|place| &self.sights[*place as usize]);
        let mut answered = in_order.peekable();
        let mut latest: Option<&Sight<'_>> = None;
        self.sights.iter().find_map(|sight| {
            while let Some(before) = answered.next_if(|one| one.returned_ns < sight.operation.invoked_ns) {
                latest = latest.filter(|other| other.version >= before.version).or(Some(before));
            }
            let before = latest?;
            let is_stale = before.version > sight.version || before.version == sight.version && sight.writes;
            is_stale.then(|| {
                format!(
                    "{} saw version {}, although {} had come to version {} before\n",
                    text(sight.operation),
                    sight.version,
                    text(before.operation),
                    before.version
                )
            })
        })
    }

    /// A read of what nobody can have written by then. A version that no answer names was written by somebody
    /// of unknown outcome, and each of those wrote one version at most.
    pub(super) fn unwritten(&self) -> Option<String> {
        // By version, what it is worth and when it was first seen.
        let mut guessed: BTreeMap<u64, (i64, &Read<'_>)> = BTreeMap::new();
        for read in self.reads.iter().chain(self.aged.iter().map(|(read, _)| read)) {
            let Some((value, version)) = read.seen else { continue };
            let is_possible = match self.writes.get(&version) {
                Some(write) => write.value == Some(value) && write.operation.invoked_ns <= read.returned_ns,
                None => {
                    let first = guessed.entry(version).or_insert((value, read));
                    let agrees = first.0 == value;
                    if read.returned_ns < first.1.returned_ns {
                        first.1 = read;
                    }
                    agrees
                }
            };
            if !is_possible {
                return Some(nobody_wrote(read));
            }
        }
        let mut by_value: BTreeMap<i64, Vec<&Read<'_>>> = BTreeMap::new();
        for (value, read) in guessed.into_values() {
            by_value.entry(value).or_default().push(read);
        }
        let mut added = Vec::new();
        for (value, mut reads) in by_value {
            reads.sort_by_key(|read| read.returned_ns);
            let mut wrote = 0;
            for read in reads {
                if wrote < self.unknown.writers_of(value, read.returned_ns) {
                    wrote += 1;
                } else {
                    added.push(read);
                }
            }
        }
        added.sort_by_key(|read| read.returned_ns);
        let is_beyond =
            |(count, read): &(usize, &Read<'_>)| *count >= self.unknown.additions(read.returned_ns);
        added.into_iter().enumerate().find(is_beyond).map(|(_, read)| nobody_wrote(read))
    }

    /// A read of what had been over for long, in the calm.
    pub(super) fn outlived(&self, calm: Option<Calm>) -> Option<String> {
        let calm = calm?;
        let reads = self.reads.iter().filter_map(|read| Some((read.operation, read.seen?.1)));
        let swaps = self.writes.values().filter_map(|write| match &write.operation.call {
            Call::CacheCompareAndSet { expected_version, .. } => {
                Some((write.operation, (*expected_version)?))
            }
            _ => None,
        });
        reads.chain(swaps).find_map(|(operation, version)| {
            let write = self.writes.get(&version)?;
            let over = calm.certainly_over(write.returned_ns, write.ttl_us?);
            (operation.invoked_ns > over).then(|| {
                format!(
                    "{} saw version {version}, written by {}, whose life was over\n",
                    text(operation),
                    text(write.operation)
                )
            })
        })
    }

    /// The latest version that an answer had named before `at`; 0 if none had.
    pub(super) fn known_before(&self, at: VirtualTime) -> u64 {
        let returned_ns = |place: &u32| self.sights[*place as usize].returned_ns;
        let count = self.by_return.partition_point(|place| returned_ns(place) < at);
        count.checked_sub(1).map_or(0, |last| self.latest[last])
    }

    /// The earliest version that is named by an answer to something asked for after `at`.
    pub(super) fn named_after(&self, at: VirtualTime) -> Option<&Sight<'a>> {
        let from = self.sights.partition_point(|sight| sight.operation.invoked_ns <= at);
        self.earliest.get(from).map(|place| &self.sights[*place as usize])
    }
}

fn nobody_wrote(read: &Read<'_>) -> String {
    let (value, version) = read.seen.unwrap_or_default();
    format!(
        "{} saw value {value} at version {version}, which nobody can have written\n",
        text(read.operation)
    )
}

/// What a call writes if it writes.
pub(super) fn written(call: &Call) -> (Option<i64>, Option<u64>) {
    match call {
        Call::CacheSet { value, ttl_us, .. }
        | Call::CacheSetIfAbsent { value, ttl_us, .. }
        | Call::CacheCompareAndSet { value, ttl_us, .. } => (Some(*value), *ttl_us),
        _ => (None, None),
    }
}

/// For a counterexample.
pub(super) fn text(operation: &Operation) -> String {
    let returned = operation.returned_ns.map_or_else(|| "open".to_owned(), |at| at.to_string());
    format!(
        "operation #{} of client {} ({}, from {} to {returned})",
        operation.id,
        operation.client,
        operation.call.kind(),
        operation.invoked_ns
    )
}
