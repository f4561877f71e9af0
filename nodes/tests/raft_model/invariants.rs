//! The invariants. Each looks at as little as possible, so that its verdict can be remembered: at one step of
//! one node, at a node and the history, at two nodes, or at a whole state.
//!
//! | name | looks at | source |
//! |-|-|-|
//! | election safety | a step and the history | Raft paper, Figure 3 |
//! | leader append-only | a step | Figure 3 |
//! | log matching, in memory and on disks | two nodes | Figure 3 |
//! | leader completeness | a node and the history | Figure 3 |
//! | state machine safety | a node and the history | Figure 3 |
//! | only a leader decides what is committed | a step and the history | 5.3 |
//! | terms go back neither in memory nor on disk | a step | 5.1 |
//! | one vote in a term, in memory and on disk | a step | 5.2 |
//! | the commit index and what is applied go back only by a crash | a step | 5.3 |
//! | what is applied is on this node's disk | a node | the core's contract |
//! | match index below next index | a node | Figure 2 |
//! | committed is durable on a quorum of the members who decided it | a state | thesis 10.2.1 |
//! | one act leads to a bounded number of messages and stores | a step | the core's contract |
//! | a promise is durable before it leaves | a step | the core's contract |
//! | an acknowledgement vouches for nothing that is not durable | a step and the leader | the core's contract |

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::{Body, Message, Role};

use crate::disk::Mark;
use crate::history::History;
use crate::node::{Act, Facts, Out, SENT_MAX};

/// Judges a step of one node.
pub(crate) fn of_step(act: &Act, before: &Facts, after: &Facts, out: &Out) -> Result<(), String> {
    let id = after.id;
    let is_crash = matches!(act, Act::Crash(_));
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {id}, {act:?}")) };
    let is_same_vote = |one: Option<NodeId>, other| one.is_none() || one == other;
    let (old, new) = (before.durable, after.durable);
    ensure(new.term >= old.term, "the term on disk goes back")?;
    ensure(
        new.term > old.term || is_same_vote(old.voted_for, new.voted_for),
        "two votes in one term on disk",
    )?;
    if !is_crash {
        ensure(after.term >= before.term, "the term goes back")?;
        let is_kept = after.term > before.term || is_same_vote(before.voted_for, after.voted_for);
        ensure(is_kept, "two votes in one term")?;
        ensure(after.commit >= before.commit, "the commit index goes back")?;
        ensure(after.applied.starts_with(&before.applied), "what is applied goes back")?;
        let leads_on = before.role == Role::Leader && after.role == Role::Leader && before.term == after.term;
        ensure(!leads_on || is_prefix(&before.log, &after.log), "leader append-only")?;
    }
    ensure(after.commit <= after.log.len(), "the commit index is beyond the log")?;
    ensure(is_prefix(&after.applied, &after.disk), "applied what is not on this node's disk")?;
    ensure(!after.is_match_beyond_next, "a match index is not below the next index")?;
    ensure(!out.is_restless, "the node comes to no rest")?;
    ensure(out.sent.len() <= SENT_MAX, "the node floods the network")?;
    match &out.broken_promise {
        Some(promise) => Err(format!("promise before it is durable: {promise}")),
        None => Ok(()),
    }
}

/// Judges one node by the past.
pub(crate) fn of_past(node: &Facts, history: &History) -> Result<(), String> {
    let committed: Vec<_> = history.committed.iter().map(|(mark, _)| *mark).collect();
    if !is_prefix(&node.log[..node.commit], &committed) {
        return Err(format!("state machine safety: {} commits other entries than were committed", node.id));
    }
    if !is_prefix(&node.applied, &committed) {
        return Err(format!("state machine safety: {} applies other entries than were committed", node.id));
    }
    if node.role != Role::Leader {
        return Ok(());
    }
    let missing = history.committed.iter().enumerate().find(|(at, (mark, term))| {
        let held = node.log.get(*at);
        *term < node.term && held != Some(mark) && held != Some(&Mark::COVERED)
    });
    match missing {
        Some((at, (_, term))) => Err(format!(
            "leader completeness: {} leads t{} without entry {} which was committed in t{term}",
            node.id,
            node.term,
            at + 1
        )),
        None => Ok(()),
    }
}

