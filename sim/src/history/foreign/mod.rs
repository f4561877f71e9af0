//! Histories that others recorded, in the two formats in which public ones exist:
//!
//! * *Jepsen logs* of a register, one event a line: `INFO  jepsen.util - 3  :invoke :cas [1 2]`;
//! * *EDN*, one map an event: `{:process 0, :type :invoke, :f :append, :key "1", :value "x 0 1 y"}`.
//!
//! An event is an invocation or how it ended: `:ok`, `:fail` (it had no effect), `:info` (nobody knows). Events
//! stand in the order in which they happened, which is all that is known of time: moments here are places in
//! the file.
//!
//! What is promised of a [`Recording`]:
//! * every event of the file is in it, or the file is refused with the line that is at fault; what was skipped
//!   is counted;
//! * a process whose operation ended in `:info` is gone, and its operation open for ever; what comes later
//!   under its number is another process;
//! * a file that was visibly cut is refused, and so is one in which no operation is found: that would pass any
//!   check.
//!
//! Deliberately absent: all of EDN that such histories have no use for. What a value is that no operation needs
//! is not looked at, as long as it is seen where it ends.

mod edn;
mod edn_events;
mod error;
mod event;
mod format;
mod jepsen_events;
mod kv;
mod recording;
mod register;
mod scribe;

pub use error::ForeignError;
pub use format::Format;
pub use kv::{KvAnswer, KvCall};
pub use recording::{Recorded, Recording, Seen};
pub use register::{ForeignRegisterAnswer, ForeignRegisterCall, ForeignValue};

use edn_events::EdnEvents;
use event::Vocabulary;
use jepsen_events::JepsenEvents;

/// Reads the history of registers: `:read`, `:write` and `:cas`.
///
/// # Errors
/// The first line that is not understood or cannot follow what came before it; a file that was cut; a file
/// without any operation.
pub fn read_registers(
    bytes: &[u8],
    format: Format,
) -> Result<Recording<ForeignRegisterCall, ForeignRegisterAnswer>, ForeignError> {
    read::<register::Registers>(bytes, format)
}

/// Reads the history of a store of texts by key: `:get`, `:put` and `:append`.
///
/// # Errors
/// As [`read_registers`].
pub fn read_kv(bytes: &[u8], format: Format) -> Result<Recording<KvCall, KvAnswer>, ForeignError> {
    read::<kv::Kv>(bytes, format)
}

fn read<V: Vocabulary>(bytes: &[u8], format: Format) -> Result<Recording<V::Call, V::Answer>, ForeignError> {
    let text = text_of(bytes)?;
    match format {
        Format::Jepsen => scribe::record::<V>(format, JepsenEvents::new(text)),
        Format::Edn => scribe::record::<V>(format, EdnEvents::new(text)),
    }
}

/// The bytes as text, without the mark that some editors put before it.
fn text_of(bytes: &[u8]) -> Result<&str, ForeignError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        ForeignError::new(line, "this is not UTF-8 text", "give the log itself, not an archive of it")
    })
}
