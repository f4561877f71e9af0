//! A checker too simple to be wrong: every order of every subset is tried.

use stormglass_sim::check::linearizability::{EntryOf, Model};

/// Whether some order of at most 31 operations explains all that must have taken effect.
pub(crate) fn linearizable<M: Model>(model: &M, entries: &[EntryOf<M>]) -> bool {
    let certain = mask(entries, |entry| entry.returned.is_some());
    let before: Vec<u32> = entries
        .iter()
        .map(|next| {
            mask(entries, |first| {
                first.returned.is_some_and(|at| at < next.invoked) || next.after == Some(first.id)
            }) & certain
        })
        .collect();
    extend(model, entries, &before, certain, 0, &model.initial())
}

fn mask<M>(entries: &[M], which: impl Fn(&M) -> bool) -> u32 {
    entries.iter().enumerate().map(|(at, entry)| u32::from(which(entry)) << at).sum()
}

fn extend<M: Model>(
    model: &M,
    entries: &[EntryOf<M>],
    before: &[u32],
    certain: u32,
    done: u32,
    state: &M::State,
) -> bool {
    certain & !done == 0
        || entries.iter().enumerate().any(|(at, entry)| {
            done >> at & 1 == 0
                && before[at] & !done == 0
                && model
                    .step(state, &entry.op, entry.answer.as_ref())
                    .is_some_and(|after| extend(model, entries, before, certain, done | 1 << at, &after))
        })
}
