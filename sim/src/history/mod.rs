//! The record of a run.
//!
//! Clients are recorded from outside, in true virtual time, by a [`Recorder`]; checks read the finished
//! [`History`]. It is kept on disk as JSON lines ([`write_history`], [`read_history`]). What others recorded is
//! read by [`foreign`].
//!
//! What a history promises, and [`History::verify`] checks:
//! * operations are numbered from 0 in the order of their invocation;
//! * a client has one operation open at a time;
//! * an answer is one that its call can have, and no message is sent to two topics;
//! * an operation that was answered, or that failed, has a time of return; one of unknown outcome may have
//!   one too: the moment at which its client gave up, which says nothing about when it takes effect;
//! * a hold names the acquisition that it came from.

mod answer;
mod call;
mod events;
pub mod foreign;
mod lines;
mod locks;
mod near;
mod pairing;
mod queue;
mod recorder;
mod types;
mod verify;

pub use answer::Answer;
pub use call::Call;
pub use events::*;
pub use lines::{FORMAT, HistoryError, VERSION, read_history, write_history};
pub use locks::{DeadlockStep, Fence, LockMode, LockWant};
pub use near::{LineMode, LineSeen};
pub use queue::{Delivery, Message, NOBODYS_MESSAGE, TopicSeen};
pub use recorder::{Listener, OPEN_AT_END, Recorder, WITHDRAWN};
pub use types::*;
pub use verify::Malformed;
