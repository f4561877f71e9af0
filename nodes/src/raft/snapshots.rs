//! Snapshots at both ends: kept, sent, received, put in place of the log, and what they let us forget
//! (Raft paper, section 7).
//!
//! * The driver takes a snapshot of the machine when it likes, in the background; the core has it stored, and
//!   only when it is durable forgets entries: all that it covers on disk, all but a tail for followers which
//!   are a little behind in memory.
//! * A follower that needs what has been forgotten is sent the snapshot in pieces.
//! * A received snapshot is acknowledged when it is durable; then, and not before, the machine and the members
//!   change, at once. The log is replaced as a whole: if it held the snapshot's last entry nothing would be
//!   replaced at all, since that entry is then known to be committed, and that is all.

use std::sync::Arc;

use crate::ids::{LogIndex, NodeId};
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::log::Position;
use super::progress::Mode;
use super::sending::{Kept, Received, Sending};
use super::types::{Body, Event, Message, Snapshot, SnapshotChunk, SnapshotMeta, SnapshotWrite};

/// A follower that is being sent a snapshot keeps the entries after it from being forgotten, but no more than
/// this many times the usual tail.
const TRAILING_FACTOR_MAX: u64 = 8;

/// Snapshots of entries beyond this one are malformed. No log comes near it, so an index can always rise.
const INDEX_MAX: LogIndex = LogIndex(u64::MAX / 2);

impl Core {
    /// What a snapshot of the machine in its present state stands for. To be called when the machine has
    /// applied exactly what the core was told by [`super::Input::Applied`].
    #[must_use]
    pub fn snapshot_meta(&self) -> SnapshotMeta {
        let position = self.log.position(self.applied_index).unwrap_or_default();
        SnapshotMeta {
            index: self.applied_index,
            term: position.term,
            time: position.time,
            membership: (*self.membership).clone(),
            version: self.version,
        }
    }

    /// The driver has taken a snapshot: has it stored.
    pub(super) fn snapshot_taken(&mut self, snapshot: Snapshot) {
        let durable = self.snapshot.as_ref().map_or(LogIndex(0), |kept| kept.last_index());
        let known = durable.max(self.storing.pending_snapshot_index());
        let Snapshot { meta, .. } = &snapshot;
        let is_of_this_log = self.log.term(meta.index) == Some(meta.term);
        if meta.index <= known || meta.index > self.applied_index || !is_of_this_log {
            marks::hit("raft.snapshot_of_no_use");
            return;
        }
        self.storing.keep_snapshot(snapshot);
    }

    /// A snapshot is durable.
    pub(super) fn snapshot_stored(&mut self, write: SnapshotWrite) {
        let SnapshotWrite { snapshot, replaces_log } = write;
        let index = snapshot.meta.index;
        self.snapshot = Some(Box::new(Kept::new(snapshot.clone())));
        self.storing.forget_up_to(index);
        if replaces_log {
            self.emitted_index = index;
            self.effects.get().committed.clear();
            self.effects.get().install = Some(Box::new(snapshot));
        } else {
            self.forget_entries();
        }
    }

    /// Drops entries that the snapshot covers, but for a tail.
    fn forget_entries(&mut self) {
        let Some(covered) = self.snapshot.as_ref().map(|kept| kept.last_index()) else { return };
        // Where the log begins that has so many times the usual tail.
        let tail = |times: u64| {
            let entries = self.config.trailing_entries.saturating_mul(times);
            let bytes = self.config.trailing_bytes.saturating_mul(times as usize);
            LogIndex(covered.0.saturating_sub(entries)).max(self.log.too_heavy(covered, bytes))
        };
        let needed = self.peers.iter().filter_map(|peer| match &peer.mode {
            Mode::Snapshot(sending) => Some(sending.last_index()),
            _ => None,
        });
        let to = needed.fold(tail(1), LogIndex::min).max(tail(TRAILING_FACTOR_MAX));
        if to > self.log.base().index {
            self.log.compact(to);
            self.effects.get().events.push(Event::Compacted { to });
        }
    }

