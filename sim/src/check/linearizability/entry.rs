//! Operations as the checkers of linearizability see them, one object at a time.

use super::Model;

/// An operation of a model.
pub type EntryOf<M> = Entry<<M as Model>::Op, <M as Model>::Answer>;

/// One operation on one object.
///
/// Of two operations, the one that returned strictly before the other was invoked comes first. Equal times
/// order nothing, except for two operations of one process: see [`Entry::after`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<Op, Answer> {
    /// The operation's number in its history, by which reports name it. No two of an object are equal.
    pub id: u64,
    /// Who asked.
    pub process: u64,
    /// What was asked.
    pub op: Op,
    /// The answer to be explained; `None` if nobody knows it.
    pub answer: Option<Answer>,
    /// When it was invoked, in whatever the history counts: nanoseconds of true time, or places in a file.
    pub invoked: u64,
    /// By when it has taken effect; `None`: at any time after its invocation, or never.
    pub returned: Option<u64>,
    /// The `id` of the operation of the same process that returned at the very moment at which this one was
    /// invoked, if times are so coarse that this happens. It comes first.
    pub after: Option<u64>,
    /// Whether it is a write of which at most the presence of some value can have been noticed, so that it
    /// may stand for any other such write. Set by [`Model::settle`], and false before.
    pub anonymous: bool,
}

impl<Op, Answer> Entry<Op, Answer> {
    /// An operation that was answered.
    pub const fn answered(
        id: u64,
        process: u64,
        (invoked, returned): (u64, u64),
        op: Op,
        answer: Answer,
    ) -> Self {
        Self {
            id,
            process,
            op,
            answer: Some(answer),
            invoked,
            returned: Some(returned),
            after: None,
            anonymous: false,
        }
    }

    /// An operation that was never answered: it took effect at any time after its invocation, or never.
    pub const fn unanswered(id: u64, process: u64, invoked: u64, op: Op) -> Self {
        Self { id, process, op, answer: None, invoked, returned: None, after: None, anonymous: false }
    }
}

/// All operations on one object. Linearizability is local: each object is judged by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition<Op, Answer> {
    /// The object's name, as reports show it.
    pub name: String,
    /// Its operations in the order of invocation, all but those that definitely had no effect.
    pub entries: Vec<Entry<Op, Answer>>,
}

/// The operations on one object of a model.
pub type PartitionOf<M> = Partition<<M as Model>::Op, <M as Model>::Answer>;

/// One without a name and without operations.
impl<Op, Answer> Default for Partition<Op, Answer> {
    fn default() -> Self {
        Self { name: String::new(), entries: Vec::new() }
    }
}
