//! The order in which calls and returns of operations that took effect happened, as a list from which
//! linearized operations are lifted and to which they return when the search backtracks (Lowe 2017, after
//! Wing and Gong 1993).

use super::Entry;

const HEAD: u32 = u32::MAX - 1;
const END: u32 = u32::MAX;

/// A place in the list: the call of operation `n` is `2 n`, its return `2 n + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(u32);

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The call of an operation.
    Call(u32),
    /// The return of an operation: whatever is called later comes after it.
    Return(u32),
    /// The end of the list.
    End,
}

/// The list. Operations are numbered in the order of invocation.
#[derive(Debug)]
pub(super) struct Timeline {
    next: Vec<u32>,
    previous: Vec<u32>,
    first: u32,
}

impl Timeline {
    /// The list of all operations given, in the order of invocation, each with a time of return. At equal
    /// times calls come before returns, because equal times order nothing.
    pub(super) fn new<Op, Answer>(entries: &[&Entry<Op, Answer>]) -> Self {
        let mut events = Vec::with_capacity(entries.len() * 2);
        for (node, entry) in (0_u32..).step_by(2).zip(entries) {
            events.push((entry.invoked, 0, node));
            events.push((entry.returned.unwrap_or(u64::MAX), 1, node + 1));
        }
        events.sort_unstable();
        let mut timeline =
            Self { next: vec![END; events.len()], previous: vec![HEAD; events.len()], first: END };
        let mut before = HEAD;
        for (_, _, node) in events {
            timeline.set_next(before, node);
            timeline.previous[node as usize] = before;
            before = node;
        }
        timeline
    }

    /// The first place.
    pub(super) const fn first(&self) -> Node {
        Node(self.first)
    }

    /// The place after this one.
    pub(super) fn after(&self, node: Node) -> Node {
        Node(self.next[node.0 as usize])
    }

    /// What stands there.
    pub(super) const fn event(node: Node) -> Event {
        match node.0 {
            END => Event::End,
            node if node.is_multiple_of(2) => Event::Call(node / 2),
            node => Event::Return(node / 2),
        }
    }

    /// Takes an operation out.
    pub(super) fn lift(&mut self, operation: u32) {
        for node in [operation * 2, operation * 2 + 1] {
            let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
            self.set_next(previous, next);
            if next != END {
                self.previous[next as usize] = previous;
            }
        }
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn restore(&mut self, operation: u32) {
        for node in [operation * 2 + 1, operation * 2] {
            let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
            self.set_next(previous, node);
            if next != END {
                self.previous[next as usize] = node;
            }
        }
    }

    fn set_next(&mut self, node: u32, next: u32) {
        match node {
            HEAD => self.first = next,
            node => self.next[node as usize] = next,
        }
    }
}
