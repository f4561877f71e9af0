//! Who may have had a claim to a resource, and for how long.
//!
//! A claim begins when it is asked for. It ends with the answer, if that was a refusal; when a release, upgrade or
//! downgrade of its token was answered, the word of an operator, or a later grant that it would exclude; or, where nobody
//! knows, when the lease of the session is over for certain, which takes a calm ([`Calm`]): a client that cannot tell
//! what it holds gives its session up. Who is refused at once, because it would not wait, never had one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::grants::{Grant, Grants, granted};
use super::tokens::ByToken;
use crate::check::drift::Calm;
use crate::check::unanswered::asked_of;
use crate::history::{Answer, Call, History, Hold, LockMode, Operation, Outcome, VirtualTime};

/// What has no end.
pub(super) const NEVER: VirtualTime = VirtualTime(u64::MAX);

/// What a resource has that is no semaphore: more than all who share it need.
const ALL_OF_IT: u64 = u64::MAX;

/// A claim that an operation may have had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) operation: u64,
    pub(super) from_ns: VirtualTime,
    /// At this very moment it may still be there.
    pub(super) until_ns: VirtualTime,
    /// How much of the resource it takes.
    pub(super) weight: u64,
    /// It stood in this line alone, and got nothing.
    pub(super) is_in_vain: bool,
}

impl Claim {
    /// Whether it leaves room for nobody.
    pub(super) const fn is_of_all(&self) -> bool {
        self.weight == ALL_OF_IT
    }
}

/// How much a holder takes: one who shares takes next to nothing, one who does not takes all.
pub(super) const fn weight(mode: LockMode) -> u64 {
    match mode {
        LockMode::Exclusive => ALL_OF_IT,
        LockMode::Shared => 1,
        LockMode::Permits(permits) => permits,
    }
}

/// The fewest permits that anybody gave each semaphore.
#[derive(Debug)]
pub(super) struct Permits<'a>(BTreeMap<&'a str, u64>);

impl<'a> Permits<'a> {
    pub(super) fn fewest(history: &'a History) -> Self {
        let mut fewest: BTreeMap<&str, u64> = BTreeMap::new();
        for operation in &history.operations {
            if let Call::DeclareSemaphore { resource, permits } = &operation.call
                && !matches!(operation.outcome, Outcome::Fail { .. })
            {
                let least = fewest.entry(resource).or_insert(*permits);
                *least = (*least).min(*permits);
            }
        }
        Self(fewest)
    }

    /// How much of a resource there is.
    pub(super) fn capacity(&self, resource: &str) -> u64 {
        self.0.get(resource).copied().unwrap_or(ALL_OF_IT)
    }

    /// Whether nobody ever made it a semaphore.
    pub(super) fn is_lock(&self, resource: &str) -> bool {
        !self.0.contains_key(resource)
    }

    /// Whether there is as much as this asks for. Of what nobody declared nobody knows how many permits it has.
    pub(super) fn are_enough(&self, resource: &str, mode: LockMode) -> bool {
        let declared = self.0.get(resource).copied();
        weight(mode) <= declared.unwrap_or(if mode.permits() > 0 { 0 } else { ALL_OF_IT })
    }
}

/// All claims, by resource, in the order of the requests.
pub(super) fn all<'a>(
    history: &'a History,
    grants: &Grants<'a>,
    calm: Option<Calm>,
) -> BTreeMap<&'a str, Vec<Claim>> {
    let mut ends = Ends::of(history, calm);
    grants.by_resource.values().for_each(|grants| ends.note_superseded(grants));
    let mut claims: BTreeMap<&'a str, Vec<Claim>> = BTreeMap::new();
    for operation in &history.operations {
        for (resource, mode, until_ns) in ends.of_claims(operation) {
            claims.entry(resource).or_default().push(Claim {
                operation: operation.id,
                from_ns: operation.invoked_ns,
                until_ns,
                weight: weight(mode),
                is_in_vain: is_in_vain(operation),
            });
        }
    }
    claims
}

/// Whether it waited in vain for one resource, in its line.
fn is_in_vain(operation: &Operation) -> bool {
    let is_one = match &operation.call {
        Call::Acquire { .. } => true,
        Call::AcquireAll { wants, .. } => wants.len() == 1,
        _ => false,
    };
    is_one && matches!(operation.outcome, Outcome::Ok { answer: Answer::NotGranted })
}

/// When what was granted under each token was given back for certain.
struct Ends<'a> {
    by_token: ByToken<'a, VirtualTime>,
    calm: Option<Calm>,
}

