//! No lost wake-up: nobody waits in vain for what is free.
//!
//! A lock that is free while somebody waits for it alone is handed on by the very entry that frees it. So at each
//! moment at which one stood in line for certain, another must have had a claim: it may have held the lock, or
//! waited for it among others, of which it lacked one. Others that waited in vain for it alone are no excuse: the
//! first of them ought to have got it. Who would not wait is refused only where, at some moment from its request to the
//! answer, another had a claim.
//!
//! A claim begins when it is asked for. It ends with the answer, if that was a refusal; when a release, upgrade or
//! downgrade of its token was answered; or, where nobody knows, when the lease of the session is over for certain,
//! which takes a calm ([`Calm`]): a client that cannot tell what it holds gives its session up.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use super::grants::granted;
use super::line::SureWait;
use super::tokens::ByToken;
use crate::check::drift::Calm;
use crate::history::{Answer, Call, History, LockMode, LockWant, Operation, Outcome, VirtualTime};

const NEVER: VirtualTime = VirtualTime(u64::MAX);

/// Finds a wait in vain during which nobody else had a claim, or a refusal of what nobody else had a claim to, and says
/// how many waits were judged.
pub(super) fn lost(history: &History, waits: &[SureWait<'_>], calm: Option<Calm>) -> (u64, Option<String>) {
    let free = free(history, calm);
    let permits = fewest_permits(history);
    let mut judged = 0;
    let problem = waits.iter().find_map(|wait| {
        let [want] = wait.wants.as_slice() else { return None };
        let most = permits.get(want.resource).copied().unwrap_or(0);
        let is_possible = !matches!(want.mode, LockMode::Permits(wanted) if wanted > most);
        if !wait.stood_in_line() || !is_possible {
            return None;
        }
        judged += 1;
        let spans = free.get(want.resource)?;
        // The first of them that is not over when the wait begins.
        let next = spans.partition_point(|(_, until)| *until <= wait.from_ns);
        let (from, until) = spans.get(next).filter(|(from, _)| *from < wait.until_ns)?;
        Some(format!(
            "operation #{} of client {} waited for {:?} in vain, for certain from {} until {}, but from {} until {} \
             nobody else had a claim to it\n",
            wait.operation.id,
            wait.operation.client,
            want.resource,
            wait.from_ns,
            wait.until_ns,
            (*from).max(wait.from_ns),
            (*until).min(wait.until_ns)
        ))
    });
    (judged, problem.or_else(|| refused(history, &free, &permits)))
}

/// Somebody who would not wait, and was refused what nobody else had a claim to all the while.
fn refused(history: &History, free: &Spans<'_>, permits: &BTreeMap<&str, u64>) -> Option<String> {
    history.operations.iter().find_map(|operation| {
        let is_refused = matches!(&operation.outcome, Outcome::Ok { answer: Answer::NotGranted });
        let returned_ns = operation.returned_ns.filter(|_| is_refused && operation.call.wait_us() == 0)?;
        let resource = match &operation.call {
            Call::Acquire { resource, .. } => resource,
            Call::AcquireAll { wants, .. } => match wants.as_slice() {
                [LockWant { resource, mode }] => {
                    let most = permits.get(resource.as_str()).copied().unwrap_or(0);
                    Some(resource).filter(|_| mode.permits() <= most)?
                }
                _ => return None,
            },
            _ => return None,
        };
        let spans = free.get(resource.as_str())?;
        let next = spans.partition_point(|(_, until)| *until <= operation.invoked_ns);
        let (from, until) = spans.get(next)?;
        (*from <= operation.invoked_ns && returned_ns < *until).then(|| {
            format!(
                "operation #{} of client {} asked for {resource:?} at {} and was refused at {returned_ns}, but from \
                 {from} until {until} nobody else had a claim to it\n",
                operation.id, operation.client, operation.invoked_ns
            )
        })
    })
}

/// By resource, spans of time in their order.
type Spans<'a> = BTreeMap<&'a str, Vec<(VirtualTime, VirtualTime)>>;

/// The fewest permits that anybody gave each semaphore.
fn fewest_permits(history: &History) -> BTreeMap<&str, u64> {
    let mut fewest: BTreeMap<&str, u64> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::DeclareSemaphore { resource, permits } = &operation.call {
            let least = fewest.entry(resource).or_insert(*permits);
            *least = (*least).min(*permits);
        }
    }
    fewest
}

