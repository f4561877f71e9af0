//! A snapshot in pieces: the leader's end, which sends them, and the follower's, which puts them together.
//!
//! A transfer is resumable: the follower says how much it has from the beginning on, without gaps, and the
//! leader goes on from there. Pieces name the whole that they belong to, so that a transfer survives a change
//! of the leader if the new one has the same snapshot (a machine's snapshot of one index is the same on every
//! node), and pieces of two different snapshots never mix.
//!
//! What is sent is bounded by how far the follower gets: one window for each of its words that is news, and one
//! more for each time that nothing was heard for a while. An answer that says less than an earlier one sends nothing
//! again by itself: on a network that reorders it is an old one, as a rule, and each piece sent for its sake would
//! bring a further answer, which may be late in turn.

use std::hash::{Hash, Hasher};

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::{LogIndex, Term};
use crate::marks;

use super::types::{Snapshot, SnapshotChunk};

/// So often the follower says the same, though more was sent, before that is sent again: pieces that overtook others
/// are not taken, and each is answered in vain. Fewer are what doubled pieces bring.
const REPEATS_BEFORE_RESEND: u32 = 3;

/// Room that is made before the first piece is here, at most: the announced length may be a lie.
const CAPACITY_BYTES_MAX: u64 = 1024 * 1024;

/// A snapshot with the hash of its data, which is computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) snapshot: Snapshot,
    checksum: u64,
}

impl Kept {
    /// Computes the hash.
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let checksum = xxh3_64(&snapshot.data);
        Self { snapshot, checksum }
    }

    /// The last entry covered.
    pub(super) const fn last_index(&self) -> LogIndex {
        self.snapshot.meta.index
    }

    const fn total_bytes(&self) -> u64 {
        self.snapshot.data.len() as u64
    }
}

/// One transfer, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sending {
    kept: Kept,
    /// The next byte to send.
    next: u64,
    /// All before this has arrived.
    received: u64,
    /// What the follower said last: less than `received` if that was late, or if it has begun anew.
    said: u64,
    /// How often it has said the same since `received` rose.
    repeats: u32,
    /// The last piece, which may be empty, is on its way or there.
    is_all_sent: bool,
}

impl Sending {
    /// A transfer that has not begun.
    pub(super) const fn new(kept: Kept) -> Self {
        Self { kept, next: 0, received: 0, said: 0, repeats: 0, is_all_sent: false }
    }

    /// The last entry that the snapshot covers.
    pub(super) const fn last_index(&self) -> LogIndex {
        self.kept.last_index()
    }

    /// Feeds how far it is to a hash: see [`super::Core::fingerprint`].
    pub(super) fn fingerprint(&self, state: &mut impl Hasher) {
        let repeats = self.repeats.min(REPEATS_BEFORE_RESEND);
        (self.next, self.received, self.said, repeats, self.is_all_sent).hash(state);
    }

    /// The next piece, of at most `bytes_max`, if no more than `window_bytes` (or one piece) are on their way.
    pub(super) fn next_chunk(&mut self, bytes_max: usize, window_bytes: usize) -> Option<SnapshotChunk> {
        let under_way = self.next - self.received;
        let has_room = under_way == 0 || under_way + bytes_max as u64 <= window_bytes as u64;
        if self.is_all_sent || !has_room {
            return None;
        }
        let end = self.next.saturating_add(bytes_max.max(1) as u64).min(self.kept.total_bytes());
        let chunk = SnapshotChunk {
            meta: self.kept.snapshot.meta.clone(),
            total_bytes: self.kept.total_bytes(),
            checksum: self.kept.checksum,
            offset_bytes: self.next,
            data: self.kept.snapshot.data.slice(self.next as usize..end as usize),
        };
        self.next = end;
        self.is_all_sent = end == self.kept.total_bytes();
        Some(chunk)
    }

    /// The follower has this much. Returns whether that is news.
    pub(super) fn received(&mut self, bytes: u64) -> bool {
        self.said = bytes.min(self.kept.total_bytes());
        if self.said > self.received {
            (self.received, self.repeats) = (self.said, 0);
            self.next = self.next.max(self.received);
            return true;
        }
        if self.said == self.received && self.next > self.received {
            self.repeats = self.repeats.saturating_add(1);
            // Once for each place: what is sent again is answered as well.
            if self.repeats == REPEATS_BEFORE_RESEND {
                self.go_back();
            }
        }
        false
    }

    /// Nothing was heard of what was sent: sends everything again that the follower does not say it has; the last
    /// piece at least.
    pub(super) fn resend(&mut self) {
        (self.received, self.repeats) = (self.said, 0);
        self.go_back();
    }

