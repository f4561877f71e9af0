//! Locks, semaphores, and what locks guard, spoilt.

use std::collections::{BTreeMap, BTreeSet};

use stormglass_sim::history::{
    Answer, Call, DeadlockStep, History, LockMode, Operation, Outcome, VirtualTime,
};
use stormglass_sim::rng::StreamRng;

use super::edit::{STRANGER, answered, pick, with, with_answer, without};
use super::{Kind, wrong};

pub(super) const KINDS: &[Kind] = &[
    wrong("tokens of two grants, swapped everywhere", swapped_tokens),
    wrong("a hold that lasts into the next one", longer_hold),
    wrong("a refusal of what was given back later", denied),
    wrong("a second release under one token", released_twice),
    wrong("a release under the token of another", released_by_another),
    wrong("a grant within the hold of another", granted_within),
    wrong("a deadlock with nobody", false_deadlock),
    wrong("a wait cut short", turned_away),
    wrong("a wait in vain for what nobody wants", free_lock),
    wrong("a newcomer granted before who waits", overtaken),
    wrong("effects whose tokens are swapped", swapped_effects),
    wrong("an effect without the grant", effect_without_grant),
];

/// One grant of one resource.
#[derive(Clone, Copy)]
struct Granted<'a> {
    operation: &'a Operation,
    returned_ns: VirtualTime,
    resource: &'a str,
    mode: LockMode,
    token: u64,
}

/// All grants, by resource, in the order of the requests.
fn grants(history: &History) -> BTreeMap<&str, Vec<Granted<'_>>> {
    let mut grants: BTreeMap<&str, Vec<Granted<'_>>> = BTreeMap::new();
    for operation in &history.operations {
        let Some((answer, returned_ns)) = answered(operation) else { continue };
        let mut note = |resource, mode, token| {
            let granted = Granted { operation, returned_ns, resource, mode, token };
            grants.entry(resource).or_default().push(granted);
        };
        match (&operation.call, answer) {
            (Call::Acquire { resource, exclusive, .. }, Answer::Granted { token }) => {
                let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
                note(resource.as_str(), mode, *token);
            }
            (Call::AcquireAll { wants, .. }, Answer::GrantedAll { tokens }) => {
                for (want, token) in wants.iter().zip(tokens) {
                    note(&want.resource, want.mode, *token);
                }
            }
            _ => {}
        }
    }
    grants
}

/// When each token was given back for certain: when that was asked for.
fn given_back(history: &History) -> BTreeMap<(&str, u64), &Operation> {
    let mut ends = BTreeMap::new();
    for operation in &history.operations {
        match (&operation.call, answered(operation)) {
            (Call::Release { resource, token }, Some((Answer::Released, _))) => {
                ends.insert((resource.as_str(), *token), operation);
            }
            (Call::ReleaseAll { grants }, Some((Answer::Released, _))) => {
                ends.extend(grants.iter().map(|(resource, token)| ((resource.as_str(), *token), operation)));
            }
            _ => {}
        }
    }
    ends
}

/// Clients with an operation of unknown outcome, who may know what nobody else knows.
fn unsure(history: &History) -> BTreeSet<u64> {
    let is_unsure = |operation: &&Operation| matches!(operation.outcome, Outcome::Unknown { .. });
    history.operations.iter().filter(is_unsure).map(|operation| operation.client).collect()
}

/// Puts another token in the place of one, wherever it is named for this resource.
fn rename(history: &mut History, resource: &str, name: impl Fn(u64) -> u64) {
    for operation in &mut history.operations {
        let renamed = |other: &str, token: u64| if other == resource { name(token) } else { token };
        let mut answer = match &mut operation.outcome {
            Outcome::Ok { answer } => Some(answer),
            _ => None,
        };
        match &mut operation.call {
            Call::Acquire { resource, .. } => {
                if let Some(Answer::Granted { token }) = &mut answer {
                    *token = renamed(resource, *token);
                }
            }
            Call::AcquireAll { wants, .. } => {
                if let Some(Answer::GrantedAll { tokens }) = &mut answer {
                    wants
                        .iter()
                        .zip(tokens)
                        .for_each(|(want, token)| *token = renamed(&want.resource, *token));
                }
            }
            Call::Upgrade { resource, token, .. } | Call::Downgrade { resource, token, .. } => {
                *token = renamed(resource, *token);
                if let Some(Answer::Granted { token }) = &mut answer {
                    *token = renamed(resource, *token);
                }
            }
            Call::Release { resource, token } => *token = renamed(resource, *token),
            Call::ReleaseAll { grants } => {
                grants.iter_mut().for_each(|(resource, token)| *token = renamed(resource, *token));
            }
            _ => {}
        }
    }
    for hold in history.holds.iter_mut().filter(|hold| hold.resource == resource) {
        hold.token = name(hold.token);
    }
}

