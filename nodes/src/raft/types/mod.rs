//! The vocabulary of the core: entries, messages, inputs, effects and settings.
//!
//! Messages and entries go over the wire and to disk in versioned frames (`transport`, `storage`), so a
//! later version may add variants at the end of each enum; it never reorders them.

mod entry;
mod message;
mod settings;
mod step;

pub use entry::{Entry, HardState, Payload, Reconfiguration, Snapshot, SnapshotMeta};
pub use message::{Body, Message, ReadIndexAnswer, SnapshotChunk};
pub use settings::{Config, PeerMode, PeerStatus, Recovered, Role, Status};
pub use step::{
    ChangeOutcome, Effects, Event, Input, ProposalOutcome, ReadOutcome, Refusal, SnapshotWrite, StoreRequest,
    StoreToken, TransferOutcome,
};
