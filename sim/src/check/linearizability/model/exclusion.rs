//! A mutex or reader-writer lock as a process has it: without leases, so that a holder keeps it until it
//! gives it back.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rule;
use super::{EntryOf, Model, Ruling, readers};

/// The specification.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExclusionModel;

/// What can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExclusionOp {
    /// To hold it.
    Acquire {
        /// Who would hold it.
        holder: u64,
        /// Alone, or else beside others.
        exclusive: bool,
    },
    /// To hold it no longer.
    Release {
        /// Who holds it.
        holder: u64,
    },
}

/// What it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExclusionAnswer {
    /// It is held now.
    Granted,
    /// A try found it held by others.
    Refused,
    /// It was given back.
    Released,
}

/// Who holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExclusionState {
    /// Whether the one holder is alone.
    pub exclusive: bool,
    /// The holders.
    pub holders: BTreeSet<u64>,
}

impl ExclusionState {
    fn admits(&self, exclusive: bool) -> bool {
        self.holders.is_empty() || !(exclusive || self.exclusive)
    }
}

impl Model for ExclusionModel {
    type Op = ExclusionOp;
    type Answer = ExclusionAnswer;
    type State = ExclusionState;

    fn name(&self) -> &'static str {
        "mutex"
    }

    fn initial(&self) -> ExclusionState {
        ExclusionState::default()
    }

    fn step(
        &self,
        state: &ExclusionState,
        op: &ExclusionOp,
        answer: Option<&ExclusionAnswer>,
    ) -> Option<ExclusionState> {
        match (*op, answer) {
            (ExclusionOp::Acquire { holder, exclusive }, None | Some(ExclusionAnswer::Granted)) => {
                (state.admits(exclusive) && !state.holders.contains(&holder)).then_some(())?;
                let holders = state.holders.iter().copied().chain([holder]).collect();
                Some(ExclusionState { exclusive, holders })
            }
            (ExclusionOp::Acquire { exclusive, .. }, Some(ExclusionAnswer::Refused)) => {
                (!state.admits(exclusive)).then(|| state.clone())
            }
            (ExclusionOp::Release { holder }, None | Some(ExclusionAnswer::Released)) => {
                let mut after = state.clone();
                after.holders.remove(&holder).then_some(())?;
                after.exclusive = false;
                Some(after)
            }
            _ => None,
        }
    }

    fn reads(&self, _op: &ExclusionOp, answer: &ExclusionAnswer) -> bool {
        *answer == ExclusionAnswer::Refused
    }

    fn rule(&self, entries: &[EntryOf<Self>]) -> Option<Ruling> {
        rule::exclusion(entries)
    }

    /// A hold from grant to release, as long as nobody was refused.
    fn removable(&self, entries: &[EntryOf<Self>]) -> Vec<Vec<usize>> {
        let mut groups = readers(self, entries);
        if !groups.is_empty() {
            return groups;
        }
        let mut open: BTreeMap<u64, usize> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.answer.is_some()) {
            match entry.op {
                ExclusionOp::Acquire { holder, .. } => {
                    open.insert(holder, at);
                }
                ExclusionOp::Release { holder } => {
                    groups.extend(open.remove(&holder).map(|from| vec![from, at]))
                }
            }
        }
        groups
    }
}
