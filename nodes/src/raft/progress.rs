//! What a leader knows of one follower: how far its log matches, what is on its way to it, when it last
//! answered; and what a candidate knows: its vote.
//!
//! Two modes (the scheme is that of etcd's core, in our own terms):
//! * **probe**: where the logs part is not known. One append is on its way at a time.
//! * **replicate**: the last append matched. Appends are sent on without waiting, `next_index` runs ahead
//!   optimistically, bounded in messages and bytes.
//!
//! Invariant: `match_index < next_index`. `match_index` rises only on the follower's own word in this term.

use std::collections::VecDeque;

use crate::ids::{LocalTime, LogIndex, NodeId};

/// Heartbeat intervals without any news of what was sent, after which the next sign of life from the
/// follower makes the leader send again. Two, so that one slow disk sync does not cause it.
const RESEND_AFTER_INTERVALS: u32 = 2;

/// How appends are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One at a time; `sent` while one is on its way.
    Probe {
        /// Whether one is on its way.
        sent: bool,
    },
    /// Optimistically.
    Replicate,
}

/// One peer, as this node sees it.
#[derive(Debug)]
pub(super) struct Progress {
    /// The peer.
    pub(super) id: NodeId,
    /// Its log is known to match ours up to here, durably.
    pub(super) match_index: LogIndex,
    /// The next entry to send it.
    pub(super) next_index: LogIndex,
    /// How.
    pub(super) mode: Mode,
    /// When it last answered in this term.
    pub(super) last_contact: LocalTime,
    /// The greatest read round that it has confirmed.
    pub(super) acknowledged_round: u64,
    /// Its vote or pre-vote in the election that goes on.
    pub(super) vote: Option<bool>,
    /// Last index and weight of each append on its way, in order.
    inflight: VecDeque<(LogIndex, usize)>,
    inflight_bytes: usize,
    /// Heartbeat intervals since anything that was sent was answered.
    intervals_without_news: u32,
}

impl Progress {
    /// A peer of which nothing is known.
    pub(super) const fn new(id: NodeId) -> Self {
        Self {
            id,
            match_index: LogIndex(0),
            next_index: LogIndex(1),
            mode: Mode::Probe { sent: false },
            last_contact: LocalTime(0),
            acknowledged_round: 0,
            vote: None,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
            intervals_without_news: 0,
        }
    }

    /// Begins a leadership: nothing is known but that the peer exists, and it has until one election
    /// timeout after `now` to answer.
    pub(super) fn begin_leadership(&mut self, next_index: LogIndex, now: LocalTime) {
        self.match_index = LogIndex(0);
        self.acknowledged_round = 0;
        self.last_contact = now;
        self.probe_from(next_index);
    }

    /// Falls back to one append at a time, from `next_index`; whatever was on its way is given up.
    pub(super) fn probe_from(&mut self, next_index: LogIndex) {
        debug_assert!(self.match_index < next_index);
        self.mode = Mode::Probe { sent: false };
        self.next_index = next_index;
        self.inflight.clear();
        self.inflight_bytes = 0;
        self.intervals_without_news = 0;
    }

    /// Bytes that the next append may weigh, or `None` if none may be sent now. The flag says that nothing
    /// is on its way, so that a single entry may be sent whatever its weight.
    pub(super) fn budget(&self, messages_max: usize, bytes_max: usize) -> Option<(usize, bool)> {
        match self.mode {
            Mode::Probe { sent: true } => None,
            Mode::Probe { sent: false } => Some((bytes_max, true)),
            Mode::Replicate if self.inflight.len() >= messages_max => None,
            Mode::Replicate => {
                Some((bytes_max.saturating_sub(self.inflight_bytes), self.inflight.is_empty()))
            }
        }
    }

    /// Notes that an append was sent whose last entry is `last` and which weighs `bytes`.
    pub(super) fn sent(&mut self, last: LogIndex, bytes: usize) {
        match &mut self.mode {
            Mode::Probe { sent } => *sent = true,
            Mode::Replicate => {
                self.next_index = last.next();
                self.inflight.push_back((last, bytes));
                self.inflight_bytes += bytes;
            }
        }
    }

    /// The follower holds everything up to `index`. Returns whether that is news.
    pub(super) fn accepted(&mut self, index: LogIndex) -> bool {
        let is_news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        while let Some(&(last, bytes)) = self.inflight.front()
            && last <= index
        {
            self.inflight.pop_front();
            self.inflight_bytes -= bytes;
        }
        if is_news {
            self.intervals_without_news = 0;
        }
        if matches!(self.mode, Mode::Probe { .. }) && index == self.match_index {
            self.mode = Mode::Replicate;
            self.next_index = self.match_index.next();
            self.intervals_without_news = 0;
        }
        self.next_index = self.next_index.max(self.match_index.next());
        is_news
    }

    /// Whether a rejection of the append after `prev_index` answers something that is still open.
    pub(super) fn is_rejection_current(&self, prev_index: LogIndex) -> bool {
        match self.mode {
            Mode::Probe { sent } => sent && prev_index == self.next_index.previous(),
            Mode::Replicate => self.match_index < prev_index && prev_index < self.next_index,
        }
    }

    /// A heartbeat interval has passed.
    pub(super) fn interval_passed(&mut self) {
        if self.mode == (Mode::Probe { sent: true }) || !self.inflight.is_empty() {
            self.intervals_without_news = self.intervals_without_news.saturating_add(1);
        }
    }

    /// The follower is alive and yet says nothing of what was sent: it, or the answer, was lost.
    pub(super) const fn is_stalled(&self) -> bool {
        self.intervals_without_news >= RESEND_AFTER_INTERVALS
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, Progress};
    use crate::ids::{LogIndex, NodeId};

    fn replicating() -> Progress {
        let mut progress = Progress::new(NodeId(2));
        progress.sent(LogIndex(1), 10);
        assert!(progress.accepted(LogIndex(1)));
        progress
    }

    #[test]
    fn a_probe_sends_one_append_at_a_time() {
        let mut progress = Progress::new(NodeId(2));
        assert_eq!(progress.budget(4, 100), Some((100, true)));
        progress.sent(LogIndex(3), 10);
        assert_eq!(progress.budget(4, 100), None);
        assert_eq!(progress.next_index, LogIndex(1));
    }

    #[test]
    fn the_window_is_bounded_in_messages_and_bytes_and_freed_by_any_later_answer() {
        let mut progress = replicating();
        progress.sent(LogIndex(2), 60);
        assert_eq!(progress.budget(2, 100), Some((40, false)));
        progress.sent(LogIndex(3), 40);
        assert_eq!(progress.budget(2, 100), None);
        assert!(progress.accepted(LogIndex(3)));
        assert_eq!(progress.budget(2, 100), Some((100, true)));
    }

    #[test]
    fn the_match_index_never_goes_back() {
        let mut progress = replicating();
        progress.sent(LogIndex(5), 1);
        assert!(progress.accepted(LogIndex(5)));
        assert!(!progress.accepted(LogIndex(2)));
        assert_eq!((progress.match_index, progress.next_index), (LogIndex(5), LogIndex(6)));
        assert_eq!(progress.mode, Mode::Replicate);
    }

    #[test]
    fn giving_up_what_is_on_its_way_frees_the_window() {
        let mut progress = replicating();
        progress.sent(LogIndex(2), 100);
        progress.probe_from(LogIndex(2));
        assert_eq!(progress.budget(1, 100), Some((100, true)));
    }
}
