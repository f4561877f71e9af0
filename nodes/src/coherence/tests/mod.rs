//! Tests of coherence.
//!
//! * `model`: a cluster of holders and directories over an abstract log, in which everything goes wrong that
//!   may: clocks drift, messages are lost, doubled and overtaken, leaders change and do not know it, nodes
//!   crash, pause, leave and return. After every step the obvious specification is asked.
//! * `schedules`: random schedules of it, and the planted bugs that they find.
//! * `transcripts`: the protocol as a person would follow it, one behaviour each.

mod consensus;
mod model;
mod network;
mod schedules;
mod transcripts;
mod truth;