/// Wrong: the first was answered before the second was asked for, and has the later token now.
fn swapped_tokens(history: &History, rng: &mut StreamRng) -> Option<History> {
    let grants = grants(history);
    let mut choices = Vec::new();
    for grants in grants.values() {
        choices.extend(grants.windows(2).filter_map(|pair| {
            let (one, other) = (pair[0], pair[1]);
            (one.returned_ns < other.operation.invoked_ns).then_some((one.resource, one.token, other.token))
        }));
    }
    let (resource, one, other) = pick(&choices, rng)?;
    let mut mutant = history.clone();
    rename(&mut mutant, resource, |token| match token {
        token if token == one => other,
        token if token == other => one,
        token => token,
    });
    Some(mutant)
}

/// Wrong: two believe at one moment that they hold it alone.
fn longer_hold(history: &History, rng: &mut StreamRng) -> Option<History> {
    let mut choices = Vec::new();
    for (place, hold) in history.holds.iter().enumerate() {
        let next = history.holds.iter().find(|next| {
            let conflict = (hold.exclusive || next.exclusive) && hold.permits == 0;
            conflict
                && next.resource == hold.resource
                && next.client != hold.client
                && next.from_ns >= hold.until_ns
                && next.until_ns.0 > next.from_ns.0 + 1
                && hold.from_ns < hold.until_ns
        });
        choices.extend(next.map(|next| (place, next.from_ns)));
    }
    let (place, from_ns) = pick(&choices, rng)?;
    let mut mutant = history.clone();
    mutant.holds[place].until_ns = VirtualTime(from_ns.0 + 1);
    Some(mutant)
}

/// Wrong: what was not granted was given back, by one who can know of no other grant.
fn denied(history: &History, rng: &mut StreamRng) -> Option<History> {
    let (grants, ends, unsure) = (grants(history), given_back(history), unsure(history));
    let choices: Vec<u64> = grants
        .values()
        .flatten()
        .filter(|one| {
            ends.contains_key(&(one.resource, one.token)) && !unsure.contains(&one.operation.client)
        })
        .map(|one| one.operation.id)
        .collect();
    let id = pick(&choices, rng)?;
    let mut mutant = with_answer(history, id, Answer::NotGranted);
    mutant.holds.retain(|hold| hold.operation != id);
    Some(mutant)
}

/// Wrong: a token is used up once.
fn released_twice(history: &History, rng: &mut StreamRng) -> Option<History> {
    let ends: Vec<&Operation> = given_back(history).into_values().collect();
    let mut again = pick(&ends, rng)?.clone();
    let returned_ns = again.returned_ns?;
    again.client = STRANGER;
    again.invoked_ns = VirtualTime(returned_ns.0 + 1);
    again.returned_ns = Some(VirtualTime(returned_ns.0 + 1_000));
    Some(with(history, again))
}

/// Wrong: that other one gave it back itself.
fn released_by_another(history: &History, rng: &mut StreamRng) -> Option<History> {
    let ends = given_back(history);
    let mut choices = Vec::new();
    for (one, other) in ends.iter().zip(ends.iter().skip(1)) {
        let ((resource, token), operation) = one;
        if other.0.0 == *resource && other.1.id != operation.id {
            choices.push((operation.id, *resource, *token, other.0.1));
        }
    }
    let (id, resource, token, other) = pick(&choices, rng)?;
    let mut mutant = history.clone();
    match &mut mutant.operations[id as usize].call {
        Call::Release { token, .. } => *token = other,
        Call::ReleaseAll { grants } => {
            let named = grants.iter_mut().find(|(name, named)| name == resource && *named == token);
            named?.1 = other;
        }
        _ => return None,
    }
    Some(mutant)
}

