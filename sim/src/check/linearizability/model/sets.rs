//! Specifications in which an operation may lead to several states: an object that may choose.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use super::Model;

/// A specification of one object whose operations may each lead to any of a set of states.
pub trait SetModel {
    /// What can be asked.
    type Op: Clone + Ord + Debug;
    /// What can be answered.
    type Answer: Clone + Ord + Debug;
    /// One of the states that the object may be in.
    type State: Clone + Ord + Hash + Debug;

    /// The name under which reports show it.
    fn name(&self) -> &'static str;

    /// The states that are possible before the first operation.
    fn initial(&self) -> BTreeSet<Self::State>;

    /// The states that are possible after `op` if it is answered so in `state`; none if it cannot be.
    /// Without an answer: those after any answer.
    fn steps(
        &self,
        state: &Self::State,
        op: &Self::Op,
        answer: Option<&Self::Answer>,
    ) -> BTreeSet<Self::State>;

    /// As [`Model::reads`]: it leads from no state to another.
    fn reads(&self, _op: &Self::Op, _answer: &Self::Answer) -> bool {
        false
    }
}

/// A [`SetModel`] as a [`Model`]: its state is the set of all states that the answers leave possible.
///
/// Exact: an order of operations is explained by some run of choices if and only if this set never becomes
/// empty along it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sets<M>(pub M);

impl<M: SetModel> Model for Sets<M> {
    type Op = M::Op;
    type Answer = M::Answer;
    type State = BTreeSet<M::State>;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn initial(&self) -> Self::State {
        self.0.initial()
    }

    fn step(&self, states: &Self::State, op: &M::Op, answer: Option<&M::Answer>) -> Option<Self::State> {
        let after: Self::State = states.iter().flat_map(|state| self.0.steps(state, op, answer)).collect();
        (!after.is_empty()).then_some(after)
    }

    fn reads(&self, op: &M::Op, answer: &M::Answer) -> bool {
        self.0.reads(op, answer)
    }

    fn subsumes(&self, wide: &Self::State, narrow: &Self::State) -> bool {
        wide.is_superset(narrow)
    }
}