    fn go_back(&mut self) {
        marks::hit("raft.snapshot_chunks_resent");
        self.next = self.received;
        self.is_all_sent = false;
    }
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// There is this much now.
    Part(u64),
    /// It was the last, and the whole is what it should be.
    Whole(Snapshot),
    /// It does not belong to anything that is wanted.
    Ignored,
}

/// A snapshot that is being put together.
#[derive(Clone, Debug)]
struct Parts {
    /// The term of the leader that sent the last of them.
    term: Term,
    /// Any of its pieces, without its data: what all have in common.
    whole: SnapshotChunk,
    data: BytesMut,
}

/// The follower's end.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiving {
    parts: Option<Box<Parts>>,
}

impl Receiving {
    /// Takes a piece from the leader of `term`. A piece of a later snapshot supersedes the one that is being
    /// put together; of an earlier one, is ignored, unless it comes from a later leader, which may have none
    /// other.
    pub(super) fn take(&mut self, term: Term, chunk: SnapshotChunk, total_bytes_max: u64) -> Received {
        let end = chunk.offset_bytes.checked_add(chunk.data.len() as u64);
        if chunk.total_bytes > total_bytes_max || end.is_none_or(|end| end > chunk.total_bytes) {
            marks::hit("raft.malformed_snapshot_ignored");
            return Received::Ignored;
        }
        let (offset, data) = (chunk.offset_bytes, chunk.data.clone());
        let whole = SnapshotChunk { offset_bytes: 0, data: Bytes::new(), ..chunk };
        if let Some(parts) = &self.parts
            && parts.whole != whole
            && parts.whole.meta.index > whole.meta.index
            && parts.term == term
        {
            return Received::Ignored;
        }
        if self.parts.as_ref().is_none_or(|parts| parts.whole != whole) {
            let capacity = whole.total_bytes.min(CAPACITY_BYTES_MAX) as usize;
            self.parts = Some(Box::new(Parts { term, whole, data: BytesMut::with_capacity(capacity) }));
        }
        let Some(parts) = &mut self.parts else { return Received::Ignored };
        parts.term = term;
        if offset != parts.data.len() as u64 {
            marks::hit("raft.snapshot_chunk_out_of_order");
            return Received::Part(parts.data.len() as u64);
        }
        parts.data.extend_from_slice(&data);
        if (parts.data.len() as u64) < parts.whole.total_bytes {
            return Received::Part(parts.data.len() as u64);
        }
        let Some(parts) = self.parts.take() else { return Received::Ignored };
        let data = parts.data.freeze();
        if xxh3_64(&data) != parts.whole.checksum {
            marks::hit("raft.snapshot_damaged_on_the_way");
            return Received::Part(0);
        }
        Received::Whole(Snapshot { meta: parts.whole.meta, data })
    }

    /// Forgets what has been received: it is of no use any more.
    pub(super) fn clear(&mut self) {
        self.parts = None;
    }

