//! Sequential specifications: what an object may answer if one operation follows another.
//!
//! A model knows nothing of the nodes' machines. It is the page that a sceptic reads to learn what
//! "correct" means here.

mod append;
mod cache;
mod exclusion;
mod fifo;
mod lock;
mod plain_register;
mod register;
mod sets;

use std::fmt::Debug;
use std::hash::Hash;

pub use append::{AppendAnswer, AppendModel, AppendOp, AppendState, TextAnswer, TextOp};
pub use cache::{CacheAnswer, CacheAsk, CacheModel, CacheOp, CacheState, Life};
pub use exclusion::{ExclusionAnswer, ExclusionModel, ExclusionOp, ExclusionState};
pub use fifo::{FifoAnswer, FifoModel, FifoOp};
pub use lock::{LockAnswer, LockModel, LockOp, LockState};
pub use plain_register::{PlainRegisterAnswer, PlainRegisterModel, PlainRegisterOp};
pub use register::{RegisterAnswer, RegisterModel, RegisterOp, RegisterState, Version};
pub use sets::{SetModel, Sets};

use super::{EntryOf, Ruling};

/// A sequential specification of one object.
///
/// From a state and an answered operation there is at most one state. What is not so by nature, such as an
/// object that may choose, is written as a [`SetModel`].
pub trait Model {
    /// What can be asked.
    type Op: Clone + Ord + Debug;
    /// What can be answered.
    type Answer: Clone + Ord + Debug;
    /// The object's state.
    type State: Clone + Eq + Hash + Debug;

    /// The name under which reports show it.
    fn name(&self) -> &'static str;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `op` if it may be answered so in `state`.
    ///
    /// Without an answer: the state if it takes effect here, or `None` if it can have none here.
    fn step(&self, state: &Self::State, op: &Self::Op, answer: Option<&Self::Answer>) -> Option<Self::State>;

    /// Whether an operation so answered changes no state that it is accepted in, except that it may narrow
    /// down what later operations may answer. Such a one is put in its place as soon as it fits without any
    /// change. May always say no.
    fn reads(&self, _op: &Self::Op, _answer: &Self::Answer) -> bool {
        false
    }

    /// Whether an operation so answered, or not at all, is accepted in every state and leaves one that does not depend
    /// on the state before. If another such follows at once, it leaves no trace. May always say no.
    fn overwrites(&self, _op: &Self::Op, _answer: Option<&Self::Answer>) -> bool {
        false
    }

    /// Whether whatever is possible from `narrow` is possible from `wide`. May say no for all but equals.
    fn subsumes(&self, wide: &Self::State, narrow: &Self::State) -> bool {
        wide == narrow
    }

    /// The place among the object's effects that the answer itself names (a version, a token). A promise:
    /// [`Model::step`] accepts two operations with ranks only in rising order.
    fn rank(&self, _op: &Self::Op, _answer: &Self::Answer) -> Option<u64> {
        None
    }

    /// Settles operations of unknown outcome: removes those that no answer can depend on, and bounds those
    /// that an answer proves to have taken effect. Must not change whether the entries are linearizable.
    fn settle(&self, _entries: &mut Vec<EntryOf<Self>>) {}

    /// Whether an operation of unknown outcome can be of use where it would take effect in `state`. May
    /// always say yes.
    fn worthwhile(&self, _state: &Self::State, _entry: &EntryOf<Self>) -> bool {
        true
    }

    /// Whether hardly anything can follow in `state`, so that whatever leads there is tried last. May always say no.
    fn is_unlikely(&self, _state: &Self::State) -> bool {
        false
    }

    /// A guess at the order of all operations that took effect for sure, as positions in `entries`; it is
    /// verified, not believed. `None` if the answers suggest none.
    fn guess(&self, _entries: &[EntryOf<Self>]) -> Option<Vec<usize>> {
        None
    }

    /// What a rule for just this kind of object says, if one applies. It need not know of
    /// [`Entry::after`](super::Entry::after): what it finds possible is looked at again where that matters.
    fn rule(&self, _entries: &[EntryOf<Self>]) -> Option<Ruling> {
        None
    }

    /// Groups of operations, as positions in `entries`, any of which can be left out as a whole: if there is
    /// an order that explains all, there is one that explains the rest. By this a violation is made small.
    /// Those that only read can always be left out.
    fn removable(&self, entries: &[EntryOf<Self>]) -> Vec<Vec<usize>> {
        readers(self, entries)
    }

    /// What was asked, in few words.
    fn describe_op(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    /// What was answered, in few words.
    fn describe_answer(&self, answer: &Self::Answer) -> String {
        format!("{answer:?}")
    }

    /// The state, in few words.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// Each operation that only reads.
fn readers<M: Model + ?Sized>(model: &M, entries: &[EntryOf<M>]) -> Vec<Vec<usize>> {
    let reads =
        |entry: &EntryOf<M>| entry.answer.as_ref().is_some_and(|answer| model.reads(&entry.op, answer));
    (0..entries.len()).filter(|at| reads(&entries[*at])).map(|at| vec![at]).collect()
}

/// A number, or that there is none.
fn optional(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "nothing".to_owned(), |number| number.to_string())
}
