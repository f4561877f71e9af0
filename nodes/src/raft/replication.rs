//! Log replication, both ends: appends, their answers, heartbeats, the commit index (Raft paper 5.3, 5.4).

use crate::ids::{LogIndex, NodeId, Term};
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::entries::Entries;
use super::log::Position;
use super::progress::{Mode, Progress};
use super::quorum;
use super::types::{Body, Config, Entry, Event};

impl Core {
    /// As leader: sends every follower what it lacks, as far as its window allows. Entries leave without
    /// waiting for this node's own disk (thesis 10.2.1): the leader counts itself only when they are there.
    pub(super) fn send_appends(&mut self) {
        for position in 0..self.peers.len() {
            while self.send_append(position) {}
        }
    }

    /// Sends one append, or a piece of a snapshot, to the peer at `position`. Returns whether another may
    /// follow at once.
    fn send_append(&mut self, position: usize) -> bool {
        let peer = &self.peers[position];
        if matches!(peer.mode, Mode::Snapshot(_)) {
            return self.send_snapshot_chunk(position);
        }
        let is_replicating = peer.mode == Mode::Replicate;
        if is_replicating && peer.next_index > self.log.last_index() {
            return false;
        }
        let Some((bytes_max, may_be_one)) = self.room_for(peer) else {
            return false;
        };
        let (to, prev_index) = (peer.id, peer.next_index.previous());
        let Some(prev_term) = self.log.term(prev_index) else {
            return self.begin_snapshot(position);
        };
        let (entries, bytes) = self.log.batch(prev_index.next(), bytes_max, may_be_one);
        if entries.is_empty() && is_replicating {
            return false;
        }
        let last = entries.last().map_or(prev_index, |entry| entry.index);
        self.peers[position].sent(last, bytes);
        let commit_index = self.commit_index;
        let body = Body::AppendRequest { prev_index, prev_term, entries, commit_index };
        self.send(to, self.hard_state.term, body);
        is_replicating
    }

    /// Bytes that the next append to a peer may weigh, and whether a single entry may go whatever its weight;
    /// `None` if nothing may be sent before the peer answers.
    fn room_for(&self, peer: &Progress) -> Option<(usize, bool)> {
        let Config { inflight_messages_max, inflight_bytes_max, append_bytes_max, .. } = *self.config;
        let (budget, is_idle) = peer.budget(inflight_messages_max.max(1), inflight_bytes_max)?;
        Some((budget.min(append_bytes_max), is_idle || budget >= append_bytes_max))
    }

    /// Whether nothing may be sent to a peer before it answers: its window is full, or what is left of it is
    /// too little for the entry that is next.
    pub(super) fn is_paused(&self, peer: &Progress) -> bool {
        self.room_for(peer).is_none_or(|(bytes, may_be_one)| {
            let next_bytes = self.log.get(peer.next_index).map_or(1, Entry::weight_bytes);
            !may_be_one && bytes < next_bytes
        })
    }

    /// As follower: the receiver's rules of AppendEntries (Figure 2). The term has been dealt with.
    pub(super) fn answer_append(
        &mut self,
        leader: NodeId,
        (prev_index, prev_term): (LogIndex, Term),
        entries: &Entries,
        leader_commit: LogIndex,
    ) {
        // An entry of another term at that place says nothing of the stamps in the leader's log.
        let prev = self.log.position(prev_index).filter(|prev| prev.term == prev_term);
        let prev_or_unknown = Position { index: prev_index, term: prev_term, ..prev.unwrap_or_default() };
        if !is_well_formed(prev_or_unknown, entries, self.hard_state.term) {
            marks::hit("raft.malformed_append_ignored");
            return;
        }
        if prev.is_none() && prev_index < self.log.base().index {
            // Everything up to the base is committed, so the leader has it as well; let it go on from there.
            marks::hit("raft.append_before_the_log");
            self.acknowledge(leader, self.log.base().index);
            return;
        }
        if prev.is_none() {
            marks::hit("raft.append_rejected");
            let (hint_index, hint_term) = self.log.last_at_most(prev_index, prev_term);
            let body = Body::AppendRejected { prev_index, hint_index, hint_term };
            self.send(leader, self.hard_state.term, body);
            return;
        }
        let tail = LogIndex(prev_index.0 + entries.len() as u64);
        if !self.adopt(prev_index, entries) {
            return;
        }
        self.commit_up_to(leader_commit.min(tail));
        // The answer names the tail of this message, and vouches for no longer log that may be here.
        if plant::is(Bug::AckBeforeDurable) {
            self.send(leader, self.hard_state.term, Body::AppendAccepted { match_index: tail });
        } else {
            self.acknowledge(leader, tail);
        }
    }

