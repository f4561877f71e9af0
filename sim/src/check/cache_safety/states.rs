//! What one key held from version to version.
//!
//! The versions that writers were answered are known, and so is what they left. A version that somebody saw and no
//! answer to a writer names was made by an operation of unknown outcome: by one that wrote this very value, or by
//! additions. A counter that goes on keeps the life of what it went on from; one that begins anew has none.

use std::collections::BTreeMap;

use super::versions::{Key, Read, Sight, Write, text};
use crate::history::{Answer, Call, Operation, VirtualTime};

/// A version that was seen and that no answer to its writer names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess<'a> {
    pub(super) value: i64,
    /// Who saw it first, by the answers.
    first: Read<'a>,
    /// From when on its life may have been over.
    over_ns: Option<VirtualTime>,
    /// How many of them have earlier versions.
    rank: usize,
}

/// What a key held from some version on.
#[derive(Clone, Copy, Debug)]
pub(super) struct State<'a> {
    pub(super) version: u64,
    pub(super) value: Option<i64>,
    pub(super) over_ns: Option<VirtualTime>,
    life: Option<(VirtualTime, u64)>,
    /// Who wrote it, or who saw it first.
    pub(super) operation: &'a Operation,
}

impl<'a> Key<'a> {
    /// Finds the versions that were seen and that no answer to a write names.
    pub(super) fn guess(&mut self) {
        for read in self.reads.iter().chain(self.aged.iter().map(|(read, _)| read)) {
            let Some((value, version)) = read.seen else { continue };
            if self.writes.contains_key(&version) {
                continue;
            }
            let new = Guess { value, first: *read, over_ns: None, rank: 0 };
            let guess = self.guessed.entry(version).or_insert(new);
            if read.returned_ns < guess.first.returned_ns {
                guess.first = *read;
            }
        }
        for (rank, guess) in self.guessed.values_mut().enumerate() {
            guess.rank = rank;
        }
    }

