//! A Redis in the world: a small server as a process of its own, reached over madsim's simulated TCP.
//!
//! The nodes use it through the same client and the same code as a real one. It knows the commands that they use
//! (`keyspace`, `session`), keeps an append-only file on its simulated disk by the policy that it is given, and
//! reads that file back when it starts (`aof`). `server` is the loop. `resp` is the protocol.
//!
//! What it shares with the real one where it matters: commands are carried out one at a time; a transaction is
//! carried out whole, or not at all if a watched key was touched; with `appendfsync always` no answer leaves before
//! the sync of what it answers; with `everysec` the file is synced each second, and what was answered in
//! between can be lost with the power; `WAITAOF` waits for the sync. A test compares its answers with a real
//! server's.
//!
//! Deliberately absent: expiry, eviction, rewriting of the file (runs are short), replication, scripts, more than
//! one database, and subscribers.

mod aof;
mod keyspace;
mod resp;
mod server;
mod session;
mod stream;

pub use keyspace::Keyspace;
pub use resp::{Malformed, Reply, decode_command, encode_command};
pub use server::{PORT, serve};
pub use session::{Answer, Session};
pub use stream::SimStream;

/// When the append-only file is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before each answer.
    Always,
    /// Each second.
    EverySecond,
}
