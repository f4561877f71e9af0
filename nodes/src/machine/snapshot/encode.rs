//! Writing: a frozen state and the place up to which it has been encoded.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::{LastApplied, SEAL_BYTES, SessionHead, VERSION, beyond, header, put};
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};
use crate::machine::Machine;
use crate::machine::cache::CachePlace;
use crate::machine::lock::LockPlace;
use crate::machine::queue::QueuePlace;
use crate::marks;
use crate::plant::{self, Bug};

impl Machine {
    /// Freezes the state as it is now, to be encoded while this machine goes on. Costs the same however
    /// large the state is. While the frozen copy lives, the first change of each part of the tables copies
    /// that part.
    #[must_use]
    pub fn snapshot(&self) -> Snapshotter {
        Snapshotter {
            frozen: self.clone(),
            place: Place::Head,
            leftover: Bytes::new(),
            hash: Box::new(Xxh3::new()),
        }
    }
}

/// The state of one instant, being encoded.
///
/// It may be sent to another task. Dropping it frees at once what the original has replaced since it was
/// frozen, which takes time in proportion to that: of half a million keys nearly all of which were
/// rewritten meanwhile, some ten milliseconds.
#[derive(Clone)]
pub struct Snapshotter {
    frozen: Machine,
    place: Place,
    /// Encoded, and too much for the last piece.
    leftover: Bytes,
    /// Over all that has been encoded.
    hash: Box<Xxh3>,
}

/// What is to be encoded next. The last key stands for the place in a table, so that no iterator need live
/// from one piece to the next.
#[derive(Clone)]
enum Place {
    Head,
    Sessions { after: Option<SessionId> },
    Outcomes { of: SessionId, after: Option<Sequence> },
    Locks(LockPlace),
    Queue(QueuePlace),
    Cache(CachePlace),
    Seal,
    End,
}

impl Snapshotter {
    /// The index of the last entry that the frozen state has applied.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.frozen.index
    }

    /// The stamp of that entry.
    #[must_use]
    pub fn time(&self) -> ClusterTime {
        self.frozen.time
    }

    /// The next `bytes_max` bytes of the snapshot; fewer only at its end, and `None` after it. Costs time in
    /// proportion to the piece, or to the one item that reaches beyond it: a value, or a lock with all its
    /// holders and waiters.
    ///
    /// # Panics
    ///
    /// If `bytes_max` is 0: such pieces never come to an end.
    pub fn next_piece(&mut self, bytes_max: usize) -> Option<Bytes> {
        assert!(bytes_max > 0, "a piece has at least one byte");
        if self.leftover.len() < bytes_max {
            let mut buffer = Vec::from(std::mem::take(&mut self.leftover));
            while buffer.len() < bytes_max && !matches!(self.place, Place::End) {
                self.encode(&mut buffer, bytes_max);
            }
            self.leftover = Bytes::from(buffer);
        } else {
            marks::hit("machine.snapshot_item_spans_pieces");
        }
        let piece = self.leftover.split_to(bytes_max.min(self.leftover.len()));
        (!piece.is_empty()).then_some(piece)
    }

    /// Encodes from the place on, until the buffer holds `bytes_max` or the kind of item changes.
    fn encode(&mut self, buffer: &mut Vec<u8>, bytes_max: usize) {
        let from = buffer.len();
        self.place = match &self.place {
            Place::Head => self.head(buffer),
            Place::Sessions { after } => self.session(*after, buffer),
            Place::Outcomes { of, after } => self.outcomes(*of, *after, buffer, bytes_max),
            Place::Locks(place) => match self.frozen.locks.write(place, buffer, bytes_max) {
                Some(place) => Place::Locks(place),
                None => Place::Queue(QueuePlace::default()),
            },
            Place::Queue(place) => match self.frozen.queues.write(place, buffer, bytes_max) {
                Some(place) => Place::Queue(place),
                None => Place::Cache(CachePlace::default()),
            },
            Place::Cache(place) => match self.frozen.caches.write(place, buffer, bytes_max) {
                Some(place) => Place::Cache(place),
                None => Place::Seal,
            },
            Place::Seal => {
                let seal: [u8; SEAL_BYTES] = self.hash.digest().to_le_bytes();
                buffer.extend_from_slice(&seal);
                Place::End
            }
            Place::End => Place::End,
        };
        self.hash.update(&buffer[from..]);
    }

    fn head(&self, buffer: &mut Vec<u8>) -> Place {
        buffer.extend_from_slice(&header(VERSION));
        put(buffer, &LastApplied { index: self.frozen.index, time: self.frozen.time });
        put(buffer, &self.frozen.near);
        put(buffer, &self.frozen.sessions.open.len());
        Place::Sessions { after: None }
    }

    fn session(&self, after: Option<SessionId>, buffer: &mut Vec<u8>) -> Place {
        let Some((&id, session)) = self.frozen.sessions.open.range(beyond(after)).next() else {
            return Place::Locks(LockPlace::default());
        };
        put(
            buffer,
            &SessionHead {
                id,
                lease_us: session.lease_us,
                deadline: session.deadline,
                opener: session.opener,
                lowest_open: session.lowest_open,
                open_below: session.open_below.iter().copied().collect(),
            },
        );
        if plant::is(Bug::SnapshotForgetsSessions) {
            put(buffer, &0_usize);
            return Place::Sessions { after: Some(id) };
        }
        put(buffer, &session.remembered());
        Place::Outcomes { of: id, after: None }
    }

    fn outcomes(
        &self,
        of: SessionId,
        after: Option<Sequence>,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Place {
        let session = &self.frozen.sessions.open[&of];
        for remembered in session.outcomes_beyond(after) {
            put(buffer, &remembered);
            if buffer.len() >= bytes_max {
                return Place::Outcomes { of, after: Some(remembered.0) };
            }
        }
        Place::Sessions { after: Some(of) }
    }
}
