//! The log in memory: contiguous entries after a base position.
//!
//! The base is the position before the first entry held: `(0, term 0)` today, the last entry of a snapshot
//! once there are snapshots. All arithmetic between indexes and offsets lives here and nowhere else.

use crate::ids::{ClusterTime, LogIndex, Term};
use crate::marks;

use super::types::Entry;

/// The log in memory. It may be ahead of the disk: see [`super::storing`].
#[derive(Debug, Default)]
pub(super) struct Log {
    base_index: LogIndex,
    base_term: Term,
    base_time: ClusterTime,
    entries: Vec<Entry>,
}

impl Log {
    /// The log that was found on disk.
    ///
    /// # Panics
    /// If the entries are not contiguous from index 1 or their terms decrease: the store has to refuse such
    /// a log before it gets here.
    pub(super) fn recovered(entries: Vec<Entry>) -> Self {
        let mut last = (LogIndex(0), Term(0));
        for entry in &entries {
            assert_eq!(entry.index, last.0.next(), "a recovered log has no gaps");
            assert!(entry.term >= last.1, "terms never decrease along a recovered log");
            last = (entry.index, entry.term);
        }
        Self { entries, ..Self::default() }
    }

    /// Index of the first entry held, or that the first one will have.
    pub(super) const fn first_index(&self) -> LogIndex {
        self.base_index.next()
    }

    /// Index of the last entry.
    pub(super) const fn last_index(&self) -> LogIndex {
        LogIndex(self.base_index.0 + self.entries.len() as u64)
    }

    /// Term of the last entry.
    pub(super) fn last_term(&self) -> Term {
        self.entries.last().map_or(self.base_term, |entry| entry.term)
    }

    /// Stamp of the last entry.
    pub(super) fn last_time(&self) -> ClusterTime {
        self.entries.last().map_or(self.base_time, |entry| entry.time)
    }

    /// The entry at `index`, if it is held.
    pub(super) fn get(&self, index: LogIndex) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.first_index().0)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Term of the entry at `index`, the base included; `None` outside the log.
    pub(super) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.base_index { Some(self.base_term) } else { self.get(index).map(|entry| entry.term) }
    }

    /// Stamp of the entry at `index`, the base included; `None` outside the log.
    pub(super) fn time(&self, index: LogIndex) -> Option<ClusterTime> {
        if index == self.base_index { Some(self.base_time) } else { self.get(index).map(|entry| entry.time) }
    }

    /// Whether a candidate whose log ends in `(last_term, last_index)` has a log at least as up to date as
    /// this one (Raft paper 5.4.1): terms first, lengths only where terms are equal.
    pub(super) fn is_up_to_date(&self, last_index: LogIndex, last_term: Term) -> bool {
        (last_term, last_index) >= (self.last_term(), self.last_index())
    }

    /// Appends an entry.
    ///
    /// # Panics
    /// If it does not follow the last one.
    pub(super) fn push(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index().next(), "an entry follows the last one");
        self.entries.push(entry);
    }

    /// Drops every entry from `from` on.
    ///
    /// # Panics
    /// If `from` lies before the first entry held.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        let keep = from.0.checked_sub(self.first_index().0).expect("truncation reaches below the log");
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// All entries from `from` on; none if `from` is beyond the end.
    pub(super) fn tail(&self, from: LogIndex) -> &[Entry] {
        self.range(from, self.last_index())
    }

    /// The entries from `from` up to and including `to`, as far as they are held.
    pub(super) fn range(&self, from: LogIndex, to: LogIndex) -> &[Entry] {
        let start = from.0.saturating_sub(self.first_index().0);
        let end = to.min(self.last_index()).0.saturating_sub(self.base_index.0);
        if start >= end { &[] } else { &self.entries[start as usize..end as usize] }
    }

    /// The longest run of entries from `from` on that weighs at most `bytes_max`, and its weight. With
    /// `one_at_least` the first entry belongs to it whatever its weight.
    pub(super) fn batch(&self, from: LogIndex, bytes_max: usize, one_at_least: bool) -> (&[Entry], usize) {
        let tail = self.tail(from);
        let mut bytes = 0;
        for (count, entry) in tail.iter().enumerate() {
            let with_entry = bytes + entry.weight_bytes();
            if with_entry > bytes_max && !(count == 0 && one_at_least) {
                return (&tail[..count], bytes);
            }
            bytes = with_entry;
        }
        (tail, bytes)
    }

    /// The last position at or before `index` whose term is at most `term`. Both sides of a rejected append
    /// use it to skip whole terms that cannot match (an elaboration of Raft paper 5.3, last paragraphs).
    pub(super) fn last_at_most(&self, index: LogIndex, term: Term) -> (LogIndex, Term) {
        let end = index.min(self.last_index());
        let held = self.range(self.first_index(), end);
        let position = held.partition_point(|entry| entry.term <= term);
        if position < held.len() {
            marks::hit("raft.conflict_hint_skips");
        }
        match position.checked_sub(1) {
            Some(offset) => (held[offset].index, held[offset].term),
            None => (self.base_index.min(end), self.base_term),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Log;
    use crate::ids::{ClusterTime, LogIndex, Term};
    use crate::raft::types::{Entry, Payload};

    fn log(terms: &[u64]) -> Log {
        let entry = |(offset, &term): (usize, &u64)| Entry {
            index: LogIndex(offset as u64 + 1),
            term: Term(term),
            time: ClusterTime(0),
            payload: Payload::Noop,
        };
        Log::recovered(terms.iter().enumerate().map(entry).collect())
    }

    #[test]
    fn the_last_position_of_at_most_a_term_is_found() {
        let log = log(&[1, 1, 4, 4, 6]);
        for (index, term, expected) in
            [(5, 6, (5, 6)), (5, 5, (4, 4)), (9, 3, (2, 1)), (3, 4, (3, 4)), (5, 0, (0, 0)), (0, 9, (0, 0))]
        {
            let found = log.last_at_most(LogIndex(index), Term(term));
            assert_eq!(found, (LogIndex(expected.0), Term(expected.1)), "index {index}, term {term}");
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
        let log = log(&[1, 1, 1]);
        assert_eq!(log.batch(LogIndex(1), 70, true).0.len(), 2);
        assert_eq!(log.batch(LogIndex(1), 10, true).0.len(), 1);
        assert_eq!(log.batch(LogIndex(1), 10, false).0.len(), 0);
        assert_eq!(log.batch(LogIndex(4), 100, true).0.len(), 0);
    }

    #[test]
    fn positions_outside_the_log_have_no_term() {
        let log = log(&[1, 2]);
        assert_eq!(log.term(LogIndex(0)), Some(Term(0)));
        assert_eq!(log.term(LogIndex(2)), Some(Term(2)));
        assert_eq!(log.term(LogIndex(3)), None);
        assert_eq!(log.term(LogIndex(u64::MAX)), None);
    }
}