    /// Takes over the entries of an append that fits. What is there already stays, and what follows it
    /// too: the append may be an old one, overtaken by its successors. Only a conflict cuts the log.
    /// Returns `false`, changing nothing, if a committed entry is in conflict: no sound leader asks that.
    fn adopt(&mut self, prev_index: LogIndex, entries: &Entries) -> bool {
        if plant::is(Bug::TruncateOnStaleAppend) && !entries.is_empty() {
            self.truncate(prev_index.max(self.commit_index).next());
        }
        let mut appended = Entries::new();
        for piece in entries.pieces() {
            let is_new = !appended.is_empty() || piece.first_index() > self.log.last_index();
            let known = if is_new {
                0
            } else {
                let is_known = |entry: &&Entry| self.log.term(entry.index) == Some(entry.term);
                piece.as_slice().iter().take_while(is_known).count()
            };
            let Some(first) = piece.as_slice().get(known) else { continue };
            if first.index <= self.commit_index {
                marks::hit("raft.conflict_with_committed_ignored");
                return false;
            }
            if first.index <= self.log.last_index() {
                if plant::is(Bug::NoTruncateOnConflict) {
                    return true;
                }
                marks::hit("raft.conflict_truncated");
                self.truncate(first.index);
            }
            let rest = piece.part(known..piece.len());
            let changes = rest.as_slice().iter().filter(|entry| entry.payload.is_change());
            self.unapplied_changes.extend(changes.map(|entry| entry.index));
            self.log.push_piece(rest.clone());
            appended.push(rest);
        }
        if !appended.is_empty() {
            self.effects.get().events.push(Event::Appended(appended));
        }
        true
    }

    /// Drops every entry from `from` on, here and, with the next store request, on disk.
    fn truncate(&mut self, from: LogIndex) {
        if from > self.log.last_index() {
            return;
        }
        self.log.truncate(from);
        self.storing.truncated(from);
        self.unapplied_changes.retain(|&index| index < from);
        self.effects.get().events.push(Event::Truncated { from });
    }

    /// As leader: a follower holds the log durably up to `match_index`.
    pub(super) fn append_accepted(&mut self, from: NodeId, match_index: LogIndex) {
        if !self.note_contact(from) || match_index > self.log.last_index() {
            return;
        }
        let is_news = self.peer_mut(from).is_some_and(|peer| peer.accepted(match_index));
        // A quorum beyond the commit index has not changed by news of less.
        if is_news && match_index > self.commit_index {
            self.advance_commit_index();
        }
    }

    /// As leader: a follower's log parts from ours at or before `prev_index`. The hint lets us skip every
    /// term that it cannot have there.
    pub(super) fn append_rejected(
        &mut self,
        from: NodeId,
        prev_index: LogIndex,
        hint_index: LogIndex,
        hint_term: Term,
    ) {
        if !self.note_contact(from) {
            return;
        }
        let (candidate, _) = self.log.last_at_most(hint_index, hint_term);
        let Some(peer) = self.peer_mut(from) else { return };
        if !peer.is_rejection_current(prev_index) {
            marks::hit("raft.stale_rejection_ignored");
            return;
        }
        let next = candidate.next().min(prev_index).max(peer.match_index.next());
        peer.probe_from(next);
    }

