//! What was seen of near-caches.

use serde::{Deserialize, Serialize};

/// What a node may do with its copy of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineMode {
    /// Read it, as others may.
    Shared,
    /// Read it; nobody else in its term held it when it was granted.
    Exclusive,
    /// Nothing: a write is on its way from here.
    Modified,
}

/// Something that happened to a line, which is a node's copy of a key of the cache, or to what it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineSeen {
    /// The node opened a question for a line.
    Asked {
        /// The key.
        key: String,
        /// Its number, which rises while the process lives.
        number: u64,
    },
    /// A question is open no more, and brought no line.
    Closed {
        /// The key.
        key: String,
        /// Its number.
        number: u64,
    },
    /// A question brought a line, in place of any other of its key, and is open no more.
    Taken {
        /// The key.
        key: String,
        /// The number of the question.
        number: u64,
        /// The term of the leader that granted it.
        term: u64,
        /// The last entry that this leader had applied.
        as_of: u64,
        /// Shared or exclusive.
        mode: LineMode,
        /// For how long the node may read it from now on, by its own clock, in microseconds.
        left_us: u64,
    },
    /// A line is in another mode.
    Turned {
        /// The key.
        key: String,
        /// The mode.
        mode: LineMode,
    },
    /// A line is read no more.
    Dropped {
        /// The key.
        key: String,
    },
    /// The node is about to say that nothing is read here any more of what it got by questions up to this one.
    Disowned {
        /// The key.
        key: String,
        /// The number of the question.
        number: u64,
    },
    /// The node is about to say that no line of an earlier term is read here any more.
    Recalled {
        /// The term.
        term: u64,
    },
    /// A client was given what a line says.
    Read {
        /// The key.
        key: String,
        /// The last entry that the leader had applied which granted it.
        as_of: u64,
    },
    /// The node, leading in this term, lets a write of these keys go into the log.
    Released {
        /// The keys.
        keys: Vec<String>,
        /// The term.
        term: u64,
    },
    /// An entry that the node applies wrote or removed this key, or the key expired or was evicted with it.
    Changed {
        /// The key.
        key: String,
        /// The entry.
        index: u64,
    },
}
