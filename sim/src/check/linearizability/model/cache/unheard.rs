//! A guess at where additions and writes of unknown outcome had their effect.
//!
//! Along the order that the versions give, a counter is found to be more than it was left, or a value to be there that
//! nobody known had written. What makes up for it is put right before: as few additions as come to the difference, or a
//! write and what had been added to it. Any that had been asked for will do: those that are left can stand for it later.

use std::collections::{BTreeMap, VecDeque};

use super::super::EntryOf;
use super::{CacheAnswer, CacheAsk, CacheModel};

/// At most so many additions are put in one place,
const ADDITIONS_MAX: usize = 6;
/// and so many combinations are tried for it.
const TRIES_MAX: u32 = 4_096;
/// Writes that are tried, the last ones.
const WRITES_MAX: usize = 8;

/// Additions and writes of unknown outcome that were asked for so far and not yet used, as positions.
#[derive(Default)]
struct Unheard {
    /// By how much is added; those asked for first are used first.
    additions: BTreeMap<i64, VecDeque<usize>>,
    /// The last ones, by value.
    writes: Vec<(i64, usize)>,
}

/// The order with what makes up for what was found.
pub(super) fn with_unheard(entries: &[EntryOf<CacheModel>], order: Vec<usize>) -> Vec<usize> {
    let mut open = (0..entries.len())
        .filter(|at| entries[*at].returned.is_none())
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    if open.peek().is_none() {
        return order;
    }
    // What comes before an operation comes before all that return later in this order, and was asked for by then.
    let mut by: Vec<u64> = order.iter().map(|at| entries[*at].returned.unwrap_or(u64::MAX)).collect();
    for place in (1..by.len()).rev() {
        by[place - 1] = by[place - 1].min(by[place]);
    }
    let mut unheard = Unheard::default();
    let mut there = 0;
    let mut all = Vec::with_capacity(order.len());
    for (at, by) in order.into_iter().zip(by) {
        let Some((found, left)) = found_and_left(&entries[at]) else {
            all.push(at);
            continue;
        };
        while let Some(at) = open.next_if(|at| entries[*at].invoked <= by) {
            unheard.note(at, &entries[at]);
        }
        if let Some(found) = found.filter(|found| *found != there) {
            unheard.make_up(there, found, &mut all);
        }
        there = left;
        all.push(at);
    }
    all
}

impl Unheard {
    fn note(&mut self, at: usize, entry: &EntryOf<CacheModel>) {
        match entry.op.ask {
            CacheAsk::Add(by) if by != 0 => self.additions.entry(by).or_default().push_back(at),
            CacheAsk::Set { value, .. } => {
                self.writes.push((value, at));
                if self.writes.len() > WRITES_MAX {
                    self.writes.remove(0);
                }
            }
            _ => {}
        }
    }

    /// Puts what leads from one value to another, if it is found.
    fn make_up(&mut self, from: i64, to: i64, all: &mut Vec<usize>) {
        let sizes: Vec<(i64, usize)> = self
            .additions
            .iter()
            .filter(|(_, left)| !left.is_empty())
            .map(|(by, left)| (*by, left.len()))
            .collect();
        if let Some(chosen) = combination(&sizes, from, to) {
            return self.take(&chosen, all);
        }
        let written = self.writes.iter().enumerate().rev();
        let found = written.filter_map(|(place, (value, _))| Some((place, combination(&sizes, *value, to)?)));
        if let Some((place, chosen)) = found.min_by_key(|(_, chosen)| chosen.len()) {
            all.push(self.writes.remove(place).1);
            self.take(&chosen, all);
        }
    }

    fn take(&mut self, chosen: &[i64], all: &mut Vec<usize>) {
        let oldest = |by: &i64| self.additions.get_mut(by).and_then(VecDeque::pop_front);
        all.extend(chosen.iter().filter_map(oldest));
    }
}

/// The additions that lead from one value to another, as few as will do.
fn combination(sizes: &[(i64, usize)], from: i64, to: i64) -> Option<Vec<i64>> {
    let more = to.checked_sub(from)?;
    let mut chosen = Vec::new();
    let mut tries = TRIES_MAX;
    (0..=ADDITIONS_MAX).any(|count| choose(sizes, more, count, &mut chosen, &mut tries)).then_some(chosen)
}

/// Chooses so many of these sizes, none oftener than it is there, that come to this sum.
fn choose(sizes: &[(i64, usize)], sum: i64, count: usize, chosen: &mut Vec<i64>, tries: &mut u32) -> bool {
    if count == 0 {
        return sum == 0;
    }
    if count == 1 {
        let last = sizes.binary_search_by_key(&sum, |(by, _)| *by);
        chosen.extend(last.iter().map(|_| sum));
        return last.is_ok();
    }
    for (place, (by, left)) in sizes.iter().enumerate() {
        let Some(rest) = tries.checked_sub(1) else { return false };
        *tries = rest;
        let Some(sum) = sum.checked_sub(*by) else { continue };
        let before = chosen.len();
        chosen.push(*by);
        // Sizes are chosen in rising order; this one again as often as it is there.
        let again = usize::from(*left <= chosen.iter().filter(|one| *one == by).count());
        if choose(&sizes[place + again..], sum, count - 1, chosen, tries) {
            return true;
        }
        chosen.truncate(before);
    }
    false
}

/// What an operation found, if that shows, and what it left; nothing counts as 0. None if it says neither.
fn found_and_left(entry: &EntryOf<CacheModel>) -> Option<(Option<i64>, i64)> {
    match (entry.op.ask, entry.answer?) {
        (_, CacheAnswer::Found(found) | CacheAnswer::Refused(found)) => {
            let there = found.map_or(0, |(value, _)| value);
            Some((Some(there), there))
        }
        (CacheAsk::Add(by), CacheAnswer::Counted { value, .. }) => Some((value.checked_sub(by), value)),
        (CacheAsk::Set { value, .. } | CacheAsk::Compare { value, .. }, _) => Some((None, value)),
        (CacheAsk::Delete, _) => Some((None, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn as_few_sizes_as_come_to_a_sum_are_chosen_and_none_too_often() {
        let sizes = [(-2, 1), (3, 2), (5, 1)];
        let chosen = |sum, count| {
            let mut chosen = Vec::new();
            choose(&sizes, sum, count, &mut chosen, &mut 100).then_some(chosen)
        };
        assert_eq!(chosen(5, 1), Some(vec![5]));
        assert_eq!(chosen(6, 2), Some(vec![3, 3]));
        assert_eq!(chosen(9, 3), None, "there are two of 3 only");
        assert_eq!(chosen(6, 3), Some(vec![-2, 3, 5]));
        assert_eq!(chosen(i64::MIN, 4), None);
    }
}
