//! What a client learns when an operation does not succeed.

use thiserror::Error;

use crate::machine::MachineError;

/// Why an operation did not succeed, and what the caller may conclude.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClientError {
    /// The machine refused; the operation has no effect and never will.
    #[error("refused: {0}")]
    Refused(MachineError),
    /// The operation was not attempted, or only reads: it has no effect and never will.
    #[error("not done: {0}")]
    NotDone(&'static str),
    /// The members are not such that they could be changed so; perhaps because an earlier attempt of the same
    /// call has changed them. Look at them, then decide.
    #[error("the members cannot be changed so: {0}")]
    Impossible(String),
    /// The operation may have taken effect, or may yet.
    #[error("outcome unknown: {0}")]
    Unknown(&'static str),
}

impl ClientError {
    /// Whether the operation certainly had no effect and never will.
    #[must_use]
    pub const fn is_definite(&self) -> bool {
        !matches!(self, Self::Unknown(_) | Self::Impossible(_))
    }
}
