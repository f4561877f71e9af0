//! What the versions of one key say.

use std::collections::BTreeMap;

use super::Calm;
use super::states::Guess;
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
    /// From when on the key may have been empty again, if nothing else came: when the delete was asked for, or the life
    /// of what it left may have been over.
    pub(super) over_ns: Option<VirtualTime>,
    /// By when the life of what it left had begun, and how long it is in microseconds, where both are known.
    pub(super) life: Option<(VirtualTime, u64)>,
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
    /// The latest version that answers had named before to the same client.
    pub(super) own_before: u64,
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
    /// By version, those that somebody of unknown outcome wrote.
    pub(super) guessed: BTreeMap<u64, Guess<'a>>,
    /// In the order of the requests.
    pub(super) reads: Vec<Read<'a>>,
    /// Those that may be stale, each with its age in microseconds, in the order of the requests.
    pub(super) aged: Vec<(Read<'a>, u64)>,
    /// Writes, deletes and additions of unknown outcome.
    pub(super) unknown: Unknown,
    /// All answers that name a version, in the order of the requests.
    pub(super) sights: Vec<Sight<'a>>,
    /// What is wrong about an answer by itself: two writes under one version; a refusal of what was found.
    absurd: Option<String>,
    /// The sights in the order of their answers.
    by_return: Vec<u32>,
    /// For each of those, the latest version up to there.
    latest: Vec<u64>,
    /// For each sight, the one of the earliest version from there on.
    earliest: Vec<u32>,
    /// By client, the numbers of its operations that name a version, each with the sight of the earliest version from
    /// there on among its own.
    own: BTreeMap<u64, Vec<(u64, u32)>>,
    /// The latest version that each client was told so far.
    told: BTreeMap<u64, u64>,
}

impl<'a> Key<'a> {
    /// All that was asked of one key, in the order of the requests.
    pub(super) fn of(operations: &[&'a Operation], drift: Drift, may_be_evicted: bool) -> Self {
        let mut key = Self::default();
        operations.iter().for_each(|operation| key.note(operation, drift));
        key.unknown.sort();
        key.guess();
        key.inherit();
        key.add_what_writes_found(may_be_evicted);
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
                let own_before = self.told.get(&operation.client).copied().unwrap_or(0);
                let seen = value.zip(*version);
                let read = Read { operation, returned_ns, seen, local: false, own_before };
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
                if let Call::CacheCompareAndSet { expected_version: Some(found), .. } = &operation.call {
                    self.note_sight(Sight { version: *found, operation, returned_ns, writes: false });
                }
                let (value, ttl_us) = written(&operation.call);
                let over_ns = ttl_us.map(|ttl_us| drift.earliest(operation.invoked_ns, ttl_us));
                let life = ttl_us.map(|ttl_us| (returned_ns, ttl_us));
                self.note_write(*version, Write { operation, returned_ns, value, over_ns, life });
            }
            Answer::Deleted { version, .. } => {
                let over_ns = Some(operation.invoked_ns);
                let write = Write { operation, returned_ns, value: None, over_ns, life: None };
                self.note_write(*version, write);
            }
            // Whether it has a life turns out once it is known what it went on from.
            Answer::Counted { value, version } => {
                let value = Some(*value);
                let write = Write { operation, returned_ns, value, over_ns: None, life: None };
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
        let own_before = self.told.get(&operation.client).copied().unwrap_or(0);
        self.reads.push(Read { operation, returned_ns, seen, local, own_before });
        if let Some((_, version)) = seen {
            self.note_sight(Sight { version, operation, returned_ns, writes: false });
        }
    }

    fn note_sight(&mut self, sight: Sight<'a>) {
        let told = self.told.entry(sight.operation.client).or_default();
        *told = sight.version.max(*told);
        self.sights.push(sight);
    }

    fn note_write(&mut self, version: u64, write: Write<'a>) {
        let Write { operation, returned_ns, .. } = write;
        self.note_sight(Sight { version, operation, returned_ns, writes: true });
        if let Some(other) = self.writes.insert(version, write) {
            let ids = (other.operation.id, operation.id);
            self.absurd = Some(format!("operations #{} and #{} wrote version {version}\n", ids.0, ids.1));
        }
    }

    /// Once all is noted.
    fn sort(&mut self) {
        self.told = BTreeMap::new();
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
        for (place, sight) in (0..).zip(sights) {
            self.own.entry(sight.operation.client).or_default().push((sight.operation.id, place));
        }
        for own in self.own.values_mut() {
            let mut least: Option<u32> = None;
            for (_, place) in own.iter_mut().rev() {
                let version = |place: u32| sights[place as usize].version;
                *place = least.filter(|least| version(*least) <= version(*place)).unwrap_or(*place);
                least = Some(*place);
            }
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
        // A client's operations are in order at equal instants too.
        let mut own: BTreeMap<u64, &Sight<'_>> = BTreeMap::new();
        self.sights.iter().find_map(|sight| {
            while let Some(before) = answered.next_if(|one| one.returned_ns < sight.operation.invoked_ns) {
                latest = latest.filter(|other| other.version >= before.version).or(Some(before));
            }
            let told = own.entry(sight.operation.client).or_insert(sight);
            let by_itself = Some(*told).filter(|told| told.operation.id != sight.operation.id);
            if sight.version >= told.version {
                *told = sight;
            }
            let before = latest.into_iter().chain(by_itself).max_by_key(|before| before.version)?;
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
            let (begun_by, ttl_us) = write.life?;
            let over = calm.certainly_over(begun_by, ttl_us);
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

    /// The earliest version that is named by an answer to something asked for after this read was answered.
    pub(super) fn named_after(&self, read: &Read<'_>) -> Option<&Sight<'a>> {
        let from = self.sights.partition_point(|sight| sight.operation.invoked_ns <= read.returned_ns);
        // Its own client asked after it, be it at the same instant.
        let own = self.own.get(&read.operation.client).map_or(&[][..], Vec::as_slice);
        let from_own = own.partition_point(|(id, _)| *id <= read.operation.id);
        let places = [self.earliest.get(from), own.get(from_own).map(|(_, place)| place)];
        let sights = places.into_iter().flatten().map(|place| &self.sights[*place as usize]);
        sights.min_by_key(|sight| sight.version)
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