    /// How much of which snapshot is here.
    pub(super) fn state(&self) -> Option<(LogIndex, u64)> {
        self.parts.as_ref().map(|parts| (parts.whole.meta.index, parts.data.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Kept, Received, Receiving, Sending};
    use crate::ids::{LogIndex, Term};
    use crate::raft::rng::Rng;
    use crate::raft::types::{Snapshot, SnapshotMeta};

    fn kept(index: u64, length: usize) -> Kept {
        let meta = SnapshotMeta { index: LogIndex(index), ..SnapshotMeta::default() };
        let data = (0..length).map(|at| (at as u64 * 31 + index) as u8).collect::<Vec<_>>();
        Kept::new(Snapshot { meta, data: Bytes::from(data) })
    }

    #[test]
    fn a_snapshot_arrives_whole_whatever_is_lost_or_doubled() {
        for length in [0, 1, 10, 95] {
            let (kept, mut receiving) = (kept(7, length), Receiving::default());
            let mut sending = Sending::new(kept.clone());
            let (mut whole, mut sent) = (None, 0);
            while whole.is_none() && sent < 200 {
                let Some(chunk) = sending.next_chunk(10, 30) else {
                    sending.resend();
                    continue;
                };
                sent += 1;
                // Two of seven are lost: in step with no window.
                if sent % 7 < 2 {
                    continue;
                }
                for chunk in [chunk.clone(), chunk] {
                    match receiving.take(Term(1), chunk, 1000) {
                        Received::Whole(snapshot) => whole = whole.or(Some(snapshot)),
                        Received::Part(bytes) if sent % 4 > 0 => drop(sending.received(bytes)),
                        _ => {}
                    }
                }
            }
            assert_eq!(whole, Some(kept.snapshot), "of {length} bytes");
        }
    }

    /// Sends a snapshot of `pieces` pieces, up to eight of them at a time, over a network that delivers in the order
    /// that `picks` says. Returns how many were sent until the follower had it, or it was far too many.
    fn sent_over(pieces: usize, mut picks: impl FnMut(usize) -> usize) -> usize {
        let (mut sending, mut receiving) = (Sending::new(kept(7, pieces * 10)), Receiving::default());
        let (mut chunks, mut answers, mut sent) = (Vec::new(), Vec::new(), 0);
        loop {
            let before = chunks.len();
            chunks.extend(std::iter::from_fn(|| sending.next_chunk(10, 80)));
            sent += chunks.len() - before;
            if sent > 20_000 {
                return sent;
            }
            if chunks.is_empty() && answers.is_empty() {
                // Two heartbeats have brought no news.
                sending.resend();
                continue;
            }
            let picked = picks(chunks.len() + answers.len());
            if picked >= chunks.len() {
                sending.received(answers.remove(picked - chunks.len()));
                continue;
            }
            match receiving.take(Term(1), chunks.remove(picked), 1_000_000) {
                Received::Whole(_) => return sent,
                Received::Part(bytes) => answers.push(bytes),
                Received::Ignored => {}
            }
        }
    }

    #[test]
    fn in_order_each_piece_is_sent_once() {
        assert_eq!(sent_over(300, |_| 0), 300);
    }

    /// Each answer out of its turn once had the whole window sent again, each piece of which brought an answer, and
    /// so on: thousands of pieces were under way for a snapshot of a few dozen.
    #[test]
    fn a_network_that_reorders_costs_no_more_than_a_window_for_each_piece() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let sent = sent_over(100, |of| rng.below(of as u64) as usize);
            assert!(sent <= 100 * 8, "{sent} pieces sent for 100, seed {seed}");
        }
    }

    #[test]
    fn the_window_bounds_what_is_on_its_way() {
        let mut sending = Sending::new(kept(7, 100));
        let mut sent = || std::iter::from_fn(|| sending.next_chunk(10, 35)).count();
        assert_eq!(sent(), 3);
        assert!(sending.received(20));
        assert_eq!(std::iter::from_fn(|| sending.next_chunk(10, 35)).count(), 2);
    }

    #[test]
    fn pieces_of_two_snapshots_never_mix() {
        let (mut old, mut new) = (Sending::new(kept(7, 20)), Sending::new(kept(9, 20)));
        let mut receiving = Receiving::default();
        let mut take =
            |sending: &mut Sending| receiving.take(Term(1), sending.next_chunk(10, 99).expect("a piece"), 99);
        assert_eq!(take(&mut old), Received::Part(10));
        assert_eq!(take(&mut new), Received::Part(10));
        assert_eq!(take(&mut old), Received::Ignored);
        assert_eq!(take(&mut new), Received::Whole(kept(9, 20).snapshot));
    }

    #[test]
    fn a_later_leader_may_have_nothing_but_an_earlier_snapshot() {
        let (mut old, mut new) = (Sending::new(kept(7, 20)), Sending::new(kept(9, 20)));
        let mut receiving = Receiving::default();
        let mut take = |term, sending: &mut Sending| {
            receiving.take(Term(term), sending.next_chunk(10, 99).expect("a piece"), 99)
        };
        assert_eq!(take(1, &mut new), Received::Part(10));
        assert_eq!(take(2, &mut old), Received::Part(10));
        assert_eq!(take(2, &mut old), Received::Whole(kept(7, 20).snapshot));
    }

    #[test]
    fn damage_and_lies_about_the_length_are_noticed() {
        let mut receiving = Receiving::default();
        let chunk = Sending::new(kept(7, 10)).next_chunk(10, 10).expect("a piece");
        let damaged = super::SnapshotChunk { checksum: chunk.checksum ^ 1, ..chunk.clone() };
        assert_eq!(receiving.take(Term(1), damaged, 99), Received::Part(0));
        let endless = super::SnapshotChunk { total_bytes: u64::MAX, ..chunk.clone() };
        assert_eq!(receiving.take(Term(1), endless, 99), Received::Ignored);
        let beyond = super::SnapshotChunk { offset_bytes: u64::MAX, ..chunk };
        assert_eq!(receiving.take(Term(1), beyond, 99), Received::Ignored);
    }
}