    /// A counter that goes on keeps the life that it had.
    pub(super) fn inherit(&mut self) {
        let has_counters = |write: &Write<'_>| matches!(write.operation.call, Call::CacheIncrement { .. });
        if self.guessed.is_empty() && !self.writes.values().any(has_counters) {
            return;
        }
        let mut versions: Vec<u64> = self.writes.keys().chain(self.guessed.keys()).copied().collect();
        versions.sort_unstable();
        let mut before: Option<State<'a>> = None;
        for version in versions {
            if let Some(found) = self.writes.get(&version).and_then(found_by_counter) {
                let Write { returned_ns, .. } = self.writes[&version];
                let goes_on = |before: &State<'_>| {
                    let from = before.value?;
                    let used = self.used_before(version);
                    self.unknown.may_have_added(from, found, returned_ns, used).then_some(())
                };
                let of_before = before.filter(|before| goes_on(before).is_some()).and_then(|one| one.over_ns);
                let set = self.unknown.first_over_ns().filter(|_| self.unknown.may_have_set(returned_ns));
                let is_same = found != 0 && !self.unknown.may_have_filled(returned_ns);
                let life = before.filter(|before| is_same && before.value == Some(found));
                if let Some(write) = self.writes.get_mut(&version) {
                    write.over_ns = [of_before, set].into_iter().flatten().min();
                    write.life = life.and_then(|before| before.life);
                }
            } else if let Some(guess) = self.guessed.get(&version) {
                // Either it was set, or it was added to.
                let is_sum = self.unknown.additions(guess.first.returned_ns) > 0;
                let inherited =
                    [before.and_then(|one| one.value.and(one.over_ns)), self.unknown.first_over_ns()];
                let inherited = inherited.into_iter().flatten().filter(|_| is_sum);
                let over_ns = inherited.chain(self.unknown.over_ns_of(guess.value)).min();
                if let Some(guess) = self.guessed.get_mut(&version) {
                    guess.over_ns = over_ns;
                }
            }
            before = self.state(version);
        }
    }

    /// What writes say that they found is seen as well, where that may tell: of a delete or a counter, what came right
    /// before it, if nobody else can have left anything.
    pub(super) fn add_what_writes_found(&mut self, may_be_evicted: bool) {
        let mut found: Vec<Sight<'a>> = Vec::new();
        let mut before: Option<(u64, Write<'a>)> = None;
        for (version, write) in &self.writes {
            let existed = matches!(write.answer(), Some(Answer::Deleted { existed: true, .. }))
                || found_by_counter(write).is_some_and(|found| found != 0);
            let Write { operation, returned_ns, .. } = *write;
            if existed
                && !self.unknown.may_have_filled(returned_ns)
                && let Some((version, before)) = before
                && before.value.is_some()
                && (before.over_ns.is_some() || may_be_evicted || self.unknown.empties())
            {
                found.push(Sight { version, operation, returned_ns, writes: false });
            }
            before = Some((*version, *write));
        }
        if !found.is_empty() {
            self.sights.extend(found);
            self.sights.sort_by_key(|sight| (sight.operation.id, sight.writes));
        }
    }

    /// What the key held from this version on.
    fn state(&self, version: u64) -> Option<State<'a>> {
        if let Some(write) = self.writes.get(&version) {
            let Write { value, over_ns, life, operation, .. } = *write;
            return Some(State { version, value, over_ns, life, operation });
        }
        let Guess { value, over_ns, first, .. } = *self.guessed.get(&version)?;
        Some(State { version, value: Some(value), over_ns, life: None, operation: first.operation })
    }

    /// What the key held before this version, as far as anybody knows.
    pub(super) fn state_before(&self, version: u64) -> Option<State<'a>> {
        let write = self.writes.range(..version).next_back().map(|(version, _)| *version);
        let guess = self.guessed.range(..version).next_back().map(|(version, _)| *version);
        self.state(write.max(guess)?)
    }

    /// Whether the key can have been empty by then, after one of these versions and before the next.
    pub(super) fn emptied_within(&self, from: u64, to: u64, by: VirtualTime) -> bool {
        let is_over = |over_ns: Option<VirtualTime>| over_ns.is_some_and(|over| over <= by);
        from < to
            && (self.writes.range(from..to).any(|(_, write)| is_over(write.over_ns))
                || self.guessed.range(from..to).any(|(_, guess)| is_over(guess.over_ns)))
    }

    /// How many additions that nobody was answered must have made earlier versions. Where something may have been set,
    /// that may have made them as well.
    pub(super) fn used_before(&self, version: u64) -> usize {
        let before = self.guessed.range(..version).next_back();
        before.filter(|_| !self.unknown.sets()).map_or(0, |(_, guess)| guess.rank + 1)
    }

    /// A read of what nobody can have written by then. A version that no answer names was written by somebody
    /// of unknown outcome, and each of those wrote one version at most.
    pub(super) fn unwritten(&self, may_be_evicted: impl Fn(VirtualTime) -> bool) -> Option<String> {
        for read in self.reads.iter().chain(self.aged.iter().map(|(read, _)| read)) {
            let Some((value, version)) = read.seen else { continue };
            let is_possible = match self.writes.get(&version) {
                Some(write) => write.value == Some(value) && write.operation.invoked_ns <= read.returned_ns,
                None => self.guessed.get(&version).is_none_or(|guess| guess.value == value),
            };
            if !is_possible {
                return Some(nobody_wrote(read));
            }
        }
        let mut by_value: BTreeMap<i64, Vec<(u64, &Read<'_>)>> = BTreeMap::new();
        for (version, guess) in &self.guessed {
            by_value.entry(guess.value).or_default().push((*version, &guess.first));
        }
        let mut added = Vec::new();
        for (value, mut reads) in by_value {
            reads.sort_by_key(|(_, read)| read.returned_ns);
            let mut wrote = 0;
            for (version, read) in reads {
                if wrote < self.unknown.writers_of(value, read.returned_ns) {
                    wrote += 1;
                } else {
                    added.push((version, read));
                }
            }
        }
        added.sort_by_key(|(_, read)| read.returned_ns);
        let is_beyond = |(count, (version, read)): &(usize, (u64, &Read<'_>))| {
            *count >= self.unknown.additions(read.returned_ns)
                || !self.is_sum(*version, read, may_be_evicted(read.returned_ns))
        };
        added.into_iter().enumerate().find(is_beyond).map(|(_, (_, read))| nobody_wrote(read))
    }

    /// Whether additions of which nobody knows can have made this value.
    fn is_sum(&self, version: u64, read: &Read<'_>, may_be_evicted: bool) -> bool {
        let Some((value, _)) = read.seen else { return true };
        let by = read.returned_ns;
        if self.unknown.may_have_set(by) {
            return true;
        }
        let used = self.used_before(version);
        let before = self.state_before(version);
        let from_known = before.and_then(|before| before.value);
        let is_over = before.is_none_or(|before| before.over_ns.is_some_and(|over| over <= by));
        let from_nothing = is_over || may_be_evicted || self.unknown.may_have_emptied(by);
        from_known.is_some_and(|from| self.unknown.may_have_added(from, value, by, used))
            || from_nothing && self.unknown.may_have_added(0, value, by, used)
    }
}

/// What a counter says that it went on from; 0 if from nothing.
pub(super) fn found_by_counter(write: &Write<'_>) -> Option<i64> {
    match (&write.operation.call, write.answer()) {
        (Call::CacheIncrement { by, .. }, Some(Answer::Counted { value, .. })) => {
            Some(value.saturating_sub(*by))
        }
        _ => None,
    }
}

fn nobody_wrote(read: &Read<'_>) -> String {
    let (value, version) = read.seen.unwrap_or_default();
    format!(
        "{} saw value {value} at version {version}, which nobody can have written\n",
        text(read.operation)
    )
}
