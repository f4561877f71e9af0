//! No lost wake-up: nobody waits in vain for what is free, or is refused it.
//!
//! What is free is handed on by the very entry that frees it, first come, first served, and whoever comes gets it at once
//! if there is room beside those who hold it and all who stand in line. So at each moment at which one stood in line for
//! certain, claims of others ([`super::claims`]) must have left too little room for it: they may have held the lock, or
//! waited before it. Others that waited in vain for the same lock alone are no excuse where there was room for each of
//! them: the first of all ought to have got it ([`super::room`]). Who would not wait is refused only if, at some moment
//! from its request to the answer, others may have left too little; and of several resources, of one of them.

use std::collections::BTreeMap;

use super::claims::{Claim, Permits, weight};
use super::line::SureWait;
use super::room::Room;
use crate::check::unanswered::asked_of;
use crate::history::{Answer, Call, History, LockMode, Operation, Outcome, VirtualTime};

/// What is judged by the room at one resource.
enum Asked<'w, 'a> {
    Waited(&'w SureWait<'a>),
    Refused(&'a Operation, VirtualTime),
}

/// Finds a wait in vain for what was free, or a refusal of it, and says how many waits were judged.
pub(super) fn lost<'a>(
    history: &'a History,
    waits: &[SureWait<'a>],
    claims: &BTreeMap<&str, Vec<Claim>>,
) -> (u64, Option<String>) {
    let permits = Permits::fewest(history);
    let mut judged = 0;
    let mut by_resource: BTreeMap<&'a str, Vec<(LockMode, Asked<'_, 'a>)>> = BTreeMap::new();
    for wait in waits {
        if let [want] = wait.wants.as_slice()
            && wait.stood_in_line()
            && permits.are_enough(want.resource, want.mode)
        {
            judged += 1;
            by_resource.entry(want.resource).or_default().push((want.mode, Asked::Waited(wait)));
        }
    }
    for (operation, returned_ns) in refused(history) {
        for (resource, mode) in asked_of(&operation.call) {
            if permits.are_enough(resource, mode) {
                let asked = Asked::Refused(operation, returned_ns);
                by_resource.entry(resource).or_default().push((mode, asked));
            }
        }
    }
    // Of several resources that were refused, how many were free.
    let mut free_of_several: BTreeMap<u64, usize> = BTreeMap::new();
    let problem = by_resource.into_iter().find_map(|(resource, asked)| {
        let claims = claims.get(resource).map_or(&[][..], Vec::as_slice);
        let room = Room::of(claims, permits.capacity(resource));
        asked.into_iter().find_map(|(mode, asked)| match asked {
            Asked::Waited(wait) => waited_for_what_is_free(wait, resource, mode, &room),
            Asked::Refused(operation, returned_ns) => {
                if room.least_between(operation.invoked_ns, returned_ns) < weight(mode) {
                    return None;
                }
                let free = free_of_several.entry(operation.id).or_default();
                *free += 1;
                (*free == asked_of(&operation.call).len()).then(|| refusal(operation, returned_ns))
            }
        })
    });
    (judged, problem)
}

/// Those who would not wait, and were refused.
pub(super) fn refused(history: &History) -> impl Iterator<Item = (&Operation, VirtualTime)> {
    history.operations.iter().filter_map(|operation| {
        let is_refused = matches!(&operation.outcome, Outcome::Ok { answer: Answer::NotGranted });
        let stands_in_line = matches!(operation.call, Call::Acquire { .. } | Call::AcquireAll { .. });
        let is_judged = is_refused && stands_in_line && operation.call.wait_us() == 0;
        operation.returned_ns.filter(|_| is_judged).map(|returned_ns| (operation, returned_ns))
    })
}

fn waited_for_what_is_free(
    wait: &SureWait<'_>,
    resource: &str,
    mode: LockMode,
    room: &Room,
) -> Option<String> {
    if room.most_within(wait.from_ns, wait.until_ns) < weight(mode) {
        return None;
    }
    let free_ns = room.first_with(wait.from_ns, weight(mode)).unwrap_or(wait.from_ns);
    Some(format!(
        "operation #{} of client {} waited for {resource:?} in vain, for certain from {} until {}, but at {free_ns} \
         nobody else had a claim to it that left no room for it\n",
        wait.operation.id, wait.operation.client, wait.from_ns, wait.until_ns
    ))
}

fn refusal(operation: &Operation, returned_ns: VirtualTime) -> String {
    let names: Vec<String> =
        asked_of(&operation.call).iter().map(|(resource, _)| format!("{resource:?}")).collect();
    format!(
        "operation #{} of client {} asked for {} at {} and was refused at {returned_ns}, but all the while nobody else \
         had a claim that left no room for it\n",
        operation.id,
        operation.client,
        names.join(" and "),
        operation.invoked_ns
    )
}
