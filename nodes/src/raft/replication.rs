//! Log replication, both ends: appends, their answers, heartbeats, the commit index (Raft paper 5.3, 5.4).

use crate::ids::{ClusterTime, LogIndex, NodeId, Term};
use crate::marks;
use crate::plant::{self, Bug};

use super::core::Core;
use super::progress::Mode;
use super::quorum;
use super::types::{Body, Entry, Event, Message, Role};

impl Core {
    /// As leader: sends every follower what it lacks, as far as its window allows. Entries leave without
    /// waiting for this node's own disk (thesis 10.2.1): the leader counts itself only when they are there.
    pub(super) fn send_appends(&mut self) {
        for position in 0..self.peers.len() {
            while self.send_append(position) {}
        }
    }

    /// Sends one append to the peer at `position`. Returns whether another may follow at once.
    fn send_append(&mut self, position: usize) -> bool {
        let peer = &self.peers[position];
        if peer.mode == Mode::Replicate && peer.next_index > self.log.last_index() {
            return false;
        }
        let window = (self.config.inflight_messages_max.max(1), self.config.inflight_bytes_max);
        let Some((budget, is_idle)) = peer.budget(window.0, window.1) else {
            return false;
        };
        let (to, prev_index, mode) = (peer.id, peer.next_index.previous(), peer.mode);
        let prev_term = self.log.term(prev_index).expect("the log reaches back to where a peer's may part");
        let bytes_max = budget.min(self.config.append_bytes_max);
        let may_be_one = is_idle || budget >= self.config.append_bytes_max;
        let (entries, bytes) = self.log.batch(prev_index.next(), bytes_max, may_be_one);
        if entries.is_empty() && mode == Mode::Replicate {
            return false;
        }
        let (last, entries) = (LogIndex(prev_index.0 + entries.len() as u64), entries.to_vec());
        self.peers[position].sent(last, bytes);
        let commit_index = self.commit_index;
        let body = Body::AppendRequest { prev_index, prev_term, entries, commit_index };
        self.send(to, self.hard_state.term, body);
        mode == Mode::Replicate
    }

    /// As follower: the receiver's rules of AppendEntries (Figure 2). The term has been dealt with.
    pub(super) fn answer_append(
        &mut self,
        leader: NodeId,
        (prev_index, prev_term): (LogIndex, Term),
        entries: Vec<Entry>,
        leader_commit: LogIndex,
    ) {
        // An entry of another term at that place says nothing of the stamps in the leader's log.
        let fits = self.log.term(prev_index) == Some(prev_term);
        let prev_time = self.log.time(prev_index).filter(|_| fits).unwrap_or_default();
        if !is_well_formed((prev_index, prev_term, prev_time), &entries, self.hard_state.term) {
            marks::hit("raft.malformed_append_ignored");
            return;
        }
        if !fits {
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
        let body = Body::AppendAccepted { match_index: tail };
        let response = Message { from: self.config.id, to: leader, term: self.hard_state.term, body };
        if plant::is(Bug::AckBeforeDurable) {
            self.effects.messages.push(response);
        } else {
            self.storing.after_entries(tail, response, &mut self.effects);
        }
    }

    /// Takes over the entries of an append that fits. What is there already stays, and what follows it
    /// too: the append may be an old one, overtaken by its successors. Only a conflict cuts the log.
    /// Returns `false`, changing nothing, if a committed entry is in conflict: no sound leader asks that.
    fn adopt(&mut self, prev_index: LogIndex, mut entries: Vec<Entry>) -> bool {
        if plant::is(Bug::TruncateOnStaleAppend) && !entries.is_empty() {
            self.truncate(prev_index.max(self.commit_index).next());
        }
        let is_known = |entry: &&Entry| self.log.term(entry.index) == Some(entry.term);
        let known = entries.iter().take_while(is_known).count();
        let Some(first) = entries.get(known) else {
            return true;
        };
        if first.index <= self.commit_index {
            marks::hit("raft.conflict_with_committed_ignored");
            return false;
        }
        if first.index <= self.log.last_index() {
            marks::hit("raft.conflict_truncated");
            self.truncate(first.index);
        }
        for entry in entries.drain(known..) {
            self.append(entry);
        }
        self.storing.reuse(entries);
        true
    }

    /// Drops every entry from `from` on, here and, with the next store request, on disk.
    fn truncate(&mut self, from: LogIndex) {
        if from > self.log.last_index() {
            return;
        }
        self.log.truncate(from);
        self.storing.truncated(from);
        self.effects.events.push(Event::Truncated { from });
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
    pub(super) fn answer_heartbeat(&mut self, leader: NodeId, commit_index: LogIndex, read_round: u64) {
        self.commit_up_to(commit_index.min(self.log.last_index()));
        self.send(leader, self.hard_state.term, Body::HeartbeatResponse { read_round });
    }

    /// As leader: a follower lives, and has confirmed a round. If it has long said nothing of what was
    /// sent to it, that was lost, so the window is freed and sending begins anew from what it is known to
    /// hold.
    pub(super) fn heartbeat_answered(&mut self, from: NodeId, read_round: u64) {
        if !self.note_contact(from) || !self.is_round_known(read_round) {
            return;
        }
        let Some(peer) = self.peer_mut(from) else { return };
        peer.acknowledged_round = peer.acknowledged_round.max(read_round);
        if peer.is_stalled() {
            marks::hit("raft.append_resent");
            let next = match peer.mode {
                Mode::Probe { .. } => peer.next_index,
                Mode::Replicate => peer.match_index.next(),
            };
            peer.probe_from(next);
        }
        self.confirm_rounds();
    }

    /// Notes that a peer answered in the current term. Returns whether this node leads it.
    fn note_contact(&mut self, from: NodeId) -> bool {
        let (now, leads) = (self.now, self.role == Role::Leader);
        if let Some(peer) = self.peer_mut(from).filter(|_| leads) {
            peer.last_contact = now;
        }
        leads
    }

    /// As leader: commits what a quorum holds durably, provided that its last entry is of this term
    /// (Raft paper 5.4.2 and Figure 8). The leader counts itself for what is on its own disk.
    pub(super) fn advance_commit_index(&mut self) {
        let index = LogIndex(quorum::committed_index(&self.config.voters, &[], |id| {
            self.peer(id).map_or(self.storing.durable_index(), |peer| peer.match_index).0
        }));
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

/// Whether an append can have come from a sound leader of `term`: consecutive entries whose terms begin at 1,
/// do not decrease and do not exceed the leader's, and whose stamps never go back.
fn is_well_formed(
    (prev_index, prev_term, prev_time): (LogIndex, Term, ClusterTime),
    entries: &[Entry],
    term: Term,
) -> bool {
    let mut last = (prev_index.0, prev_term.max(Term(1)), prev_time);
    prev_term <= term
        && entries.iter().all(|entry| {
            let fits = last.0.checked_add(1) == Some(entry.index.0)
                && (last.1..=term).contains(&entry.term)
                && last.2 <= entry.time;
            last = (entry.index.0, entry.term, entry.time);
            fits
        })
}
