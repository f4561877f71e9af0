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
//! Deliberately absent: any knowledge of the nodes; the models are independent specifications.

mod entry;
mod memo;
mod model;
mod register_guess;
mod register_pending;
mod render;
mod rounds;
mod search;
mod timeline;
mod witness;

pub use entry::Entry;
pub use model::{LockModel, LockState, Model, RegisterModel, RegisterState, Version};
pub use rounds::{Linearizability, STEPS_MAX, check, entries_of};
pub use search::{Deepest, Progress, Search};
pub use witness::{Replay, replay};
