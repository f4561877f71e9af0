//! Tier 1: replaying a guessed order.
//!
//! If the model accepts every answer along the order, and the order never puts an operation before one that
//! had returned before it was invoked, then the order is a linearization: a certificate, found in linear
//! time. If not, nothing is proved, and the search decides.

use std::collections::BTreeSet;

use super::{EntryOf, Model};

/// What became of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Whether the order is a linearization.
    pub certified: bool,
    /// Operations replayed.
    pub steps: u64,
}

/// Replays `order`, positions in `entries`.
pub fn replay<M: Model>(model: &M, entries: &[EntryOf<M>], order: &[usize]) -> Replay {
    let mut steps = 0;
    let certified = accepts(model, entries, order, true, &mut steps);
    Replay { certified, steps }
}

/// Whether `order` is a linearization if nothing is made of operations that follow others of their process
/// at the very moment of their return.
pub(super) fn explains<M: Model>(model: &M, entries: &[EntryOf<M>], order: &[usize]) -> bool {
    accepts(model, entries, order, false, &mut 0)
}

fn accepts<M: Model>(
    model: &M,
    entries: &[EntryOf<M>],
    order: &[usize],
    strict: bool,
    steps: &mut u64,
) -> bool {
    let mut placed = vec![false; entries.len()];
    let tied = entries.iter().filter(|_| strict);
    let ties: BTreeSet<u64> = tied.filter_map(|entry| entry.after).collect();
    // What is not among the entries comes before nothing.
    let ties: BTreeSet<u64> = entries.iter().map(|entry| entry.id).filter(|id| ties.contains(id)).collect();
    let mut placed_ties = BTreeSet::new();
    let mut state = model.initial();
    let mut latest_invoked = 0;
    for &position in order {
        *steps += 1;
        let Some(entry) = entries.get(position) else { return false };
        let again = std::mem::replace(&mut placed[position], true);
        let late = entry.returned.is_some_and(|returned| returned < latest_invoked);
        let early = entry.after.is_some_and(|id| ties.contains(&id) && !placed_ties.contains(&id));
        if again || late || early {
            return false;
        }
        latest_invoked = latest_invoked.max(entry.invoked);
        if ties.contains(&entry.id) {
            placed_ties.insert(entry.id);
        }
        match model.step(&state, &entry.op, entry.answer.as_ref()) {
            Some(after) => state = after,
            None => return false,
        }
    }
    entries.iter().zip(&placed).all(|(entry, placed)| *placed || entry.returned.is_none())
}
