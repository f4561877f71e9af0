//! The queue's vocabulary: commands in, replies, errors and events out.
//!
//! All of it goes into the log or a snapshot, so a later version may add variants at the end of each enum and
//! never reorders them.

mod answer;
mod bounds;
mod command;
mod settings;
mod stats;

pub use answer::*;
pub use bounds::*;
pub use command::*;
pub use settings::TopicSettings;
pub use stats::{Imbalance, RATE_WINDOW_S, TopicRecent, TopicStats, TopicTotals};
