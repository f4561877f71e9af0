//! The format, told a second time: the whole body as one plain structure that shares nothing with the
//! writer and the reader but the vocabulary, so that tests can read a snapshot, alter it, and seal it again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::machine::{LockMode, Outcome};

/// The body of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Image {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) sessions: Vec<Session>,
    pub(super) locks: Vec<Lock>,
    pub(super) registers: Vec<Register>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) lease_us: u64,
    pub(super) deadline: u64,
    pub(super) lowest_open: u64,
    pub(super) outcomes: Vec<(u64, Outcome)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lock {
    pub(super) name: String,
    pub(super) last_token: u64,
    pub(super) holders: Vec<Holder>,
    pub(super) line: Vec<Waiter>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) session: u64,
    pub(super) mode: LockMode,
    pub(super) token: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) sequence: u64,
    pub(super) mode: LockMode,
    pub(super) deadline: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Register {
    pub(super) key: String,
    pub(super) value: Bytes,
    pub(super) version: u64,
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
        seal(1, &postcard::to_allocvec(self).expect("it is plain data"))
    }

    /// Every number in it but those in outcomes.
    pub(super) fn numbers(&mut self) -> Vec<&mut u64> {
        let mut numbers = vec![&mut self.index, &mut self.time];
        for Session { id, lease_us, deadline, lowest_open, outcomes } in &mut self.sessions {
            numbers.extend([id, lease_us, deadline, lowest_open]);
            numbers.extend(outcomes.iter_mut().map(|(sequence, _)| sequence));
        }
        for Lock { last_token, holders, line, .. } in &mut self.locks {
            numbers.push(last_token);
            for Holder { session, token, .. } in holders {
                numbers.extend([session, token]);
            }
            for Waiter { ticket, session, sequence, deadline, .. } in line {
                numbers.extend([ticket, session, sequence, deadline]);
            }
        }
        numbers.extend(self.registers.iter_mut().map(|register| &mut register.version));
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
