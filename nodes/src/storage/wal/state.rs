//! What the log comes to: the state that its records add up to, without the entries themselves.
//!
//! The writer advances it by requests and recovery by the records that those became, through the same
//! methods. What one of them refuses is a bug of the caller while writing, and damage while reading; so a
//! request that recovery would refuse is never written.
//!
//! Each segment begins with this state, as a [`Checkpoint`], so that everything before it can be removed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::segment::FIRST_SEGMENT;
use super::snapshot::SnapshotReference;
use crate::ids::{ClusterTime, LogIndex, Term};
use crate::raft::{HardState, StoreRequest};

/// The state at the beginning of a segment, as the segment's header holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Term and vote.
    pub(super) hard_state: HardState,
    /// The snapshot in force.
    pub(super) snapshot: Option<SnapshotReference>,
    /// The last entry of the log.
    pub(super) last_index: LogIndex,
    /// Segments before this one have been given up, and may be missing.
    pub(super) first_segment: u64,
}

impl Checkpoint {
    /// The state of a log that has just begun.
    pub(super) const BEGINNING: Self = Self {
        hard_state: HardState { term: Term(0), voted_for: None },
        snapshot: None,
        last_index: LogIndex(0),
        first_segment: FIRST_SEGMENT,
    };
}

/// What bounds the next entry from below: term and stamp of the last one.
pub(super) type Tail = Option<(Term, ClusterTime)>;

/// A segment that is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    segment: u64,
    /// The last of its entries that is still part of the log; 0 if it has none.
    live_to: LogIndex,
}

/// The state so far.
#[derive(Debug)]
pub(super) struct LogState {
    at: Checkpoint,
    /// Unknown behind a truncation, and where reading began behind the first segment.
    tail: Tail,
    /// What the snapshot covered after the last whole request: no truncation reaches below.
    settled_to: LogIndex,
    kept: VecDeque<Kept>,
}

impl LogState {
    /// The state at the beginning of `segment`, which is the first that is read or written.
    pub(super) fn at_start_of(segment: u64, checkpoint: Checkpoint) -> Self {
        let tail = (checkpoint == Checkpoint::BEGINNING).then_some((Term(0), ClusterTime(0)));
        let settled_to = checkpoint.snapshot.map_or(LogIndex(0), |snapshot| snapshot.index);
        let kept = VecDeque::from([Kept { segment, live_to: LogIndex(0) }]);
        Self { at: checkpoint, tail, settled_to, kept }
    }

    /// The state as the next segment's header would hold it.
    pub(super) const fn checkpoint(&self) -> Checkpoint {
        self.at
    }

    /// What follows lies in this segment.
    pub(super) fn begin_segment(&mut self, segment: u64) {
        self.kept.push_back(Kept { segment, live_to: LogIndex(0) });
    }

    /// Term and vote are now these.
    pub(super) fn vote(&mut self, hard_state: HardState) -> Result<(), String> {
        let before = self.at.hard_state.term;
        if hard_state.term < before {
            return Err(format!("the term goes back from {before} to {}", hard_state.term));
        }
        self.at.hard_state = hard_state;
        Ok(())
    }

    /// This snapshot is in force. With `replaces_log` the log begins anew behind it.
    pub(super) fn cover(&mut self, snapshot: SnapshotReference, replaces_log: bool) -> Result<(), String> {
        let before = self.covered_to();
        if snapshot.index < before || snapshot.index == LogIndex(0) {
            return Err(format!("a snapshot up to {} follows one up to {before}", snapshot.index));
        }
        self.at.snapshot = Some(snapshot);
        if replaces_log {
            self.at.last_index = snapshot.index;
            self.tail = Some((snapshot.term, snapshot.time));
            self.kept.iter_mut().for_each(|kept| kept.live_to = LogIndex(0));
        }
        Ok(())
    }

    /// The log ends before `from`. `tail` is what is known of the entry that is the last one then.
    pub(super) fn truncate(&mut self, from: LogIndex, tail: Tail) -> Result<(), String> {
        if from <= self.settled_to {
            return Err(format!("a truncation from {from} reaches into what ends at {}", self.settled_to));
        }
        let last = from.previous();
        if last < self.at.last_index {
            self.at.last_index = last;
            self.tail = tail;
            self.kept.iter_mut().for_each(|kept| kept.live_to = kept.live_to.min(last));
        }
        Ok(())
    }

