//! Linearizability (Herlihy and Wing 1990): each operation seems to take effect at one moment between its
//! invocation and its completion.
//!
//! Linearizability is local, so the history is checked object by object. Each goes through tiers, and the
//! result says which tier decided:
//!
//! 1. *Replay* ([`replay()`]): the order that the answers themselves suggest is verified; linear, and a
//!    certificate.
//! 2. *Rules* ([`Model::rule`]) for special objects, in O(n log n), which also refute.
//! 3. *The frontier* ([`follow`], and [`Online`] while the history is still happening): all configurations
//!    that explain the past; its memory follows concurrency, not length.
//! 4. *The search* ([`Search`]): Wing, Gong and Lowe's, depth first, side by side with the frontier. Over a few
//!    operations it is tried before the frontier, without any memory.
//!
//! A violation is made small, without being made up, and found again by a second tier before it is shown. If
//! the second tier disagrees, one of the two is wrong, and the verdict is unknown.
//!
//! Frontiers and searches of all objects share one budget of steps, in rounds of growing size, so that one hard
//! object does not hide an easy violation in another. Steps are counted, never seconds: the same history
//! always gets the same verdict.
//!
//! A [`Model`] says what an object may answer. [`check`] takes any model and the operations in its terms;
//! [`check_history`] those of a run of the service ([`ServiceModel`]).
//!
//! Deliberately absent: any knowledge of the nodes; the models are independent specifications.

mod cache_pending;
mod contest;
mod direct;
mod entry;
mod foreign;
mod frontier;
mod limits;
mod memo;
mod model;
mod plain_pending;
mod recorded;
mod refute;
mod register_pending;
mod render;
mod rounds;
mod rule;
mod search;
mod settle;
mod shrink;
mod timeline;
mod version_guess;
mod witness;

pub use entry::{Entry, EntryOf, Partition, PartitionOf};
pub use foreign::{foreign_registers, foreign_texts};
pub use frontier::{Follow, Online, OnlineViolation, follow};
pub use limits::{
    CONFIRM_STEPS_MAX, Decided, Limits, Linearizability, Refutation, SHRINK_STEPS_MAX, STEPS_MAX, Tier, Times,
};
pub use model::{
    AppendAnswer, AppendModel, AppendOp, AppendState, CacheAnswer, CacheAsk, CacheModel, CacheOp, CacheState,
    ExclusionAnswer, ExclusionModel, ExclusionOp, ExclusionState, FifoAnswer, FifoModel, FifoOp, Life,
    LockAnswer, LockModel, LockOp, LockState, Model, PlainRegisterAnswer, PlainRegisterModel,
    PlainRegisterOp, RegisterAnswer, RegisterModel, RegisterOp, RegisterState, SetModel, Sets, TextAnswer,
    TextOp, Version,
};
pub use recorded::{ServiceModel, check_history, check_operations, entries_of, partitions_by, partitions_of};
pub use rounds::{check, check_as, verdict, verdict_of};
pub use rule::Ruling;
pub use search::{Deepest, Progress, Search};
pub use witness::{Replay, replay};
