//! Tests of the cache.
//!
//! * `transcripts`: each behaviour as a person would try it.
//! * `properties`: random commands, everything compared with a naive `model` after each of them.

mod model;
mod properties;
pub(in crate::machine) mod script;
mod transcripts;
