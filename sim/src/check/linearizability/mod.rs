//! Linearizability (Herlihy and Wing 1990): each operation seems to take effect at one moment between its
//! invocation and its completion.
//!
//! Linearizability is local, so the history is checked object by object. Each goes through tiers, and the
//! result says which tier decided:
//!
//! 1. [`replay`]: the order that the answers themselves suggest is verified; linear, and a certificate.
//! 2. [`Search`]: Wing, Gong and Lowe's depth-first search, which also finds violations.
//!
//! The searches of all objects share one budget of steps, in rounds of growing size, so that one hard
//! object does not hide an easy violation in another. Steps are counted, never seconds: the same history
//! always gets the same verdict.
//!
//! A [`Model`] says what an object may answer. [`check`] takes any model and the operations in its terms;
//! [`check_history`] those of a run of the service ([`ServiceModel`]).
//!
//! Deliberately absent: any knowledge of the nodes; the models are independent specifications.

mod entry;
mod limits;
mod memo;
mod model;
mod plain_pending;
mod recorded;
mod register_guess;
mod register_pending;
mod render;
mod rounds;
mod search;
mod timeline;
mod witness;

pub use entry::{Entry, EntryOf, Partition, PartitionOf};
pub use limits::{Decided, Limits, Linearizability, STEPS_MAX, Tier, Times};
pub use model::{
    AppendAnswer, AppendModel, AppendOp, AppendState, LockAnswer, LockModel, LockOp, LockState, Model,
    PlainRegisterAnswer, PlainRegisterModel, PlainRegisterOp, RegisterAnswer, RegisterModel, RegisterOp,
    RegisterState, SetModel, Sets, TextAnswer, TextOp, Version,
};
pub use recorded::{ServiceModel, check_history, partitions_of};
pub use rounds::{check, check_as};
pub use search::{Deepest, Progress, Search};
pub use witness::{Replay, replay};
