//! What the tests of the invariants share: events of a small cluster, by hand, and what they are run through.
//!
//! A scenario is a three-node cluster and one event after another; the invariant that must reject it is
//! named, and the last event must be the first to be rejected.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::invariants::InvariantSet;
use stormglass_sim::history::NodeRole::{Candidate, Follower, Leader};
use stormglass_sim::history::{Change, LogSlot, MembersSeen, NodeEvent, NodeRole, SnapshotSeen, VirtualTime};

pub(crate) type Step = (u64, NodeEvent);

pub(crate) fn slot(term: u64) -> LogSlot {
    LogSlot { term, digest: term * 1_000, change: None }
}

pub(crate) fn started(node: u64, term: u64, voted_for: Option<u64>, terms: &[u64]) -> Step {
    let log = terms.iter().map(|term| slot(*term)).collect();
    (node, NodeEvent::Started { version: 1, term, voted_for, snapshot: None, log })
}

pub(crate) fn stopped(node: u64) -> Step {
    (node, NodeEvent::Stopped)
}

pub(crate) fn role(node: u64, role: NodeRole, term: u64) -> Step {
    (node, NodeEvent::RoleChanged { role, term })
}

pub(crate) fn voted(node: u64, term: u64, candidate: u64) -> Step {
    (node, NodeEvent::Voted { term, candidate })
}

/// A write completes. Unless it was seen to begin, it does so at once.
pub(crate) fn durable(node: u64, term: u64, voted_for: Option<u64>, last_index: u64) -> Step {
    (node, NodeEvent::Durable { term, voted_for, last_index })
}

pub(crate) fn write_began(node: u64) -> Step {
    (node, NodeEvent::WriteBegan)
}

pub(crate) fn acknowledges(node: u64, term: u64, index: u64) -> Step {
    (node, NodeEvent::Acknowledges { term, index })
}

pub(crate) fn appended(node: u64, index: u64, term: u64) -> Step {
    (node, NodeEvent::Appended { index, slot: slot(term) })
}

pub(crate) fn truncated(node: u64, from: u64) -> Step {
    (node, NodeEvent::Truncated { from })
}

pub(crate) fn committed(node: u64, index: u64) -> Step {
    (node, NodeEvent::Committed { index })
}

pub(crate) fn applied(node: u64, index: u64, term: u64) -> Step {
    (node, NodeEvent::Applied { index, slot: slot(term), state: index * 7 })
}

pub(crate) fn boot() -> Vec<Step> {
    (1..=3).map(|node| started(node, 0, None, &[])).collect()
}

/// `leader` is elected in `term` by its own vote and that of `voter`, whose logs end at these indexes.
pub(crate) fn elect(leader: u64, voter: u64, term: u64, last: [u64; 2]) -> Vec<Step> {
    vec![
        role(leader, Candidate, term),
        voted(leader, term, leader),
        durable(leader, term, Some(leader), last[0]),
        role(voter, Follower, term),
        voted(voter, term, leader),
        durable(voter, term, Some(leader), last[1]),
        role(leader, Leader, term),
    ]
}

/// Node 1 leads in term 1 and has one entry committed and applied on itself and node 2.
pub(crate) fn one_committed() -> Vec<Step> {
    [
        boot(),
        elect(1, 2, 1, [0, 0]),
        vec![
            appended(1, 1, 1),
            durable(1, 1, Some(1), 1),
            appended(2, 1, 1),
            durable(2, 1, Some(1), 1),
            committed(1, 1),
            applied(1, 1, 1),
            committed(2, 1),
            applied(2, 1, 1),
        ],
    ]
    .concat()
}

/// Judges the steps, twice: also by a set that forgets after every step what is settled, and must judge alike.
pub(crate) fn run(steps: &[Step]) -> (InvariantSet, Result<(), String>) {
    let (set, result) = observe(steps, |_| {});
    let (forgetful, other) = observe(steps, InvariantSet::forget_settled);
    assert_eq!(result, other, "a set that forgets judges otherwise");
    let violations = |set: &InvariantSet| -> Vec<_> {
        set.report().into_iter().filter_map(|report| report.violation).collect()
    };
    assert_eq!(violations(&set), violations(&forgetful), "a set that forgets judges otherwise");
    (set, result)
}

