//! A queue in which every item is put once: four patterns that no linearizable history has (Henzinger,
//! Sezgin and Vafeiadis 2013; Bouajjani, Emmi, Enea and Hamza 2015).
//!
//! * an item is taken that was not put, or before it was;
//! * an item is taken twice;
//! * one item was put wholly before another, but taken wholly after it, or never although the other was;
//! * the queue was found empty while at every moment some item was there for certain.
//!
//! An item that was put without an answer and never taken was not put. If a dequeue was not answered, any
//! item may be gone, and the search decides.

use std::collections::BTreeMap;

use super::super::{Entry, FifoAnswer, FifoOp};
use super::Ruling;

type FifoEntry = Entry<FifoOp, FifoAnswer>;

/// What happened to an item.
#[derive(Clone, Copy, Debug)]
struct Item {
    put_invoked: u64,
    put_returned: u64,
    /// `u64::MAX`: never.
    take_invoked: u64,
    take_returned: u64,
}

/// Rules on a queue; `None` if an item was put twice or a dequeue was not answered.
pub(in super::super) fn rule(entries: &[FifoEntry]) -> Option<Ruling> {
    let (items, empty) = match items(entries)? {
        Ok(found) => found,
        Err(ruling) => return Some(ruling),
    };
    let impossible = out_of_order(&items) || never_empty(&items, &empty);
    Some(if impossible { Ruling::Impossible } else { Ruling::Possible })
}

type Found = (Vec<Item>, Vec<(u64, u64)>);

/// The items, and when the queue was found empty; or at once that this is impossible.
fn items(entries: &[FifoEntry]) -> Option<Result<Found, Ruling>> {
    let mut items = BTreeMap::new();
    for entry in entries {
        match (entry.op, entry.answer) {
            (FifoOp::Enqueue(item), None | Some(FifoAnswer::Done)) => {
                let put = Item {
                    put_invoked: entry.invoked,
                    put_returned: entry.returned.unwrap_or(u64::MAX),
                    take_invoked: u64::MAX,
                    take_returned: u64::MAX,
                };
                if items.insert(item, put).is_some() {
                    return None;
                }
            }
            (FifoOp::Dequeue, None) => return None,
            _ => {}
        }
    }
    let mut empty = Vec::new();
    for entry in entries.iter().filter(|entry| entry.answer != Some(FifoAnswer::Done)) {
        match (entry.op, entry.answer) {
            (FifoOp::Dequeue, Some(FifoAnswer::Item(item))) => {
                let returned = entry.returned.unwrap_or(u64::MAX);
                let item = items
                    .get_mut(&item)
                    .filter(|item| item.take_returned == u64::MAX && item.put_invoked <= returned);
                let Some(item) = item else { return Some(Err(Ruling::Impossible)) };
                (item.take_invoked, item.take_returned) = (entry.invoked, returned);
            }
            (FifoOp::Dequeue, Some(FifoAnswer::Empty)) => {
                empty.push((entry.invoked, entry.returned.unwrap_or(u64::MAX)));
            }
            (FifoOp::Enqueue(_), None) => {}
            _ => return Some(Err(Ruling::Impossible)),
        }
    }
    if entries.iter().any(|entry| entry.op == FifoOp::Dequeue && entry.answer == Some(FifoAnswer::Done)) {
        return Some(Err(Ruling::Impossible));
    }
    let there = |item: &Item| item.put_returned < u64::MAX || item.take_returned < u64::MAX;
    Some(Ok((items.into_values().filter(there).collect(), empty)))
}

/// Whether of two items the one that was put wholly before was taken wholly after the other.
fn out_of_order(items: &[Item]) -> bool {
    let mut by_invocation: Vec<&Item> = items.iter().collect();
    by_invocation.sort_unstable_by_key(|item| item.put_invoked);
    let mut by_return = by_invocation.clone();
    by_return.sort_unstable_by_key(|item| item.put_returned);
    let mut before = by_return.into_iter().peekable();
    let mut latest_take = 0;
    by_invocation.into_iter().any(|item| {
        while let Some(earlier) = before.next_if(|earlier| earlier.put_returned < item.put_invoked) {
            latest_take = latest_take.max(earlier.take_invoked);
        }
        item.take_returned < latest_take
    })
}

/// Whether the queue was found empty within a span in which at no moment it can have been.
fn never_empty(items: &[Item], empty: &[(u64, u64)]) -> bool {
    let mut held: Vec<(u64, u64)> = items
        .iter()
        .map(|item| (item.put_returned, item.take_invoked))
        .filter(|(from, until)| from < until)
        .collect();
    held.sort_unstable();
    // Spans without their ends in which something was there, as few as possible.
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for (from, until) in held {
        match spans.last_mut().filter(|(_, last)| from < *last) {
            Some((_, last)) => *last = until.max(*last),
            None => spans.push((from, until)),
        }
    }
    empty.iter().any(|(invoked, returned)| {
        let at = spans.partition_point(|(from, _)| from < invoked);
        at > 0 && *returned < spans[at - 1].1
    })
}
