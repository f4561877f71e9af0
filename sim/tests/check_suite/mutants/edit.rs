//! Changing histories so that they stay histories.

use rand::RngExt;
use stormglass_sim::history::{Answer, History, Operation, Outcome, VirtualTime};
use stormglass_sim::rng::StreamRng;

/// A client that no run has: whoever acts in its name is in nobody's way.
pub(super) const STRANGER: u64 = 1_000_000;

/// The answer of an operation that was answered, with the time of that.
pub(super) fn answered(operation: &Operation) -> Option<(&Answer, VirtualTime)> {
    match &operation.outcome {
        Outcome::Ok { answer } => Some((answer, operation.returned_ns?)),
        _ => None,
    }
}

/// One of them, if there is one.
pub(super) fn pick<T: Copy>(all: &[T], rng: &mut StreamRng) -> Option<T> {
    (!all.is_empty()).then(|| all[rng.random_range(0..all.len())])
}

/// The history with this operation answered otherwise.
pub(super) fn with_answer(history: &History, id: u64, answer: Answer) -> History {
    let mut mutant = history.clone();
    mutant.operations[id as usize].outcome = Outcome::Ok { answer };
    mutant
}

/// The history without this operation, and without the holds that came from it.
pub(super) fn without(history: &History, id: u64) -> History {
    let mut mutant = history.clone();
    mutant.operations.remove(id as usize);
    mutant.holds.retain(|hold| hold.operation != id);
    for hold in &mut mutant.holds {
        hold.operation -= u64::from(hold.operation > id);
    }
    (0..).zip(&mut mutant.operations).for_each(|(number, operation)| operation.id = number);
    mutant
}

/// The history with this operation besides.
pub(super) fn with(history: &History, operation: Operation) -> History {
    let mut mutant = history.clone();
    let place = mutant.operations.partition_point(|other| other.invoked_ns <= operation.invoked_ns);
    mutant.operations.insert(place, operation);
    for hold in &mut mutant.holds {
        hold.operation += u64::from(hold.operation >= place as u64);
    }
    (0..).zip(&mut mutant.operations).for_each(|(number, operation)| operation.id = number);
    mutant
}

/// The history with this operation done by somebody else in another span of time.
pub(super) fn moved(history: &History, id: u64, from: VirtualTime, until: VirtualTime) -> History {
    let mut operation = history.operations[id as usize].clone();
    operation.client = STRANGER;
    operation.invoked_ns = from;
    operation.returned_ns = Some(until.max(from));
    with(&without(history, id), operation)
}

/// What was changed, in few words: the call, and how it was answered. Of one that was moved or done again by a stranger,
/// that one.
pub(super) fn changed(history: &History, mutant: &History) -> String {
    let strange = mutant.operations.iter().find(|operation| operation.client == STRANGER);
    let same = |(one, other): &(&Operation, &Operation)| {
        one.client == other.client
            && one.invoked_ns == other.invoked_ns
            && one.call == other.call
            && one.outcome == other.outcome
    };
    let alike = history.operations.iter().zip(&mutant.operations).take_while(same).count();
    let Some(operation) = strange.or_else(|| history.operations.get(alike)) else { return String::new() };
    let said = match &operation.outcome {
        Outcome::Ok { answer } => format!("{answer:?}"),
        other => format!("{other:?}"),
    };
    let word: String = said.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!("{} -> {word}", operation.call.kind())
}
