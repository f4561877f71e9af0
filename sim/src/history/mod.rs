//! The record of a run.

mod types;

pub use types::*;
