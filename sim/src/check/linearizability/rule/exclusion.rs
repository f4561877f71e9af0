//! A mutex or reader-writer lock without leases, whose holders ask in turn: acquire, then release.
//!
//! A hold certainly lasts from when its acquisition returned to when its release was invoked. If no two that
//! exclude each other have such a moment in common, then letting each last just so long explains every grant.
//! A refused try has to find the lock held: a hold can be stretched to both sides, as far as its own calls
//! reach and its neighbours allow, so that only what lies between the return of one release and the invocation
//! of the next acquisition is free for certain. A try that lies wholly there cannot have been refused.

use std::collections::BTreeMap;

use super::super::{Entry, ExclusionAnswer, ExclusionOp};
use super::Ruling;

type ExclusionEntry = Entry<ExclusionOp, ExclusionAnswer>;

/// From grant to release.
#[derive(Clone, Copy, Debug)]
struct Hold {
    exclusive: bool,
    acquire_invoked: u64,
    acquire_returned: u64,
    /// `u64::MAX`: never.
    release_invoked: u64,
    release_returned: u64,
}

/// Rules on a lock; `None` if holders do not ask in turn, or if tries were refused and shared holds or
/// unanswered acquisitions may explain it.
pub(in super::super) fn rule(entries: &[ExclusionEntry]) -> Option<Ruling> {
    let Found { mut holds, refused, uncertain } = holds(entries)?;
    holds.sort_unstable_by_key(|hold| (hold.acquire_returned, hold.release_invoked));
    if conflict(&holds) {
        return Some(Ruling::Impossible);
    }
    if refused.is_empty() {
        return Some(Ruling::Possible);
    }
    let touching = holds.windows(2).any(|pair| pair[0].acquire_returned == pair[1].acquire_returned);
    if uncertain || touching || holds.iter().any(|hold| !hold.exclusive) {
        return None;
    }
    // The spans without doubt are disjoint, so that releases are sorted as grants are.
    let free = |(invoked, returned): &(u64, u64)| {
        let next = holds.partition_point(|hold| hold.release_invoked < *invoked);
        let released = next == 0 || holds[next - 1].release_returned < *invoked;
        released && holds.get(next).is_none_or(|hold| *returned < hold.acquire_invoked)
    };
    Some(if refused.iter().any(free) { Ruling::Impossible } else { Ruling::Possible })
}

#[derive(Default)]
struct Found {
    holds: Vec<Hold>,
    refused: Vec<(u64, u64)>,
    /// Whether an acquisition was not answered.
    uncertain: bool,
}

fn holds(entries: &[ExclusionEntry]) -> Option<Found> {
    let mut found = Found::default();
    let mut holders: BTreeMap<u64, Hold> = BTreeMap::new();
    for entry in entries {
        match (entry.op, entry.answer, entry.returned) {
            (ExclusionOp::Acquire { holder, exclusive }, Some(ExclusionAnswer::Granted), Some(returned)) => {
                let hold = Hold {
                    exclusive,
                    acquire_invoked: entry.invoked,
                    acquire_returned: returned,
                    release_invoked: u64::MAX,
                    release_returned: u64::MAX,
                };
                if holders.insert(holder, hold).is_some() {
                    return None;
                }
            }
            (ExclusionOp::Acquire { holder, .. }, Some(ExclusionAnswer::Refused), Some(returned)) => {
                if holders.contains_key(&holder) {
                    return None;
                }
                found.refused.push((entry.invoked, returned));
            }
            (ExclusionOp::Acquire { .. }, None, None) => found.uncertain = true,
            (ExclusionOp::Release { holder }, None | Some(ExclusionAnswer::Released), returned) => {
                let mut hold = holders.remove(&holder)?;
                if entry.invoked < hold.acquire_returned {
                    return None;
                }
                hold.release_invoked = entry.invoked;
                hold.release_returned = returned.unwrap_or(u64::MAX);
                found.holds.push(hold);
            }
            _ => return None,
        }
    }
    found.holds.extend(holders.into_values());
    Some(found)
}

/// Whether two holds that exclude each other have a moment in common for certain. They are sorted by when
/// they were granted.
fn conflict(holds: &[Hold]) -> bool {
    // Until when anybody holds it, and until when somebody does exclusively.
    let (mut any, mut exclusive) = (0, 0);
    holds.iter().any(|hold| {
        let until = if hold.exclusive { any } else { exclusive };
        any = any.max(hold.release_invoked);
        if hold.exclusive {
            exclusive = exclusive.max(hold.release_invoked);
        }
        hold.acquire_returned < until
    })
}
