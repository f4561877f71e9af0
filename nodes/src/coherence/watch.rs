//! What happens to the lines of a node, for whoever watches it: a testbed, never a production node.
//!
//! Nothing of this is noted down unless somebody asked for it ([`super::Holder::watch`]).

use super::types::{AskNumber, Key, LineState};
use crate::ids::{LogIndex, Term};

/// Something that happened to a line, or to a question for one, at the node that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// A question was opened.
    Asked {
        /// The key.
        key: Key,
        /// Its number.
        number: AskNumber,
    },
    /// A question is open no more, and brought no line.
    Closed {
        /// The key.
        key: Key,
        /// Its number.
        number: AskNumber,
    },
    /// The open question brought a line, in place of any other of its key.
    Taken {
        /// The key.
        key: Key,
        /// The question that it answers.
        number: AskNumber,
        /// The term of the leader that granted it.
        term: Term,
        /// The state of the log that it was granted from.
        as_of: LogIndex,
        /// Shared or Exclusive.
        state: LineState,
        /// For how long it may be read from now on, by this node's clock.
        left_us: u64,
    },
    /// A line is in another state.
    Turned {
        /// The key.
        key: Key,
        /// The state.
        state: LineState,
    },
    /// A line is read no more.
    Dropped {
        /// The key.
        key: Key,
    },
    /// The node is about to give its word that nothing is read here any more, nor ever will be, of what it got
    /// by asking under numbers up to this one.
    Disowned {
        /// The key.
        key: Key,
        /// The number.
        number: AskNumber,
    },
    /// The node is about to give its word that no line of an earlier term is read here, nor ever will be.
    Recalled {
        /// The term.
        term: Term,
    },
    /// A line was read.
    Read {
        /// The key.
        key: Key,
        /// The state of the log that it was granted from.
        as_of: LogIndex,
    },
}
