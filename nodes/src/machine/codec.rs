//! Commands as bytes, as they stand in the log: a version byte, then postcard.

use bytes::Bytes;

use super::types::{Command, MachineError};

/// The only version there is. A later one may change anything after this byte.
const VERSION: u8 = 1;

impl Command {
    /// The command as bytes.
    ///
    /// # Panics
    ///
    /// Never: every command has an encoding.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let encoded = postcard::to_extend(self, vec![VERSION]);
        Bytes::from(encoded.expect("a command is plain data, and memory takes any length"))
    }

    /// Reads a command back. Accepts exactly what [`Command::encode`] makes, though perhaps with numbers
    /// and names that [`Machine::apply`](super::Machine::apply) then refuses.
    ///
    /// # Errors
    ///
    /// [`MachineError::Undecodable`] for an unknown version, junk, or bytes left over.
    pub fn decode(encoded: &[u8]) -> Result<Self, MachineError> {
        let undecodable = |why: String| MachineError::Undecodable(why);
        let (&version, body) = encoded.split_first().ok_or_else(|| undecodable("it is empty".to_owned()))?;
        if version != VERSION {
            return Err(undecodable(format!("it is of version {version}, and only {VERSION} is known")));
        }
        let (command, rest) =
            postcard::take_from_bytes(body).map_err(|error| undecodable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(undecodable(format!("{} bytes are left over", rest.len())));
        }
        Ok(command)
    }
}