    /// As follower: the leader lives. Its commit index is already clamped to what it knows to be here;
    /// clamping it to the log again costs nothing and trusts nobody.
    pub(super) fn answer_heartbeat(
        &mut self,
        leader: NodeId,
        commit_index: LogIndex,
        read_round: u64,
        quiesce: bool,
    ) {
        self.commit_up_to(commit_index.min(self.log.last_index()));
        let quiesced = self.agrees_to_silence(quiesce);
        self.send(leader, self.hard_state.term, self.heartbeat_response(read_round, quiesced));
        self.ask_again(leader);
    }

    /// As leader: a follower lives, and has confirmed a round. If it has long said nothing of what was
    /// sent to it, that was lost, so the window is freed and sending begins anew from what it is known to
    /// hold.
    pub(super) fn heartbeat_answered(
        &mut self,
        from: NodeId,
        read_round: u64,
        quiesced: bool,
        (version, priority): (u16, u8),
    ) {
        if !self.note_contact(from) || !self.is_round_known(read_round) {
            return;
        }
        let credited = if plant::is(Bug::ReadIndexContextReused) { self.reads.round() } else { read_round };
        let began = self.reads.began(read_round);
        let quiesced = quiesced && self.is_silence_proposed_since(read_round);
        let Some(peer) = self.peer_mut(from) else { return };
        // Of two answers that overtook one another the one to the later round counts.
        if read_round >= peer.acknowledged_round {
            peer.is_quiesced = quiesced;
        }
        peer.acknowledged_round = peer.acknowledged_round.max(credited);
        peer.confirmed_at = peer.confirmed_at.max(began);
        (peer.version, peer.priority) = (Some(version), priority);
        if peer.is_stalled() {
            marks::hit("raft.append_resent");
            peer.resend();
        }
        self.confirm_rounds();
        if quiesced {
            self.fall_silent_if_all_agree();
        }
    }

    /// As leader: commits what a quorum holds durably, provided that its last entry is of this term
    /// (Raft paper 5.4.2 and Figure 8). The leader counts itself for what is on its own disk.
    pub(super) fn advance_commit_index(&mut self) {
        let (voters, outgoing) = self.halves();
        let index = LogIndex(quorum::committed_index(voters, outgoing, |id| {
            self.peer(id).map_or(self.storing.durable_index(), |peer| peer.match_index).0
        }));
        let index =
            if plant::is(Bug::LearnerInQuorum) { index.max(self.reached_with_learners()) } else { index };
        if index <= self.commit_index {
            return;
        }
        if self.log.term(index) != Some(self.hard_state.term) && !plant::is(Bug::CommitOldTermByCount) {
            marks::hit("raft.old_term_not_committed_by_count");
            return;
        }
        self.commit_up_to(index);
    }
}

impl Core {
    /// As [`Bug::LearnerInQuorum`] has it: what as many members hold as make a majority of the voters.
    fn reached_with_learners(&self) -> LogIndex {
        let mut held: Vec<_> = self.peers.iter().map(|peer| peer.match_index).collect();
        held.push(self.storing.durable_index());
        held.sort_unstable();
        held.into_iter().rev().nth(self.membership.voters.len() / 2).unwrap_or_default()
    }
}

/// Whether an append can have come from a sound leader of `term`: consecutive entries whose terms begin at 1,
/// do not decrease and do not exceed the leader's, and whose stamps never go back.
fn is_well_formed(prev: Position, entries: &Entries, term: Term) -> bool {
    let mut last = (prev.index.0, prev.term.max(Term(1)), prev.time);
    prev.term <= term
        && entries.iter().all(|entry| {
            let fits = last.0.checked_add(1) == Some(entry.index.0)
                && (last.1..=term).contains(&entry.term)
                && last.2 <= entry.time;
            last = (entry.index.0, entry.term, entry.time);
            fits
        })
}
