//! Lock safety: what clients believed about their locks, in true time.
//!
//! * No two conflicting holds of one resource overlap. A hold is the span `[from, until)` of true time in
//!   which a client process believed; neither its clock nor the server's is asked.
//! * Fencing tokens are unique for a resource and rise in the order of the grants: of two, the one that was
//!   answered before the other was asked for has the smaller token (Kleppmann 2016).
//! * A hold bears the token of the grant that it came from.
//! * A release that succeeded gave back a grant: not twice, and not after a conflicting later grant had
//!   already been answered.
//! * A client that asked to stand in line was not turned away before half of its time. (Half, because the
//!   time in line is counted by a leader's clock, which may run fast.)

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckReport, Verdict};
use crate::history::{Answer, Call, History, Hold, Operation, Outcome, VirtualTime};

/// Checks a history whose promises hold (`History::verify`). Without any grant or hold the verdict is
/// unknown.
#[must_use]
pub fn check(history: &History) -> CheckReport {
    let grants = grants(history);
    let grant_count: usize = grants.values().map(Vec::len).sum();
    let judged = history.holds.len() + grant_count;
    let problem = conflicting_holds(history)
        .or_else(|| grants.iter().find_map(|(resource, grants)| disordered_tokens(resource, grants)))
        .or_else(|| history.holds.iter().find_map(|hold| baseless_hold(history, hold)))
        .or_else(|| wrongful_release(history, &grants))
        .or_else(|| history.operations.iter().find_map(turned_away));
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if judged == 0 => Verdict::Unknown,
        None => Verdict::Valid,
    };
    CheckReport {
        name: "lock safety".to_owned(),
        source: "mutual exclusion within leases; fencing tokens (Kleppmann 2016)".to_owned(),
        verdict,
        detail: format!("{} holds and {grant_count} grants judged", history.holds.len()),
        cost_steps: judged as u64,
        counterexample: problem,
    }
}

/// A grant that was answered.
struct Grant<'a> {
    operation: &'a Operation,
    exclusive: bool,
    token: u64,
    returned_ns: VirtualTime,
}

fn grants(history: &History) -> BTreeMap<&str, Vec<Grant<'_>>> {
    let mut grants: BTreeMap<&str, Vec<Grant<'_>>> = BTreeMap::new();
    for operation in &history.operations {
        if let (
            Call::Acquire { resource, exclusive, .. },
            Outcome::Ok { answer: Answer::Granted { token } },
            Some(returned_ns),
        ) = (&operation.call, &operation.outcome, operation.returned_ns)
        {
            let grant = Grant { operation, exclusive: *exclusive, token: *token, returned_ns };
            grants.entry(resource).or_default().push(grant);
        }
    }
    grants
}

/// Sweeps the holds by their beginning, remembering which of the earlier ones lasts longest.
fn conflicting_holds(history: &History) -> Option<String> {
    let mut holds: Vec<&Hold> = history.holds.iter().filter(|hold| hold.from_ns < hold.until_ns).collect();
    holds.sort_by_key(|hold| (&hold.resource, hold.from_ns, hold.until_ns, hold.token));
    let mut longest: Option<&Hold> = None;
    let mut longest_exclusive: Option<&Hold> = None;
    for hold in holds {
        let same = |earlier: &&Hold| earlier.resource == hold.resource;
        longest = longest.filter(same);
        longest_exclusive = longest_exclusive.filter(same);
        let rival = if hold.exclusive { longest } else { longest_exclusive };
        if let Some(rival) = rival.filter(|rival| rival.until_ns > hold.from_ns) {
            return Some(format!(
                "two clients believed to hold {:?} at once:\n  {}\n  {}\n",
                hold.resource,
                describe(rival),
                describe(hold)
            ));
        }
        longest = longest.filter(|other| other.until_ns >= hold.until_ns).or(Some(hold));
        if hold.exclusive {
            longest_exclusive =
                longest_exclusive.filter(|other| other.until_ns >= hold.until_ns).or(Some(hold));
        }
    }
    None
}

fn describe(hold: &Hold) -> String {
    format!(
        "client {} {} under token {} from {} until {} ({}), by operation #{}",
        hold.client,
        if hold.exclusive { "exclusively" } else { "shared" },
        hold.token,
        hold.from_ns,
        hold.until_ns,
        if hold.lapsed { "its lease ran out" } else { "it asked for the release" },
        hold.operation
    )
}

