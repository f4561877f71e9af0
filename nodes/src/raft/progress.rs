//! What a leader knows of one follower: how far its log matches, what is on its way to it, when it last
//! answered; and what a candidate knows: its vote.
//!
//! Three modes (the scheme is that of etcd's core, in our own terms):
//! * **probe**: where the logs part is not known. One append is on its way at a time.
//! * **replicate**: the last append matched. Appends are sent on without waiting, `next_index` runs ahead
//!   optimistically, bounded in messages and bytes.
//! * **snapshot**: the log does not reach back to where the follower is. It is sent a snapshot, piece by
//!   piece, and no appends; what it has received it says itself, so that a transfer goes on where it was
//!   after losses.
//!
//! Invariant: `match_index < next_index`. `match_index` rises only on the follower's own word in this term.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use crate::ids::{LocalTime, LogIndex, NodeId};

use super::on_demand::OnDemand;
use super::sending::Sending;
use super::types::{PeerMode, PeerStatus};

/// Heartbeat intervals without any news of what was sent, after which the next sign of life from the
/// follower makes the leader send again. Two, so that one slow disk sync does not cause it.
const RESEND_AFTER_INTERVALS: u32 = 2;

/// How appends are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One at a time; `sent` while one is on its way.
    Probe {
        /// Whether one is on its way.
        sent: bool,
    },
    /// Optimistically.
    Replicate,
    /// Not at all: a snapshot is on its way.
    Snapshot(Box<Sending>),
}

/// The appends on their way to one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Inflight {
    /// Last index and weight of each, in order.
    appends: VecDeque<(LogIndex, usize)>,
    /// What they weigh together.
    bytes: usize,
}

/// One peer, as this node sees it.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The peer.
    pub(super) id: NodeId,
    /// It does not vote.
    pub(super) is_learner: bool,
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
    /// When that round began.
    pub(super) confirmed_at: Option<LocalTime>,
    /// Its vote or pre-vote in the election that goes on.
    pub(super) vote: Option<bool>,
    /// The latest version that it speaks, once it has said so in this term.
    pub(super) version: Option<u16>,
    /// Its priority, as far as it is known.
    pub(super) priority: u8,
    /// It has agreed to fall silent.
    pub(super) is_quiesced: bool,
    inflight: OnDemand<Inflight>,
    /// Heartbeat intervals since anything that was sent was answered.
    intervals_without_news: u32,
}

impl Progress {
    /// A peer of which nothing is known.
    pub(super) const fn new(id: NodeId, is_learner: bool) -> Self {
        Self {
            id,
            is_learner,
            match_index: LogIndex(0),
            next_index: LogIndex(1),
            mode: Mode::Probe { sent: false },
            last_contact: LocalTime(0),
            acknowledged_round: 0,
            confirmed_at: None,
            vote: None,
            version: None,
            priority: 0,
            is_quiesced: false,
            inflight: OnDemand::new(),
            intervals_without_news: 0,
        }
    }

    /// Begins a leadership: nothing is known but that the peer exists, and it has until one election
    /// timeout after `now` to answer.
    pub(super) fn begin_leadership(&mut self, next_index: LogIndex, now: LocalTime) {
        self.match_index = LogIndex(0);
        self.acknowledged_round = 0;
        self.confirmed_at = None;
        self.version = None;
        self.is_quiesced = false;
        self.last_contact = now;
        self.probe_from(next_index);
    }

    /// Falls back to one append at a time, from `next_index`; whatever was on its way is given up.
    pub(super) fn probe_from(&mut self, next_index: LogIndex) {
        debug_assert!(self.match_index < next_index);
        self.mode = Mode::Probe { sent: false };
        self.next_index = next_index;
        self.forget_inflight();
    }

    /// Sends a snapshot from now on, until the follower has it.
    pub(super) fn send_snapshot(&mut self, sending: Sending) {
        self.next_index = sending.last_index().next().max(self.match_index.next());
        self.mode = Mode::Snapshot(Box::new(sending));
        self.forget_inflight();
    }

    fn forget_inflight(&mut self) {
        if self.inflight.view().is_some() {
            let inflight = self.inflight.get();
            inflight.appends.clear();
            inflight.bytes = 0;
        }
        self.intervals_without_news = 0;
    }

    /// Bytes that the next append may weigh, or `None` if none may be sent now. The flag says that nothing
    /// is on its way, so that a single entry may be sent whatever its weight.
    pub(super) fn budget(&self, messages_max: usize, bytes_max: usize) -> Option<(usize, bool)> {
        match self.mode {
            Mode::Probe { sent: true } | Mode::Snapshot(_) => None,
            Mode::Probe { sent: false } => Some((bytes_max, true)),
            Mode::Replicate => match self.inflight.view() {
                None => Some((bytes_max, true)),
                Some(inflight) if inflight.appends.len() >= messages_max => None,
                Some(inflight) => {
                    Some((bytes_max.saturating_sub(inflight.bytes), inflight.appends.is_empty()))
                }
            },
        }
    }

    /// Notes that an append was sent whose last entry is `last` and which weighs `bytes`.
    pub(super) fn sent(&mut self, last: LogIndex, bytes: usize) {
        match &mut self.mode {
            Mode::Probe { sent } => *sent = true,
            Mode::Replicate => {
                self.next_index = last.next();
                let inflight = self.inflight.get();
                inflight.appends.push_back((last, bytes));
                inflight.bytes += bytes;
            }
            Mode::Snapshot(_) => {}
        }
    }

