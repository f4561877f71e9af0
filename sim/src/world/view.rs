//! Who hears of what the nodes report, and what of it goes into the trace.

use std::collections::VecDeque;

use crate::history::{LogSlot, MembersSeen, NodeEvent, SnapshotSeen, VirtualTime};

use super::trace::digest;

/// Called with each event of each node, at the moment that it happens.
pub type Observer = Box<dyn FnMut(VirtualTime, u64, &NodeEvent) + Send>;

/// The observer, and the events that wait for it: it may itself cause some.
#[derive(Default)]
pub(super) struct Observers {
    pub(super) observer: Option<Observer>,
    pub(super) waiting: VecDeque<(VirtualTime, u64, NodeEvent)>,
    pub(super) busy: bool,
}

/// A hash over an event, for the trace.
pub(super) fn digest_event(event: &NodeEvent) -> u64 {
    let vote = |vote: &Option<u64>| vote.map_or(0, |vote| vote.wrapping_add(1));
    let slot = |slot: &LogSlot| [slot.term, slot.digest];
    let members = |seen: &MembersSeen| {
        let lists = [&seen.voters, &seen.outgoing, &seen.learners];
        digest(&lists.map(|list| digest(list)))
    };
    let covered =
        |snapshot: &SnapshotSeen| digest(&[snapshot.index, snapshot.term, members(&snapshot.members)]);
    match event {
        NodeEvent::Started { version, term, voted_for, snapshot, log } => {
            let slots: Vec<u64> = log.iter().flat_map(slot).collect();
            let covered = snapshot.as_ref().map_or(0, covered);
            digest(&[
                1,
                u64::from(*version),
                *term,
                vote(voted_for),
                covered,
                log.len() as u64,
                digest(&slots),
            ])
        }
        NodeEvent::Stopped => digest(&[2]),
        NodeEvent::RoleChanged { role, term } => digest(&[3, *role as u64, *term]),
        NodeEvent::Voted { term, candidate } => digest(&[4, *term, *candidate]),
        NodeEvent::Truncated { from } => digest(&[5, *from]),
        NodeEvent::Appended { index, slot } => digest(&[6, *index, slot.term, slot.digest]),
        NodeEvent::Committed { index } => digest(&[7, *index]),
        NodeEvent::Durable { term, voted_for, last_index } => {
            digest(&[8, *term, vote(voted_for), *last_index])
        }
        NodeEvent::SnapshotReceived { snapshot } => digest(&[10, covered(snapshot)]),
        NodeEvent::Installed { index, state } => digest(&[11, *index, *state]),
        NodeEvent::MembershipChanged { index, members: seen } => digest(&[12, *index, members(seen)]),
        NodeEvent::VersionRaised { version } => digest(&[13, u64::from(*version)]),
        NodeEvent::Compacted { to } => digest(&[14, *to]),
        NodeEvent::Acknowledges { term, index } => digest(&[15, *term, *index]),
        NodeEvent::WriteBegan => digest(&[16]),
        NodeEvent::Line { line } => {
            let bytes = postcard::to_stdvec(line).expect("numbers and names serialize");
            digest(&[17, xxhash_rust::xxh3::xxh3_64(&bytes)])
        }
        NodeEvent::Applied { index, slot, state } => digest(&[9, *index, slot.term, slot.digest, *state]),
    }
}
