//! Who was passed in line, and granted what it waited for in the end.
//!
//! Its request may have been on the way for all that time, so by itself it proves nothing of its place. Others may: a
//! deadlock that names it among those who wait; or a refusal of what only its claim can have been in the way of. Once its
//! place is certain, whoever asks for the lock later is granted it under a later token.

use std::collections::BTreeMap;

use super::claims::{Claim, Permits};
use super::grants::{Grant, Grants};
use super::wakeup::refused;
use crate::check::unanswered::asked_of;
use crate::history::{Call, History, LockMode, VirtualTime};

/// By operation, from when on it had its place in line, or what it waited for, and the operation that tells so.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<u64, (VirtualTime, u64)>);

impl Places {
    /// Notes that one operation tells of the place of another.
    pub(super) fn note(&mut self, whose: u64, from_ns: VirtualTime, told_by: u64) {
        let place = self.0.entry(whose).or_insert((from_ns, told_by));
        *place = (*place).min((from_ns, told_by));
    }

    /// Notes whose claims alone can have been in the way of those who would not wait.
    pub(super) fn note_refusals(&mut self, history: &History, claims: &BTreeMap<&str, Vec<Claim>>) {
        let permits = Permits::fewest(history);
        let mut by_resource: BTreeMap<&str, Vec<(LockMode, VirtualTime, VirtualTime, u64)>> = BTreeMap::new();
        for (operation, returned_ns) in refused(history) {
            if let [(resource, mode)] = asked_of(&operation.call)[..]
                && mode.permits() == 0
                && permits.is_lock(resource)
            {
                let asked = (mode, operation.invoked_ns, returned_ns, operation.id);
                by_resource.entry(resource).or_default().push(asked);
            }
        }
        for (resource, refused) in by_resource {
            let claims = claims.get(resource).map_or(&[][..], Vec::as_slice);
            let all = Overlaps::of(claims.iter());
            let exclusive = Overlaps::of(claims.iter().filter(|claim| claim.is_of_all()));
            for (mode, from_ns, to_ns, told_by) in refused {
                let in_the_way = if mode == LockMode::Exclusive { &all } else { &exclusive };
                if let Some(whose) = in_the_way.only_one(from_ns, to_ns) {
                    self.note(whose, to_ns, told_by);
                }
            }
        }
    }

    /// Finds a grant to one that was passed by another, which asked when its place was certain.
    pub(super) fn passed(&self, grants: &Grants<'_>) -> Option<String> {
        grants.by_resource.iter().find_map(|(resource, grants)| {
            let waited: Vec<(&Grant<'_>, VirtualTime, u64)> = grants
                .iter()
                .filter(|grant| grant.stood_in_line())
                .filter_map(|grant| {
                    let (from_ns, told_by) = *self.0.get(&grant.operation.id)?;
                    Some((grant, from_ns, told_by))
                })
                .collect();
            if waited.is_empty() {
                return None;
            }
            let comers: Vec<&Grant<'_>> = grants.iter().filter(|grant| grant.stood_in_line()).collect();
            let any = first_from_each(&comers, |_| true);
            let exclusive = first_from_each(&comers, |comer| comer.mode == LockMode::Exclusive);
            waited.into_iter().find_map(|(grant, from_ns, told_by)| {
                let later = comers.partition_point(|comer| comer.operation.invoked_ns <= from_ns);
                // Who waits for several may be admitted to this one, and lets by whom it could share it with.
                let first = match grant.mode {
                    _ if is_alone(&grant.operation.call) => any[later],
                    LockMode::Exclusive => any[later],
                    LockMode::Shared => exclusive[later],
                    LockMode::Permits(_) => None,
                };
                let comer = first.filter(|comer| comer.token < grant.token)?;
                Some(format!(
                    "operation #{} of client {}, invoked at {}, was granted {resource:?} under token {}, before operation \
                     #{} of client {}, which got token {} and stood in line before it: operation #{told_by} tells so by \
                     {from_ns}\n",
                    comer.operation.id,
                    comer.operation.client,
                    comer.operation.invoked_ns,
                    comer.token,
                    grant.operation.id,
                    grant.operation.client,
                    grant.token
                ))
            })
        })
    }
}

fn is_alone(call: &Call) -> bool {
    asked_of(call).len() == 1
}

/// For each place in a list the grant of the earliest token from there on, of those that count; none at its end.
fn first_from_each<'g, 'a>(
    grants: &[&'g Grant<'a>],
    counts: impl Fn(&Grant<'_>) -> bool,
) -> Vec<Option<&'g Grant<'a>>> {
    let mut first: Vec<Option<&Grant<'_>>> = vec![None; grants.len() + 1];
    for (place, grant) in grants.iter().enumerate().rev() {
        let later = first[place + 1];
        let is_first = counts(grant) && later.is_none_or(|later| grant.token < later.token);
        first[place] = if is_first { Some(*grant) } else { later };
    }
    first
}

/// Which claims overlap a span of time, if it is just one.
struct Overlaps {
    /// By time, how many claims had begun, and the sum of their operations.
    begun: Vec<(VirtualTime, u128)>,
    ended: Vec<(VirtualTime, u128)>,
}

impl Overlaps {
    fn of<'c>(claims: impl Iterator<Item = &'c Claim> + Clone) -> Self {
        let summed = |moment: fn(&Claim) -> VirtualTime| {
            let mut moments: Vec<(VirtualTime, u128)> =
                claims.clone().map(|claim| (moment(claim), u128::from(claim.operation))).collect();
            moments.sort_unstable();
            let mut sum = 0;
            for (_, operation) in &mut moments {
                sum += *operation;
                *operation = sum;
            }
            moments
        };
        Self { begun: summed(|claim| claim.from_ns), ended: summed(|claim| claim.until_ns) }
    }

    /// The operation of the only claim that was there at some moment from the one to the other.
    fn only_one(&self, from: VirtualTime, to: VirtualTime) -> Option<u64> {
        let begun = self.begun.partition_point(|(at, _)| *at <= to);
        let ended = self.ended.partition_point(|(at, _)| *at < from);
        if begun != ended + 1 {
            return None;
        }
        let sum = |moments: &[(VirtualTime, u128)], count: usize| {
            count.checked_sub(1).map_or(0, |last| moments[last].1)
        };
        u64::try_from(sum(&self.begun, begun) - sum(&self.ended, ended)).ok()
    }
}
