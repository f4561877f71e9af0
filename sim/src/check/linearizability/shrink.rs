//! Making a violation small (after Zeller and Hildebrandt 2002), without ever making one up.
//!
//! Operations are left out in groups that the model says do not matter to the rest
//! ([`Model::removable`]): if what is left is not linearizable, then neither was the whole. Leaving out just
//! any operation would not do: a read of a value whose write is gone is no violation of the history.

use super::contest::decide;
use super::limits::SHRINK_STEPS_MAX;
use super::{EntryOf, Model};

/// Steps that one trial may take at least; otherwise so many times what the whole took.
const TRIAL_STEPS_MIN: u64 = 20_000;
const TRIAL_STEPS_PER_STEP: u64 = 2;
/// How often groups are looked for anew, because those that are gone may have stood in the way of others.
const PASSES_MAX: usize = 4;

/// Operations that are not linearizable, fewer if it can be had. `culprit` is one, as a position, that could
/// not have returned as it did. Deciding all took `decided_in` steps. Adds to `steps`.
pub(super) fn shrink<M: Model>(
    model: &M,
    entries: &[EntryOf<M>],
    culprit: Option<usize>,
    decided_in: u64,
    steps: &mut u64,
) -> Vec<EntryOf<M>> {
    let mut shrinking =
        Shrinking { model, trial_steps: TRIAL_STEPS_MIN.max(TRIAL_STEPS_PER_STEP * decided_in), spent: 0 };
    let mut entries =
        culprit.and_then(|culprit| shrinking.cut(entries, culprit)).unwrap_or_else(|| entries.to_vec());
    for _ in 0..PASSES_MAX {
        let before = entries.len();
        entries = shrinking.pass(entries);
        if entries.len() == before {
            break;
        }
    }
    *steps += shrinking.spent;
    entries
}

struct Shrinking<'m, M> {
    model: &'m M,
    trial_steps: u64,
    spent: u64,
}

impl<M: Model> Shrinking<'_, M> {
    fn is_violation(&mut self, entries: &[EntryOf<M>]) -> bool {
        // Those that are dealt with at once cost a step each all the same.
        self.spent += entries.len() as u64;
        decide(self.model, entries, self.trial_steps, &mut self.spent)
            .is_some_and(|decision| !decision.linearizable)
    }

    fn is_spent(&self) -> bool {
        self.spent >= SHRINK_STEPS_MAX
    }

    /// What had been invoked when the culprit returned, if that is enough. Of what was still open then
    /// nothing is asked any more but that it may take effect.
    fn cut(&mut self, entries: &[EntryOf<M>], culprit: usize) -> Option<Vec<EntryOf<M>>> {
        let until = entries.get(culprit)?.returned?;
        let cut: Vec<EntryOf<M>> = entries
            .iter()
            .filter(|entry| entry.invoked <= until)
            .map(|entry| {
                let mut entry = entry.clone();
                if entry.returned.is_some_and(|returned| returned > until) {
                    (entry.returned, entry.answer) = (None, None);
                }
                entry
            })
            .collect();
        self.is_violation(&cut).then_some(cut)
    }

    /// Tries to leave out groups, many at a time at first.
    fn pass(&mut self, entries: Vec<EntryOf<M>>) -> Vec<EntryOf<M>> {
        let mut groups = self.model.removable(&entries);
        // The latest operations are the most likely to matter.
        groups.sort_by_key(|group| group.last().copied());
        let mut gone = vec![false; entries.len()];
        let mut size = groups.len().div_ceil(2).max(1);
        loop {
            groups.retain(|group| group.iter().any(|at| !gone[*at]));
            let mut at = 0;
            while at < groups.len() {
                if self.is_spent() {
                    return keep(&entries, &gone);
                }
                let chunk = at..(at + size).min(groups.len());
                let mut trial = gone.clone();
                groups[chunk.clone()].iter().flatten().for_each(|at| trial[*at] = true);
                if trial.contains(&false) && self.is_violation(&keep(&entries, &trial)) {
                    gone = trial;
                }
                at = chunk.end;
            }
            if size == 1 {
                return keep(&entries, &gone);
            }
            size = size.div_ceil(2);
        }
    }
}

fn keep<Op: Clone, Answer: Clone>(
    entries: &[super::Entry<Op, Answer>],
    gone: &[bool],
) -> Vec<super::Entry<Op, Answer>> {
    entries.iter().zip(gone).filter(|(_, gone)| !**gone).map(|(entry, _)| entry.clone()).collect()
}
