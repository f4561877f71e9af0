//! An exhaustive check of small models: breadth first through every interleaving of a few cores, within
//! bounds, with every invariant judged at every state.
//!
//! The cores are the real ones, and so are their requests to the disk: see `node`. What may happen is an
//! election timeout, a proposal, the arrival of any message under way in any order, its loss or doubling,
//! the completion of a store, a crash, a heartbeat, a snapshot, a change of the members. `bounds` says how
//! much of each; `space` how a step is computed once and then remembered; `search` how states are told
//! apart; `invariants` what must hold. A violation is printed as the shortest run that leads to it.
//!
//! # Larger searches
//! `RAFT_MODEL` names a search and widens its bounds:
//! `RAFT_MODEL="plain terms=4 messages=3" cargo test -p stormglass-nodes --test raft_model demand -- --nocapture`.

mod bounds;
mod disk;
mod history;
mod invariants;
mod node;
mod numbers;
#[cfg(feature = "planted-bugs")]
mod planted;
mod search;
mod space;
mod trace;
mod variants;