/// Judges two nodes, which may be the same: their logs, in memory and on disk.
pub(crate) fn of_pair(one: &Facts, other: &Facts) -> Result<(), String> {
    for left in [&one.log, &one.disk] {
        for right in [&other.log, &other.disk] {
            if !do_match(left, right) {
                return Err(format!("log matching: {} and {}: {left:?} and {right:?}", one.id, other.id));
            }
        }
    }
    Ok(())
}

/// Whether a node's disk holds everything that was decided.
pub(crate) fn holds_decided(node: &Facts, history: &History) -> bool {
    let Some((index, ..)) = &history.decided else { return true };
    let decided = history.committed[..*index].iter().map(|(mark, _)| mark);
    node.disk.len() >= *index && decided.eq(&node.disk[..*index])
}

/// Judges a state: whether a quorum holds everything that was decided.
pub(crate) fn of_quorum(history: &History, holds: impl Fn(NodeId) -> bool) -> Result<(), String> {
    let Some((index, voters, outgoing)) = &history.decided else { return Ok(()) };
    for half in [voters, outgoing] {
        let copies = half.iter().filter(|&&id| holds(id)).count();
        if !half.is_empty() && copies <= half.len() / 2 {
            return Err(format!(
                "durable quorum: entry {index} is committed, and on {copies} disks of {half:?}"
            ));
        }
    }
    Ok(())
}

/// Judges what a node has acknowledged by the log of the leader, if that still leads.
pub(crate) fn of_acknowledgement(message: &Message, sender: &Facts, leader: &Facts) -> Result<(), String> {
    let Body::AppendAccepted { match_index } = message.body else { return Ok(()) };
    if leader.role != Role::Leader || leader.term != message.term.0 {
        return Ok(());
    }
    let upto = match_index.0 as usize;
    let is_durable = upto <= sender.disk.len()
        && upto <= leader.log.len()
        && is_prefix(&leader.log[..upto], &sender.disk[..upto]);
    if is_durable {
        return Ok(());
    }
    Err(format!(
        "acknowledgement beyond what is durable: {} acknowledges {upto} in {}, has {:?} on disk, {} has {:?}",
        message.from, message.term, sender.disk, leader.id, leader.log
    ))
}

/// Whether a log begins with another, as far as its entries are at hand.
fn is_prefix(beginning: &[Mark], log: &[Mark]) -> bool {
    let is_same =
        |(one, other): (&Mark, &Mark)| one == other || *one == Mark::COVERED || *other == Mark::COVERED;
    beginning.len() <= log.len() && beginning.iter().zip(log).all(is_same)
}

/// If two logs have an entry of the same term at the same place, they are the same up to there.
fn do_match(one: &[Mark], other: &[Mark]) -> bool {
    let is_agreed = |(one, other): &(&Mark, &Mark)| one.term() == other.term() && **one != Mark::COVERED;
    let agreed = one.iter().zip(other).rposition(|pair| is_agreed(&pair));
    agreed.is_none_or(|last| is_prefix(&one[..=last], &other[..=last]))
}

#[cfg(test)]
mod tests {
    use super::{do_match, is_prefix};
    use crate::disk::Mark;

    fn log(terms: &[u32]) -> Vec<Mark> {
        terms.iter().map(|term| Mark(term << 16)).collect()
    }

    #[test]
    fn logs_match_if_they_part_once_and_for_ever() {
        assert!(do_match(&log(&[1, 1, 2]), &log(&[1, 1, 3, 3])));
        assert!(do_match(&log(&[1, 1]), &log(&[2])));
        assert!(!do_match(&log(&[1, 2, 3]), &log(&[2, 2, 3])));
        assert!(!do_match(&[Mark(1 << 16)], &[Mark(1 << 16 | 1)]));
    }

    #[test]
    fn a_prefix_is_no_longer_than_the_whole() {
        assert!(is_prefix(&log(&[1]), &log(&[1, 2])));
        assert!(!is_prefix(&log(&[1, 2]), &log(&[1])));
        assert!(!is_prefix(&log(&[2]), &log(&[1])));
        assert!(is_prefix(&[Mark::COVERED], &log(&[1])));
    }
}
