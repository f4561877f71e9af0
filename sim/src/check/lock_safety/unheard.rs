//! Tokens that were seen though nobody was answered them, or before: used with success, told to those who look on, or
//! written under.
//!
//! Each comes from an acquisition of unknown outcome ([`Unanswered`]), and no acquisition from two of them. Which it was
//! nobody says; but tokens rise in the order of the grants, so that it was asked for before anybody can have known of a
//! later token.

use std::collections::BTreeMap;

use super::grants::{Grant, Grants};
use super::tokens::ByToken;
use super::uses::uses;
use crate::check::unanswered::Unanswered;
use crate::history::{Answer, Call, History, LockMode, Operation, Outcome, VirtualTime};

/// When somebody knew of a token, by which operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) known_ns: VirtualTime,
    pub(super) operation: u64,
    /// When it was asked for at the latest.
    pub(super) asked_by_ns: VirtualTime,
}

/// All tokens of a history.
pub(super) struct Tokens<'a> {
    /// The grants that were answered, or learnt of by their holders.
    pub(super) answered: ByToken<'a, &'a Grant<'a>>,
    /// Those that nobody was answered, when they were seen first.
    pub(super) unheard: ByToken<'a, Seen>,
    /// Those that were seen before they were answered.
    pub(super) early: ByToken<'a, Seen>,
    pub(super) unanswered: Unanswered<'a>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(history: &'a History, grants: &'a Grants<'a>) -> Self {
        let all = grants.by_resource.values().flatten();
        let answered = all.map(|grant| ((grant.resource, grant.token), grant)).collect();
        let (unheard, early) = (ByToken::default(), ByToken::default());
        let mut tokens = Self { answered, unheard, early, unanswered: Unanswered::of(history) };
        for used in uses(history) {
            tokens.note(used.operation, used.resource, used.token);
        }
        for operation in &history.operations {
            tokens.note_what_was_told(operation);
        }
        for (resource, unheard) in tokens.unheard.by_resource_mut() {
            let early = tokens.early.on(resource);
            let mut known: Vec<(u64, VirtualTime)> = (grants.on(resource).iter())
                .map(|grant| (grant.token, grant.returned_ns))
                .chain(early.map(|(token, seen)| (token, seen.known_ns)))
                .collect();
            known.sort_unstable();
            let mut earliest_ns = VirtualTime(u64::MAX);
            for (token, seen) in unheard.iter_mut().rev() {
                while let Some((_, known_ns)) = known.pop_if(|(later, _)| *later > *token) {
                    earliest_ns = earliest_ns.min(known_ns);
                }
                earliest_ns = earliest_ns.min(seen.known_ns);
                seen.asked_by_ns = earliest_ns;
            }
        }
        tokens
    }

    fn note_what_was_told(&mut self, operation: &'a Operation) {
        let Outcome::Ok { answer } = &operation.outcome else { return };
        match (&operation.call, answer) {
            (
                Call::LockState { resource } | Call::WatchLock { resource, .. },
                Answer::Holders { tokens, .. },
            ) => tokens.iter().for_each(|token| self.note(operation, resource, *token)),
            (Call::CheckToken { resource, token }, Answer::TokenIs { current, latest }) => {
                let named = current.then_some(*token).or(*latest);
                named.into_iter().for_each(|token| self.note(operation, resource, token));
            }
            (Call::CacheCompareAndSet { fence: Some(fence), .. }, Answer::Written { .. }) => {
                self.note(operation, &fence.resource, fence.token);
            }
            _ => {}
        }
    }

    fn note(&mut self, operation: &Operation, resource: &'a str, token: u64) {
        let Some(known_ns) = operation.returned_ns else { return };
        let seen = Seen { known_ns, operation: operation.id, asked_by_ns: known_ns };
        let place = match self.answered.get(resource, token) {
            Some(grant) if grant.returned_ns <= known_ns => return,
            Some(_) => self.early.or_insert(resource, token, seen),
            None => self.unheard.or_insert(resource, token, seen),
        };
        if known_ns < place.known_ns {
            *place = seen;
        }
    }

    /// Whether some acquisition of unknown outcome may have been granted this token.
    pub(super) fn may_be_unheard(&self, resource: &str, token: u64) -> bool {
        let seen = self.unheard.get(resource, token);
        seen.is_some_and(|seen| self.unanswered.count_by(resource, seen.asked_by_ns) > 0)
    }

    /// Whether this client may have been granted it without an answer.
    pub(super) fn may_be_known_to(&self, client: u64, resource: &str, token: u64) -> bool {
        let seen = self.unheard.get(resource, token);
        seen.is_some_and(|seen| self.unanswered.may_be_known_to(client, resource, seen.asked_by_ns))
    }

    /// The mode of a grant that nobody was answered: of all that it may have been, the one that excludes least.
    pub(super) fn mode_of_unheard(&self, resource: &str, token: u64) -> Option<LockMode> {
        let seen = self.unheard.get(resource, token)?;
        self.unanswered.weakest_by(resource, seen.asked_by_ns)
    }

    /// Tokens that nobody was answered, of which there are more than acquisitions that may have been granted them.
    pub(super) fn too_many_unheard(&self) -> Option<String> {
        self.unheard.resources().find_map(|resource| {
            let mut all: Vec<(u64, &Seen)> = self.unheard.on(resource).collect();
            all.sort_unstable_by_key(|(token, seen)| (seen.asked_by_ns, *token));
            all.iter().zip(1..).find_map(|((token, seen), count): (&(u64, &Seen), usize)| {
                let asked = self.unanswered.count_by(resource, seen.asked_by_ns);
                (asked < count).then(|| {
                    format!(
                        "operation #{} names token {token} of {resource:?}, which nobody was granted; of unknown \
                         outcome were {asked} requests that were made by {}, before anybody knew of it or a later one, \
                         and {count} such tokens were asked for by then\n",
                        seen.operation, seen.asked_by_ns
                    )
                })
            })
        })
    }
}

