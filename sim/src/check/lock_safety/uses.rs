//! What succeeded under a token: releases, upgrades, downgrades. Each uses up a grant.

use smallvec::{SmallVec, smallvec};

use super::grants::{Grant, Grants};
use super::tokens::ByToken;
use super::unheard::Tokens;
use crate::check::by_name::ByName;
use crate::history::{Answer, Call, History, LockMode, Operation, Outcome, VirtualTime};

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
pub(super) fn check(
    history: &History,
    answered: &ByName<'_, Vec<Answered<'_>>>,
    tokens: &Tokens<'_>,
) -> Option<String> {
    let mut used = ByToken::default();
    uses(history).find_map(|one| {
        if used.insert(one.resource, one.token, ()).is_some() {
            return Some(format!("token {} of {:?} was released twice\n", one.token, one.resource));
        }
        let mode = match tokens.answered.get(one.resource, one.token) {
            Some(own) => {
                if let Some(what) = not_its_own(&one, own, tokens) {
                    return Some(what);
                }
                Some(own.mode)
            }
            None => {
                if !may_know_of(&one, tokens) {
                    let Use { operation, resource, token } = one;
                    return Some(format!(
                        "operation #{} released {resource:?} under token {token}, which nobody was granted that it may \
                         know of\n",
                        operation.id
                    ));
                }
                mode_of_unheard(&one, tokens)
            }
        };
        let answered = answered.get(one.resource).map_or(&[][..], Vec::as_slice);
        stale(&one, mode?, answered)
    })
}

/// A use of what another had, or of what had not been asked for.
fn not_its_own(one: &Use<'_>, own: &Grant<'_>, tokens: &Tokens<'_>) -> Option<String> {
    let Use { operation, resource, token } = one;
    // An operator may end any hold.
    let is_forced = matches!(operation.call, Call::ForceRelease { .. });
    let succession = tokens.unanswered.succession();
    if !is_forced && !succession.may_act_for(operation.client, own.operation.client) {
        return Some(format!(
            "operation #{} of client {} released {resource:?} under token {token}, which was granted to \
             operation #{} of client {}\n",
            operation.id, operation.client, own.operation.id, own.operation.client
        ));
    }
    operation.returned_ns.filter(|returned| *returned < own.operation.invoked_ns).map(|_| {
        format!(
            "operation #{} released {resource:?} under token {token} before operation #{} asked for it\n",
            operation.id, own.operation.id
        )
    })
}

/// Whether who used a token of which nobody was told can know of it: an operator of any, others of what they asked for.
fn may_know_of(one: &Use<'_>, tokens: &Tokens<'_>) -> bool {
    let Use { operation, resource, token } = *one;
    match operation.call {
        Call::ForceRelease { .. } => tokens.may_be_unheard(resource, token),
        _ => tokens.may_be_known_to(operation.client, resource, token),
    }
}

/// What is upgraded was shared, and what is downgraded was not.
fn mode_of_unheard(one: &Use<'_>, tokens: &Tokens<'_>) -> Option<LockMode> {
    match one.operation.call {
        Call::Upgrade { .. } => Some(LockMode::Shared),
        Call::Downgrade { .. } => Some(LockMode::Exclusive),
        _ => tokens.mode_of_unheard(one.resource, one.token),
    }
}

/// A use that was asked for when a later grant had been answered that excludes the one under this token.
fn stale(one: &Use<'_>, mode: LockMode, answered: &[Answered<'_>]) -> Option<String> {
    let Use { operation, resource, token } = one;
    let count = answered.partition_point(|grant| grant.returned_ns < operation.invoked_ns);
    let last = &answered[count.checked_sub(1)?];
    let rival = last.excluding(mode).filter(|rival| rival.token > *token)?;
    Some(format!(
        "operation #{} released {resource:?} under token {token}, although the conflicting token {} had been granted \
         already, to operation #{}\n",
        operation.id, rival.token, rival.operation.id
    ))
}

/// What had been granted by the time at which some grant was answered.
pub(super) struct Answered<'a> {
    pub(super) returned_ns: VirtualTime,
    greatest: &'a Grant<'a>,
    greatest_exclusive: Option<&'a Grant<'a>>,
}

impl<'a> Answered<'a> {
    /// The one with the latest token of those that exclude who holds in this mode.
    pub(super) const fn excluding(&self, mode: LockMode) -> Option<&'a Grant<'a>> {
        match mode {
            LockMode::Exclusive => Some(self.greatest),
            LockMode::Shared => self.greatest_exclusive,
            LockMode::Permits(_) => None,
        }
    }
}

/// By resource, grants in the order of their answers, each with what had been granted by then.
pub(super) fn answered<'a>(grants: &'a Grants<'a>) -> ByName<'a, Vec<Answered<'a>>> {
    grants.by_resource.iter().map(|(resource, grants)| (resource, by_return(grants))).collect()
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
