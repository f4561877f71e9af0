//! What lies under which key, and its bytes.
//!
//! All keys of a node begin with `stormglass:CLUSTER:node:NODE:`, so that nodes and clusters may share a Redis.
//!
//! | key | type | holds |
//! |-|-|-|
//! | `state` | hash | `format`, `cluster`, `node`; `incarnation`: drawn when the store was begun; `owner`: drawn by the process that opened it last; `batch`: number of the last transaction; `claims`: how often it was taken up; `state`: [`State`] and its checksum |
//! | `log` | list | the entries from [`State::first`] to [`State::last`], each with its checksum |
//! | `snapshot:0`, `snapshot:1` | list | the pieces of a snapshot's data; [`State::snapshot`] says which one counts |
//!
//! Checksums are CRC32C, seeded with cluster, node and incarnation: what another node wrote, or this one in a
//! store that it had before, does not pass for its own.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterTime, LogIndex, Term};
use crate::raft::{Entry, HardState, SnapshotMeta};
use crate::storage::Identity;

/// The format that this release writes.
pub(super) const FORMAT: u64 = 1;

const CHECKSUM_BYTES: usize = 4;

/// The names of a node's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) state: String,
    pub(super) log: String,
    pub(super) snapshots: [String; 2],
}

impl Keys {
    pub(super) fn of(identity: Identity) -> Self {
        let key = |name: &str| format!("stormglass:{}:node:{}:{name}", identity.cluster, identity.node.0);
        Self { state: key("state"), log: key("log"), snapshots: [key("snapshot:0"), key("snapshot:1")] }
    }
}

/// What the store comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Term and vote.
    pub(super) hard_state: HardState,
    /// The first entry in the list; the one after the last if it is empty.
    pub(super) first: LogIndex,
    /// The last entry of the log.
    pub(super) last: LogIndex,
    /// The snapshot in force.
    pub(super) snapshot: Option<KeptSnapshot>,
}

/// A snapshot that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptSnapshot {
    /// Which of the two keys holds its data.
    pub(super) slot: u8,
    /// What it stands for.
    pub(super) meta: SnapshotMeta,
    /// The length of its data.
    pub(super) data_bytes: u64,
    /// xxh3 of its data.
    pub(super) checksum: u64,
}

impl State {
    /// A store that has just begun.
    pub(super) const BEGINNING: Self = Self {
        hard_state: HardState { term: Term(0), voted_for: None },
        first: LogIndex(1),
        last: LogIndex(0),
        snapshot: None,
    };

    /// The last entry that the snapshot covers.
    pub(super) fn covered_to(&self) -> LogIndex {
        self.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index)
    }

    /// How many entries the list holds.
    pub(super) const fn listed(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// Turns values into bytes and back, for one store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec {
    seed: u32,
}

impl Codec {
    pub(super) fn of(identity: Identity, incarnation: u64) -> Self {
        let words = [identity.cluster, identity.node.0, incarnation].map(u64::to_le_bytes);
        Self { seed: crc32c::crc32c(&words.concat()) }
    }

    /// The state after transaction `batch`.
    pub(super) fn encode_state(self, batch: u64, state: &State) -> Result<Vec<u8>, String> {
        self.encode(batch, state)
    }

    pub(super) fn decode_state(self, batch: u64, bytes: &[u8]) -> Result<State, String> {
        self.decode(batch, bytes)
    }

    pub(super) fn encode_entry(self, entry: &Entry) -> Result<Vec<u8>, String> {
        self.encode(entry.index.0, entry)
    }

    /// The entry that has to be at `index`.
    pub(super) fn decode_entry(self, index: LogIndex, bytes: &[u8]) -> Result<Entry, String> {
        let entry: Entry = self.decode(index.0, bytes)?;
        if entry.index != index {
            return Err(format!("entry {} lies in the place of entry {index}", entry.index));
        }
        Ok(entry)
    }

    fn encode(self, salt: u64, value: &impl Serialize) -> Result<Vec<u8>, String> {
        let mut bytes = postcard::to_extend(value, vec![0; CHECKSUM_BYTES])
            .map_err(|error| format!("a value does not encode: {error}"))?;
        let checksum = self.checksum(salt, &bytes[CHECKSUM_BYTES..]);
        bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    fn decode<'a, T: Deserialize<'a>>(self, salt: u64, bytes: &'a [u8]) -> Result<T, String> {
        let Some((checksum, body)) = bytes.split_first_chunk::<CHECKSUM_BYTES>() else {
            return Err("it is cut short".to_owned());
        };
        if self.checksum(salt, body) != u32::from_le_bytes(*checksum) {
            return Err("its checksum is wrong".to_owned());
        }
        match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            _ => Err("its checksum is right, but it does not decode".to_owned()),
        }
    }

    fn checksum(self, salt: u64, body: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.seed, &salt.to_le_bytes()), body)
    }
}

/// Checks that entries follow one another, and what the snapshot before them says.
pub(super) fn check_order(snapshot: Option<&SnapshotMeta>, entries: &[Entry]) -> Result<(), String> {
    let mut before: Option<(Term, ClusterTime)> = None;
    for entry in entries {
        if before.is_some_and(|(term, time)| entry.term < term || entry.time < time) {
            return Err(format!("entry {} is older than the one before", entry.index));
        }
        before = Some((entry.term, entry.time));
    }
    let Some(meta) = snapshot else { return Ok(()) };
    let joint = (meta.term, meta.time);
    let (covered, after): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| entry.index <= meta.index);
    let leads_up = covered.last().is_none_or(|entry| (entry.term, entry.time) == joint);
    let leads_on = after.first().is_none_or(|entry| entry.term >= joint.0 && entry.time >= joint.1);
    if leads_up && leads_on {
        return Ok(());
    }
    Err(format!("the log and the snapshot up to {} contradict each other", meta.index))
}

/// A snapshot's data in pieces of at most this many bytes.
pub(super) fn pieces(data: &Bytes, piece_bytes: usize) -> impl Iterator<Item = Bytes> + '_ {
    (0..data.len())
        .step_by(piece_bytes)
        .map(move |start| data.slice(start..data.len().min(start + piece_bytes)))
}
