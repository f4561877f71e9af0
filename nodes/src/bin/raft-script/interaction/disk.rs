//! A node's disk: what it holds after each store request.

use stormglass_nodes::ids::LogIndex;
use stormglass_nodes::raft::{Entry, HardState, Recovered, Snapshot, StoreRequest};

/// What is durable.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Term and vote.
    pub(super) hard_state: HardState,
    /// The latest snapshot.
    pub(super) snapshot: Option<Snapshot>,
    /// The log, without gaps, up to the last entry.
    pub(super) entries: Vec<Entry>,
    /// Entries up to here were forgotten.
    pub(super) base: LogIndex,
}

impl Disk {
    /// A disk that begins with a snapshot, or empty.
    pub(super) fn beginning_with(snapshot: Option<Snapshot>) -> Self {
        let base = snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
        Self { snapshot, base, ..Self::default() }
    }

    /// What a core that starts from this disk finds.
    pub(super) fn recovered(&self) -> Recovered {
        let covered = self.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
        let entries = self.entries.iter().filter(|entry| entry.index > covered).cloned().collect();
        Recovered { hard_state: self.hard_state, snapshot: self.snapshot.clone(), entries }
    }

    /// The last entry, or the last that was forgotten.
    pub(super) fn last_index(&self) -> LogIndex {
        self.entries.last().map_or(self.base, |entry| entry.index)
    }

    /// Carries out a request, in the order that it states.
    pub(super) fn write(&mut self, request: &StoreRequest) {
        self.hard_state = request.hard_state.unwrap_or(self.hard_state);
        if let Some(write) = &request.snapshot {
            if write.replaces_log {
                self.entries.clear();
                self.base = write.snapshot.meta.index;
            }
            self.snapshot = Some(write.snapshot.clone());
        }
        if let Some(from) = request.truncate_from {
            self.entries.retain(|entry| entry.index < from);
        }
        for entry in request.append.iter() {
            assert_eq!(entry.index, self.last_index().next(), "the core asked for a log with a gap");
            self.entries.push(entry.clone());
        }
        if let Some(to) = request.compact_to {
            self.entries.retain(|entry| entry.index > to);
            self.base = self.base.max(to);
        }
    }
}
