//! The replicated machines. (Documentation and contract follow with the implementation.)

mod types;

pub use types::*;
