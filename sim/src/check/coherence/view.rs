//! The lines and questions of all nodes, as their events tell them.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::drift::Drift;
use crate::history::{LineMode, LineSeen, VirtualTime};

/// A line at its holder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) mode: LineMode,
    pub(super) term: u64,
    pub(super) as_of: u64,
    pub(super) number: u64,
    /// Its lease runs until then at least.
    pub(super) sure_until: VirtualTime,
}

impl Line {
    /// Whether its holder can read it at that moment, for certain.
    pub(super) fn is_readable(&self, at: VirtualTime) -> bool {
        self.mode != LineMode::Modified && at < self.sure_until
    }
}

/// What there is to know of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    /// By node. Kept until they are dropped or replaced, though their leases may be over.
    pub(super) lines: BTreeMap<u64, Line>,
    /// By node, the open question's number.
    pub(super) questions: BTreeMap<u64, u64>,
    /// By node, up to which number it gave its word.
    pub(super) disowned: BTreeMap<u64, u64>,
    /// The latest entry that anybody has applied which changed it.
    pub(super) changed: u64,
    /// Whether anybody ever had a line of it: if not, nothing is shown by nobody's having one.
    pub(super) has_been_held: bool,
    /// Who gave their word since it last changed.
    words: BTreeSet<u64>,
    /// The leader that has let a write of it go into the log for which others gave their word, until it is applied.
    committing: Option<u64>,
}

impl Key {
    /// This node gave its word up to this number.
    fn disown(&mut self, node: u64, number: u64) {
        let given = self.disowned.entry(node).or_default();
        *given = (*given).max(number);
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct View {
    drift: Drift,
    keys: BTreeMap<String, Key>,
    /// By node, the latest term of which it gave its word that it reads no line of an earlier one.
    recalled: BTreeMap<u64, u64>,
    leaders_lost: u64,
}

impl View {
    pub(super) const fn new(drift: Drift) -> Self {
        Self { drift, keys: BTreeMap::new(), recalled: BTreeMap::new(), leaders_lost: 0 }
    }

    /// How often a leader's process ended between an invalidation and the commit of the write that it was for.
    pub(super) const fn leaders_lost(&self) -> u64 {
        self.leaders_lost
    }

    pub(super) fn key(&self, key: &str) -> Option<&Key> {
        self.keys.get(key)
    }

    /// The term before which this node's lines are given up.
    pub(super) fn recalled(&self, node: u64) -> u64 {
        self.recalled.get(&node).copied().unwrap_or(0)
    }

    /// The node's process ended: another life begins with nothing, and numbers its questions anew.
    pub(super) fn forget(&mut self, node: u64) {
        let mut was_committing = false;
        for key in self.keys.values_mut() {
            key.lines.remove(&node);
            key.questions.remove(&node);
            key.disowned.remove(&node);
            was_committing |= key.committing.take_if(|leader| *leader == node).is_some();
        }
        self.leaders_lost += u64::from(was_committing);
        self.recalled.remove(&node);
    }

    pub(super) fn begin_round(&mut self, drift: Drift) {
        self.drift = drift;
        self.keys.clear();
        self.leaders_lost = 0;
    }

    fn of(&mut self, key: &str) -> &mut Key {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), Key::default());
        }
        self.keys.get_mut(key).expect("it was put there if it was not")
    }

    /// Takes an event in, once it is judged.
    pub(super) fn take(&mut self, at: VirtualTime, node: u64, event: &LineSeen) {
        let drift = self.drift;
        match event {
            LineSeen::Asked { key, number } => {
                let key = self.of(key);
                key.questions.insert(node, *number);
                // With this question its write goes out, and with it the word that nothing of an earlier one is read.
                if key.lines.get(&node).is_some_and(|line| line.mode == LineMode::Modified) {
                    key.disown(node, number.saturating_sub(1));
                }
            }
            LineSeen::Closed { key, .. } => {
                self.of(key).questions.remove(&node);
            }
            LineSeen::Taken { key, number, term, as_of, mode, left_us } => {
                let sure_until = drift.earliest(at, *left_us);
                let line = Line { mode: *mode, term: *term, as_of: *as_of, number: *number, sure_until };
                let key = self.of(key);
                key.questions.remove(&node);
                key.lines.insert(node, line);
                key.has_been_held = true;
            }
            LineSeen::Turned { key, mode } => {
                if let Some(line) = self.of(key).lines.get_mut(&node) {
                    line.mode = *mode;
                }
            }
            LineSeen::Dropped { key } => {
                self.of(key).lines.remove(&node);
            }
            LineSeen::Disowned { key, number } => {
                let key = self.of(key);
                key.disown(node, *number);
                key.words.insert(node);
            }
            LineSeen::Recalled { term } => {
                let given = self.recalled.entry(node).or_default();
                *given = (*given).max(*term);
                for key in self.keys.values_mut() {
                    if key.lines.get(&node).is_some_and(|line| line.term < *term) {
                        key.lines.remove(&node);
                    }
                }
            }
            LineSeen::Changed { key, index } => {
                let key = self.of(key);
                key.changed = key.changed.max(*index);
                key.words.clear();
                key.committing = None;
            }
            LineSeen::Released { keys, .. } => {
                for name in keys {
                    let key = self.of(name);
                    if key.words.iter().any(|other| *other != node) {
                        key.committing = Some(node);
                    }
                }
            }
            LineSeen::Read { .. } => {}
        }
    }
}
