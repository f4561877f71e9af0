//! What is on disk, what is on its way there, and which messages wait for it.
//!
//! Storage is asynchronous. At most one request is out at a time; what changes meanwhile gathers for the
//! next one. Three positions matter, in log order:
//!
//! ```text
//!   1 ..= durable_index        on disk, and part of the log as it is now
//!     .. requested_next        handed out in the request that is out, not known to be on disk
//!     ..= last index           to be handed out with the next request
//! ```
//!
//! Truncation lowers the first two at once, before the disk hears of it. So a completion that arrives later
//! vouches only for what it stored *and* is still in the log: an old completion never makes a rewritten
//! index durable. Completions are matched by token; any other token is ignored.
//!
//! A leader's snapshot that takes the place of the log does the same to all of it, and then stands in the
//! line at the place of its last entry: whoever waits for that entry waits for the snapshot.
//!
//! Messages that wait for the request that is out are released with its token. Those that wait for the
//! next request stay here until it is made; acknowledgements among them are withdrawn if the entries that
//! they vouch for are truncated first, since those will never reach the disk.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use crate::ids::{LocalTime, LogIndex};
use crate::marks;

use super::log::Log;
use super::types::{Body, Effects, HardState, Message, Snapshot, SnapshotWrite, StoreRequest, StoreToken};

/// Messages that wait for one request, at most. Beyond it one is dropped: losing a message is always
/// allowed.
const WAITING_MESSAGES_MAX: usize = 1024;

/// What a message or action has to wait for. Later variants wait longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Nothing: it is durable.
    Now,
    /// The completion of the request that is out.
    Outstanding,
    /// The completion of the request to come.
    Next,
}

/// The request that is out.
#[derive(Clone, Debug, Default)]
struct Outstanding {
    token: StoreToken,
    hard_state: HardState,
    /// The last of its entries that is still in the log; else the last entry before them.
    last_index: LogIndex,
    /// The snapshot that it stores, if any.
    snapshot: Option<Box<SnapshotWrite>>,
    /// What waits for it, so that a repeated cause does not make a message wait twice.
    held: Vec<Message>,
    since: LocalTime,
}

/// What a completion has brought.
#[derive(Debug)]
pub(super) struct Completed {
    /// The snapshot that is durable now.
    pub(super) snapshot: Option<Box<SnapshotWrite>>,
}

/// The state of the disk as far as the core can know it.
#[derive(Clone, Debug)]
pub(super) struct Storing {
    last_token: StoreToken,
    outstanding: Option<Box<Outstanding>>,
    wanted: HardState,
    requested: HardState,
    durable: HardState,
    durable_index: LogIndex,
    requested_next: LogIndex,
    truncate_from: Option<LogIndex>,
    snapshot: Option<Box<SnapshotWrite>>,
    compact_to: Option<LogIndex>,
    waiting: VecDeque<Message>,
    /// The memory of a request that is complete, for the next.
    spare: Option<Box<Outstanding>>,
}

impl Storing {
    /// Begins from what was found on disk.
    pub(super) const fn new(hard_state: HardState, last_index: LogIndex) -> Self {
        Self {
            last_token: StoreToken(0),
            outstanding: None,
            wanted: hard_state,
            requested: hard_state,
            durable: hard_state,
            durable_index: last_index,
            requested_next: last_index.next(),
            truncate_from: None,
            snapshot: None,
            compact_to: None,
            waiting: VecDeque::new(),
            spare: None,
        }
    }

    /// Gives back the memory of empty buffers.
    pub(super) fn release_memory(&mut self) {
        self.waiting.shrink_to_fit();
        self.spare = None;
    }

    /// Every entry up to here is on disk and still part of the log.
    pub(super) const fn durable_index(&self) -> LogIndex {
        self.durable_index
    }

    /// The term and vote on disk.
    pub(super) const fn durable_hard_state(&self) -> HardState {
        self.durable
    }

    /// Since when the request that is out has been out.
    pub(super) fn out_since(&self) -> Option<LocalTime> {
        self.outstanding.as_ref().map(|outstanding| outstanding.since)
    }

