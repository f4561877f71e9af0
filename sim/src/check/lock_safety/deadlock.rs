//! Deadlocks: what was named as one may have been one, and what certainly was one is named.

use std::collections::{BTreeMap, BTreeSet};

use super::exclusion::{not_believed, proved};
use super::forced;
use super::grants::Grants;
use super::line::SureWait;
use super::passed::Places;
use super::tokens::ByToken;
use super::uses::uses;
use crate::check::succession::Succession;
use crate::history::{
    Answer, Asker, Call, DeadlockStep, History, Hold, LockMode, Operation, Outcome, VirtualTime,
};

/// Of the holds of a resource that began before a moment, so many are looked at, latest first. More sharers
/// than that at a time would go unnoticed.
const HOLDS_LOOKED_AT: usize = 64;

/// All answers that name a deadlock.
pub(super) fn named(history: &History) -> impl Iterator<Item = (&Operation, &[DeadlockStep])> {
    history.operations.iter().filter_map(|operation| match &operation.outcome {
        Outcome::Ok { answer: Answer::Deadlock { cycle } } => Some((operation, &cycle[..])),
        _ => None,
    })
}

/// What a session asked of a resource.
struct Claim<'a> {
    operation: &'a Operation,
    /// When it neither waited nor held anything by this operation any more, for certain.
    end_ns: VirtualTime,
    /// The latest such moment of this claim and all before it.
    latest_end_ns: VirtualTime,
}

/// What sessions asked of resources.
struct Claims<'a> {
    /// In the order of the requests.
    by_session: BTreeMap<(u64, &'a str), Vec<Claim<'a>>>,
    /// The sessions that each client is known to have had. One resource at a time is asked for without naming it.
    sessions: Sessions,
}

/// Who asks in which sessions.
#[derive(Default)]
struct Sessions {
    of: BTreeMap<u64, BTreeSet<u64>>,
    named: BTreeSet<u64>,
}

impl Sessions {
    fn of(history: &History) -> Self {
        let mut sessions = Self::default();
        for operation in &history.operations {
            if let Some(session) = session_of(&operation.call) {
                sessions.of.entry(process(operation)).or_default().insert(session);
                sessions.named.insert(session);
            }
        }
        // Those of processes of which nobody knows for whom they stand may be anybody's.
        let unsure = Succession::of(history).unsure();
        let theirs = history.operations.iter().filter(|operation| unsure.contains(&operation.client));
        let theirs = theirs.filter_map(|operation| session_of(&operation.call));
        sessions.of.entry(NOBODY).or_default().extend(theirs);
        let cycles = named(history).flat_map(|(_, cycle)| cycle).map(|step| step.session);
        sessions.of.entry(NOBODY).or_default().extend(cycles.filter(|id| !sessions.named.contains(id)));
        sessions
    }

    /// Those in which this operation, which names none, may have been asked: its client's, and those of which nobody
    /// says whose they are.
    fn possible(&self, operation: &Operation) -> impl Iterator<Item = u64> {
        [process(operation), NOBODY].into_iter().filter_map(|who| self.of.get(&who)).flatten().copied()
    }
}

/// The session in which something is asked, if it is named.
const fn session_of(call: &Call) -> Option<u64> {
    match call {
        Call::AcquireAll { session, .. }
        | Call::Upgrade { session, .. }
        | Call::Downgrade { session, .. } => Some(*session),
        _ => None,
    }
}

/// No client has this number.
const NOBODY: u64 = 0;

/// Threads of one client share its session.
fn process(operation: &Operation) -> u64 {
    Asker::of(operation.client).client
}

