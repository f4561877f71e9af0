//! The history on disk: JSON lines.
//!
//! The first line names the format, its version and how many lines of each kind follow, so that a file cut
//! at the end of a line is not taken for a shorter history. Then comes one line per operation and one per
//! hold.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::verify::{Verifier, verify_hold};
use super::{History, Hold, Malformed, Operation};

/// The format's name.
pub const FORMAT: &str = "stormglass-history";
/// The version that this code writes, and the only one that it reads.
pub const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    operations: u64,
    holds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Operation(Operation),
    Hold(Hold),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum LineRef<'a> {
    Operation(&'a Operation),
    Hold(&'a Hold),
}

/// Why a history cannot be read. Lines and columns count from 1.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The source failed.
    #[error("line {line}: {source}")]
    Io {
        /// The line that was being read.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("line {line}, column {column}: {message}")]
    Line {
        /// The line.
        line: u64,
        /// The column; 1 if the line as a whole is at fault.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The lines do not make up a history.
    #[error("line {line}: {malformed}")]
    Malformed {
        /// The line where that showed.
        line: u64,
        /// What is wrong.
        malformed: Malformed,
    },
}

/// Writes a history.
///
/// # Errors
/// What the sink says.
pub fn write_history(history: &History, sink: &mut impl Write) -> io::Result<()> {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        operations: history.operations.len() as u64,
        holds: history.holds.len() as u64,
    };
    write_line(sink, &header)?;
    history.operations.iter().try_for_each(|operation| write_line(sink, &LineRef::Operation(operation)))?;
    history.holds.iter().try_for_each(|hold| write_line(sink, &LineRef::Hold(hold)))
}

fn write_line(sink: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *sink, line)?;
    sink.write_all(b"\n")
}

/// Room is made for so many lines at first.
const ROOM_MIN: usize = 1_024;

/// Makes room for one more of so many that the header announces: for as many again as there are already, but for
/// no more than are still to come. So a header alone takes no memory, and a long history no more than it needs.
fn make_room<T>(items: &mut Vec<T>, announced: u64) {
    if items.len() == items.capacity() {
        let left = usize::try_from(announced).unwrap_or(usize::MAX).saturating_sub(items.len());
        items.reserve_exact(left.min(items.len().max(ROOM_MIN)));
    }
}

/// Reads a history and verifies it.
///
/// # Errors
/// The first line that cannot be read, is not what it should be, or breaks a promise of histories; and the
/// place after the last line if lines are missing.
pub fn read_history(source: impl BufRead) -> Result<History, HistoryError> {
    let mut lines = Lines { source, number: 0, bytes: Vec::new() };
    let Some(header) = lines.next::<Header>()? else {
        return Err(lines.wrong("the file is empty: there is not even a header"));
    };
    if header.format != FORMAT {
        return Err(lines.wrong(&format!("the format is {:?}, not {FORMAT:?}", header.format)));
    }
    if header.version != VERSION {
        return Err(lines.wrong(&format!("version {} is not known here, only {VERSION} is", header.version)));
    }
    let mut history = History::default();
    let mut hold_lines = Vec::new();
    let mut verifier = Verifier::default();
    while let Some(line) = lines.next::<Line>()? {
        match line {
            Line::Operation(operation) => {
                let line = lines.number;
                verifier
                    .operation(&operation)
                    .map_err(|malformed| HistoryError::Malformed { line, malformed })?;
                make_room(&mut history.operations, header.operations);
                history.operations.push(operation);
            }
            Line::Hold(hold) => {
                hold_lines.push(lines.number);
                make_room(&mut history.holds, header.holds);
                history.holds.push(hold);
            }
        }
    }
    let found = (history.operations.len() as u64, history.holds.len() as u64);
    if found != (header.operations, header.holds) {
        return Err(lines.wrong(&format!(
            "the header announces {} operations and {} holds, but {} and {} follow",
            header.operations, header.holds, found.0, found.1
        )));
    }
    // A hold may stand before the operation that it names.
    for (line, hold) in hold_lines.into_iter().zip(&history.holds) {
        verify_hold(&history.operations, hold)
            .map_err(|malformed| HistoryError::Malformed { line, malformed })?;
    }
    Ok(history)
}

struct Lines<R> {
    source: R,
    number: u64,
    bytes: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, HistoryError> {
        self.number += 1;
        self.bytes.clear();
        let line = self.number;
        let read = self.source.read_until(b'\n', &mut self.bytes);
        if read.map_err(|source| HistoryError::Io { line, source })? == 0 {
            return Ok(None);
        }
        if self.bytes.pop() != Some(b'\n') {
            return Err(self.wrong("the line has no end: the file was cut"));
        }
        match serde_json::from_slice(&self.bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let message = error.to_string();
                // The parser counts lines of its own, which here is always one.
                let message = message.split(" at line ").next().unwrap_or_default().to_owned();
                Err(HistoryError::Line { line, column: error.column().max(1), message })
            }
        }
    }

    fn wrong(&self, message: &str) -> HistoryError {
        HistoryError::Line { line: self.number, column: 1, message: message.to_owned() }
    }
}