fn observe(steps: &[Step], then: impl Fn(&mut InvariantSet)) -> (InvariantSet, Result<(), String>) {
    let mut set = InvariantSet::new(1..=3);
    for (time, (node, event)) in (1..).zip(steps) {
        if matches!(event, NodeEvent::Durable { .. }) && set.shadow().node(*node).write.is_none() {
            let began = set.observe(VirtualTime::from_ms(time), *node, &NodeEvent::WriteBegan);
            assert_eq!(began, Ok(()));
        }
        if let Err(violation) = set.observe(VirtualTime::from_ms(time), *node, event) {
            let at_the_end = time == steps.len() as u64;
            assert!(at_the_end, "too early: {violation}");
            return (set, Err(violation.invariant.to_owned()));
        }
        then(&mut set);
    }
    (set, Ok(()))
}

pub(crate) fn accepts(what: &str, steps: Vec<Step>) {
    let (set, result) = run(&steps);
    assert_eq!(result, Ok(()), "{what}: {:#?}", set.report());
}

/// The last of the steps, and no earlier one, is rejected by the invariant of this name.
pub(crate) fn rejects(invariant: &str, what: &str, steps: Vec<Step>) {
    let (set, result) = run(&steps);
    assert!(result.is_err(), "{what}: nothing rejects it");
    let invalid = |name: &str| {
        set.report().iter().any(|report| report.name == name && report.verdict() == Verdict::Invalid)
    };
    assert!(invalid(invariant), "{what}: {:#?}", set.report());
}

pub(crate) fn after(mut steps: Vec<Step>, more: Vec<Step>) -> Vec<Step> {
    steps.extend(more);
    steps
}

/// An entry that changes something of the cluster.
pub(crate) fn appended_change(node: u64, index: u64, term: u64, change: Change) -> Step {
    (node, NodeEvent::Appended { index, slot: LogSlot { change: Some(change), ..slot(term) } })
}

pub(crate) fn applied_change(node: u64, index: u64, term: u64, change: Change) -> Step {
    let slot = LogSlot { change: Some(change), ..slot(term) };
    (node, NodeEvent::Applied { index, slot, state: index * 7 })
}

/// Members that are not joint, without learners.
pub(crate) fn voters(voters: &[u64]) -> MembersSeen {
    MembersSeen { voters: voters.to_vec(), ..MembersSeen::default() }
}

pub(crate) fn joint(voters: &[u64], outgoing: &[u64]) -> MembersSeen {
    MembersSeen { voters: voters.to_vec(), outgoing: outgoing.to_vec(), learners: vec![] }
}

pub(crate) fn goes_by(node: u64, index: u64, members: &MembersSeen) -> Step {
    (node, NodeEvent::MembershipChanged { index, members: members.clone() })
}

/// A snapshot of the first members.
pub(crate) fn snapshot(index: u64, term: u64) -> SnapshotSeen {
    SnapshotSeen { index, term, members: voters(&[1, 2, 3]) }
}

pub(crate) fn received(node: u64, snapshot: SnapshotSeen) -> Step {
    (node, NodeEvent::SnapshotReceived { snapshot })
}

pub(crate) fn installed(node: u64, index: u64) -> Step {
    (node, NodeEvent::Installed { index, state: index * 7 })
}

pub(crate) fn compacted(node: u64, to: u64) -> Step {
    (node, NodeEvent::Compacted { to })
}

/// As `started`, from a snapshot and the entries after it.
pub(crate) fn started_from(node: u64, term: u64, snapshot: SnapshotSeen, terms: &[u64]) -> Step {
    let log = terms.iter().map(|term| slot(*term)).collect();
    (node, NodeEvent::Started { version: 1, term, voted_for: None, snapshot: Some(snapshot), log })
}

/// An entry of `term` at `index` comes into the logs of these nodes, the first of which leads, and is durable
/// there; `votes` are their durable votes.
pub(crate) fn replicated(
    index: u64,
    term: u64,
    change: Option<Change>,
    votes: &[(u64, Option<u64>)],
) -> Vec<Step> {
    let slot = LogSlot { change, ..slot(term) };
    let appended = votes.iter().map(|(node, _)| (*node, NodeEvent::Appended { index, slot }));
    let durable = votes.iter().map(|(node, vote)| durable(*node, term, *vote, index));
    appended.chain(durable).collect()
}

/// Node 1 leads in term 1 and has `count` entries committed and applied on itself and node 2; node 3 has
/// nothing.
pub(crate) fn many_committed(count: u64) -> Vec<Step> {
    let votes = [(1, Some(1)), (2, Some(1))];
    let mut steps = after(boot(), elect(1, 2, 1, [0, 0]));
    for index in 1..=count {
        steps.extend(replicated(index, 1, None, &votes));
        for node in [1, 2] {
            steps.extend([committed(node, index), applied(node, index, 1)]);
        }
    }
    steps
}
