//! The nemesis.

mod surface;

pub use surface::*;
