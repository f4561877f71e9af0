//! The Raft core, sans-IO. (Documentation and contract follow with the implementation.)

mod types;

pub use types::*;