    /// The follower holds everything up to `index`. Returns whether that is news.
    pub(super) fn accepted(&mut self, index: LogIndex) -> bool {
        let is_news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        if self.inflight_messages() > 0 {
            let inflight = self.inflight.get();
            while let Some((_, bytes)) = inflight.appends.pop_front_if(|&mut (last, _)| last <= index) {
                inflight.bytes -= bytes;
            }
        }
        if is_news {
            self.intervals_without_news = 0;
        }
        let reaches_log = match &self.mode {
            Mode::Probe { .. } => index == self.match_index,
            Mode::Snapshot(sending) => self.match_index >= sending.last_index(),
            Mode::Replicate => false,
        };
        if reaches_log {
            self.mode = Mode::Replicate;
            self.next_index = self.match_index.next();
            self.intervals_without_news = 0;
        }
        self.next_index = self.next_index.max(self.match_index.next());
        is_news
    }

    /// The follower says how much of a snapshot it has.
    pub(super) fn snapshot_received(&mut self, index: LogIndex, received_bytes: u64) {
        if let Mode::Snapshot(sending) = &mut self.mode
            && sending.last_index() == index
            && sending.received(received_bytes)
        {
            self.intervals_without_news = 0;
        }
    }

    /// Whether a rejection of the append after `prev_index` answers something that is still open.
    pub(super) fn is_rejection_current(&self, prev_index: LogIndex) -> bool {
        match self.mode {
            Mode::Probe { sent } => sent && prev_index == self.next_index.previous(),
            Mode::Replicate => self.match_index < prev_index && prev_index < self.next_index,
            Mode::Snapshot(_) => false,
        }
    }

    /// A heartbeat interval has passed.
    pub(super) fn interval_passed(&mut self) {
        let is_probing = matches!(self.mode, Mode::Probe { sent: true } | Mode::Snapshot(_));
        if is_probing || self.inflight_messages() > 0 {
            self.intervals_without_news = self.intervals_without_news.saturating_add(1);
        }
    }

    /// The follower is alive and yet says nothing of what was sent: it, or the answer, was lost.
    pub(super) const fn is_stalled(&self) -> bool {
        self.intervals_without_news >= RESEND_AFTER_INTERVALS
    }

    /// What was sent is lost, or seems to be: begins anew from what the follower is known to hold.
    pub(super) fn resend(&mut self) {
        match &mut self.mode {
            Mode::Probe { .. } => self.probe_from(self.next_index),
            Mode::Replicate => self.probe_from(self.match_index.next()),
            Mode::Snapshot(sending) => {
                sending.resend();
                self.intervals_without_news = 0;
            }
        }
    }

    /// Whether everything up to `last` is known to be here and nothing is on its way.
    pub(super) fn has_all(&self, last: LogIndex) -> bool {
        self.mode == Mode::Replicate && self.match_index == last
    }

    fn inflight_messages(&self) -> usize {
        self.inflight.view().map_or(0, |inflight| inflight.appends.len())
    }

    /// Gives back the memory of empty buffers.
    pub(super) fn release_memory(&mut self) {
        self.inflight.release_if(|inflight| inflight.appends.is_empty());
    }

    /// For status pages. Whether it is paused depends on the entry that is next.
    pub(super) fn status(&self, is_paused: bool) -> PeerStatus {
        PeerStatus {
            id: self.id,
            match_index: self.match_index,
            next_index: self.next_index,
            mode: match &self.mode {
                Mode::Probe { .. } => PeerMode::Probe,
                Mode::Replicate => PeerMode::Replicate,
                Mode::Snapshot(sending) => PeerMode::Snapshot(sending.last_index()),
            },
            is_paused,
            inflight_messages: self.inflight_messages(),
            is_learner: self.is_learner,
            last_contact: self.last_contact,
        }
    }

    /// Feeds what this is, but for times, to a hash: see [`super::Core::fingerprint`].
    pub(super) fn fingerprint(&self, state: &mut impl Hasher) {
        let mode = match &self.mode {
            Mode::Probe { sent } => (0, u64::from(*sent)),
            Mode::Replicate => (1, 0),
            Mode::Snapshot(sending) => (2, sending.last_index().0),
        };
        (self.id, self.is_learner, self.match_index, self.next_index, mode).hash(state);
        (self.acknowledged_round, self.vote, self.version, self.is_quiesced).hash(state);
        if let Mode::Snapshot(sending) = &self.mode {
            sending.fingerprint(state);
        }
        (
            self.inflight.view().filter(|inflight| !inflight.appends.is_empty()),
            self.intervals_without_news.min(RESEND_AFTER_INTERVALS),
        )
            .hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, Progress};
    use crate::ids::{LogIndex, NodeId};

    fn replicating() -> Progress {
        let mut progress = Progress::new(NodeId(2), false);
        progress.sent(LogIndex(1), 10);
        assert!(progress.accepted(LogIndex(1)));
        progress
    }

    #[test]
    fn a_probe_sends_one_append_at_a_time() {
        let mut progress = Progress::new(NodeId(2), false);
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