    /// The log has one more entry.
    pub(super) fn append(&mut self, index: LogIndex, term: Term, time: ClusterTime) -> Result<(), String> {
        let expected = self.at.last_index.0.saturating_add(1);
        if index.0 != expected {
            return Err(format!("entry {index} does not follow the end of the log: {expected} does"));
        }
        if let Some((before, stamp)) = self.tail
            && (term < before || time < stamp)
        {
            return Err(format!("entry {index} of {term}, {time} follows one of {before}, {stamp}"));
        }
        self.at.last_index = index;
        self.tail = Some((term, time));
        if let Some(kept) = self.kept.back_mut() {
            kept.live_to = index;
        }
        Ok(())
    }

    /// Segments before this one have been given up.
    pub(super) fn give_up(&mut self, first_segment: u64) -> Result<(), String> {
        let current = self.kept.back().map_or(FIRST_SEGMENT, |kept| kept.segment);
        if first_segment <= self.at.first_segment || first_segment > current {
            return Err(format!("segment {current} says that the log begins with segment {first_segment}"));
        }
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.segment < first_segment) {
            if kept.live_to > self.covered_to() {
                return Err(format!(
                    "segment {} is given up, yet holds entry {} that no snapshot covers",
                    kept.segment, kept.live_to
                ));
            }
        }
        self.at.first_segment = first_segment;
        Ok(())
    }

    /// The end of a request: what must hold after each.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let Checkpoint { hard_state, snapshot, last_index, .. } = self.at;
        if last_index < self.covered_to() {
            return Err(format!(
                "the log ends at {last_index}, before its snapshot up to {}",
                self.covered_to()
            ));
        }
        let entry_term = self.tail.map(|(term, _)| term);
        let latest = entry_term.max(snapshot.map(|snapshot| snapshot.term));
        self.settled_to = self.covered_to();
        match latest {
            Some(term) if term > hard_state.term => {
                Err(format!("the log holds {term}, yet the node has only seen {}", hard_state.term))
            }
            _ => Ok(()),
        }
    }

    /// Follows a whole request, `snapshot` being what became of the one in it. Returns the first segment, if
    /// the request makes another one the first.
    pub(super) fn follow(
        &mut self,
        request: &StoreRequest,
        snapshot: Option<SnapshotReference>,
    ) -> Result<Option<u64>, String> {
        if let Some(hard_state) = request.hard_state {
            self.vote(hard_state)?;
        }
        if let (Some(reference), Some(write)) = (snapshot, &request.snapshot) {
            self.cover(reference, write.replaces_log)?;
        }
        if let Some(from) = truncation_of(request) {
            self.truncate(from, None)?;
        }
        for entry in request.append.iter() {
            self.append(entry.index, entry.term, entry.time)?;
        }
        let first_segment = self.first_after(request)?;
        if let Some(first_segment) = first_segment {
            self.give_up(first_segment)?;
        }
        self.settle()?;
        Ok(first_segment)
    }

    /// The first segment that is still needed, if a request lets go of the present one.
    fn first_after(&self, request: &StoreRequest) -> Result<Option<u64>, String> {
        let compact_to = request.compact_to.unwrap_or_default();
        if compact_to > self.covered_to() {
            return Err(format!(
                "{compact_to} is to be forgotten, and the snapshot ends at {}",
                self.covered_to()
            ));
        }
        let replaces_log = request.snapshot.as_ref().is_some_and(|write| write.replaces_log);
        if request.compact_to.is_none() && !replaces_log {
            return Ok(None);
        }
        let needed = self.kept.iter().position(|kept| kept.live_to > compact_to);
        let first = needed.map_or_else(|| self.kept.back(), |position| self.kept.get(position));
        Ok(first.map(|kept| kept.segment).filter(|&segment| segment > self.at.first_segment))
    }

    /// The last entry that the snapshot in force covers.
    pub(super) fn covered_to(&self) -> LogIndex {
        self.at.snapshot.map_or(LogIndex(0), |snapshot| snapshot.index)
    }
}

/// From where a request truncates what is there before. A snapshot that replaces the log leaves nothing to
/// truncate.
pub(super) fn truncation_of(request: &StoreRequest) -> Option<LogIndex> {
    let replaces_log = request.snapshot.as_ref().is_some_and(|write| write.replaces_log);
    request.truncate_from.filter(|_| !replaces_log)
}