impl<'a> Claims<'a> {
    fn of(history: &'a History) -> Self {
        // When each token was used up for certain.
        let ended_ns: ByToken<'_, VirtualTime> = uses(history)
            .filter_map(|used| Some(((used.resource, used.token), used.operation.returned_ns?)))
            .collect();
        let mut claims = Self { by_session: BTreeMap::new(), sessions: Sessions::of(history) };
        for operation in &history.operations {
            let (sessions, resources): (Vec<u64>, Vec<&str>) = match &operation.call {
                Call::AcquireAll { session, wants, .. } => {
                    (vec![*session], wants.iter().map(|want| want.resource.as_str()).collect())
                }
                Call::Upgrade { session, resource, .. } | Call::Downgrade { session, resource, .. } => {
                    (vec![*session], vec![resource])
                }
                Call::Acquire { resource, .. } => {
                    (claims.sessions.possible(operation).collect(), vec![resource])
                }
                _ => continue,
            };
            let tokens: &[u64] = match &operation.outcome {
                Outcome::Ok { answer: Answer::GrantedAll { tokens } } => tokens,
                Outcome::Ok { answer: Answer::Granted { token } } => std::slice::from_ref(token),
                _ => &[],
            };
            for (place, resource) in resources.into_iter().enumerate() {
                let held_until = tokens
                    .get(place)
                    .map(|token| ended_ns.get(resource, *token).copied().unwrap_or(VirtualTime(u64::MAX)));
                let end_ns = held_until.unwrap_or_default().max(returned(operation));
                for &session in &sessions {
                    let list = claims.by_session.entry((session, resource)).or_default();
                    let before = list.last().map_or(VirtualTime(0), |claim: &Claim<'_>| claim.latest_end_ns);
                    list.push(Claim { operation, end_ns, latest_end_ns: before.max(end_ns) });
                }
            }
        }
        claims
    }

    /// What the session may have been at during an operation: by the time at which that was over, and if it was
    /// not over for certain before that began.
    fn during<'c>(
        &'c self,
        session: u64,
        resource: &'c str,
        during: &'c Operation,
    ) -> impl Iterator<Item = &'c Claim<'a>> {
        let claims = self.by_session.get(&(session, resource)).map_or(&[][..], Vec::as_slice);
        let asked = claims.partition_point(|claim| claim.operation.invoked_ns <= returned(during));
        // The latest end up to each is known, so that nobody looks back further than need be.
        let mut claims = claims[..asked].iter().rev();
        std::iter::from_fn(move || claims.next().filter(|claim| claim.latest_end_ns >= during.invoked_ns))
    }

    /// Whether this session can have waited for the resource at some moment of `during`.
    fn may_wait(&self, session: u64, resource: &str, during: &Operation) -> bool {
        self.during(session, resource, during)
            .any(|claim| claim.operation.call.wait_us() > 0 && overlap(claim.operation, during))
    }

    /// The operation of this session that waited, if it can have been only one.
    fn only_waiter(&self, step: &DeadlockStep, during: &Operation) -> Option<u64> {
        let mut waiters = self
            .during(step.session, &step.resource, during)
            .filter(|claim| claim.operation.call.wait_us() > 0 && overlap(claim.operation, during));
        let only = waiters.next()?;
        waiters.next().is_none().then_some(only.operation.id)
    }

    /// Whether this session can have held the resource, or waited for it, at some moment of `during`.
    fn may_stand_in_the_way(&self, session: u64, resource: &str, during: &Operation) -> bool {
        self.during(session, resource, during).any(|claim| claim.end_ns >= during.invoked_ns)
    }
}

/// When it can have had effect at the latest.
fn returned(operation: &Operation) -> VirtualTime {
    let is_answered = !matches!(operation.outcome, Outcome::Unknown { .. });
    operation.returned_ns.filter(|_| is_answered).unwrap_or(VirtualTime(u64::MAX))
}

fn overlap(one: &Operation, other: &Operation) -> bool {
    one.invoked_ns <= returned(other) && other.invoked_ns <= returned(one)
}

/// A named cycle that cannot have existed: it is none, it does not begin with who asked, or one of its
/// sessions cannot have waited for what it is said to wait for, or had what the one before it waits for. Where it can
/// only be one operation that waited, its place in line is certain from then on.
pub(super) fn untrue(history: &History, places: &mut Places) -> Option<String> {
    named(history).next()?;
    let claims = Claims::of(history);
    for (operation, cycle) in named(history) {
        for step in cycle.iter().skip(1) {
            if let Some(waited) = claims.only_waiter(step, operation) {
                places.note(waited, returned(operation), operation.id);
            }
        }
    }
    named(history).find_map(|(operation, cycle)| {
        let what = wrong_in(&claims, operation, cycle)?;
        Some(format!(
            "operation #{} of client {} was refused for a deadlock that there was not: {what}\n  {}\n",
            operation.id,
            operation.client,
            text(cycle)
        ))
    })
}

fn wrong_in(claims: &Claims<'_>, operation: &Operation, cycle: &[DeadlockStep]) -> Option<String> {
    let Some(first) = cycle.first() else { return Some("the cycle is empty".to_owned()) };
    let asked_so = match &operation.call {
        Call::AcquireAll { session, .. } | Call::Upgrade { session, .. } => *session == first.session,
        Call::Acquire { .. } => claims.sessions.possible(operation).any(|session| session == first.session),
        _ => false,
    };
    if !asked_so {
        return Some(format!("session {} is not who asked", first.session));
    }
    if cycle.len() < 2 {
        return Some("nobody waits for itself".to_owned());
    }
    let sessions: BTreeSet<u64> = cycle.iter().map(|step| step.session).collect();
    if sessions.len() < cycle.len() {
        return Some("a session occurs twice".to_owned());
    }
    for (step, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
        if !claims.may_wait(step.session, &step.resource, operation) {
            return Some(format!("session {} did not wait for {:?}", step.session, step.resource));
        }
        if !claims.may_stand_in_the_way(next.session, &step.resource, operation) {
            return Some(format!("session {} had no claim to {:?}", next.session, step.resource));
        }
    }
    None
}