/// Wrong: another held it alone, from before this one asked until after it was answered.
fn granted_within(history: &History, rng: &mut StreamRng) -> Option<History> {
    let (grants, ends) = (grants(history), given_back(history));
    let mut choices = Vec::new();
    for operation in &history.operations {
        let Some((Answer::NotGranted, returned_ns)) = answered(operation) else { continue };
        let is_one = match &operation.call {
            Call::Acquire { .. } => true,
            Call::AcquireAll { wants, .. } => wants.len() == 1 && wants[0].mode.permits() == 0,
            _ => false,
        };
        let resource = operation.call.object();
        let Some(grants) = grants.get(resource).filter(|_| is_one) else { continue };
        let around = grants.iter().find(|one| {
            let end = ends.get(&(resource, one.token));
            one.mode == LockMode::Exclusive
                && one.operation.client != operation.client
                && one.returned_ns < operation.invoked_ns
                && end.is_some_and(|end| returned_ns < end.invoked_ns)
        });
        choices.extend(around.map(|around| (operation, around.token + 1)));
    }
    let (operation, token) = pick(&choices, rng)?;
    let answer = match &operation.call {
        Call::Acquire { .. } => Answer::Granted { token },
        _ => Answer::GrantedAll { tokens: vec![token] },
    };
    Some(with_answer(history, operation.id, answer))
}

/// All that waited in vain.
fn in_vain(history: &History) -> Vec<&Operation> {
    let is_in_vain = |operation: &&Operation| {
        operation.call.wait_us() > 0 && matches!(answered(operation), Some((Answer::NotGranted, _)))
    };
    history.operations.iter().filter(is_in_vain).collect()
}

/// Wrong: no run has such a session.
fn false_deadlock(history: &History, rng: &mut StreamRng) -> Option<History> {
    let choices: Vec<&Operation> = in_vain(history)
        .into_iter()
        .filter(|operation| matches!(operation.call, Call::AcquireAll { .. } | Call::Upgrade { .. }))
        .collect();
    let operation = pick(&choices, rng)?;
    let (Call::AcquireAll { session, .. } | Call::Upgrade { session, .. }) = &operation.call else {
        return None;
    };
    let step = |session| DeadlockStep { session, resource: operation.call.object().to_owned() };
    Some(with_answer(history, operation.id, Answer::Deadlock { cycle: vec![step(*session), step(u64::MAX)] }))
}

/// Wrong: it was turned away after half of its wait.
fn turned_away(history: &History, rng: &mut StreamRng) -> Option<History> {
    let operation = pick(&in_vain(history), rng)?;
    let mut mutant = history.clone();
    let half = operation.invoked_ns.0 + operation.call.wait_us() * 500;
    mutant.operations[operation.id as usize].returned_ns = Some(VirtualTime(half));
    Some(mutant)
}

/// Puts another resource in the place of the only one that is asked for.
fn elsewhere(mut operation: Operation, resource: &str) -> Option<Operation> {
    match &mut operation.call {
        Call::Acquire { resource: asked, .. } => *asked = resource.to_owned(),
        Call::AcquireAll { wants, .. } if wants.len() == 1 && wants[0].mode.permits() == 0 => {
            wants[0].resource = resource.to_owned();
        }
        _ => return None,
    }
    Some(operation)
}

/// Wrong: nobody else in the whole run asks for it. (Where the wait can have been over before it surely began,
/// nothing can be said; those are not chosen.)
fn free_lock(history: &History, rng: &mut StreamRng) -> Option<History> {
    let choices: Vec<Operation> = in_vain(history)
        .into_iter()
        .filter(|operation| {
            let lasted = operation.returned_ns.map_or(0, |returned| returned.since_ns(operation.invoked_ns));
            lasted < operation.call.wait_us() * 1_900
        })
        .filter_map(|operation| elsewhere(operation.clone(), "what nobody wants"))
        .collect();
    let choices: Vec<&Operation> = choices.iter().collect();
    let operation = pick(&choices, rng)?;
    let mut mutant = history.clone();
    mutant.operations[operation.id as usize] = operation.clone();
    Some(mutant)
}

