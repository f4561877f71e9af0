//! Why bytes are no snapshot to restore from.

use thiserror::Error;

use super::VERSION;

/// Why a snapshot was refused. Nothing was restored; the bytes will be refused again, so the caller gets
/// others, or a newer program.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RestoreError {
    /// The bytes begin like nothing that a machine wrote.
    #[error("this is not a snapshot of the machine: it does not begin with the magic")]
    WrongMagic,
    /// A newer program wrote it.
    #[error("the snapshot is of format version {found}, and the newest known is {VERSION}")]
    NewerVersion {
        /// The version that the header names.
        found: u32,
    },
    /// It was cut or changed after it was written: a checksum does not match.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// It is whole, and yet not of the format.
    #[error("the snapshot cannot be decoded: {0}")]
    Undecodable(String),
    /// It decodes, but to a state that no machine comes to.
    #[error("the snapshot contradicts itself: {0}")]
    Inconsistent(String),
}