/// Sweeps the grants by their request, remembering the greatest token answered before.
fn disordered_tokens(resource: &str, grants: &[Grant<'_>]) -> Option<String> {
    let mut owners: BTreeMap<u64, &Grant<'_>> = BTreeMap::new();
    for grant in grants {
        if let Some(other) = owners.insert(grant.token, grant) {
            return Some(format!(
                "operations #{} and #{} were both granted {resource:?} under token {}\n",
                other.operation.id, grant.operation.id, grant.token
            ));
        }
    }
    let mut by_return: Vec<&Grant<'_>> = grants.iter().collect();
    by_return.sort_by_key(|grant| grant.returned_ns);
    let mut answered = by_return.into_iter().peekable();
    let mut greatest: Option<&Grant<'_>> = None;
    for grant in grants {
        let before = |earlier: &&Grant<'_>| earlier.returned_ns < grant.operation.invoked_ns;
        while let Some(earlier) = answered.next_if(before) {
            greatest = greatest.filter(|other| other.token > earlier.token).or(Some(earlier));
        }
        if let Some(earlier) = greatest.filter(|earlier| earlier.token > grant.token) {
            return Some(format!(
                "{resource:?} was granted under token {} to operation #{}, answered at {}, but then under the \
                 smaller token {} to operation #{}, invoked at {}\n",
                earlier.token,
                earlier.operation.id,
                earlier.returned_ns,
                grant.token,
                grant.operation.id,
                grant.operation.invoked_ns
            ));
        }
    }
    None
}

/// A hold may come from a grant whose answer was lost to the caller, but not from a refusal, and not under
/// another token.
fn baseless_hold(history: &History, hold: &Hold) -> Option<String> {
    let position = usize::try_from(hold.operation).unwrap_or(usize::MAX);
    let operation = history.operations.get(position)?;
    let granted = match &operation.outcome {
        Outcome::Ok { answer: Answer::Granted { token } } => *token == hold.token,
        Outcome::Unknown { .. } => true,
        _ => false,
    };
    if granted && operation.invoked_ns <= hold.from_ns {
        return None;
    }
    Some(format!(
        "{}, but that operation ended as {:?}, invoked at {}\n",
        describe(hold),
        operation.outcome,
        operation.invoked_ns
    ))
}

fn turned_away(operation: &Operation) -> Option<String> {
    let (Call::Acquire { resource, wait_us, .. }, Outcome::Ok { answer: Answer::NotGranted }) =
        (&operation.call, &operation.outcome)
    else {
        return None;
    };
    let stood_ns = operation.returned_ns?.since_ns(operation.invoked_ns);
    (stood_ns < wait_us.saturating_mul(1_000) / 2).then(|| {
        format!(
            "operation #{} was to stand in line for {resource:?} for {wait_us} us, but was turned away after {} us\n",
            operation.id,
            stood_ns / 1_000
        )
    })
}

fn wrongful_release(history: &History, grants: &BTreeMap<&str, Vec<Grant<'_>>>) -> Option<String> {
    let mut released = BTreeSet::new();
    let answered: BTreeMap<&str, Vec<Answered<'_>>> =
        grants.iter().map(|(resource, grants)| (*resource, by_return(grants))).collect();
    let owners: BTreeMap<(&str, u64), &Grant<'_>> = grants
        .iter()
        .flat_map(|(resource, grants)| grants.iter().map(|grant| ((*resource, grant.token), grant)))
        .collect();
    for operation in &history.operations {
        let (Call::Release { resource, token }, Outcome::Ok { answer: Answer::Released }) =
            (&operation.call, &operation.outcome)
        else {
            continue;
        };
        if !released.insert((resource, *token)) {
            return Some(format!("token {token} of {resource:?} was released twice\n"));
        }
        let Some(own) = owners.get(&(resource.as_str(), *token)) else {
            if may_know_more(history, operation) {
                continue;
            }
            return Some(format!(
                "operation #{} released {resource:?} under token {token}, which nobody was granted\n",
                operation.id
            ));
        };
        let answered = answered.get(resource.as_str()).map_or(&[][..], Vec::as_slice);
        let count = answered.partition_point(|grant| grant.returned_ns < operation.invoked_ns);
        let Some(last) = count.checked_sub(1).map(|last| &answered[last]) else { continue };
        let rival = if own.exclusive { Some(last.greatest) } else { last.greatest_exclusive };
        if let Some(rival) = rival.filter(|rival| rival.token > *token) {
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
        if grant.exclusive {
            greatest_exclusive = greatest_exclusive.filter(|other| other.token > grant.token).or(Some(grant));
        }
        answered.push(Answered { returned_ns: grant.returned_ns, greatest: top, greatest_exclusive });
    }
    answered
}

/// Whether the client has an acquisition of unknown outcome, from which it may have learnt the token later.
fn may_know_more(history: &History, release: &Operation) -> bool {
    history.operations.iter().take_while(|operation| operation.id < release.id).any(|operation| {
        operation.client == release.client
            && matches!(operation.call, Call::Acquire { .. })
            && operation.call.object() == release.call.object()
            && matches!(operation.outcome, Outcome::Unknown { .. })
    })
}
