//! Who takes part.

use crate::ours::Ours;
use crate::system::System;
use crate::theirs::{Mode, Proposing, Theirs};

/// One system in one mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    /// What it is called on the command line and in tables.
    pub(crate) name: &'static str,
    /// Its mode, if it is raft-rs; else it is ours.
    pub(crate) mode: Option<Mode>,
}

const fn theirs(name: &'static str, proposing: Proposing, lazy_commit: bool) -> Contender {
    Contender { name, mode: Some(Mode { proposing, lazy_commit }) }
}

/// All of them. Ours comes first, raft-rs as it is by default second.
pub(crate) const CONTENDERS: [Contender; 7] = [
    Contender { name: "ours", mode: None },
    theirs("single", Proposing::Single, false),
    theirs("batch-append", Proposing::BatchAppend, false),
    theirs("multi-entry", Proposing::MultiEntry, false),
    theirs("single-lazy", Proposing::Single, true),
    theirs("batch-append-lazy", Proposing::BatchAppend, true),
    theirs("multi-entry-lazy", Proposing::MultiEntry, true),
];

/// Who takes part in the catch-up: one system's modes of proposing make no difference there, except for how
/// appends are merged.
pub(crate) const CATCHING_UP: [Contender; 3] = [CONTENDERS[0], CONTENDERS[1], CONTENDERS[2]];

impl Contender {
    /// A cluster of it whose first node leads.
    pub(crate) fn elected(self) -> Box<dyn System> {
        match self.mode {
            None => Box::new(Ours::elected()),
            Some(mode) => Box::new(Theirs::elected(mode)),
        }
    }
}
