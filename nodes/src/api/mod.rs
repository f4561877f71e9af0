//! What clients and nodes say to each other: typed requests, responses and errors, as plain data.
//!
//! A client sends a [`Request`] to one node and gets at most one [`Response`] with the same [`RequestId`] to
//! each copy of it that arrives. The network may lose either, or deliver it twice; what makes a command take
//! effect once is its session and sequence number ([`Command::Once`]), never the request id.
//!
//! # Errors, definite and indefinite
//!
//! A machine's refusal is an *answer*: it comes as [`ResponseBody::Outcome`] and is definite. An
//! [`ApiError`] says that this node has no answer; [`ApiError::is_definite`] tells whether the copy of the
//! request that it answers can still take effect.
//!
//! All of it goes over the wire in frames of [`crate::transport`], so a later version may add variants at
//! the end of each enum and never reorders them.
//!
//! [`Command::Once`]: crate::machine::Command::Once

mod types;

pub use crate::coherence::{KEYS_COUNTED_MAX, KeyCounts, LineState};
pub use types::{
    ApiError, KeyLines, LineHolder, NodeStatus, QueueCounts, QueueTraffic, Request, RequestBody, RequestId,
    Response, ResponseBody,
};

/// Locks whose names begin so are the gateways' own: by them they find the sessions of the older system's clients again.
/// Nobody else may take such a lock over HTTP, and nobody outside is told of one.
pub const RESERVED_LOCKS: &str = "~calls/";
