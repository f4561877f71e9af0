//! A register without versions, as public histories have it: read, write, compare-and-set.

use std::collections::BTreeMap;

use super::super::plain_pending::settle;
use super::super::rule;
use super::{EntryOf, Model, Ruling, optional, readers};

/// The specification. The value is a number or nothing, and nothing at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainRegisterModel;

/// What can be asked of it. `None` stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlainRegisterOp {
    /// What is there?
    Read,
    /// Make it this.
    Write(Option<i64>),
    /// Make it `to` if it is `from`.
    CompareAndSet {
        /// What must be there.
        from: Option<i64>,
        /// What is there afterwards.
        to: Option<i64>,
    },
}

/// What it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlainRegisterAnswer {
    /// This was read.
    Value(Option<i64>),
    /// A write, or a compare-and-set that found what it should.
    Done,
    /// A compare-and-set that found something else, for certain, and changed nothing.
    Refused,
}

impl Model for PlainRegisterModel {
    type Op = PlainRegisterOp;
    type Answer = PlainRegisterAnswer;
    type State = Option<i64>;

    fn name(&self) -> &'static str {
        "register"
    }

    fn initial(&self) -> Option<i64> {
        None
    }

    fn step(
        &self,
        state: &Option<i64>,
        op: &PlainRegisterOp,
        answer: Option<&PlainRegisterAnswer>,
    ) -> Option<Option<i64>> {
        use PlainRegisterAnswer::{Done, Refused, Value};
        match (*op, answer) {
            (PlainRegisterOp::Read, None) => Some(*state),
            (PlainRegisterOp::Read, Some(Value(value))) => (value == state).then_some(*state),
            (PlainRegisterOp::Write(value), None | Some(Done)) => Some(value),
            (PlainRegisterOp::CompareAndSet { from, to }, None | Some(Done)) => {
                (from == *state).then_some(to)
            }
            (PlainRegisterOp::CompareAndSet { from, .. }, Some(Refused)) => {
                (from != *state).then_some(*state)
            }
            _ => None,
        }
    }

    fn reads(&self, _op: &PlainRegisterOp, answer: &PlainRegisterAnswer) -> bool {
        !matches!(answer, PlainRegisterAnswer::Done)
    }

    fn overwrites(&self, op: &PlainRegisterOp, answer: Option<&PlainRegisterAnswer>) -> bool {
        matches!((op, answer), (PlainRegisterOp::Write(_), None | Some(PlainRegisterAnswer::Done)))
    }

    fn settle(&self, entries: &mut Vec<EntryOf<Self>>) {
        settle(entries);
    }

    fn rule(&self, entries: &[EntryOf<Self>]) -> Option<Ruling> {
        rule::blocks(entries)
    }

    /// A value that was written once and not swapped, with its reads, as long as nobody was refused.
    fn removable(&self, entries: &[EntryOf<Self>]) -> Vec<Vec<usize>> {
        let mut groups = readers(self, entries);
        if entries.iter().any(|entry| entry.answer == Some(PlainRegisterAnswer::Refused)) {
            return groups;
        }
        // Per value: its operations, and how many forbid to leave it out.
        let mut values: BTreeMap<i64, (Vec<usize>, u64)> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let (seen, written) = match (entry.op, entry.answer) {
                (PlainRegisterOp::Read, Some(PlainRegisterAnswer::Value(value))) => (value, None),
                (PlainRegisterOp::Read, _) => continue,
                (PlainRegisterOp::Write(value), _) => (None, value),
                (PlainRegisterOp::CompareAndSet { from, to }, _) => {
                    if let Some(from) = from {
                        values.entry(from).or_default().1 += 2;
                    }
                    (None, to)
                }
            };
            for value in [seen, written].into_iter().flatten() {
                values.entry(value).or_default().0.push(at);
            }
            if let Some(value) = written {
                values.entry(value).or_default().1 += 1;
            }
        }
        groups.extend(values.into_values().filter(|(_, obstacles)| *obstacles <= 1).map(|(group, _)| group));
        groups
    }

    fn describe_op(&self, op: &PlainRegisterOp) -> String {
        match *op {
            PlainRegisterOp::Read => "read".to_owned(),
            PlainRegisterOp::Write(value) => format!("write {}", optional(value)),
            PlainRegisterOp::CompareAndSet { from, to } => {
                format!("write {} if {}", optional(to), optional(from))
            }
        }
    }

    fn describe_answer(&self, answer: &PlainRegisterAnswer) -> String {
        match *answer {
            PlainRegisterAnswer::Value(value) => optional(value),
            PlainRegisterAnswer::Done => "done".to_owned(),
            PlainRegisterAnswer::Refused => "found something else".to_owned(),
        }
    }

    fn describe_state(&self, state: &Option<i64>) -> String {
        optional(*state)
    }
}
