//! Histories of any kind, changed at random. Those that only say less than what was are right. Of the others many are
//! right too: an operation that nobody depended on may be missing, an answer may be exchanged for one that would have
//! done as well, and an operation may have been asked for at another time.

use rand::RngExt;
use stormglass_sim::history::{Asker, Call, History, Operation, Outcome, VirtualTime};
use stormglass_sim::rng::StreamRng;

use super::edit::{STRANGER, moved, pick, with, without};
use super::{Kind, either, right};

pub(super) const KINDS: &[Kind] = &[
    right("right: a completion dropped", forgotten),
    right("right: an operation that may have lasted longer", widened),
    either("at random: an operation dropped", dropped),
    either("at random: an operation done twice", doubled),
    either("at random: answers of two alike, exchanged", exchanged),
    either("at random: an operation moved by up to a second", shifted),
];

/// Those that were answered.
fn answered(history: &History) -> Vec<&Operation> {
    let is_answered = |operation: &&Operation| matches!(operation.outcome, Outcome::Ok { .. });
    history.operations.iter().filter(is_answered).collect()
}

fn dropped(history: &History, rng: &mut StreamRng) -> Option<History> {
    Some(without(history, pick(&answered(history), rng)?.id))
}

/// Right: it had its effect, and nobody need know.
fn forgotten(history: &History, rng: &mut StreamRng) -> Option<History> {
    let id = pick(&answered(history), rng)?.id;
    let mut mutant = history.clone();
    mutant.operations[id as usize].outcome = Outcome::Unknown { reason: "it was forgotten".to_owned() };
    Some(mutant)
}

fn doubled(history: &History, rng: &mut StreamRng) -> Option<History> {
    let mut again = pick(&answered(history), rng)?.clone();
    let lasted = again.returned_ns?.since_ns(again.invoked_ns);
    again.client = STRANGER;
    again.invoked_ns = VirtualTime(again.invoked_ns.0 + rng.random_range(0..1_000_000_000));
    again.returned_ns = Some(VirtualTime(again.invoked_ns.0 + lasted));
    Some(with(history, again))
}

/// How many resources it asks for: so many tokens belong into its answer.
fn wanted(call: &Call) -> usize {
    match call {
        Call::AcquireAll { wants, .. } => wants.len(),
        _ => 1,
    }
}

fn exchanged(history: &History, rng: &mut StreamRng) -> Option<History> {
    let one = pick(&answered(history), rng)?;
    let alike: Vec<&Operation> = answered(history)
        .into_iter()
        .filter(|other| {
            other.id > one.id
                && other.call.kind() == one.call.kind()
                && other.call.object() == one.call.object()
                && wanted(&other.call) == wanted(&one.call)
                && other.outcome != one.outcome
        })
        .collect();
    let Some(other) = pick(&alike, rng) else { return Some(without(history, one.id)) };
    let mut mutant = history.clone();
    mutant.operations[one.id as usize].outcome = other.outcome.clone();
    mutant.operations[other.id as usize].outcome = one.outcome.clone();
    Some(mutant)
}

fn shifted(history: &History, rng: &mut StreamRng) -> Option<History> {
    let choices: Vec<&Operation> = answered(history)
        .into_iter()
        .filter(|operation| history.holds.iter().all(|hold| hold.operation != operation.id))
        .collect();
    let operation = pick(&choices, rng)?;
    let lasted = operation.returned_ns?.since_ns(operation.invoked_ns);
    let by = rng.random_range(0..2_000_000_000);
    let from = (operation.invoked_ns.0 + by).saturating_sub(1_000_000_000);
    Some(moved(history, operation.id, VirtualTime(from), VirtualTime(from + lasted)))
}

/// A thread of a client's process that no run has.
const THREAD: u64 = 900;

/// Right: whatever is said of its span holds of a shorter one within. (Locks and effects say by whom they are
/// held. What gives a lock back is another thread of the same process.)
fn widened(history: &History, rng: &mut StreamRng) -> Option<History> {
    let choices: Vec<&Operation> = answered(history)
        .into_iter()
        .filter(|operation| match &operation.call {
            Call::Acquire { .. }
            | Call::AcquireAll { .. }
            | Call::Upgrade { .. }
            | Call::Downgrade { .. } => false,
            Call::CacheCompareAndSet { fence, .. } => fence.is_none(),
            _ => true,
        })
        .collect();
    let operation = pick(&choices, rng)?;
    let from = operation.invoked_ns.0.saturating_sub(rng.random_range(0..100_000_000));
    let until = operation.returned_ns?.0 + rng.random_range(0..100_000_000);
    let mut mutant = moved(history, operation.id, VirtualTime(from), VirtualTime(until));
    let client = Asker::of(operation.client).client;
    let strange = mutant.operations.iter_mut().filter(|operation| operation.client == STRANGER);
    strange.for_each(|operation| operation.client = Asker { client, among: THREAD }.number());
    Some(mutant)
}
