//! The log in memory: contiguous entries after a base position.
//!
//! The base is the position before the first entry held: `(0, term 0)`, or where compaction cut the log, or
//! the last entry of a snapshot. All arithmetic between indexes and offsets lives here and nowhere else.
//!
//! Entries that a leader appends gather in `open`; [`Log::seal`] makes a shared piece of them, once for all
//! messages and writes that will carry them. What comes from a leader arrives in pieces and stays so.

use std::collections::VecDeque;

use crate::ids::{ClusterTime, LogIndex, Term};
use crate::marks;

use super::entries::{Entries, Piece};
use super::types::{Entry, SnapshotMeta};

/// Pieces at the end of the log that are looked at one by one before the rest is searched by halves.
const PIECES_TRIED: usize = 4;

/// The place of an entry, and its stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) index: LogIndex,
    pub(super) term: Term,
    pub(super) time: ClusterTime,
}

impl From<&Entry> for Position {
    fn from(entry: &Entry) -> Self {
        Self { index: entry.index, term: entry.term, time: entry.time }
    }
}

impl From<&SnapshotMeta> for Position {
    fn from(meta: &SnapshotMeta) -> Self {
        Self { index: meta.index, term: meta.term, time: meta.time }
    }
}

/// The log in memory. It may be ahead of the disk: see [`super::storing`].
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    base: Position,
    last: Position,
    pieces: VecDeque<Piece>,
    /// The entries after those of the pieces.
    open: Vec<Entry>,
    /// The first index of each run of entries of one term.
    term_starts: VecDeque<(LogIndex, Term)>,
}

impl Log {
    /// The log that was found on disk, after `base`.
    ///
    /// # Panics
    /// If the entries are not contiguous from the base on or their terms decrease: the store has to refuse
    /// such a log before it gets here.
    pub(super) fn recovered(base: Position, entries: Vec<Entry>) -> Self {
        let mut log = Self { base, last: base, ..Self::default() };
        for entry in entries {
            assert!(entry.term >= log.last.term, "terms never decrease along a recovered log");
            log.push(entry);
        }
        log.seal();
        log
    }

    /// The position before the first entry held.
    pub(super) const fn base(&self) -> Position {
        self.base
    }

    /// Index of the first entry held, or that the first one will have.
    pub(super) const fn first_index(&self) -> LogIndex {
        self.base.index.next()
    }

    /// Index of the last entry.
    pub(super) const fn last_index(&self) -> LogIndex {
        self.last.index
    }

    /// Term of the last entry.
    pub(super) const fn last_term(&self) -> Term {
        self.last.term
    }

    /// Stamp of the last entry.
    pub(super) const fn last_time(&self) -> ClusterTime {
        self.last.time
    }

    /// The entry at `index`, if it is held.
    pub(super) fn get(&self, index: LogIndex) -> Option<&Entry> {
        if index <= self.base.index || index > self.last.index {
            return None;
        }
        let sealed_last = LogIndex(self.last.index.0 - self.open.len() as u64);
        if index > sealed_last {
            return self.open.get((index.0 - sealed_last.0 - 1) as usize);
        }
        let piece = &self.pieces[self.piece_of(index)];
        piece.as_slice().get((index.0 - piece.first_index().0) as usize)
    }