    /// Whether a snapshot that takes the place of the log is not durable yet. Until it is, nothing of the
    /// log as it is now can be applied.
    pub(super) fn is_log_being_replaced(&self) -> bool {
        let replaces = |write: &SnapshotWrite| write.replaces_log;
        let out = self.outstanding.as_ref().and_then(|outstanding| outstanding.snapshot.as_deref());
        self.snapshot.as_deref().is_some_and(replaces) || out.is_some_and(replaces)
    }

    /// Since when a write has been out that should take no time to speak of. One with a snapshot may.
    pub(super) fn stalled_since(&self) -> Option<LocalTime> {
        let outstanding = self.outstanding.as_ref().filter(|outstanding| outstanding.snapshot.is_none());
        outstanding.map(|outstanding| outstanding.since)
    }

    /// The last entry that a snapshot covers which is on its way to the disk, or waits for it.
    pub(super) fn pending_snapshot_index(&self) -> LogIndex {
        let out = self.outstanding.as_ref().and_then(|outstanding| outstanding.snapshot.as_deref());
        let index = |write: &SnapshotWrite| write.snapshot.meta.index;
        self.snapshot.as_deref().map_or(LogIndex(0), index).max(out.map_or(LogIndex(0), index))
    }

    /// Asks for a new term or vote to be written.
    pub(super) const fn want(&mut self, hard_state: HardState) {
        self.wanted = hard_state;
    }

    /// Asks for a snapshot of this node's own machine to be written.
    pub(super) fn keep_snapshot(&mut self, snapshot: Snapshot) {
        if !self.is_log_being_replaced() {
            self.snapshot = Some(Box::new(SnapshotWrite { snapshot, replaces_log: false }));
        }
    }

    /// Lets the disk forget what is covered by a snapshot that is durable.
    pub(super) fn forget_up_to(&mut self, index: LogIndex) {
        self.compact_to = self.compact_to.max(Some(index));
    }

