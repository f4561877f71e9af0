//! Leases and delays: nobody gets a message too early, and of a group nobody gets two at a time.

use std::collections::BTreeMap;

use super::journal::{Ask, Handed, Journal};
use crate::check::drift::Drift;
use crate::history::VirtualTime;

/// Finds a delivery that came too early.
pub(super) fn check(journal: &Journal<'_>, drift: Drift) -> Option<String> {
    for handed in journal.by_message() {
        let problem =
            handed.first().and_then(|first| before_its_delay(journal, drift, first)).or_else(|| {
                handed.windows(2).find_map(|pair| within_a_lease(journal, drift, &pair[0], &pair[1]))
            });
        if problem.is_some() {
            return problem;
        }
    }
    two_of_a_group(journal, drift)
}

/// When the message was asked for by its producer: no delivery began before.
fn asked_ns(journal: &Journal<'_>, handed: &Handed<'_>) -> VirtualTime {
    journal.story(handed).map_or(VirtualTime(0), |story| story.asked_ns)
}

/// The earliest end of this delivery's lease, if nothing else ends it.
///
/// The extension that had effect last counts, from its own request on and from those of all others that had effect. One
/// of unknown outcome may be the last, and may have shortened the lease.
pub(super) fn lease_ends(journal: &Journal<'_>, drift: Drift, handed: &Handed<'_>) -> VirtualTime {
    let all = journal.asked_about(handed);
    let extensions = || all.iter().filter(|asked| matches!(asked.ask, Ask::Extend { .. }));
    let sure_ns = extensions().filter(|asked| asked.is_sure).map(|asked| asked.operation.invoked_ns).max();
    let from = handed.operation.invoked_ns.max(asked_ns(journal, handed));
    let first = Some(drift.earliest(from, handed.visibility_us)).filter(|_| sure_ns.is_none());
    let extended = extensions().filter_map(|asked| {
        let Ask::Extend { visibility_us } = asked.ask else { return None };
        let returned_ns = asked.operation.returned_ns.filter(|_| asked.is_sure);
        let may_be_last = returned_ns.is_none_or(|returned| sure_ns.is_none_or(|sure| returned >= sure));
        let from = asked.operation.invoked_ns.max(sure_ns.unwrap_or_default());
        may_be_last.then(|| drift.earliest(from, visibility_us))
    });
    extended.chain(first).min().unwrap_or_default()
}

/// The earliest moment at which another may get the message in the same topic after this delivery.
fn free_again(journal: &Journal<'_>, drift: Drift, handed: &Handed<'_>, same_topic: bool) -> VirtualTime {
    let rejected = journal.asked_about(handed).iter().filter_map(|asked| match asked.ask {
        Ask::Reject { delay_us } if same_topic => Some(drift.earliest(asked.operation.invoked_ns, delay_us)),
        // Given up, it is free where it went at once.
        Ask::Reject { .. } => Some(asked.operation.invoked_ns),
        _ => None,
    });
    // A rejection that was answered took the lease's place.
    let sure = journal
        .asked_about(handed)
        .iter()
        .any(|asked| asked.is_sure && matches!(asked.ask, Ask::Reject { .. }));
    let lease = Some(lease_ends(journal, drift, handed)).filter(|_| !sure);
    rejected.chain(lease).min().unwrap_or_default()
}

fn within_a_lease(
    journal: &Journal<'_>,
    drift: Drift,
    one: &Handed<'_>,
    next: &Handed<'_>,
) -> Option<String> {
    let free = free_again(journal, drift, one, !journal.may_have_left(one, next));
    (next.returned_ns < free).then(|| {
        format!(
            "a message was delivered again before {free}, when it was free at the earliest:\n  {}\n  {}\n",
            one.text(),
            next.text()
        )
    })
}

fn before_its_delay(journal: &Journal<'_>, drift: Drift, first: &Handed<'_>) -> Option<String> {
    let story = journal.story(first)?;
    let free = drift.earliest(story.asked_ns, story.message.delay_us);
    (first.returned_ns < free).then(|| {
        format!(
            "a message was delivered before its delay was over, at {free} at the earliest:\n  {}\n",
            first.text()
        )
    })
}

/// From when until when a delivery was in flight for certain.
type Flight<'a, 'h> = (VirtualTime, VirtualTime, &'a Handed<'h>);

/// Two messages of one group that were in flight at the same time for certain: from the answer of the delivery
/// until something was asked that may have ended it, or its lease may have run out.
fn two_of_a_group(journal: &Journal<'_>, drift: Drift) -> Option<String> {
    let mut flights: BTreeMap<(&str, u64), Vec<Flight<'_, '_>>> = BTreeMap::new();
    for handed in journal.topics.values().flat_map(|topic| &topic.deliveries) {
        let story = journal.story(handed);
        let Some(group) = story.and_then(|story| story.message.group) else { continue };
        let ended = journal.asked_about(handed).iter().filter_map(|asked| match asked.ask {
            Ask::Acknowledge | Ask::Reject { .. } => Some(asked.operation.invoked_ns),
            Ask::Extend { .. } => None,
        });
        let until = ended.chain([lease_ends(journal, drift, handed)]).min().unwrap_or_default();
        flights.entry((handed.topic, group)).or_default().push((handed.returned_ns, until, handed));
    }
    for flights in flights.values_mut() {
        flights.retain(|(from, until, _)| from < until);
        flights.sort_by_key(|(from, until, _)| (*from, *until));
        // The longest, and the longest of another message.
        let mut longest: Vec<(VirtualTime, &Handed<'_>)> = Vec::new();
        for (from, until, handed) in flights {
            let number = handed.delivery.message;
            let other = longest.iter().find(|(_, earlier)| earlier.delivery.message != number);
            if let Some((_, earlier)) = other.filter(|(until, _)| until > from) {
                return Some(format!(
                    "two messages of one group were in flight at once:\n  {}\n  {}\n",
                    earlier.text(),
                    handed.text()
                ));
            }
            let own = longest.iter().position(|(_, earlier)| earlier.delivery.message == number);
            match own {
                Some(own) => longest[own].0 = longest[own].0.max(*until),
                None => longest.push((*until, handed)),
            }
            longest.sort_by_key(|(until, _)| std::cmp::Reverse(*until));
            longest.truncate(2);
        }
    }
    None
}
