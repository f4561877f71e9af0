//! A queue: what is put first is taken first.

use std::collections::{BTreeMap, VecDeque};

use super::super::rule;
use super::{EntryOf, Model, Ruling, readers};

/// The specification of a queue without leases: an item is taken once, and gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct FifoModel;

/// What can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FifoOp {
    /// Put this at its end.
    Enqueue(u64),
    /// Take what is at its head.
    Dequeue,
}

/// What it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FifoAnswer {
    /// It was put.
    Done,
    /// This was taken.
    Item(u64),
    /// There was nothing to take.
    Empty,
}

impl Model for FifoModel {
    type Op = FifoOp;
    type Answer = FifoAnswer;
    type State = VecDeque<u64>;

    fn name(&self) -> &'static str {
        "queue"
    }

    fn initial(&self) -> VecDeque<u64> {
        VecDeque::new()
    }

    fn step(&self, state: &VecDeque<u64>, op: &FifoOp, answer: Option<&FifoAnswer>) -> Option<VecDeque<u64>> {
        match (*op, answer) {
            (FifoOp::Enqueue(item), None | Some(FifoAnswer::Done)) => {
                let mut after = state.clone();
                after.push_back(item);
                Some(after)
            }
            (FifoOp::Dequeue, Some(FifoAnswer::Empty)) => state.is_empty().then(|| state.clone()),
            (FifoOp::Dequeue, None | Some(FifoAnswer::Item(_))) => {
                let head = *state.front()?;
                (answer.is_none() || answer == Some(&FifoAnswer::Item(head))).then_some(())?;
                let mut after = state.clone();
                after.pop_front();
                Some(after)
            }
            _ => None,
        }
    }

    fn reads(&self, _op: &FifoOp, answer: &FifoAnswer) -> bool {
        *answer == FifoAnswer::Empty
    }

    fn rule(&self, entries: &[EntryOf<Self>]) -> Option<Ruling> {
        rule::fifo(entries)
    }

    /// An item that was put once, with its being taken.
    fn removable(&self, entries: &[EntryOf<Self>]) -> Vec<Vec<usize>> {
        let mut groups = readers(self, entries);
        if entries.iter().any(|entry| entry.op == FifoOp::Dequeue && entry.answer.is_none()) {
            return groups;
        }
        let mut items: BTreeMap<u64, (Vec<usize>, u64)> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let item = match (entry.op, entry.answer) {
                (FifoOp::Enqueue(item), _) => {
                    items.entry(item).or_default().1 += 1;
                    item
                }
                (FifoOp::Dequeue, Some(FifoAnswer::Item(item))) => item,
                _ => continue,
            };
            items.entry(item).or_default().0.push(at);
        }
        groups.extend(items.into_values().filter(|(_, puts)| *puts == 1).map(|(group, _)| group));
        groups
    }
}
