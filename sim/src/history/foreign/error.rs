//! Why a foreign history cannot be read.

use thiserror::Error;

/// What is wrong with a file, where, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {message}")]
pub struct ForeignError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl ForeignError {
    pub(super) fn new(line: u64, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: hint.into() }
    }

    /// The file ends in the middle of something.
    pub(super) fn cut(line: u64, what: &str) -> Self {
        Self::new(
            line,
            format!("the file was cut: {what}"),
            "get the whole file; if it is whole, end its last line with a line break",
        )
    }
}
