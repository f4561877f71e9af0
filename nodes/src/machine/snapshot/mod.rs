//! The whole state as bytes: taken without stopping the machine, the same on every node, never trusted.
//!
//! [`Machine::snapshot`](super::Machine::snapshot) freezes the state, which costs a few counters, and the
//! [`Snapshotter`] encodes the frozen copy piece by piece, whenever its host has a moment, while the
//! original goes on. [`Machine::restore`](super::Machine::restore) makes a machine of the bytes again. What
//! a node keeps on its disk and what a leader ships to a follower is the same stream.
//!
//! # Format, version 5
//!
//! | part | bytes |
//! |---|---|
//! | header | magic `STORMGLS`, the version as 4 bytes little-endian, the CRC32C of those 12 bytes likewise |
//! | applied | the index and the stamp of the last entry applied |
//! | near | the terms that the near-caches agreed on, if any, and the longest lease so far |
//! | sessions | how many, then each: id, lease, deadline, the name under which it was opened, if any, lowest open number, the open ones below it, how many outcomes, then each: number, what is kept of the outcome |
//! | locks | how many, then each: name, latest token, how many holders, then each, how many waiters, then each: ticket, waiter |
//! | queue | how many topics, then each: name, settings, totals, how many messages, then each, how many waiting commands, then each: ticket, command, how many producers, then each, how many consumers, then each session |
//! | cache | settings, totals, how many, then each: key, value, version, end |
//! | seal | the 64-bit XXH3 of all before it, 8 bytes little-endian |
//!
//! Each service writes and reads its own part, in a file `snapshot.rs` in its folder, with the tools in
//! `parts`. Between header and seal all is postcard (variable-length numbers, lengths before contents), every
//! sequence strictly in the order of its keys. Only what cannot be derived is there: which
//! commands of a session wait follows from the services' parts, and the indexes of deadlines from all parts. How the tables are kept in
//! memory does not show. Every later version begins with the same header, so that it is refused by name.
//!
//! # What the bytes guarantee
//!
//! * They are a function of the state: nodes that have applied the same entries write the same bytes,
//!   whatever the sizes of the pieces. So a transfer can be resumed at an offset, from any node that holds a
//!   snapshot of the same index.
//! * They hold the whole replicated state: the machine restored has the same digest as the one frozen and
//!   answers every continuation alike, retries of remembered commands among it.
//! * They are self-contained and checked: a stream that was cut, flipped or spliced is refused, and so is
//!   one whose parts contradict each other or a bound of `types`. Nothing in it makes the reader panic, and
//!   the reader's memory is in proportion to the bytes that are really there. The seal finds accidents; it
//!   is no signature.
//!
//! Deliberately absent: the term of the last entry and the configuration, which are the core's, and
//! compression, which is the transport's.

mod encode;
mod error;
mod parts;
mod restore;

pub use encode::Snapshotter;
pub use error::RestoreError;
pub(super) use parts::{Reader, Restoring, beyond, ensure, put, rises};

use serde::{Deserialize, Serialize};

use super::types::Opener;
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};

/// What every snapshot of every version begins with.
const MAGIC: [u8; 8] = *b"STORMGLS";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 5;
/// Magic, version and their checksum.
const HEADER_BYTES: usize = 16;
/// The hash at the end.
const SEAL_BYTES: usize = 8;

/// A session, up to its outcomes.
#[derive(Serialize, Deserialize)]
struct SessionHead {
    id: SessionId,
    lease_us: u64,
    deadline: ClusterTime,
    opener: Option<Opener>,
    lowest_open: Sequence,
    open_below: Vec<Sequence>,
}

/// The entry applied last.
#[derive(Serialize, Deserialize)]
struct LastApplied {
    index: LogIndex,
    time: ClusterTime,
}

/// The header of a version.
fn header(version: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}
