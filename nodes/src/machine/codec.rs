//! Commands as bytes, as they stand in the log: a version byte, then the body.
//!
//! | version | body | written |
//! |-|-|-|
//! | 1 | postcard | unless the cluster speaks a later version |
//! | 2 | the CRC32C of what follows (4 bytes, little-endian), postcard | once every member speaks version 2 |
//!
//! A program reads every version up to its newest. It writes the one that the cluster speaks, so that no
//! member is ever given what it cannot read: see [`crate::raft::Config::version`].

use bytes::Bytes;

use super::types::{Command, MachineError};

/// The first version.
const PLAIN: u8 = 1;
/// Each command bears a checksum of its own.
const CHECKED: u8 = 2;
/// The newest version that is read. A program that is to take part in an upgrade to it says so with
/// [`crate::raft::Config::version`].
pub const NEWEST_VERSION: u16 = CHECKED as u16;

const CHECKSUM_BYTES: usize = 4;

impl Command {
    /// The command as bytes, in the first version.
    ///
    /// # Panics
    ///
    /// Never: every command has an encoding.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.encode_as(u16::from(PLAIN))
    }

    /// The command as bytes, in the newest version that a cluster of this version reads.
    ///
    /// # Panics
    ///
    /// Never: every command has an encoding.
    #[must_use]
    pub fn encode_as(&self, version: u16) -> Bytes {
        let is_checked = version >= u16::from(CHECKED);
        let start = if is_checked { vec![CHECKED, 0, 0, 0, 0] } else { vec![PLAIN] };
        let encoded = postcard::to_extend(self, start);
        let mut encoded = encoded.expect("a command is plain data, and memory takes any length");
        if is_checked {
            let checksum = crc32c::crc32c(&encoded[1 + CHECKSUM_BYTES..]);
            encoded[1..=CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        }
        Bytes::from(encoded)
    }

    /// Reads a command back. Accepts exactly what [`Command::encode_as`] makes, though perhaps with numbers
    /// and names that [`Machine::apply`](super::Machine::apply) then refuses.
    ///
    /// # Errors
    ///
    /// [`MachineError::Undecodable`] for an unknown version, damage, junk, or bytes left over.
    pub fn decode(encoded: &[u8]) -> Result<Self, MachineError> {
        let undecodable = |why: String| MachineError::Undecodable(why);
        let (&version, body) = encoded.split_first().ok_or_else(|| undecodable("it is empty".to_owned()))?;
        let body = match version {
            PLAIN => body,
            CHECKED => match body.split_first_chunk::<CHECKSUM_BYTES>() {
                Some((checksum, body)) if u32::from_le_bytes(*checksum) == crc32c::crc32c(body) => body,
                _ => return Err(undecodable("its checksum does not match".to_owned())),
            },
            _ => {
                let why = format!("it is of version {version}, and only {PLAIN} to {CHECKED} are known");
                return Err(undecodable(why));
            }
        };
        let (command, rest) =
            postcard::take_from_bytes(body).map_err(|error| undecodable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(undecodable(format!("{} bytes are left over", rest.len())));
        }
        Ok(command)
    }
}