/// Wrong: the other stood in line alone for this one, from before the newcomer asked until after it was answered.
fn overtaken(history: &History, rng: &mut StreamRng) -> Option<History> {
    let grants = grants(history);
    let mut choices = Vec::new();
    for wait in in_vain(history) {
        let is_one = match &wait.call {
            Call::Acquire { .. } => true,
            Call::AcquireAll { wants, .. } => wants.len() == 1 && wants[0].mode.permits() == 0,
            _ => false,
        };
        let Some(returned_ns) = wait.returned_ns.filter(|_| is_one) else { continue };
        // A ten-thousandth for the clocks.
        let wait_ns = wait.call.wait_us() * 1_000 - wait.call.wait_us() / 5;
        let (from_ns, until_ns) = (returned_ns.0.saturating_sub(wait_ns), wait.invoked_ns.0 + wait_ns);
        let resource = wait.call.object();
        for one in grants.values().flatten() {
            let is_within = one.operation.invoked_ns.0 > from_ns && one.returned_ns.0 < until_ns;
            let is_single = one.mode.permits() == 0 && grants_one(one.operation);
            if is_within && is_single && one.resource != resource {
                choices.push((one.operation.id, resource));
            }
        }
    }
    let (id, resource) = pick(&choices, rng)?;
    let mut mutant = history.clone();
    mutant.operations[id as usize] = elsewhere(history.operations[id as usize].clone(), resource)?;
    mutant.holds.retain(|hold| hold.operation != id);
    Some(mutant)
}

fn grants_one(operation: &Operation) -> bool {
    match &operation.call {
        Call::Acquire { .. } => true,
        Call::AcquireAll { wants, .. } => wants.len() == 1,
        _ => false,
    }
}

/// Guarded writes that took place: key, version, and the operation.
fn effects(history: &History) -> Vec<(&str, u64, &Operation)> {
    let mut effects: Vec<(&str, u64, &Operation)> = history
        .operations
        .iter()
        .filter_map(|operation| match (&operation.call, answered(operation)) {
            (
                Call::CacheCompareAndSet { key, fence: Some(_), .. },
                Some((Answer::Written { version }, _)),
            ) => Some((key.as_str(), *version, operation)),
            _ => None,
        })
        .collect();
    effects.sort_by_key(|(key, version, _)| (*key, *version));
    effects
}

fn token_of(call: &Call) -> Option<u64> {
    match call {
        Call::CacheCompareAndSet { fence: Some(fence), .. } => Some(fence.token),
        _ => None,
    }
}

fn set_token(history: &mut History, id: u64, to: u64) {
    if let Call::CacheCompareAndSet { fence: Some(fence), .. } = &mut history.operations[id as usize].call {
        fence.token = to;
    }
}

/// Wrong: the later version bears the earlier token.
fn swapped_effects(history: &History, rng: &mut StreamRng) -> Option<History> {
    let effects = effects(history);
    let mut choices = Vec::new();
    for pair in effects.windows(2) {
        let ((key, _, one), (other_key, _, other)) = (pair[0], pair[1]);
        if let (Some(first), Some(second)) = (token_of(&one.call), token_of(&other.call))
            && key == other_key
            && first != second
        {
            choices.push((one.id, first, other.id, second));
        }
    }
    let (one, first, other, second) = pick(&choices, rng)?;
    let mut mutant = history.clone();
    set_token(&mut mutant, one, second);
    set_token(&mut mutant, other, first);
    Some(mutant)
}

/// Wrong: nobody was granted that token, and the writer can know of no other.
fn effect_without_grant(history: &History, rng: &mut StreamRng) -> Option<History> {
    let (grants, unsure) = (grants(history), unsure(history));
    let tokens: BTreeSet<u64> = effects(history).iter().filter_map(|(.., op)| token_of(&op.call)).collect();
    let choices: Vec<u64> = grants
        .values()
        .flatten()
        .filter(|one| tokens.contains(&one.token) && !unsure.contains(&one.operation.client))
        .map(|one| one.operation.id)
        .collect();
    Some(without(history, pick(&choices, rng)?))
}