impl<'a> Ends<'a> {
    fn of(history: &'a History, calm: Option<Calm>) -> Self {
        let mut ends = Self { by_token: ByToken::default(), calm };
        // By token, whether its holder went on believing until it asked for the release.
        let believed: ByToken<'_, bool> =
            (history.holds.iter()).map(|hold| ((hold.resource.as_str(), hold.token), !hold.lapsed)).collect();
        let mut used_up: ByToken<'_, ()> = ByToken::default();
        for operation in &history.operations {
            let used: SmallVec<[(&str, u64); 1]> = match &operation.call {
                Call::Release { resource, token }
                | Call::Upgrade { resource, token, .. }
                | Call::Downgrade { resource, token, .. }
                | Call::ForceRelease { resource, token } => smallvec![(resource.as_str(), *token)],
                Call::ReleaseAll { grants } => {
                    grants.iter().map(|(resource, token)| (resource.as_str(), *token)).collect()
                }
                _ => continue,
            };
            let is_forced = matches!(operation.call, Call::ForceRelease { .. });
            let is_lost = matches!(operation.outcome, Outcome::Unknown { .. });
            // Its client believed no more, but went on in the session that it had.
            if matches!(operation.call, Call::Downgrade { .. })
                || (is_lost && matches!(operation.call, Call::Upgrade { .. }))
            {
                for used in &used {
                    used_up.insert(used.0, used.1, ());
                }
            }
            let is_sure = matches!(
                operation.outcome,
                Outcome::Ok { answer: Answer::Released | Answer::Granted { .. } }
            );
            let returned_ns = operation.returned_ns.unwrap_or(NEVER);
            let end_ns = match &operation.outcome {
                Outcome::Ok { answer: Answer::Released | Answer::Granted { .. } } => returned_ns,
                // Of several it says that one is gone, not which. And it speaks of the session that asks: whoever has
                // lost the one that was granted it asks in another, and the cluster may not know of the loss yet.
                Outcome::Ok { answer: Answer::NotHeld }
                    if !is_forced && used.len() == 1 && believed.get(used[0].0, used[0].1) == Some(&true) =>
                {
                    returned_ns
                }
                Outcome::Unknown { .. } if !is_forced => ends.of_session(returned_ns),
                _ => continue,
            };
            for used in used {
                ends.note(used, end_ns);
                if is_sure {
                    used_up.insert(used.0, used.1, ());
                }
            }
        }
        // Whoever went on to upgrade or to give back had not given up then; and of some nobody knows how long they believed.
        let gave_up = |hold: &&Hold| {
            let is_used = used_up.get(&hold.resource, hold.token).is_some();
            hold.lapsed && hold.from_ns < hold.until_ns && !is_used
        };
        for hold in history.holds.iter().filter(gave_up) {
            let end_ns = ends.of_session(hold.until_ns);
            ends.note((&hold.resource, hold.token), end_ns);
        }
        ends
    }

    fn note(&mut self, token: (&'a str, u64), end_ns: VirtualTime) {
        let known = self.by_token.or_insert(token.0, token.1, end_ns);
        *known = (*known).min(end_ns);
    }

    /// Whatever excludes a grant under a later token, it was over when that was answered.
    fn note_superseded(&mut self, grants: &[Grant<'a>]) {
        let mut by_token: Vec<&Grant<'_>> = grants.iter().collect();
        by_token.sort_unstable_by_key(|grant| Reverse(grant.token));
        let (mut of_any, mut of_exclusive) = (NEVER, NEVER);
        for grant in by_token {
            let end_ns = match grant.mode {
                LockMode::Exclusive => of_any,
                LockMode::Shared => of_exclusive,
                LockMode::Permits(_) => NEVER,
            };
            if end_ns < NEVER {
                self.note((grant.resource, grant.token), end_ns);
            }
            of_any = of_any.min(grant.returned_ns);
            if grant.mode == LockMode::Exclusive {
                of_exclusive = of_exclusive.min(grant.returned_ns);
            }
        }
    }

    /// When a session is over for certain that its client gave up.
    fn of_session(&self, given_up: VirtualTime) -> VirtualTime {
        self.calm.map_or(NEVER, |calm| calm.certainly_over(given_up, calm.lease_us))
    }

    /// The claims that an operation may have brought about, and the end of each.
    fn of_claims(&self, operation: &'a Operation) -> SmallVec<[(&'a str, LockMode, VirtualTime); 1]> {
        let until = |end_ns| {
            let asked = asked_of(&operation.call).into_iter();
            asked.map(|(resource, mode)| (resource, mode, end_ns)).collect()
        };
        let returned_ns = operation.returned_ns.unwrap_or(NEVER);
        let answer = match &operation.outcome {
            Outcome::Unknown { .. } => return until(self.of_session(returned_ns)),
            // Its session may have come to an end while it stood in line.
            Outcome::Fail { .. } if operation.call.wait_us() > 0 => return until(returned_ns),
            Outcome::Fail { .. } => return SmallVec::new(),
            Outcome::Ok { answer } => answer,
        };
        if *answer == Answer::NotGranted && operation.call.wait_us() == 0 {
            return SmallVec::new();
        }
        let granted = granted(&operation.call, answer);
        if granted.is_empty() {
            return until(returned_ns);
        }
        let end_ns =
            |resource, token| self.by_token.get(resource, token).copied().unwrap_or(NEVER).max(returned_ns);
        granted.into_iter().map(|(resource, mode, token)| (resource, mode, end_ns(resource, token))).collect()
    }
}
