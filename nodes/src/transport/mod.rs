//! Messages as bytes: one format of frame for peers and clients, on any network.
//!
//! A frame is a header of [`HEADER_BYTES`] and a postcard body; numbers are little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | magic and version: `0xB0` + version 1 |
//! | 1 | 1 | kind: 1 peer message, 2 client request, 3 client response |
//! | 2 | 4 | group: 0 (sharding comes) |
//! | 6 | 4 | length of the body |
//! | 10 | 4 | CRC32C of the ten bytes before it and of the body |
//! | 14 | | body |
//!
//! The codec trusts nothing: unknown versions, kinds and groups, damage, and frames cut short or too long
//! are errors, never panics. A receiver drops such a frame; a node also closes the connection on which it came, and
//! counts that ([`crate::env::Net::refuse`]).

mod frame;

#[cfg(test)]
mod tests;

pub use frame::{Frame, FrameError, HEADER_BYTES};