    /// Term of the entry at `index`, the base included; `None` outside the log.
    pub(super) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let run = match self.term_starts.back() {
            Some(&(start, _)) if start <= index => self.term_starts.len(),
            _ => self.term_starts.partition_point(|&(start, _)| start <= index),
        };
        self.term_starts.get(run.checked_sub(1)?).map(|&(_, term)| term)
    }

    /// The position of the entry at `index`, the base included; `None` outside the log.
    pub(super) fn position(&self, index: LogIndex) -> Option<Position> {
        if index == self.last.index {
            Some(self.last)
        } else if index == self.base.index {
            Some(self.base)
        } else {
            self.get(index).map(Position::from)
        }
    }

    /// Whether a candidate whose log ends in `(last_term, last_index)` has a log at least as up to date as
    /// this one (Raft paper 5.4.1): terms first, lengths only where terms are equal.
    pub(super) fn is_up_to_date(&self, last_index: LogIndex, last_term: Term) -> bool {
        (last_term, last_index) >= (self.last_term(), self.last_index())
    }

    /// Appends an entry. It can be read at once, and shared once it is sealed.
    ///
    /// # Panics
    /// If it does not follow the last one.
    pub(super) fn push(&mut self, entry: Entry) {
        self.follows(&entry);
        self.last = Position::from(&entry);
        self.open.push(entry);
    }

    /// Appends what came in a message.
    ///
    /// # Panics
    /// If it does not follow the last entry.
    pub(super) fn push_piece(&mut self, piece: Piece) {
        self.seal();
        for entry in piece.as_slice() {
            self.follows(entry);
            self.last = Position::from(entry);
        }
        self.pieces.push_back(piece);
    }

    fn follows(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.last.index.next(), "an entry follows the last one");
        if entry.term != self.last.term || self.term_starts.is_empty() {
            self.term_starts.push_back((entry.index, entry.term));
        }
    }

    /// Whether everything can be shared.
    pub(super) const fn is_sealed(&self) -> bool {
        self.open.is_empty()
    }

    /// Makes a shared piece of what was pushed since the last time; `None` if that is nothing.
    pub(super) fn seal(&mut self) -> Option<Piece> {
        if self.open.is_empty() {
            return None;
        }
        let piece = Piece::whole(self.open.drain(..).collect());
        self.pieces.push_back(piece.clone());
        Some(piece)
    }

    /// Drops every entry from `from` on.
    ///
    /// # Panics
    /// If `from` lies before the first entry held.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        assert!(from > self.base.index, "truncation reaches below the log");
        self.seal();
        while let Some(piece) = self.pieces.back_mut()
            && piece.last().index >= from
        {
            let first = piece.first_index();
            if first < from {
                *piece = piece.part(0..(from.0 - first.0) as usize);
            } else {
                self.pieces.pop_back();
            }
        }
        while self.term_starts.back().is_some_and(|&(start, _)| start >= from) {
            self.term_starts.pop_back();
        }
        self.last = self.pieces.back().map_or(self.base, |piece| Position::from(piece.last()));
    }

    /// Drops every entry up to `to`, which becomes the base. Does nothing if it is not held.
    pub(super) fn compact(&mut self, to: LogIndex) {
        let Some(base) = self.position(to).filter(|base| base.index > self.base.index) else { return };
        self.seal();
        while let Some(piece) = self.pieces.front_mut()
            && piece.first_index() <= to
        {
            if piece.last().index > to {
                *piece = piece.part((to.0 + 1 - piece.first_index().0) as usize..piece.len());
            } else {
                self.pieces.pop_front();
            }
        }
        while self.term_starts.get(1).is_some_and(|&(start, _)| start <= to.next()) {
            self.term_starts.pop_front();
        }
        if self.pieces.is_empty() {
            self.term_starts.clear();
        } else if let Some(first) = self.term_starts.front_mut() {
            first.0 = first.0.max(to.next());
        }
        self.base = base;
    }

    /// Gives back the memory of empty buffers.
    pub(super) fn release_memory(&mut self) {
        self.open.shrink_to_fit();
        self.pieces.shrink_to_fit();
        self.term_starts.shrink_to_fit();
    }

    /// Begins anew, empty, after a snapshot.
    pub(super) fn restart(&mut self, base: Position) {
        *self = Self { base, last: base, ..Self::default() };
    }

    /// All entries from `from` on; none if `from` is beyond the end.
    pub(super) fn tail(&self, from: LogIndex) -> Entries {
        self.range(from, self.last_index())
    }

    /// The entries from `from` up to and including `to`, as far as they are held. Everything is sealed.
    pub(super) fn range(&self, from: LogIndex, to: LogIndex) -> Entries {
        let mut run = Entries::new();
        self.extend_with(from, to, &mut run);
        run
    }

    /// The same, added to a run that is there.
    pub(super) fn extend_with(&self, from: LogIndex, to: LogIndex, run: &mut Entries) {
        debug_assert!(self.open.is_empty(), "open entries cannot be shared");
        let (from, to) = (from.max(self.first_index()), to.min(self.last.index));
        if from > to {
            return;
        }
        for piece in self.pieces.range(self.piece_of(from)..) {
            let first = piece.first_index();
            if first > to {
                break;
            }
            let start = from.0.saturating_sub(first.0) as usize;
            let end = ((to.0 - first.0 + 1) as usize).min(piece.len());
            run.push(piece.part(start..end));
        }
    }

    /// What the entries from `from` up to and including `to` weigh, as far as they are held.
    pub(super) fn weight_bytes(&self, from: LogIndex, to: LogIndex) -> usize {
        let (from, to) = (from.max(self.first_index()), to.min(self.last.index));
        if from > to {
            return 0;
        }
        let mut bytes = 0;
        for piece in self.pieces.range(self.piece_of(from)..) {
            let first = piece.first_index();
            if first > to {
                break;
            }
            let start = from.0.saturating_sub(first.0) as usize;
            let end = ((to.0 - first.0 + 1) as usize).min(piece.len());
            bytes += if end - start == piece.len() {
                piece.weight_bytes()
            } else {
                piece.as_slice()[start..end].iter().map(Entry::weight_bytes).sum()
            };
        }
        bytes
    }

    /// The last entry with which those up to `to` weigh more than `bytes_max`; the base, if they never do.
    pub(super) fn too_heavy(&self, to: LogIndex, bytes_max: usize) -> LogIndex {
        let (mut index, mut left) = (to, bytes_max);
        while let Some(entry) = self.get(index) {
            let Some(rest) = left.checked_sub(entry.weight_bytes()) else { return index };
            (index, left) = (index.previous(), rest);
        }
        index
    }

    /// The longest run of entries from `from` on that weighs at most `bytes_max`, and its weight. With
    /// `one_at_least` the first entry belongs to it whatever its weight.
    pub(super) fn batch(&self, from: LogIndex, bytes_max: usize, one_at_least: bool) -> (Entries, usize) {
        debug_assert!(self.open.is_empty(), "open entries cannot be shared");
        let (mut run, mut bytes) = (Entries::new(), 0);
        if from > self.last.index || from <= self.base.index {
            return (run, bytes);
        }
        for piece in self.pieces.range(self.piece_of(from)..) {
            let start = from.0.saturating_sub(piece.first_index().0) as usize;
            let piece = piece.part(start..piece.len());
            if bytes + piece.weight_bytes() <= bytes_max {
                bytes += piece.weight_bytes();
                run.push(piece);
                continue;
            }
            let mut count = 0;
            for entry in piece.as_slice() {
                let with_entry = bytes + entry.weight_bytes();
                if with_entry > bytes_max && !(run.is_empty() && count == 0 && one_at_least) {
                    break;
                }
                (count, bytes) = (count + 1, with_entry);
            }
            if count > 0 {
                run.push(piece.part(0..count));
            }
            break;
        }
        (run, bytes)
    }

    /// The last position at or before `index` whose term is at most `term`. Both sides of a rejected append
    /// use it to skip whole terms that cannot match (an elaboration of Raft paper 5.3, last paragraphs).
    pub(super) fn last_at_most(&self, index: LogIndex, term: Term) -> (LogIndex, Term) {
        let end = index.min(self.last.index);
        let runs = self.term_starts.partition_point(|&(start, of_run)| start <= end && of_run <= term);
        let Some(&(_, found)) = runs.checked_sub(1).and_then(|run| self.term_starts.get(run)) else {
            if end > self.base.index {
                marks::hit("raft.conflict_hint_skips");
            }
            return (self.base.index.min(end), self.base.term);
        };
        let run_end = self.term_starts.get(runs).map_or(self.last.index, |&(start, _)| start.previous());
        if run_end < end {
            marks::hit("raft.conflict_hint_skips");
        }
        (end.min(run_end), found)
    }

    /// The piece that holds `index`, which is held and sealed. Mostly it is one of the last.
    fn piece_of(&self, index: LogIndex) -> usize {
        let mut position = self.pieces.len();
        for piece in self.pieces.iter().rev().take(PIECES_TRIED) {
            position -= 1;
            if piece.first_index() <= index {
                return position;
            }
        }
        self.pieces.partition_point(|piece| piece.first_index() <= index) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::{Log, Position};
    use crate::ids::{ClusterTime, LogIndex, Term};
    use crate::raft::types::{Entry, Payload};

    fn entries(first: u64, terms: &[u64]) -> Vec<Entry> {
        let entry = |(offset, &term): (u64, &u64)| Entry {
            index: LogIndex(first + offset),
            term: Term(term),
            time: ClusterTime(term),
            payload: Payload::Noop,
        };
        (0..).zip(terms).map(entry).collect()
    }

    fn log(terms: &[u64]) -> Log {
        Log::recovered(Position::default(), entries(1, terms))
    }

    /// The same log, each entry a piece of its own.
    fn pieced(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for entry in entries(1, terms) {
            log.push(entry);
            log.seal();
        }
        log
    }

    fn terms_of(log: &Log) -> Vec<(u64, u64)> {
        let held = |index| log.term(LogIndex(index)).map(|term| (index, term.0));
        (0..12).filter_map(held).collect()
    }

    #[test]
    fn the_last_position_of_at_most_a_term_is_found() {
        for log in [log(&[1, 1, 4, 4, 6]), pieced(&[1, 1, 4, 4, 6])] {
            for (index, term, expected) in [
                (5, 6, (5, 6)),
                (5, 5, (4, 4)),
                (9, 3, (2, 1)),
                (3, 4, (3, 4)),
                (5, 0, (0, 0)),
                (0, 9, (0, 0)),
            ] {
                let found = log.last_at_most(LogIndex(index), Term(term));
                assert_eq!(found, (LogIndex(expected.0), Term(expected.1)), "index {index}, term {term}");
            }
        }
    }

    #[test]
    fn a_newer_term_beats_a_longer_log() {
        let log = log(&[1, 2, 2]);
        assert!(log.is_up_to_date(LogIndex(1), Term(3)));
        assert!(log.is_up_to_date(LogIndex(3), Term(2)));
        assert!(!log.is_up_to_date(LogIndex(2), Term(2)));
        assert!(!log.is_up_to_date(LogIndex(9), Term(1)));
    }

    #[test]
    fn batches_are_bounded_in_bytes_but_may_be_one_heavy_entry() {
        for log in [log(&[1, 1, 1]), pieced(&[1, 1, 1])] {
            assert_eq!(log.batch(LogIndex(1), 70, true).0.len(), 2);
            assert_eq!(log.batch(LogIndex(1), 10, true).0.len(), 1);
            assert_eq!(log.batch(LogIndex(1), 10, false).0.len(), 0);
            assert_eq!(log.batch(LogIndex(4), 100, true).0.len(), 0);
        }
    }

    #[test]
    fn the_last_entry_that_weighs_too_much_is_found_from_behind() {
        for mut log in [log(&[1, 1, 1, 1]), pieced(&[1, 1, 1, 1])] {
            let too_heavy = |log: &Log, to, bytes| log.too_heavy(LogIndex(to), bytes).0;
            assert_eq!(too_heavy(&log, 4, 70), 2);
            assert_eq!(too_heavy(&log, 3, 70), 1);
            assert_eq!((too_heavy(&log, 4, 1_000), too_heavy(&log, 4, 0)), (0, 4));
            log.compact(LogIndex(2));
            assert_eq!((too_heavy(&log, 4, 1_000), too_heavy(&log, 4, 40)), (2, 3));
        }
    }

    #[test]
    fn positions_outside_the_log_have_no_term() {
        let log = log(&[1, 2]);
        assert_eq!(log.term(LogIndex(0)), Some(Term(0)));
        assert_eq!(log.term(LogIndex(2)), Some(Term(2)));
        assert_eq!(log.term(LogIndex(3)), None);
        assert_eq!(log.term(LogIndex(u64::MAX)), None);
    }

    #[test]
    fn compaction_and_truncation_leave_the_terms_of_what_is_held() {
        let terms = [1, 1, 2, 2, 5, 5, 5, 6];
        for log in [log(&terms), pieced(&terms)] {
            for to in 0..=8 {
                for from in to + 1..=9 {
                    let mut log = log.clone();
                    log.compact(LogIndex(to));
                    log.truncate(LogIndex(from));
                    let expected: Vec<_> = (to..from)
                        .map(|index| (index, (index as usize).checked_sub(1).map_or(0, |at| terms[at])))
                        .collect();
                    assert_eq!(terms_of(&log), expected, "compacted to {to}, truncated from {from}");
                    let run = log.tail(LogIndex(0));
                    assert_eq!(
                        run.iter().map(|entry| (entry.index.0, entry.term.0)).collect::<Vec<_>>(),
                        expected[1..]
                    );
                    log.push(entries(from, &[7])[0].clone());
                    assert_eq!(log.term(LogIndex(from)), Some(Term(7)));
                    assert_eq!(log.get(LogIndex(from)).map(|entry| entry.term), Some(Term(7)));
                }
            }
        }
    }

    #[test]
    fn what_is_open_can_be_read_and_cut() {
        let mut log = log(&[1, 1]);
        entries(3, &[2, 2, 2]).into_iter().for_each(|entry| log.push(entry));
        assert_eq!(log.get(LogIndex(4)).map(|entry| entry.index), Some(LogIndex(4)));
        log.truncate(LogIndex(4));
        assert_eq!((log.last_index(), log.last_term()), (LogIndex(3), Term(2)));
        assert_eq!(log.tail(LogIndex(2)).len(), 2);
    }
}
