//! Coherence: a near-cache on every node whose hits need no message and are still linearizable, sans-IO.
//!
//! # Purpose
//! A node that reads a key asks the leader for its *line* and may then read it alone for the length of a
//! lease, like a processor that holds a line of memory. Before the leader proposes a write, every line of the
//! keys that it changes is dropped by its holder's own word, or its lease has run out. So while anybody might
//! see the new value, nobody reads the old one. `docs/cache-coherence.md` is the chapter to this module.
//!
//! Two state machines, neither with a clock, a task or a socket; time is an argument:
//! * [`Holder`], on every node: lines, and questions for more.
//! * [`Directory`], on every node and of use where it leads: who holds what until when, and which writes may
//!   be proposed.
//!
//! # Contract with the driver
//! * Messages may be lost, doubled, delayed and reordered. Those for this node itself are delivered as well.
//! * Times are this node's monotonic clock, read at the call or before. No clock of the cluster runs faster
//!   than another by more than [`Settings::drift_ppm_max`].
//! * Every command that may change a key is taken by [`Directory::take_write`] and proposed only when it is
//!   among the proposable, in the term in which it was taken; then [`Directory::applied`] once the machine
//!   has applied it, or [`Directory::abandoned`] if the core refused it. That a key expires at its stamp is
//!   no write: no line outlasts its key's time to live.
//! * [`Directory::elected`] in the same turn in which the core becomes leader, [`Directory::ready`] once the
//!   machine has applied the first entry of that term, [`Directory::deposed`] when it leads no more.
//! * A wanted round is a linearizable read of the core, begun after it was wanted. The [`Lookup`] that comes
//!   with its confirmation has applied the read index.
//!
//! # Deliberately absent
//! Lines that are written without the leader: a write is a log entry, always. Tombstones: see [`Holder`].
//! Repeating a question: whoever is not answered reads as if there were no near-cache.
//!
//! # Sources
//! Papamarcos and Patel, "A low-overhead coherence solution for multiprocessors with private cache memories"
//! (ISCA 1984), for the states; Gray and Cheriton, "Leases" (SOSP 1989), for leases that bound the wait for
//! a silent holder; Burrows, "The Chubby lock service" (OSDI 2006), 2.7, for invalidation before a change
//! and a new master that has to deal with lines it knows nothing of.

mod directory;
mod holder;
mod settings;
#[cfg(test)]
mod tests;
mod types;
mod watch;

pub use directory::{Directory, DirectoryEffects, DirectoryStats, Found, HolderView, Lookup, NotTaken};
pub use holder::{Holder, HolderEffects, HolderStats, KEYS_COUNTED_MAX, KeyCounts, NearRead, Reading};
pub use settings::Settings;
pub use types::{
    AskNumber, Claim, CoherenceBody, CoherenceMessage, Content, HolderId, KEY_BYTES_MAX, Key, Life,
    LineState, ReaderId, RoundId, SURRENDERS_MAX, Surrender, Withheld, WriteId,
};
pub use watch::LineEvent;
