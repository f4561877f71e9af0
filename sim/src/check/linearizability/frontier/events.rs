//! What happens, in the order in which it happens, found as it is needed: how much waits follows how many operations
//! are open, and not how long the history is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::super::Entry;

/// What happens, by positions in the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Invoke(u32),
    Return(u32),
}

/// When something happens: its time, and its turn among what happens then.
///
/// At equal times calls come before returns, because equal times order nothing. The one exception: an operation of
/// unknown outcome that follows another of its process at the very moment of its return; only one such can be told
/// at one moment.
type When = (u64, u8);

const CALL: u8 = 0;
const RETURN_BEFORE_TIED: u8 = 1;
const TIED_CALL: u8 = 2;
const RETURN: u8 = 3;

/// All events of some operations.
pub(super) struct Events<'e, Op, Answer> {
    entries: &'e [Entry<Op, Answer>],
    /// The operations in the order of invocation, if they are not given so.
    sorted: Option<Vec<u32>>,
    /// By time: an operation that is invoked then, by its position, and which one it follows.
    tied: BTreeMap<u64, (u64, u32)>,
    /// Operations that were invoked, or are about to be after others at that time.
    next: usize,
    waiting: BinaryHeap<Reverse<(When, Event)>>,
}

impl<'e, Op, Answer> Events<'e, Op, Answer> {
    /// The events of these operations; none if times are so coarse that they do not say what comes first.
    pub(super) fn of(entries: &'e [Entry<Op, Answer>]) -> Option<Self> {
        let mut tied = BTreeMap::new();
        for (at, entry) in (0..).zip(entries) {
            if let (None, Some(before)) = (entry.returned, entry.after)
                && tied.insert(entry.invoked, (before, at)).is_some()
            {
                return None;
            }
        }
        let in_order = entries.windows(2).all(|pair| pair[0].invoked <= pair[1].invoked);
        let sorted = (!in_order).then(|| {
            let mut order: Vec<u32> = (0..entries.len() as u32).collect();
            order.sort_by_key(|at| entries[*at as usize].invoked);
            order
        });
        Some(Self { entries, sorted, tied, next: 0, waiting: BinaryHeap::new() })
    }

    /// Begins anew.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
        self.waiting.clear();
    }

    /// How many answered operations are open at one time, at most.
    pub(super) fn most_open(&mut self) -> usize {
        let (mut open, mut most) = (0_usize, 0);
        while let Some(event) = self.next() {
            match event {
                Event::Invoke(at) => open += usize::from(self.entries[at as usize].returned.is_some()),
                Event::Return(_) => open -= 1,
            }
            most = most.max(open);
        }
        self.rewind();
        most
    }

    fn call(&self, number: usize) -> Option<(When, u32)> {
        let at = match &self.sorted {
            Some(sorted) => *sorted.get(number)?,
            None => number as u32,
        };
        let invoked = self.entries.get(at as usize)?.invoked;
        let is_tied = self.tied.get(&invoked).is_some_and(|(_, tied)| *tied == at);
        Some(((invoked, if is_tied { TIED_CALL } else { CALL }), at))
    }

    fn return_of(&self, at: u32) -> Option<When> {
        let entry = &self.entries[at as usize];
        let returned = entry.returned?;
        let first = self.tied.get(&returned).is_some_and(|(before, _)| *before == entry.id);
        Some((returned, if first { RETURN_BEFORE_TIED } else { RETURN }))
    }
}

impl<Op, Answer> Iterator for Events<'_, Op, Answer> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while let Some((when, at)) = self.call(self.next) {
            if when.1 == TIED_CALL {
                self.waiting.push(Reverse((when, Event::Invoke(at))));
                self.next += 1;
                continue;
            }
            if self.waiting.peek().is_some_and(|Reverse((first, _))| *first < when) {
                break;
            }
            self.next += 1;
            if let Some(when) = self.return_of(at) {
                self.waiting.push(Reverse((when, Event::Return(at))));
            }
            return Some(Event::Invoke(at));
        }
        self.waiting.pop().map(|Reverse((_, event))| event)
    }
}
