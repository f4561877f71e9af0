//! Sequential specifications: what an object may answer if one operation follows another.
//!
//! A model knows nothing of the nodes' machines. It is the page that a sceptic reads to learn what
//! "correct" means here.

mod lock;
mod register;

use std::fmt::Debug;
use std::hash::Hash;

pub use lock::{LockModel, LockState};
pub use register::{RegisterModel, RegisterState, Version};

use super::Entry;
use crate::history::{Answer, Call};

/// A sequential specification of one object.
pub trait Model {
    /// The object's state.
    type State: Clone + Eq + Hash + Debug;

    /// The name under which reports show it.
    fn name(&self) -> &'static str;

    /// Whether this is one of the object's operations.
    fn applies(&self, call: &Call) -> bool;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `call` if it may be answered so in `state`.
    ///
    /// Without an answer: the state if it takes effect here, or `None` if it can have none here. An effect
    /// that only ever narrows what later operations may answer counts as none. If it can take effect in two
    /// states, then any difference between the results only narrows, in the same way.
    fn step(&self, state: &Self::State, call: &Call, answer: Option<&Answer>) -> Option<Self::State>;

    /// The place among the object's effects that the answer itself names (a version, a token). A promise:
    /// [`Model::step`] accepts two operations with ranks only in rising order.
    fn rank(&self, call: &Call, answer: &Answer) -> Option<u64>;

    /// Settles operations of unknown outcome: removes those that no answer can depend on, and bounds those
    /// that an answer proves to have taken effect. Must not change whether the entries are linearizable.
    fn settle(&self, entries: &mut Vec<Entry<'_>>);

    /// Whether an operation of unknown outcome can be of use where it would take effect in `state`. May
    /// always say yes.
    fn worthwhile(&self, _state: &Self::State, _entry: &Entry<'_>) -> bool {
        true
    }

    /// A guess at the order of all operations that took effect for sure, as positions in `entries`; it is
    /// verified, not believed. `None` if the answers suggest none.
    fn guess(&self, entries: &[Entry<'_>]) -> Option<Vec<usize>>;
}
