//! A lock whose grants are numbered, and may be lost unseen.
//!
//! The tokens say in which order the grants took effect, and with that, between which grants each successful release
//! did: after its own, and before the next that its hold would have stood in the way of. So every operation has
//! others that come before it for certain, and nothing else holds it back: each may take effect as soon as it was
//! invoked and all of those have. If one would then take effect after it returned, no order explains the answers; or
//! else the order of those moments does. What is asked of the lock in vain changes nothing and may stand anywhere.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::super::{Entry, LockAnswer, LockOp};
use super::Ruling;

type LockEntry = Entry<LockOp, LockAnswer>;

/// Rules on a lock; `None` if something was not answered or has not returned, or if it cannot be known whether a
/// release in vain came before its grant or after another release.
pub(in super::super) fn rule(entries: &[LockEntry]) -> Option<Ruling> {
    if entries.iter().any(|entry| entry.answer.is_none() || entry.returned.is_none()) {
        return None;
    }
    let ruling = certain(entries).map(|Certain { order, doubtful }| match earliest(entries, order) {
        Ok(order) => Some(Ruling::Order(order)),
        Err(_) if doubtful => None,
        Err(culprit) => Some(Ruling::ImpossibleAt(culprit)),
    });
    ruling.unwrap_or_else(|culprit| Some(Ruling::ImpossibleAt(culprit)))
}

/// What comes before what.
struct Certain {
    /// The earlier one and the later one, as positions.
    order: Vec<(usize, usize)>,
    /// Whether it may be otherwise in a place.
    doubtful: bool,
}

/// What the tokens and [`Entry::after`] say. If they contradict themselves, the operation at whose return that shows.
fn certain(entries: &[LockEntry]) -> Result<Certain, usize> {
    let Answers { grants, released, in_vain } = answers(entries)?;
    let mut order: Vec<(usize, usize)> =
        grants.values().zip(grants.values().skip(1)).map(|(one, next)| (*one, *next)).collect();
    let mut unread = released.clone();
    // The next grant, and the next exclusive one.
    let (mut next, mut next_exclusive) = (None, None);
    for (token, grant) in grants.iter().rev() {
        let exclusive = entries[*grant].op == LockOp::Acquire { exclusive: true };
        if let Some(release) = unread.remove(token) {
            order.push((*grant, release));
            let ended_by = if exclusive { next } else { next_exclusive };
            order.extend(ended_by.map(|ended_by| (release, ended_by)));
        }
        next = Some(*grant);
        if exclusive {
            next_exclusive = next;
        }
    }
    // A release that succeeded of what was never granted.
    if let Some(release) = unread.into_values().next() {
        return Err(release);
    }
    let mut doubtful = false;
    for (token, again) in in_vain {
        let (Some(release), Some(grant)) = (released.get(&token), grants.get(&token)) else { continue };
        let (again_entry, grant) = (&entries[again], &entries[*grant]);
        let learnt = grant.returned.is_some_and(|returned| returned < again_entry.invoked);
        doubtful |= !learnt && again_entry.after != Some(grant.id);
        order.push((*release, again));
    }
    order.extend(followers(entries));
    Ok(Certain { order, doubtful })
}

/// What was granted and given back, by token.
#[derive(Default)]
struct Answers {
    grants: BTreeMap<u64, usize>,
    released: BTreeMap<u64, usize>,
    in_vain: Vec<(u64, usize)>,
}

/// If a token was granted twice, or given back twice, or if an answer is none that a lock gives: the operation at whose
/// return that shows.
fn answers(entries: &[LockEntry]) -> Result<Answers, usize> {
    let mut answers = Answers::default();
    for (at, entry) in entries.iter().enumerate() {
        let twice = match (entry.op, entry.answer) {
            (LockOp::Acquire { .. }, Some(LockAnswer::NotGranted)) => None,
            // 0 stands for no grant at all.
            (LockOp::Acquire { .. }, Some(LockAnswer::Granted { token })) if token > 0 => {
                answers.grants.insert(token, at)
            }
            (LockOp::Release { token }, Some(LockAnswer::Released)) => answers.released.insert(token, at),
            (LockOp::Release { token }, Some(LockAnswer::NotHeld)) => {
                answers.in_vain.push((token, at));
                None
            }
            _ => return Err(at),
        };
        if let Some(other) = twice {
            return Err(last_returned(entries, [at, other]));
        }
    }
    Ok(answers)
}

