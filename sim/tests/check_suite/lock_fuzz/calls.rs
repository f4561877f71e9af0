//! What the clients of the simple service ask for.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::seq::IndexedRandom;
use stormglass_sim::history::{Answer, Call, Fence, LockMode, LockWant};
use stormglass_sim::rng::StreamRng;

use super::service::Locks;

const LOCKS: [&str; 2] = ["r", "q"];
const SEMAPHORES: [&str; 1] = ["s"];

/// A call, and what its client holds that it uses up or changes.
type Drawn = (Call, Vec<(String, u64)>);

/// Draws what a client asks next that believes to hold this, and has asked for something with locks that are busy. It
/// may look up what the service has granted to it of which it was not told; then that is noted.
pub(crate) fn draw(
    rng: &mut StreamRng,
    held: &[(String, LockMode, u64)],
    busy: &[String],
    locks: &Locks,
    session: u64,
    looked_up: Option<&mut BTreeSet<(String, u64)>>,
) -> Drawn {
    let is_known = |one: &(String, u64)| busy.contains(&one.0) || held.iter().any(|held| held.2 == one.1);
    let unheard: Vec<(String, u64)> =
        locks.held_by(session).into_iter().filter(|one| !is_known(one)).collect();
    if let Some(looked_up) = looked_up
        && let Some((resource, token)) = unheard.choose(rng).cloned()
        && rng.random_bool(0.4)
    {
        looked_up.insert((resource.clone(), token));
        let call = match rng.random_range(0..3) {
            0 => guarded_write(&resource, token, 1),
            1 => Call::CheckToken { resource, token },
            _ => Call::Release { resource, token },
        };
        return (call, Vec::new());
    }
    match held.choose(rng).cloned().filter(|_| rng.random_bool(0.6)) {
        Some(one) => with_what_is_held(rng, one, held, session),
        None => with_nothing(rng, locks, session),
    }
}

fn with_what_is_held(
    rng: &mut StreamRng,
    (resource, mode, token): (String, LockMode, u64),
    held: &[(String, LockMode, u64)],
    session: u64,
) -> Drawn {
    let used = vec![(resource.clone(), token)];
    match rng.random_range(0..8) {
        0 => (guarded_write(&resource, token, 1), Vec::new()),
        1 => (Call::CheckToken { resource, token }, Vec::new()),
        2 | 3 if mode == LockMode::Shared => {
            let wait_us = wait_us(rng);
            (Call::Upgrade { session, resource, token, wait_us }, used)
        }
        2 | 3 if mode == LockMode::Exclusive => (Call::Downgrade { session, resource, token }, used),
        4 => {
            let grants: Vec<(String, u64)> =
                held.iter().map(|(resource, _, token)| (resource.clone(), *token)).collect();
            (Call::ReleaseAll { grants: grants.clone() }, grants)
        }
        _ => (Call::Release { resource, token }, used),
    }
}

fn with_nothing(rng: &mut StreamRng, locks: &Locks, session: u64) -> Drawn {
    let name = (*LOCKS.choose(rng).expect("there are some")).to_owned();
    let semaphore = (*SEMAPHORES.choose(rng).expect("there are some")).to_owned();
    let tokens: Vec<(String, u64)> = locks
        .resources
        .iter()
        .flat_map(|(name, one)| one.holders.keys().map(|token| (name.clone(), *token)))
        .collect();
    let is_declared = locks.resources.contains_key(&semaphore);
    let call = match (rng.random_range(0..20), tokens.choose(rng).cloned()) {
        (0, _) | (10..15, _) if rng.random_bool(if is_declared { 0.1 } else { 1.0 }) => {
            Call::DeclareSemaphore { resource: semaphore, permits: rng.random_range(2..5) }
        }
        (1, _) => Call::LockState { resource: if rng.random_bool(0.7) { name } else { semaphore } },
        (2, Some((resource, token))) => Call::CheckToken { resource, token },
        (3, Some((resource, token))) if rng.random_bool(0.5) => Call::ForceRelease { resource, token },
        (4..10, _) => {
            Call::Acquire { resource: name, exclusive: rng.random_bool(0.4), wait_us: wait_us(rng) }
        }
        _ => Call::AcquireAll { session, wants: wants(rng), wait_us: wait_us(rng) },
    };
    (call, Vec::new())
}

fn wait_us(rng: &mut StreamRng) -> u64 {
    if rng.random_bool(0.4) { 0 } else { rng.random_range(1..10) }
}

fn wants(rng: &mut StreamRng) -> Vec<LockWant> {
    let mut wants = Vec::new();
    let count = if rng.random_bool(0.7) { 1 } else { 2 };
    while wants.len() < count {
        let is_semaphore = rng.random_bool(0.4);
        let names: &[&str] = if is_semaphore { &SEMAPHORES } else { &LOCKS };
        let resource = (*names.choose(rng).expect("there are some")).to_owned();
        let mode = match is_semaphore {
            true => LockMode::Permits(rng.random_range(1..4)),
            false if rng.random_bool(0.5) => LockMode::Shared,
            false => LockMode::Exclusive,
        };
        if wants.iter().all(|want: &LockWant| want.resource != resource) {
            wants.push(LockWant { resource, mode });
        }
    }
    wants
}

/// What an answer grants.
pub(crate) fn granted(call: &Call, answer: &Answer) -> Vec<(String, LockMode, u64)> {
    match (call, answer) {
        (Call::Acquire { resource, exclusive, .. }, Answer::Granted { token }) => {
            let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
            vec![(resource.clone(), mode, *token)]
        }
        (Call::Upgrade { resource, .. }, Answer::Granted { token }) => {
            vec![(resource.clone(), LockMode::Exclusive, *token)]
        }
        (Call::Downgrade { resource, .. }, Answer::Granted { token }) => {
            vec![(resource.clone(), LockMode::Shared, *token)]
        }
        (Call::AcquireAll { wants, .. }, Answer::GrantedAll { tokens }) => {
            wants.iter().zip(tokens).map(|(want, token)| (want.resource.clone(), want.mode, *token)).collect()
        }
        _ => Vec::new(),
    }
}

/// A write of what a lock guards.
fn guarded_write(resource: &str, token: u64, value: i64) -> Call {
    Call::CacheCompareAndSet {
        key: format!("guarded by {resource}"),
        expected_version: None,
        value,
        ttl_us: None,
        fence: Some(Box::new(Fence { resource: resource.to_owned(), token })),
    }
}