/// By resource, the spans in which nobody had a claim to it, in their order.
fn free(history: &History, calm: Option<Calm>) -> Spans<'_> {
    let ends = Ends::of(history, calm);
    let mut claims: BTreeMap<&str, Vec<(VirtualTime, VirtualTime)>> = BTreeMap::new();
    for operation in &history.operations {
        for (resource, end_ns) in ends.of_claims(operation) {
            claims.entry(resource).or_default().push((operation.invoked_ns, end_ns));
        }
    }
    // Where nobody ever had one, it was free all the time.
    for operation in &history.operations {
        if let Call::Acquire { .. } | Call::AcquireAll { .. } = &operation.call {
            claims.entry(operation.call.object()).or_default();
        }
    }
    let between = |claims: Vec<(VirtualTime, VirtualTime)>| {
        let mut spans = Vec::new();
        let mut since = VirtualTime(0);
        for (from, until) in claims {
            if since < from {
                spans.push((since, from));
            }
            // At the very moment of its end it may still have been there.
            since = since.max(VirtualTime(until.0.saturating_add(1)));
        }
        if since < NEVER {
            spans.push((since, NEVER));
        }
        spans
    };
    claims.into_iter().map(|(resource, claims)| (resource, between(claims))).collect()
}

/// When what was granted under each token was given back for certain.
struct Ends<'a> {
    by_token: ByToken<'a, VirtualTime>,
    permits: BTreeMap<&'a str, u64>,
    calm: Option<Calm>,
}

impl<'a> Ends<'a> {
    fn of(history: &'a History, calm: Option<Calm>) -> Self {
        let mut ends = Self { by_token: ByToken::default(), permits: fewest_permits(history), calm };
        let lapsed = || history.holds.iter().filter(|hold| hold.lapsed);
        let given_up: ByToken<'_, ()> =
            lapsed().map(|hold| ((hold.resource.as_str(), hold.token), ())).collect();
        for operation in &history.operations {
            let used: SmallVec<[(&str, u64); 1]> = match &operation.call {
                Call::Release { resource, token }
                | Call::Upgrade { resource, token, .. }
                | Call::Downgrade { resource, token, .. } => smallvec![(resource.as_str(), *token)],
                Call::ReleaseAll { grants } => {
                    grants.iter().map(|(resource, token)| (resource.as_str(), *token)).collect()
                }
                _ => continue,
            };
            let returned_ns = operation.returned_ns.unwrap_or(NEVER);
            let end_ns = match &operation.outcome {
                Outcome::Ok { answer: Answer::Released | Answer::Granted { .. } } => returned_ns,
                // Of several it says that one is gone, not which. And it speaks of the session that asks: whoever has
                // lost the one that was granted it asks in another, and the cluster may not know of the loss yet.
                Outcome::Ok { answer: Answer::NotHeld }
                    if used.len() == 1 && given_up.get(used[0].0, used[0].1).is_none() =>
                {
                    returned_ns
                }
                Outcome::Unknown { .. } => ends.of_session(returned_ns),
                _ => continue,
            };
            used.into_iter().for_each(|used| ends.note(used, end_ns));
        }
        for hold in lapsed() {
            let end_ns = ends.of_session(hold.until_ns);
            ends.note((&hold.resource, hold.token), end_ns);
        }
        ends
    }

    fn note(&mut self, token: (&'a str, u64), end_ns: VirtualTime) {
        let known = self.by_token.or_insert(token.0, token.1, end_ns);
        *known = (*known).min(end_ns);
    }

    /// When a session is over for certain that its client gave up.
    fn of_session(&self, given_up: VirtualTime) -> VirtualTime {
        self.calm.map_or(NEVER, |calm| calm.certainly_over(given_up, calm.lease_us))
    }

    /// The claims that an operation may have brought about, and the end of each.
    fn of_claims(&self, operation: &'a Operation) -> SmallVec<[(&'a str, VirtualTime); 1]> {
        let resources: SmallVec<[&str; 1]> = match &operation.call {
            Call::Acquire { resource, .. }
            | Call::Upgrade { resource, .. }
            | Call::Downgrade { resource, .. } => smallvec![resource.as_str()],
            Call::AcquireAll { wants, .. } => wants.iter().map(|want| want.resource.as_str()).collect(),
            _ => return SmallVec::new(),
        };
        let returned_ns = operation.returned_ns.unwrap_or(NEVER);
        let answer = match &operation.outcome {
            Outcome::Fail { .. } => return SmallVec::new(),
            Outcome::Unknown { .. } => {
                let end_ns = self.of_session(returned_ns);
                return resources.into_iter().map(|resource| (resource, end_ns)).collect();
            }
            Outcome::Ok { answer } => answer,
        };
        let is_one_alone = match &operation.call {
            Call::Acquire { .. } => true,
            Call::AcquireAll { wants, .. } => match wants.as_slice() {
                [LockWant { resource, mode: LockMode::Permits(wanted) }] => {
                    self.permits.get(resource.as_str()).is_some_and(|most| wanted <= most)
                }
                wants => wants.len() == 1,
            },
            _ => false,
        };
        if is_one_alone && *answer == Answer::NotGranted {
            return SmallVec::new();
        }
        let granted = granted(&operation.call, answer);
        if granted.is_empty() {
            return resources.into_iter().map(|resource| (resource, returned_ns)).collect();
        }
        let end_ns =
            |resource, token| self.by_token.get(resource, token).copied().unwrap_or(NEVER).max(returned_ns);
        granted.into_iter().map(|(resource, _, token)| (resource, end_ns(resource, token))).collect()
    }
}
