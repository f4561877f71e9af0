//! The nodes of Stormglass: lock, queue and cache services on a Raft core.
//!
//! This crate is the system under test. It knows nothing of the simulator: whatever it needs from the
//! outside world (time, entropy, network, disk, tasks) it takes through one trait, [`env::Env`], which the
//! simulator and tokio both implement. Above that seam the same code runs in both worlds.
//!
//! Arrows between the modules, each importing only from its left:
//! `ids, marks, plant` <- `raft`, `machine`, `coherence` <- `storage`, `transport`, `api`, `env` <- `client`, `server`
//! <- `tokio_env` <- `http` <- `daemon` <- `bin`.

pub mod api;
pub mod client;
pub mod coherence;
pub mod daemon;
pub mod env;
#[cfg(test)]
mod fake_env;
pub mod http;
pub mod ids;
pub mod machine;
pub mod marks;
pub mod plant;
pub mod raft;
pub mod server;
pub mod storage;
pub mod tokio_env;
pub mod transport;