/// The one of some operations that returned last: whoever has seen its return has seen that of all.
fn last_returned(entries: &[LockEntry], of: impl IntoIterator<Item = usize>) -> usize {
    of.into_iter().max_by_key(|at| entries[*at].returned).unwrap_or(0)
}

/// Operations that were invoked at the very moment at which another of their process returned, with that other.
fn followers(entries: &[LockEntry]) -> Vec<(usize, usize)> {
    if entries.iter().all(|entry| entry.after.is_none()) {
        return Vec::new();
    }
    let by_number: BTreeMap<u64, usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
    let before = |entry: &LockEntry| by_number.get(&entry.after?).copied();
    entries.iter().enumerate().filter_map(|(at, entry)| Some((before(entry)?, at))).collect()
}

/// All operations by when they may take effect at the earliest. If one returned before that, the operation at whose
/// return that shows; if some wait for each other, the last of those to return.
fn earliest(entries: &[LockEntry], mut order: Vec<(usize, usize)>) -> Result<Vec<usize>, usize> {
    order.sort_unstable();
    let mut moments: Vec<u64> = entries.iter().map(|entry| entry.invoked).collect();
    let mut awaited = vec![0_u32; entries.len()];
    for (_, later) in &order {
        awaited[*later] += 1;
    }
    // By moment: nothing that is still to come can have an earlier one than the first of those that await nothing.
    let mut free: BinaryHeap<Reverse<(u64, usize)>> =
        (0..entries.len()).filter(|at| awaited[*at] == 0).map(|at| Reverse((moments[at], at))).collect();
    let mut found = Vec::with_capacity(entries.len());
    while let Some(Reverse((moment, at))) = free.pop() {
        if entries[at].returned.is_some_and(|returned| returned < moment) {
            return Err(shown_by(entries, order, at));
        }
        found.push(at);
        for later in paired(&order, at) {
            moments[later] = moments[later].max(moment);
            awaited[later] -= 1;
            if awaited[later] == 0 {
                free.push(Reverse((moments[later], later)));
            }
        }
    }
    if found.len() < entries.len() {
        return Err(last_returned(entries, (0..entries.len()).filter(|at| awaited[*at] > 0)));
    }
    Ok(found)
}

/// Of all that come before an operation and were asked for after it had returned, the first to return; or that one
/// itself, if it returned later.
fn shown_by(entries: &[LockEntry], order: Vec<(usize, usize)>, late: usize) -> usize {
    let mut backwards: Vec<(usize, usize)> =
        order.into_iter().map(|(earlier, later)| (later, earlier)).collect();
    backwards.sort_unstable();
    let mut seen = vec![false; entries.len()];
    let mut open = vec![late];
    let mut first = None;
    while let Some(at) = open.pop() {
        for earlier in paired(&backwards, at) {
            if std::mem::replace(&mut seen[earlier], true) {
                continue;
            }
            open.push(earlier);
            let entry = &entries[earlier];
            let is_too_late = entries[late].returned.is_some_and(|returned| returned < entry.invoked);
            if is_too_late && first.is_none_or(|first: usize| entry.returned < entries[first].returned) {
                first = Some(earlier);
            }
        }
    }
    last_returned(entries, first.into_iter().chain([late]))
}

/// The second of each pair whose first is this one. The pairs are sorted.
fn paired(pairs: &[(usize, usize)], first: usize) -> impl Iterator<Item = usize> {
    let from = pairs.partition_point(|(one, _)| *one < first);
    pairs[from..].iter().take_while(move |(one, _)| *one == first).map(|(_, other)| *other)
}
