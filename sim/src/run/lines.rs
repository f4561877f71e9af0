//! What nodes report of their near-caches, in the words of the checks.

use std::collections::BTreeSet;

use stormglass_nodes::coherence::{Key, LineEvent, LineState};
use stormglass_nodes::ids::{LogIndex, Term};

use crate::history::{LineMode, LineSeen};

pub(super) fn seen(event: &LineEvent) -> LineSeen {
    let name = |key: &Key| key.to_string();
    match event {
        LineEvent::Asked { key, number } => LineSeen::Asked { key: name(key), number: number.0 },
        LineEvent::Closed { key, number } => LineSeen::Closed { key: name(key), number: number.0 },
        LineEvent::Taken { key, number, term, as_of, state, left_us } => LineSeen::Taken {
            key: name(key),
            number: number.0,
            term: term.0,
            as_of: as_of.0,
            mode: mode(*state),
            left_us: *left_us,
        },
        LineEvent::Turned { key, state } => LineSeen::Turned { key: name(key), mode: mode(*state) },
        LineEvent::Dropped { key } => LineSeen::Dropped { key: name(key) },
        LineEvent::Disowned { key, number } => LineSeen::Disowned { key: name(key), number: number.0 },
        LineEvent::Recalled { term } => LineSeen::Recalled { term: term.0 },
        LineEvent::Read { key, as_of } => LineSeen::Read { key: name(key), as_of: as_of.0 },
    }
}

pub(super) fn released(keys: &BTreeSet<Key>, term: Term) -> LineSeen {
    LineSeen::Released { keys: keys.iter().map(|key| key.to_string()).collect(), term: term.0 }
}

pub(super) fn changed(key: &str, index: LogIndex) -> LineSeen {
    LineSeen::Changed { key: key.to_owned(), index: index.0 }
}

const fn mode(state: LineState) -> LineMode {
    match state {
        LineState::Shared => LineMode::Shared,
        LineState::Exclusive => LineMode::Exclusive,
        LineState::Modified => LineMode::Modified,
    }
}