    /// A leader's snapshot has taken the place of the whole log.
    pub(super) fn replaced_by(&mut self, snapshot: Snapshot) {
        let at = snapshot.meta.index;
        self.durable_index = self.durable_index.min(at.previous());
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.last_index = outstanding.last_index.min(at.previous());
        }
        self.requested_next = at;
        self.truncate_from = None;
        self.compact_to = None;
        self.waiting.retain(|message| !matches!(message.body, Body::AppendAccepted { .. }));
        self.snapshot = Some(Box::new(SnapshotWrite { snapshot, replaces_log: true }));
    }

    /// Entries from `from` on have left the log in memory.
    pub(super) fn truncated(&mut self, from: LogIndex) {
        self.durable_index = self.durable_index.min(from.previous());
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.last_index = outstanding.last_index.min(from.previous());
        }
        if from < self.requested_next {
            marks::hit("raft.truncated_what_was_requested");
            self.requested_next = from;
            self.truncate_from = Some(self.truncate_from.map_or(from, |earlier| earlier.min(from)));
        }
        self.waiting.retain(
            |message| !matches!(message.body, Body::AppendAccepted { match_index } if match_index >= from),
        );
    }

    /// What waits for term and vote.
    fn due_of_hard_state(&self) -> Due {
        if self.wanted == self.durable {
            Due::Now
        } else if self.outstanding.as_ref().is_some_and(|outstanding| outstanding.hard_state == self.wanted) {
            Due::Outstanding
        } else {
            Due::Next
        }
    }

    /// What waits for the log up to `index`.
    fn due_of_entries(&self, index: LogIndex) -> Due {
        if index <= self.durable_index {
            Due::Now
        } else if index < self.requested_next {
            Due::Outstanding
        } else {
            Due::Next
        }
    }

    /// Sends a vote, or a request for one, once term and vote are on disk.
    pub(super) fn after_hard_state(&mut self, message: Message, effects: &mut Effects) {
        let due = self.due_of_hard_state();
        self.defer(due, message, effects);
    }

    /// Sends the acknowledgement of the log up to `index` once term and entries are on disk.
    pub(super) fn after_entries(&mut self, index: LogIndex, message: Message, effects: &mut Effects) {
        let due = self.due_of_hard_state().max(self.due_of_entries(index));
        self.defer(due, message, effects);
    }

    fn defer(&mut self, due: Due, message: Message, effects: &mut Effects) {
        match (due, &mut self.outstanding) {
            (Due::Now, _) => effects.messages.push(message),
            (Due::Outstanding, Some(outstanding)) => {
                let is_held = |held: &Message| *held == message || supersedes(held, &message);
                if outstanding.held.len() >= WAITING_MESSAGES_MAX || outstanding.held.iter().any(is_held) {
                    marks::hit("raft.repeated_answer_waits_once");
                    return;
                }
                outstanding.held.push(message.clone());
                effects.messages_after.push((outstanding.token, message));
            }
            _ => self.wait(message),
        }
    }

    /// Keeps a message for the next request. A later acknowledgement to the same leader takes the place of
    /// an earlier one, and a message is kept once however often its cause is repeated.
    fn wait(&mut self, message: Message) {
        if let Some(last) = self.waiting.back_mut()
            && supersedes(&message, last)
        {
            marks::hit("raft.acknowledgements_merged");
            *last = message;
            return;
        }
        if self.waiting.contains(&message) {
            return;
        }
        if self.waiting.len() == WAITING_MESSAGES_MAX {
            marks::hit("raft.waiting_message_dropped");
            self.waiting.pop_front();
        }
        self.waiting.push_back(message);
    }

    /// The next request, if one is called for and none is out. What waited for it goes into `effects`.
    pub(super) fn next_request(
        &mut self,
        log: &Log,
        now: LocalTime,
        effects: &mut Effects,
    ) -> Option<StoreRequest> {
        let is_dirty = self.wanted != self.requested
            || self.truncate_from.is_some()
            || self.snapshot.is_some()
            || self.compact_to.is_some()
            || self.requested_next <= log.last_index();
        if self.outstanding.is_some() || !is_dirty {
            return None;
        }
        let token = StoreToken(self.last_token.0 + 1);
        let request = StoreRequest {
            token,
            hard_state: (self.wanted != self.requested).then_some(self.wanted),
            snapshot: self.snapshot.take(),
            truncate_from: self.truncate_from.take(),
            append: log.tail(self.requested_next),
            compact_to: self.compact_to.take(),
        };
        self.last_token = token;
        self.requested = self.wanted;
        self.requested_next = log.last_index().next();
        let mut outstanding = self.spare.take().unwrap_or_default();
        let mut held = std::mem::take(&mut outstanding.held);
        if !self.waiting.is_empty() {
            held.extend(self.waiting.drain(..));
            effects.messages_after.extend(held.iter().map(|message| (token, message.clone())));
        }
        *outstanding = Outstanding {
            token,
            hard_state: self.wanted,
            last_index: log.last_index(),
            snapshot: request.snapshot.clone(),
            held,
            since: now,
        };
        self.outstanding = Some(outstanding);
        Some(request)
    }

    /// The request of `token` is durable. `None` if it is not the one that is out.
    pub(super) fn completed(&mut self, token: StoreToken, effects: &mut Effects) -> Option<Completed> {
        let Some(mut outstanding) = self.outstanding.take_if(|outstanding| outstanding.token == token) else {
            marks::hit("raft.unknown_completion_ignored");
            return None;
        };
        self.durable = outstanding.hard_state;
        self.durable_index = outstanding.last_index;
        // What was to wait for this token but has not left the core yet need not wait any more.
        let due = effects.messages_after.extract_if(.., |(waits_for, _)| *waits_for == token);
        effects.messages.extend(due.map(|(_, message)| message));
        outstanding.held.clear();
        let snapshot = outstanding.snapshot.take();
        self.spare = Some(outstanding);
        Some(Completed { snapshot })
    }

    /// Feeds what this is, but for times and names, to a hash: see [`super::Core::fingerprint`].
    pub(super) fn fingerprint(&self, state: &mut impl Hasher) {
        (self.wanted, self.requested, self.durable, self.durable_index, self.requested_next).hash(state);
        (self.truncate_from, self.compact_to, &self.waiting).hash(state);
        self.snapshot.as_ref().map(|write| (&write.snapshot.meta, write.replaces_log)).hash(state);
        if let Some(outstanding) = &self.outstanding {
            (outstanding.hard_state, outstanding.last_index, &outstanding.held).hash(state);
            let snapshot = outstanding.snapshot.as_ref();
            snapshot.map(|write| (&write.snapshot.meta, write.replaces_log)).hash(state);
        }
    }
}

