//! What can be set per topic.

use serde::{Deserialize, Serialize};

use super::{
    ATTEMPTS_MAX, DEPTH_MAX, MESSAGE_TTL_US_MAX, PAYLOAD_BYTES_MAX, TOPIC_BYTES_MAX, TOPIC_STORED_BYTES_MAX,
};
use crate::machine::MachineError;

/// How a topic behaves. All of it may be changed while the topic lives, and each change works from then on:
/// limits refuse what comes later and evict nothing; a time to live is that of messages enqueued later; the
/// number of attempts and the dead-letter topic count when a message next comes back unacknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    /// Deliveries of a message before it is given up as dead. Default 20; 1 to [`ATTEMPTS_MAX`].
    pub attempts_max: u16,
    /// Where messages go that were given up, if anywhere: another topic, made with default settings when the
    /// first one comes. Without it, or while that topic is full, they stay in the topic's own list of the
    /// dead. Default none.
    pub dead_letter: Option<String>,
    /// How long a message lives that does not say so itself. Default for ever; 1 to [`MESSAGE_TTL_US_MAX`].
    pub ttl_us: Option<u64>,
    /// Messages that the topic holds, in whatever state. Default 1,048,576; 1 to [`DEPTH_MAX`].
    pub depth_max: u64,
    /// Payloads, headers and groups of those messages together, each header counting [`HEADER_PLACE_BYTES`](super::HEADER_PLACE_BYTES) more
    /// than its name and value. Default 1 GiB; 1 to [`TOPIC_STORED_BYTES_MAX`].
    pub bytes_max: u64,
    /// Payload of one message. Default and bound [`PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: u64,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            attempts_max: 20,
            dead_letter: None,
            ttl_us: None,
            depth_max: 1_048_576,
            bytes_max: 1 << 30,
            payload_bytes_max: PAYLOAD_BYTES_MAX as u64,
        }
    }
}

impl TopicSettings {
    /// Whether a topic of this name may have these settings.
    ///
    /// # Errors
    ///
    /// [`MachineError::InvalidArgument`] names the first bound that is broken.
    pub fn check(&self, topic: &str) -> Result<(), MachineError> {
        let within = |what: &str, found: u64, max: u64| {
            if (1..=max).contains(&found) {
                return Ok(());
            }
            Err(MachineError::InvalidArgument(format!("{what} must be 1 to {max}, not {found}")))
        };
        within("attempts_max", u64::from(self.attempts_max), u64::from(ATTEMPTS_MAX))?;
        within("ttl_us", self.ttl_us.unwrap_or(1), MESSAGE_TTL_US_MAX)?;
        within("depth_max", self.depth_max, DEPTH_MAX)?;
        within("bytes_max", self.bytes_max, TOPIC_STORED_BYTES_MAX)?;
        within("payload_bytes_max", self.payload_bytes_max, PAYLOAD_BYTES_MAX as u64)?;
        let Some(dead_letter) = &self.dead_letter else { return Ok(()) };
        within("the length of dead_letter", dead_letter.len() as u64, TOPIC_BYTES_MAX as u64)?;
        if dead_letter == topic {
            return Err(MachineError::InvalidArgument("a topic cannot be its own dead_letter".to_owned()));
        }
        Ok(())
    }
}