fn text(cycle: &[DeadlockStep]) -> String {
    let steps: Vec<String> =
        cycle.iter().map(|step| format!("{} waits for {:?}", step.session, step.resource)).collect();
    steps.join(", ")
}

/// Clients that waited for each other in a circle, each for certain, until all gave up: the last of them to
/// begin would have closed the cycle, and ought to have been told. They held what they believed to hold, and what
/// the service took back from them with success.
///
/// Who wants permits waits for a holder of whom it cannot do without: together they want more than there ever
/// were. Whom either of two others could help waits for neither, and is not told.
pub(super) fn missed(history: &History, waits: &[SureWait<'_>], grants: &Grants<'_>) -> Option<String> {
    if waits.is_empty() {
        return None;
    }
    let mut holds = Holds { by_resource: BTreeMap::new(), permits: BTreeMap::new() };
    // What an operator ended may have been held by a session that its client had lost before it waited in another.
    let forced = forced::asked_ns(history);
    let mut proved = proved(history, grants);
    proved.retain(|hold| !forced.contains_key(&(hold.resource.as_str(), hold.token)));
    for hold in history.holds.iter().chain(not_believed(history, &proved)) {
        holds.by_resource.entry(&hold.resource).or_default().push(hold);
    }
    holds.by_resource.values_mut().for_each(|holds| holds.sort_by_key(|hold| hold.from_ns));
    for operation in &history.operations {
        if let Call::DeclareSemaphore { resource, permits } = &operation.call {
            let most = holds.permits.entry(resource).or_default();
            *most = (*most).max(*permits);
        }
    }
    let mut by_begin: Vec<&SureWait<'_>> = waits.iter().collect();
    by_begin.sort_by_key(|wait| wait.from_ns);
    let mut active: Vec<&SureWait<'_>> = Vec::new();
    for wait in by_begin {
        active.retain(|earlier| earlier.until_ns > wait.from_ns);
        active.push(wait);
        if let Some(cycle) = cycle_through(wait, &active, &holds) {
            let who: String = cycle
                .iter()
                .map(|wait| {
                    format!("  operation #{} of client {}\n", wait.operation.id, wait.operation.client)
                })
                .collect();
            return Some(format!(
                "nobody was told of a deadlock at {}, in which these waited for each other until they gave up:\n{who}",
                wait.from_ns
            ));
        }
    }
    None
}

/// What clients held.
struct Holds<'a> {
    /// In the order of their beginning.
    by_resource: BTreeMap<&'a str, Vec<&'a Hold>>,
    /// The most permits that anybody gave each semaphore.
    permits: BTreeMap<&'a str, u64>,
}

/// The waits of a cycle through the last one to begin, if there is one at that moment.
fn cycle_through<'a, 'h>(
    wait: &'a SureWait<'h>,
    active: &[&'a SureWait<'h>],
    holds: &Holds<'_>,
) -> Option<Vec<&'a SureWait<'h>>> {
    let at = wait.from_ns;
    let mut path = vec![wait];
    let mut open: Vec<Vec<u64>> = vec![holders(wait, at, holds)];
    let mut seen = BTreeSet::from([wait.operation.client]);
    while let Some(next) = open.last_mut() {
        let Some(client) = next.pop() else {
            open.pop();
            path.pop();
            continue;
        };
        if client == wait.operation.client && path.len() > 1 {
            return Some(path);
        }
        let theirs = active.iter().find(|other| other.operation.client == client);
        if let Some(theirs) = theirs.filter(|_| seen.insert(client)) {
            path.push(theirs);
            open.push(holders(theirs, at, holds));
        }
    }
    None
}

/// The other clients that held at that moment what keeps this one waiting.
fn holders(wait: &SureWait<'_>, at: VirtualTime, holds: &Holds<'_>) -> Vec<u64> {
    let mut clients = Vec::new();
    for want in &wait.wants {
        let resource = want.resource;
        let most = holds.permits.get(resource).copied().unwrap_or(u64::MAX);
        let excludes = |hold: &Hold| match want.mode {
            LockMode::Permits(wanted) => hold.permits > 0 && hold.permits.saturating_add(wanted) > most,
            LockMode::Exclusive => hold.permits == 0,
            LockMode::Shared => hold.exclusive,
        };
        // What another thread of the same client holds is held by the session that waits.
        let is_own = |hold: &Hold| Asker::of(hold.client).client == process(wait.operation);
        let holds = holds.by_resource.get(resource).map_or(&[][..], Vec::as_slice);
        let begun = holds.partition_point(|hold| hold.from_ns <= at);
        let in_the_way = holds[..begun]
            .iter()
            .rev()
            .take(HOLDS_LOOKED_AT)
            .filter(|hold| hold.until_ns > at && !is_own(hold) && excludes(hold));
        clients.extend(in_the_way.map(|hold| hold.client));
    }
    clients
}