/// A grant that was seen, for the order of tokens: when, the token, and by which operation.
pub(super) type Known = (VirtualTime, u64, u64);

/// Finds two grants under one token, or a grant under a token that is not later than one of which somebody had known
/// before it was asked for.
pub(super) fn disordered(grants: &Grants<'_>, tokens: &Tokens<'_>) -> Option<String> {
    grants.by_resource.iter().find_map(|(resource, grants)| {
        twice(resource, grants).or_else(|| {
            let seen = tokens.early.on(resource).chain(tokens.unheard.on(resource));
            let seen = seen.map(|(token, seen)| (seen.known_ns, token, seen.operation));
            went_back(resource, grants, seen)
        })
    })
}

fn twice(resource: &str, grants: &[Grant<'_>]) -> Option<String> {
    let mut owners: BTreeMap<u64, &Grant<'_>> = BTreeMap::new();
    grants.iter().find_map(|grant| {
        let other = owners.insert(grant.token, grant)?;
        Some(format!(
            "operations #{} and #{} were both granted {resource:?} under token {}\n",
            other.operation.id, grant.operation.id, grant.token
        ))
    })
}

/// Sweeps the grants by their request, remembering the greatest token that was known before.
fn went_back(resource: &str, grants: &[Grant<'_>], seen: impl Iterator<Item = Known>) -> Option<String> {
    let answered = grants.iter().map(|grant| (grant.returned_ns, grant.token, grant.operation.id));
    let mut known: Vec<Known> = answered.chain(seen).collect();
    known.sort_unstable();
    let mut known = known.into_iter().peekable();
    let mut greatest: Option<Known> = None;
    grants.iter().find_map(|grant| {
        while let Some(next) = known.next_if(|(known_ns, ..)| *known_ns < grant.operation.invoked_ns) {
            greatest = greatest.filter(|(_, token, _)| *token > next.1).or(Some(next));
        }
        let (known_ns, token, by) = greatest.filter(|(_, token, _)| *token > grant.token)?;
        Some(format!(
            "{resource:?} had been granted under token {token}, as operation #{by} tells since {known_ns}, but then \
             was under the smaller token {} to operation #{}, invoked at {}\n",
            grant.token, grant.operation.id, grant.operation.invoked_ns
        ))
    })
}
