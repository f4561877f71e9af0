//! What is known of each resource at a moment, for many moments: found without a look at all its grants each time.

use std::cmp::Reverse;

use super::grants::{Grant, Grants};
use crate::check::by_name::ByName;
use crate::history::{LockMode, VirtualTime};

/// The grants that had been answered by some moment.
pub(super) struct Latest<'g>(ByName<'g, ByReturn<'g>>);

/// Of one resource, in the order of the answers.
#[derive(Default)]
struct ByReturn<'g> {
    grants: Vec<&'g Grant<'g>>,
    /// Up to and with each, the one with the latest token of each kind of mode: of one kind all exclude the same.
    latest: Vec<[Option<&'g Grant<'g>>; 3]>,
}

const fn kind(mode: LockMode) -> usize {
    match mode {
        LockMode::Exclusive => 0,
        LockMode::Shared => 1,
        LockMode::Permits(_) => 2,
    }
}

impl<'g> Latest<'g> {
    pub(super) fn of(grants: &'g Grants<'g>) -> Self {
        let mut by_return: Vec<&'g Grant<'g>> = grants.by_resource.values().flatten().collect();
        by_return.sort_by_key(|grant| grant.returned_ns);
        let mut all: ByName<'g, ByReturn<'g>> = ByName::default();
        for grant in by_return {
            let ByReturn { grants, latest } = all.or_default(grant.resource);
            let mut now = latest.last().copied().unwrap_or_default();
            let known = &mut now[kind(grant.mode)];
            *known = known.filter(|known| known.token >= grant.token).or(Some(grant));
            grants.push(grant);
            latest.push(now);
        }
        Self(all)
    }

    /// The one with the latest token of those in such a mode that had been answered before `at`.
    pub(super) fn before(
        &self,
        resource: &str,
        at: VirtualTime,
        is_such: impl Fn(LockMode) -> bool,
    ) -> Option<&'g Grant<'g>> {
        let ByReturn { grants, latest } = self.0.get(resource)?;
        let count = grants.partition_point(|grant| grant.returned_ns < at);
        let latest = latest.get(count.checked_sub(1)?)?;
        latest.iter().flatten().copied().filter(|grant| is_such(grant.mode)).max_by_key(|grant| grant.token)
    }

    /// Those that were answered after one moment and before another, in that order.
    pub(super) fn between(
        &self,
        resource: &str,
        after: VirtualTime,
        before: VirtualTime,
    ) -> impl Iterator<Item = &'g Grant<'g>> {
        let grants = self.0.get(resource).map_or(&[][..], |one| &one.grants);
        let from = grants.partition_point(|grant| grant.returned_ns <= after);
        grants[from..].iter().copied().take_while(move |grant| grant.returned_ns < before)
    }
}

/// A token in force for certain: from its answer until it was asked to be given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct InForce {
    pub(super) token: u64,
    pub(super) from_ns: VirtualTime,
    pub(super) until_ns: VirtualTime,
}

impl InForce {
    /// Whether it was from before one moment until after another.
    pub(super) fn throughout(&self, from_ns: VirtualTime, until_ns: VirtualTime) -> bool {
        self.from_ns < from_ns && self.until_ns > until_ns
    }
}

/// The tokens in force, for moments that are asked for in their order.
pub(super) struct Sweep<'g>(ByName<'g, Passing>);

/// Of one resource.
#[derive(Default)]
struct Passing {
    /// The earliest last.
    to_come: Vec<InForce>,
    now: Vec<InForce>,
}

impl<'g> Sweep<'g> {
    pub(super) fn of(all: impl Iterator<Item = (&'g str, InForce)>) -> Self {
        let mut sweep: ByName<'g, Passing> = ByName::default();
        for (resource, one) in all {
            sweep.or_default(resource).to_come.push(one);
        }
        for (_, passing) in sweep.iter_mut() {
            passing.to_come.sort_by_key(|one| Reverse(one.from_ns));
        }
        Self(sweep)
    }

    /// Those in force before and after `at`, which is no earlier than what was asked for before; the earliest first.
    pub(super) fn at(&mut self, resource: &'g str, at: VirtualTime) -> &[InForce] {
        let Passing { to_come, now } = self.0.or_default(resource);
        while let Some(next) = to_come.pop_if(|next| next.from_ns < at) {
            now.push(next);
        }
        now.retain(|one| one.until_ns > at);
        now
    }
}
