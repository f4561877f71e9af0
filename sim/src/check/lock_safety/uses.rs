//! What succeeded under a token: releases, upgrades, downgrades. Each uses up a grant.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::grants::{Grant, Grants};
use super::tokens::ByToken;
use crate::history::{Answer, Asker, Call, History, LockMode, Operation, Outcome, VirtualTime};

/// A token used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use<'a> {
    pub(super) operation: &'a Operation,
    pub(super) resource: &'a str,
    pub(super) token: u64,
}

/// All uses of tokens that were answered with success, in the order of the requests.
pub(super) fn uses(history: &History) -> impl Iterator<Item = Use<'_>> {
    history.operations.iter().flat_map(|operation| {
        let Outcome::Ok { answer } = &operation.outcome else { return SmallVec::new() };
        let of = |resource, token| Use { operation, resource, token };
        let all: SmallVec<[Use<'_>; 1]> = match (&operation.call, answer) {
            (
                Call::Release { resource, token } | Call::ForceRelease { resource, token },
                Answer::Released,
            )
            | (Call::Upgrade { resource, token, .. }, Answer::Granted { .. })
            | (Call::Downgrade { resource, token, .. }, Answer::Granted { .. }) => {
                smallvec![of(resource, *token)]
            }
            (Call::ReleaseAll { grants }, Answer::Released) => {
                grants.iter().map(|(resource, token)| of(resource, *token)).collect()
            }
            _ => SmallVec::new(),
        };
        all
    })
}

/// Finds a token that was used twice, that nobody was granted or had asked for, that was granted to another client, or
/// that was used although a conflicting later grant had been answered.
pub(super) fn check(history: &History, grants: &Grants<'_>) -> Option<String> {
    let mut used = ByToken::default();
    let answered: BTreeMap<&str, Vec<Answered<'_>>> =
        grants.by_resource.iter().map(|(resource, grants)| (*resource, by_return(grants))).collect();
    let owners: ByToken<'_, &Grant<'_>> =
        grants.by_resource.values().flatten().map(|grant| ((grant.resource, grant.token), grant)).collect();
    let uncertain = uncertain(history);
    for Use { operation, resource, token } in uses(history) {
        if used.insert(resource, token, ()).is_some() {
            return Some(format!("token {token} of {resource:?} was released twice\n"));
        }
        let Some(own) = owners.get(resource, token) else {
            let is_forced = matches!(operation.call, Call::ForceRelease { .. });
            let first = uncertain.get(&(if is_forced { ANYBODY } else { operation.client }, resource));
            if first.is_some_and(|first| *first < operation.id) {
                continue;
            }
            return Some(format!(
                "operation #{} released {resource:?} under token {token}, which nobody was granted\n",
                operation.id
            ));
        };
        // Threads of one process, and those that follow it, share what it holds; an operator may end any hold.
        let (who, holder) = (Asker::of(operation.client).client, Asker::of(own.operation.client).client);
        if who != holder && !matches!(operation.call, Call::ForceRelease { .. }) {
            return Some(format!(
                "operation #{} of client {} released {resource:?} under token {token}, which was granted to \
                 operation #{} of client {}\n",
                operation.id, operation.client, own.operation.id, own.operation.client
            ));
        }
        if operation.returned_ns.is_some_and(|returned| returned < own.operation.invoked_ns) {
            return Some(format!(
                "operation #{} released {resource:?} under token {token} before operation #{} asked for it\n",
                operation.id, own.operation.id
            ));
        }
        let answered = answered.get(resource).map_or(&[][..], Vec::as_slice);
        let count = answered.partition_point(|grant| grant.returned_ns < operation.invoked_ns);
        let Some(last) = count.checked_sub(1).map(|last| &answered[last]) else { continue };
        let rival = match own.mode {
            LockMode::Exclusive => Some(last.greatest),
            LockMode::Shared => last.greatest_exclusive,
            LockMode::Permits(_) => None,
        };
        if let Some(rival) = rival.filter(|rival| rival.token > token) {
            return Some(format!(
                "operation #{} released {resource:?} under token {token}, although the conflicting token {} \
                 had been granted already, to operation #{}\n",
                operation.id, rival.token, rival.operation.id
            ));
        }
    }
    None
}

/// What had been granted by the time at which some grant was answered.
struct Answered<'a> {
    returned_ns: VirtualTime,
    greatest: &'a Grant<'a>,
    greatest_exclusive: Option<&'a Grant<'a>>,
}

fn by_return<'a>(grants: &'a [Grant<'a>]) -> Vec<Answered<'a>> {
    let mut by_return: Vec<&Grant<'_>> = grants.iter().collect();
    by_return.sort_by_key(|grant| grant.returned_ns);
    let mut greatest: Option<&Grant<'_>> = None;
    let mut greatest_exclusive: Option<&Grant<'_>> = None;
    let mut answered = Vec::with_capacity(by_return.len());
    for grant in by_return {
        let top = greatest.filter(|other| other.token > grant.token).unwrap_or(grant);
        greatest = Some(top);
        if grant.mode == LockMode::Exclusive {
            greatest_exclusive = greatest_exclusive.filter(|other| other.token > grant.token).or(Some(grant));
        }
        answered.push(Answered { returned_ns: grant.returned_ns, greatest: top, greatest_exclusive });
    }
    answered
}

/// Stands for all clients: an operator may have been told of a grant that its own client never heard of.
const ANYBODY: u64 = u64::MAX;

/// By client and resource, the first acquisition of unknown outcome, from which the client may have learnt of a
/// token later.
fn uncertain(history: &History) -> BTreeMap<(u64, &str), u64> {
    let mut first: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for operation in &history.operations {
        if !matches!(operation.outcome, Outcome::Unknown { .. }) {
            continue;
        }
        let mut note = |resource| {
            first.entry((operation.client, resource)).or_insert(operation.id);
            first.entry((ANYBODY, resource)).or_insert(operation.id);
        };
        match &operation.call {
            Call::Acquire { resource, .. }
            | Call::Upgrade { resource, .. }
            | Call::Downgrade { resource, .. } => note(resource.as_str()),
            Call::AcquireAll { wants, .. } => wants.iter().for_each(|want| note(want.resource.as_str())),
            _ => {}
        }
    }
    first
}