/// Whether `later` says all that `earlier` says, and more: both acknowledge to one leader in one term.
fn supersedes(later: &Message, earlier: &Message) -> bool {
    let route = |message: &Message| (message.to, message.term);
    match (&later.body, &earlier.body) {
        (Body::AppendAccepted { match_index: more }, Body::AppendAccepted { match_index: less }) => {
            route(later) == route(earlier) && more >= less
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Storing, WAITING_MESSAGES_MAX};
    use crate::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
    use crate::raft::log::Log;
    use crate::raft::types::{Body, Effects, Entry, HardState, Message, Payload, StoreToken};

    const NOW: LocalTime = LocalTime(0);

    fn entry(index: u64, term: u64) -> Entry {
        Entry { index: LogIndex(index), term: Term(term), time: ClusterTime(0), payload: Payload::Noop }
    }

    fn acknowledgement(term: u64, match_index: u64) -> Message {
        Message {
            from: NodeId(2),
            to: NodeId(1),
            term: Term(term),
            body: Body::AppendAccepted { match_index: LogIndex(match_index) },
        }
    }

    #[test]
    fn an_old_completion_does_not_make_a_rewritten_index_durable() {
        let (mut log, mut effects) = (Log::default(), Effects::default());
        let mut storing = Storing::new(HardState::default(), LogIndex(0));
        (1..=3).for_each(|index| log.push(entry(index, 1)));
        log.seal();
        assert_eq!(
            storing.next_request(&log, NOW, &mut effects).map(|request| request.append.len()),
            Some(3)
        );
        log.truncate(LogIndex(2));
        storing.truncated(LogIndex(2));
        log.push(entry(2, 2));
        log.seal();
        storing.after_entries(LogIndex(2), acknowledgement(2, 2), &mut effects);
        assert!(storing.completed(StoreToken(1), &mut effects).is_some());
        assert_eq!(storing.durable_index(), LogIndex(1));
        assert_eq!((effects.messages.len(), effects.messages_after.len()), (0, 0));
        let request =
            storing.next_request(&log, NOW, &mut effects).expect("the rewritten entry is to be stored");
        assert_eq!((request.truncate_from, request.append), (Some(LogIndex(2)), vec![entry(2, 2)].into()));
        assert_eq!(effects.messages_after, [(StoreToken(2), acknowledgement(2, 2))]);
        assert!(storing.completed(StoreToken(2), &mut effects).is_some());
        assert_eq!(storing.durable_index(), LogIndex(2));
    }

    #[test]
    fn an_acknowledgement_of_entries_that_never_reach_the_disk_is_withdrawn() {
        let (mut log, mut effects) = (Log::default(), Effects::default());
        let mut storing = Storing::new(HardState::default(), LogIndex(0));
        (1..=2).for_each(|index| log.push(entry(index, 1)));
        storing.after_entries(LogIndex(2), acknowledgement(1, 2), &mut effects);
        log.truncate(LogIndex(2));
        storing.truncated(LogIndex(2));
        let request = storing.next_request(&log, NOW, &mut effects).expect("one entry is left");
        assert_eq!((request.truncate_from, request.append), (None, vec![entry(1, 1)].into()));
        assert_eq!(effects.messages_after, []);
    }

    #[test]
    fn unknown_completions_are_ignored() {
        let (mut log, mut effects) = (Log::default(), Effects::default());
        let mut storing = Storing::new(HardState::default(), LogIndex(0));
        assert!(storing.completed(StoreToken(0), &mut effects).is_none());
        log.push(entry(1, 1));
        log.seal();
        assert!(storing.next_request(&log, NOW, &mut effects).is_some());
        assert!(storing.completed(StoreToken(7), &mut effects).is_none());
        assert_eq!(storing.durable_index(), LogIndex(0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut storing = Storing::new(HardState::default(), LogIndex(0));
        let mut effects = Effects::default();
        storing.want(HardState { term: Term(1), voted_for: None });
        for term in 0..2 * WAITING_MESSAGES_MAX as u64 {
            storing.after_entries(LogIndex(0), acknowledgement(term, 0), &mut effects);
        }
        assert_eq!(storing.waiting.len(), WAITING_MESSAGES_MAX);
    }
}
