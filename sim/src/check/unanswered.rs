//! Acquisitions of unknown outcome: each may have been granted one token of each resource that it asked for, of which
//! nobody was answered, at any time since it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::{SmallVec, smallvec};

use super::succession::Succession;
use crate::history::{Asker, Call, History, LockMode, Operation, Outcome, VirtualTime};

/// Those of one resource.
#[derive(Debug, Default)]
struct OfResource {
    /// When each was asked for, in order, with the mode that excludes least of all up to it.
    asked: Vec<(VirtualTime, LockMode)>,
    /// When each client, with all that ask in its name, asked first.
    first_of: BTreeMap<u64, VirtualTime>,
    /// When those were given up whose number nobody used again, in order, with the earliest time at which any up to
    /// it was asked for.
    left: Vec<(VirtualTime, VirtualTime)>,
}

/// All acquisitions of unknown outcome.
#[derive(Debug)]
pub(super) struct Unanswered<'a> {
    by_resource: BTreeMap<&'a str, OfResource>,
    succession: Succession,
}

/// What an operation asks to hold.
pub(super) fn asked_of(call: &Call) -> SmallVec<[(&str, LockMode); 1]> {
    match call {
        Call::Acquire { resource, exclusive, .. } => {
            smallvec![(resource.as_str(), if *exclusive { LockMode::Exclusive } else { LockMode::Shared })]
        }
        Call::AcquireAll { wants, .. } => {
            wants.iter().map(|want| (want.resource.as_str(), want.mode)).collect()
        }
        Call::Upgrade { resource, .. } => smallvec![(resource.as_str(), LockMode::Exclusive)],
        Call::Downgrade { resource, .. } => smallvec![(resource.as_str(), LockMode::Shared)],
        _ => SmallVec::new(),
    }
}

impl<'a> Unanswered<'a> {
    /// Those that no hold tells more of.
    pub(super) fn of(history: &'a History) -> Self {
        let is_unknown = |id: u64| {
            let operation = usize::try_from(id).ok().and_then(|place| history.operations.get(place));
            operation.is_some_and(|one| matches!(one.outcome, Outcome::Unknown { .. }))
        };
        let learnt: BTreeSet<(u64, &str)> = (history.holds.iter())
            .filter(|hold| is_unknown(hold.operation))
            .map(|hold| (hold.operation, hold.resource.as_str()))
            .collect();
        let mut all = Self { by_resource: BTreeMap::new(), succession: Succession::of(history) };
        for operation in &history.operations {
            if !matches!(operation.outcome, Outcome::Unknown { .. }) {
                continue;
            }
            for (resource, mode) in asked_of(&operation.call) {
                if !learnt.contains(&(operation.id, resource)) {
                    all.note(operation, resource, mode);
                }
            }
        }
        for of_resource in all.by_resource.values_mut() {
            of_resource.left.sort_unstable();
            let mut earliest = VirtualTime(u64::MAX);
            for (_, asked_ns) in &mut of_resource.left {
                earliest = earliest.min(*asked_ns);
                *asked_ns = earliest;
            }
        }
        all
    }

    fn note(&mut self, operation: &Operation, resource: &'a str, mode: LockMode) {
        let asked_ns = operation.invoked_ns;
        let of_resource = self.by_resource.entry(resource).or_default();
        let weakest = of_resource.asked.last().map_or(mode, |(_, before)| weaker(*before, mode));
        of_resource.asked.push((asked_ns, weakest));
        of_resource.first_of.entry(Asker::of(operation.client).client).or_insert(asked_ns);
        if let Some(left_ns) = self.succession.left_ns(operation) {
            of_resource.left.push((left_ns, asked_ns));
        }
    }

    /// Who may act for whom.
    pub(super) const fn succession(&self) -> &Succession {
        &self.succession
    }

    /// How many of a resource were asked for by some moment.
    pub(super) fn count_by(&self, resource: &str, by_ns: VirtualTime) -> usize {
        let asked = self.by_resource.get(resource).map_or(&[][..], |all| all.asked.as_slice());
        asked.partition_point(|(asked_ns, _)| *asked_ns <= by_ns)
    }

    /// Of those that were asked for by some moment, the mode that excludes least.
    pub(super) fn weakest_by(&self, resource: &str, by_ns: VirtualTime) -> Option<LockMode> {
        let last = self.count_by(resource, by_ns).checked_sub(1)?;
        self.by_resource.get(resource).map(|all| all.asked[last].1)
    }

    /// Whether somebody may know of a token that was asked for by some moment: it asked for that itself, or may have
    /// taken the place of who did.
    pub(super) fn may_be_known_to(&self, client: u64, resource: &str, by_ns: VirtualTime) -> bool {
        let Some(all) = self.by_resource.get(resource) else { return false };
        let own = all.first_of.get(&Asker::of(client).client);
        let inherited = || {
            let first_ns = self.succession.first_ns(client)?;
            let count = all.left.partition_point(|(left_ns, _)| *left_ns <= first_ns);
            Some(all.left[count.checked_sub(1)?].1)
        };
        own.is_some_and(|asked| *asked <= by_ns) || inherited().is_some_and(|asked| asked <= by_ns)
    }
}

/// Of two modes the one that excludes less.
const fn weaker(one: LockMode, other: LockMode) -> LockMode {
    match (one, other) {
        (LockMode::Permits(few), LockMode::Permits(many)) if many < few => other,
        (LockMode::Permits(_), _) => one,
        (_, LockMode::Permits(_)) | (LockMode::Exclusive, _) => other,
        (LockMode::Shared, _) => one,
    }
}
