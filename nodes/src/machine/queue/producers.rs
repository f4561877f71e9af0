//! Which batches a topic's producers have enqueued, so that a batch sent twice is taken once, by whatever
//! node and in whatever session.
//!
//! A producer's numbers follow each other without gaps, so its next number says of each one whether it was
//! taken. The table is bounded: when it is full, the producer that was not heard of for longest is forgotten,
//! and a batch that it sends again after that is taken again. The ids of the latest few batches are kept,
//! to answer a repeated one as the first was.

use serde::{Deserialize, Serialize};

use super::types::{PRODUCER_BATCHES_MAX, QueueError};
use crate::ids::{LogIndex, MessageId, ProducerId};
use crate::machine::Table;
use crate::marks;

/// What there is to say of the numbers of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// They are the next.
    Fresh,
    /// They were taken, for these messages.
    Taken(Vec<MessageId>),
    /// They were taken, too long ago to say for which messages.
    Forgotten,
}

/// A batch that was enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// The number of its first message.
    pub(super) first: u64,
    pub(super) count: u64,
    /// The entry that enqueued it.
    pub(super) index: LogIndex,
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Producer {
    /// The first number that it was heard of with.
    pub(super) start: u64,
    /// The number that it goes on with.
    pub(super) next: u64,
    /// The entry by which it was last heard of.
    pub(super) used: LogIndex,
    /// Its latest batches, oldest first.
    pub(super) batches: Vec<Batch>,
}

/// The producers of one topic.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Producers {
    pub(super) table: Table<ProducerId, Producer>,
    /// The same by the entry by which they were last heard of.
    pub(super) by_use: Table<LogIndex, ProducerId>,
}

impl Producers {
    /// Judges the `count` numbers from `first` on.
    pub(super) fn check(&self, id: ProducerId, first: u64, count: u64) -> Result<Claim, QueueError> {
        let Some(producer) = self.table.get(&id) else { return Ok(Claim::Fresh) };
        let end = first + count;
        if first == producer.next {
            return Ok(Claim::Fresh);
        }
        if first < producer.start || end > producer.next {
            marks::hit("queue.producer_out_of_sequence");
            return Err(QueueError::OutOfSequence { expected: producer.next });
        }
        let ids: Option<Vec<MessageId>> = (first..end).map(|number| producer.id_of(number)).collect();
        Ok(ids.map_or(Claim::Forgotten, Claim::Taken))
    }

    /// The entry at `index` has enqueued these numbers.
    pub(super) fn note(&mut self, id: ProducerId, first: u64, count: u64, index: LogIndex, max: usize) {
        if !self.table.contains_key(&id) {
            self.make_room(max);
            self.table.insert(id, Producer { start: first, next: first, used: index, batches: Vec::new() });
        }
        self.touch(id, index);
        let producer = self.table.get_mut(&id).expect("it was put there if it was not");
        producer.next = first + count;
        if producer.batches.len() == PRODUCER_BATCHES_MAX {
            producer.batches.remove(0);
        }
        producer.batches.push(Batch { first, count, index });
    }

    /// The producer was heard of by the entry at `index`.
    pub(super) fn touch(&mut self, id: ProducerId, index: LogIndex) {
        let Some(producer) = self.table.get_mut(&id) else { return };
        self.by_use.remove(&producer.used);
        producer.used = index;
        self.by_use.insert(index, id);
    }

    fn make_room(&mut self, max: usize) {
        while self.table.len() >= max
            && let Some(&(used, oldest)) = self.by_use.get_min()
        {
            marks::hit("queue.producer_forgotten");
            self.by_use.remove(&used);
            self.table.remove(&oldest);
        }
    }
}

impl Producer {
    fn id_of(&self, number: u64) -> Option<MessageId> {
        let batch =
            self.batches.iter().find(|batch| (batch.first..batch.first + batch.count).contains(&number))?;
        Some(MessageId::of(batch.index, number - batch.first))
    }
}