    /// The machine is in the snapshot's state now.
    pub(super) fn installed(&mut self, index: LogIndex) {
        let Some(kept) = self.snapshot.as_ref().filter(|kept| kept.last_index() == index) else { return };
        if index <= self.applied_index {
            return;
        }
        let SnapshotMeta { membership, version, .. } = kept.snapshot.meta.clone();
        self.applied_index = index;
        if !plant::is(Bug::SnapshotForgetsConfig) {
            self.adopt_membership(index, Arc::new(membership));
        }
        self.adopt_version(version);
        self.carry_out_late_order();
    }

    /// As leader: sends the peer at `position` the next piece of a snapshot. Returns whether it did.
    pub(super) fn send_snapshot_chunk(&mut self, position: usize) -> bool {
        let bytes_max = self.config.append_bytes_max;
        let in_number = bytes_max.saturating_mul(self.config.inflight_messages_max.max(1));
        let window = self.config.inflight_bytes_max.min(in_number);
        let peer = &mut self.peers[position];
        let (to, Mode::Snapshot(sending)) = (peer.id, &mut peer.mode) else { return false };
        let Some(chunk) = sending.next_chunk(bytes_max, window) else { return false };
        self.send(to, self.hard_state.term, Body::SnapshotChunk(Box::new(chunk)));
        true
    }

    /// As leader: the log does not reach back to what the peer at `position` needs next.
    pub(super) fn begin_snapshot(&mut self, position: usize) -> bool {
        let Some(kept) = self.snapshot.as_deref().cloned() else { return false };
        marks::hit("raft.snapshot_sent");
        self.peers[position].send_snapshot(Sending::new(kept));
        true
    }

    /// As follower: takes a piece of a snapshot.
    pub(super) fn answer_snapshot_chunk(&mut self, leader: NodeId, chunk: SnapshotChunk) {
        let (index, total) = (chunk.meta.index, chunk.total_bytes);
        if index > INDEX_MAX || chunk.meta.term > self.hard_state.term {
            marks::hit("raft.malformed_snapshot_ignored");
            return;
        }
        let is_known = self.log.term(index) == Some(chunk.meta.term);
        if index <= self.commit_index || is_known {
            marks::hit("raft.snapshot_not_needed");
            self.receiving.clear();
            self.commit_up_to(index);
            // What is before the base is durable when the base is, and may not be yet.
            self.acknowledge(leader, index.min(self.commit_index).max(self.log.base().index));
            return;
        }
        let received_bytes =
            match self.receiving.take(self.hard_state.term, chunk, self.config.snapshot_bytes_max) {
                Received::Part(bytes) => bytes,
                Received::Whole(snapshot) => {
                    self.replace_log(snapshot);
                    self.acknowledge(leader, index);
                    total
                }
                Received::Ignored => return,
            };
        self.send(leader, self.hard_state.term, Body::SnapshotReceived { index, received_bytes });
    }

    /// Puts a snapshot in the place of the whole log, in memory at once and on disk with the next request.
    fn replace_log(&mut self, snapshot: Snapshot) {
        marks::hit("raft.log_replaced_by_snapshot");
        let meta = snapshot.meta.clone();
        self.log.restart(Position::from(&meta));
        self.unapplied_changes.clear();
        self.effects.get().committed.clear();
        self.storing.replaced_by(snapshot);
        self.commit_index = meta.index;
        self.effects.get().events.push(Event::SnapshotReceived { meta: Box::new(meta) });
    }

    /// Tells the leader that everything up to `index` is here, once it is durable.
    pub(super) fn acknowledge(&mut self, leader: NodeId, index: LogIndex) {
        let body = Body::AppendAccepted { match_index: index };
        let response = Message { from: self.config.id, to: leader, term: self.hard_state.term, body };
        self.storing.after_entries(index, response, self.effects.get());
    }
}
