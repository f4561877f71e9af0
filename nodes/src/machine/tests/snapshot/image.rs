//! The format, told a second time: the whole body as one plain structure that shares nothing with the
//! writer and the reader but the vocabulary, so that tests can read a snapshot, alter it, and seal it again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::machine::{EvictionPolicy, ForcedRelease, LockMode, Outcome};

/// The body of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Image {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) near: Option<(u64, u32)>,
    pub(super) longest_lease_us: u64,
    pub(super) sessions: Vec<Session>,
    pub(super) last_id: u64,
    pub(super) forgotten_at: u64,
    pub(super) locks: Vec<Lock>,
    pub(super) waits: Vec<Wait>,
    pub(super) forced: Vec<ForcedRelease>,
    /// How many topics there are; these tests have none.
    pub(super) topics: u64,
    pub(super) cache_head: CacheHead,
    pub(super) cache: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheHead {
    pub(super) entries_max: u64,
    pub(super) bytes_max: u64,
    pub(super) policy: EvictionPolicy,
    /// Created, overwritten, deleted, expired, evicted, refused.
    pub(super) totals: [u64; 6],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) lease_us: u64,
    pub(super) deadline: u64,
    /// A client and a nonce.
    pub(super) opener: Option<(u64, u64)>,
    pub(super) lowest_open: u64,
    pub(super) open_below: Vec<u64>,
    pub(super) outcomes: Vec<(u64, Kept)>,
}

/// What is kept of an outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Kept {
    Said(Outcome),
    Delivered { topic: String, lease_until: u64, messages: Vec<(u64, u64)> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lock {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) permits: Option<u32>,
    pub(super) last_token: u64,
    pub(super) version: u64,
    pub(super) holders: Vec<Holder>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) token: u64,
    pub(super) session: u64,
    pub(super) mode: LockMode,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wait {
    pub(super) session: u64,
    pub(super) sequence: u64,
    pub(super) ticket: u64,
    pub(super) deadline: u64,
    pub(super) wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Wanted {
    Acquire(Vec<(u64, LockMode)>),
    Upgrade(u64, u64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) value: Bytes,
    pub(super) version: u64,
    pub(super) ends: Option<u64>,
}

impl Image {
    /// What a whole snapshot says.
    pub(super) fn of(snapshot: &[u8]) -> Self {
        let (image, rest) = postcard::take_from_bytes(&snapshot[16..]).expect("it was just written");
        assert_eq!(rest.len(), 8, "only the seal is left");
        image
    }

    /// A whole snapshot that says this.
    pub(super) fn sealed(&self) -> Vec<u8> {
        seal(5, &postcard::to_allocvec(self).expect("it is plain data"))
    }

    /// Every number in it but those in outcomes.
    pub(super) fn numbers(&mut self) -> Vec<&mut u64> {
        let mut numbers = vec![&mut self.index, &mut self.time, &mut self.longest_lease_us];
        numbers.extend(self.near.as_mut().map(|(lease_us, _)| lease_us));
        for Session { id, lease_us, deadline, opener, lowest_open, open_below, outcomes } in
            &mut self.sessions
        {
            numbers.extend(opener.iter_mut().flat_map(|(client, nonce)| [client, nonce]));
            numbers.extend([id, lease_us, deadline, lowest_open]);
            numbers.extend(open_below);
            numbers.extend(outcomes.iter_mut().map(|(sequence, _)| sequence));
        }
        numbers.extend([&mut self.last_id, &mut self.forgotten_at]);
        for Lock { id, last_token, version, holders, .. } in &mut self.locks {
            numbers.extend([id, last_token, version]);
            for Holder { session, token, .. } in holders {
                numbers.extend([session, token]);
            }
        }
        for Wait { session, sequence, ticket, deadline, wanted } in &mut self.waits {
            numbers.extend([session, sequence, ticket, deadline]);
            match wanted {
                Wanted::Acquire(wants) => numbers.extend(wants.iter_mut().map(|(resource, _)| resource)),
                Wanted::Upgrade(resource, token) => numbers.extend([resource, token]),
            }
        }
        let CacheHead { entries_max, bytes_max, totals, .. } = &mut self.cache_head;
        numbers.extend([entries_max, bytes_max]);
        numbers.extend(totals);
        for Line { version, ends, .. } in &mut self.cache {
            numbers.push(version);
            numbers.extend(ends);
        }
        numbers
    }
}

/// A body between a right header of this version and a right seal.
pub(super) fn seal(version: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"STORMGLS".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend(body);
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}
