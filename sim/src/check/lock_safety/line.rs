//! Standing in line: not turned away early, not overtaken.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::grants::Grants;
use crate::check::drift::Drift;
use crate::history::{Answer, Call, History, LockMode, LockWant, Operation, Outcome, VirtualTime};

/// Somebody who stood in line and got nothing. It stood there for its whole wait, by the stamps; so between
/// the latest moment at which it can have begun and the earliest at which it can have ended it stood there for
/// certain.
#[derive(Clone, Debug)]
pub(super) struct SureWait<'a> {
    pub(super) operation: &'a Operation,
    /// What it waited for, nearly always one. An upgrade waits for its resource alone.
    pub(super) wants: SmallVec<[Want<'a>; 1]>,
    pub(super) from_ns: VirtualTime,
    pub(super) until_ns: VirtualTime,
}

/// One resource that is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want<'a> {
    pub(super) resource: &'a str,
    pub(super) mode: LockMode,
}

impl<'a> From<&'a LockWant> for Want<'a> {
    fn from(want: &'a LockWant) -> Self {
        Self { resource: &want.resource, mode: want.mode }
    }
}

impl SureWait<'_> {
    /// Whether it stood at the end of its lines when it came.
    pub(super) const fn stood_in_line(&self) -> bool {
        !matches!(self.operation.call, Call::Upgrade { .. })
    }
}

/// All waits in vain of which some moment is certain.
pub(super) fn sure_waits(history: &History, drift: Drift) -> Vec<SureWait<'_>> {
    let sure = |operation| {
        let (wait_ns, stood) = in_vain(operation, drift)?;
        let from_ns = VirtualTime(stood.1.0.saturating_sub(wait_ns));
        let until_ns = VirtualTime(stood.0.0.saturating_add(wait_ns));
        let wait = SureWait { operation, wants: wanted(&operation.call), from_ns, until_ns };
        (from_ns < until_ns).then_some(wait)
    };
    history.operations.iter().filter_map(sure).collect()
}

/// The least true time of a wait in vain, and its invocation and return.
fn in_vain(operation: &Operation, drift: Drift) -> Option<(u64, (VirtualTime, VirtualTime))> {
    let is_in_vain = matches!(&operation.outcome, Outcome::Ok { answer: Answer::NotGranted });
    let wait_us = operation.call.wait_us();
    let returned_ns = operation.returned_ns.filter(|_| is_in_vain && wait_us > 0)?;
    Some((drift.least_ns(wait_us), (operation.invoked_ns, returned_ns)))
}

fn wanted(call: &Call) -> SmallVec<[Want<'_>; 1]> {
    match call {
        Call::Acquire { resource, exclusive, .. } => {
            let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
            smallvec![Want { resource, mode }]
        }
        Call::AcquireAll { wants, .. } => wants.iter().map(Want::from).collect(),
        Call::Upgrade { resource, .. } => {
            smallvec![Want { resource, mode: LockMode::Exclusive }]
        }
        _ => SmallVec::new(),
    }
}

/// Somebody who was to wait longer than it took until it was turned away.
pub(super) fn turned_away(history: &History, drift: Drift) -> Option<String> {
    history.operations.iter().find_map(|operation| {
        let (wait_ns, (invoked, returned)) = in_vain(operation, drift)?;
        let stood_ns = returned.since_ns(invoked);
        (stood_ns < wait_ns).then(|| {
            format!(
                "operation #{} was to stand in line for {:?} for {} us, but was turned away after {} us\n",
                operation.id,
                operation.call.object(),
                operation.call.wait_us(),
                stood_ns / 1_000
            )
        })
    })
}

/// Somebody who came after another stood in line for certain, and was granted while that one still stood there
/// for certain.
///
/// Who waits for one resource lets nobody by; who waits for several may be admitted to this one already, and
/// then lets by whom it could share it with. Upgrades and downgrades go before all lines.
pub(super) fn overtaken(waits: &[SureWait<'_>], grants: &Grants<'_>) -> Option<String> {
    let mut by_resource: BTreeMap<&str, Vec<(&SureWait<'_>, LockMode)>> = BTreeMap::new();
    for wait in waits.iter().filter(|wait| wait.stood_in_line()) {
        for want in &wait.wants {
            by_resource.entry(want.resource).or_default().push((wait, want.mode));
        }
    }
    for (resource, mut waits) in by_resource {
        waits.sort_by_key(|(wait, _)| wait.from_ns);
        let mut longest: BTreeMap<LockMode, &SureWait<'_>> = BTreeMap::new();
        let mut begun = waits.into_iter().peekable();
        let comers = grants.on(resource).iter().filter(|grant| grant.stood_in_line());
        for grant in comers {
            let is_before = |(wait, _): &(&SureWait<'_>, LockMode)| wait.from_ns < grant.operation.invoked_ns;
            while let Some((wait, mode)) = begun.next_if(is_before) {
                // Alone it lets nobody by, as an exclusive one among several.
                let mode = if wait.wants.len() == 1 { LockMode::Exclusive } else { mode };
                let longer = longest.entry(mode).or_insert(wait);
                if wait.until_ns > longer.until_ns {
                    *longer = wait;
                }
            }
            let stands = longest.iter().find(|(mode, wait)| {
                wait.until_ns > grant.returned_ns
                    && (matches!(mode, LockMode::Exclusive) || mode.excludes(grant.mode))
            });
            if let Some((_, wait)) = stands {
                return Some(format!(
                    "operation #{} of client {}, invoked at {}, was granted {resource:?} under token {} at {}, \
                     although operation #{} of client {} stood in line for it from {} until {} at least\n",
                    grant.operation.id,
                    grant.operation.client,
                    grant.operation.invoked_ns,
                    grant.token,
                    grant.returned_ns,
                    wait.operation.id,
                    wait.operation.client,
                    wait.from_ns,
                    wait.until_ns
                ));
            }
        }
    }
    None
}
