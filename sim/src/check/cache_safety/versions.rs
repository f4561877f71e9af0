//! What the versions of one key say.

use std::collections::BTreeMap;

use super::Calm;
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
    pub(super) unknown: Vec<&'a Operation>,
    /// All answers that name a version, in the order of the requests.
    pub(super) sights: Vec<Sight<'a>>,
    /// Two writes under one version.
    twins: Option<String>,
    by_return: Vec<Sight<'a>>,
    /// For each of those, the latest version up to there.
    latest: Vec<u64>,
    /// For each sight, the one of the earliest version from there on.
    earliest: Vec<Sight<'a>>,
}

impl<'a> Key<'a> {
    pub(super) fn note(&mut self, operation: &'a Operation) {
        let (answer, returned_ns) = match (&operation.outcome, operation.returned_ns) {
            (Outcome::Fail { .. }, _) => return,
            (Outcome::Ok { answer }, Some(returned_ns)) => (answer, returned_ns),
            _ if matches!(operation.call, Call::CacheGet { .. } | Call::CacheGetWithin { .. }) => return,
            _ => return self.unknown.push(operation),
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
            self.twins = Some(format!("operations #{} and #{} wrote version {version}\n", ids.0, ids.1));
        }
    }

    /// To be called once all is noted.
    pub(super) fn sort(&mut self) {
        self.by_return = self.sights.clone();
        self.by_return.sort_by_key(|sight| sight.returned_ns);
        let latest = |most: &mut u64, sight: &Sight<'_>| {
            *most = sight.version.max(*most);
            Some(*most)
        };
        self.latest = self.by_return.iter().scan(0, latest).collect();
        let mut least: Option<Sight<'a>> = None;
        self.earliest = self.sights.clone();
        for sight in self.earliest.iter_mut().rev() {
            let chosen = least.filter(|least| least.version <= sight.version).unwrap_or(*sight);
            least = Some(chosen);
            *sight = chosen;
        }
    }

    /// Two writes of one version; or a version seen after a later one had been, in true time.
    pub(super) fn out_of_order(&self) -> Option<String> {
        if self.twins.is_some() {
            return self.twins.clone();
        }
        let mut answered = self.by_return.iter().peekable();
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

    /// A read of what nobody can have written by then.
    pub(super) fn unwritten(&self) -> Option<String> {
        let mut guessed: BTreeMap<u64, i64> = BTreeMap::new();
        self.reads.iter().chain(self.aged.iter().map(|(read, _)| read)).find_map(|read| {
            let (value, version) = read.seen?;
            let is_possible = match self.writes.get(&version) {
                Some(write) => write.value == Some(value) && write.operation.invoked_ns <= read.returned_ns,
                None => {
                    let is_writer = |operation: &&&Operation| {
                        operation.invoked_ns <= read.returned_ns && may_write(&operation.call, value)
                    };
                    let agreed = *guessed.entry(version).or_insert(value) == value;
                    agreed && self.unknown.iter().any(|operation| is_writer(&operation))
                }
            };
            (!is_possible).then(|| {
                format!(
                    "{} saw value {value} at version {version}, which nobody can have written\n",
                    text(read.operation)
                )
            })
        })
    }

    /// A read of what had been over for long, in the calm.
    pub(super) fn outlived(&self, calm: Option<Calm>) -> Option<String> {
        let calm = calm?;
        self.reads.iter().find_map(|read| {
            let (_, version) = read.seen?;
            let write = self.writes.get(&version)?;
            let life_ns = u128::from(write.ttl_us?) * 1_000 * 1_000_000
                / u128::from(1_000_000_u64.saturating_sub(calm.slow_ppm_max).max(1));
            let life_ns = u64::try_from(life_ns).unwrap_or(u64::MAX);
            let over =
                write.returned_ns.max(calm.from).0.saturating_add(life_ns).saturating_add(calm.grace_ns);
            (read.operation.invoked_ns.0 > over).then(|| {
                format!(
                    "{} saw version {version}, written by {}, whose life was over\n",
                    text(read.operation),
                    text(write.operation)
                )
            })
        })
    }

    /// The latest version that an answer had named before `at`; 0 if none had.
    pub(super) fn known_before(&self, at: VirtualTime) -> u64 {
        let count = self.by_return.partition_point(|sight| sight.returned_ns < at);
        count.checked_sub(1).map_or(0, |last| self.latest[last])
    }

    /// The earliest version that is named by an answer to something asked for after `at`.
    pub(super) fn named_after(&self, at: VirtualTime) -> Option<&Sight<'a>> {
        self.earliest.get(self.sights.partition_point(|sight| sight.operation.invoked_ns <= at))
    }
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

/// Whether a call of unknown outcome may have left this value.
pub(super) fn may_write(call: &Call, value: i64) -> bool {
    match call {
        Call::CacheIncrement { .. } => true,
        call => written(call).0 == Some(value),
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
