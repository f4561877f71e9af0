//! Who comes first.
//!
//! A message that is neither delayed nor in a group can be delivered from the moment at which it is there. If
//! its first delivery is known (attempt 1), then it was there, and free, up to that delivery's request. So no
//! consumer that asked and was answered in between can have been given a later message of the same or a lower
//! priority, one of a lower priority, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{Handed, Journal, Story, Topic};
use crate::history::{Operation, VirtualTime};

/// A message that was there for certain, and free for everybody.
#[derive(Clone, Copy)]
struct Free<'a> {
    story: &'a Story<'a>,
    /// From when on.
    there_ns: VirtualTime,
    /// Up to when: the request of its first delivery.
    until_ns: VirtualTime,
}

/// Finds somebody who was passed over.
pub(super) fn check(journal: &Journal<'_>) -> Option<String> {
    journal.topics.iter().find_map(|(name, topic)| {
        let free = free(journal, name, topic);
        passed_over(journal, topic, &free)
            .or_else(|| empty_although(topic, &free))
            .or_else(|| group_out_of_order(journal, name, topic))
    })
}

fn free<'a>(journal: &'a Journal<'_>, name: &str, topic: &Topic<'_>) -> Vec<Free<'a>> {
    let mut free: Vec<Free<'_>> = topic
        .deliveries
        .iter()
        .filter(|handed| handed.delivery.attempt == 1)
        .filter_map(|handed| {
            let story = journal.stories.get(&handed.delivery.message)?;
            let there_ns = story.there_ns?;
            let until_ns = handed.operation.invoked_ns;
            let is_free = story.topic == name
                && story.message.group.is_none()
                && story.message.delay_us == 0
                && there_ns < until_ns;
            is_free.then_some(Free { story, there_ns, until_ns })
        })
        .collect();
    free.sort_by_key(|free| free.there_ns);
    free
}

/// Sweeps moments in time, remembering which of the messages that were there by then stayed longest.
struct Longest<'f, 'a> {
    free: std::iter::Peekable<std::slice::Iter<'f, Free<'a>>>,
    longest: Option<Free<'a>>,
}

impl<'f, 'a> Longest<'f, 'a> {
    fn over(free: &'f [Free<'a>]) -> Self {
        Self { free: free.iter().peekable(), longest: None }
    }

    /// Of those that were there before `at` and of at least this priority, the one that stayed longest.
    /// Moments rise from call to call.
    fn before(&mut self, at: VirtualTime, priority: u8) -> Option<Free<'a>> {
        while let Some(free) = self.free.next_if(|free| free.there_ns < at) {
            if free.story.message.priority >= priority {
                self.longest = self.longest.filter(|other| other.until_ns >= free.until_ns).or(Some(*free));
            }
        }
        self.longest
    }
}

fn passed_over(journal: &Journal<'_>, topic: &Topic<'_>, free: &[Free<'_>]) -> Option<String> {
    let stories = |handed: &Handed<'_>| journal.stories.get(&handed.delivery.message).cloned();
    let known: Vec<(&Handed<'_>, Story<'_>)> = topic
        .deliveries
        .iter()
        .filter_map(|handed| Some((handed, stories(handed)?)))
        .filter(|(handed, story)| story.topic == handed.topic)
        .collect();
    let priorities: BTreeSet<u8> = known.iter().map(|(_, story)| story.message.priority).collect();
    for priority in priorities {
        let mut later: Vec<&(&Handed<'_>, Story<'_>)> =
            known.iter().filter(|(_, story)| story.message.priority == priority).collect();
        // Those of the same priority that were there before this one was sent.
        later.sort_by_key(|(_, story)| story.asked_ns);
        let mut longest = Longest::over(free);
        for (handed, story) in &later {
            let first = longest.before(story.asked_ns, priority);
            if let Some(first) = first.filter(|first| first.until_ns > handed.returned_ns) {
                return Some(unfair(&first, handed, "sent before it, and of no lower priority"));
            }
        }
        // Those of a higher priority that were there when the consumer asked.
        let Some(higher) = priority.checked_add(1) else { continue };
        later.sort_by_key(|(handed, _)| handed.operation.invoked_ns);
        let mut longest = Longest::over(free);
        for (handed, _) in &later {
            let first = longest.before(handed.operation.invoked_ns, higher);
            if let Some(first) = first.filter(|first| first.until_ns > handed.returned_ns) {
                return Some(unfair(&first, handed, "of a higher priority"));
            }
        }
    }
    None
}

fn unfair(first: &Free<'_>, handed: &Handed<'_>, why: &str) -> String {
    format!(
        "message {} was passed over, {why}: it was there from {} until {} at least, but this was delivered:\n  {}\n",
        first.story.message.number,
        first.there_ns,
        first.until_ns,
        handed.text()
    )
}

fn empty_although(topic: &Topic<'_>, free: &[Free<'_>]) -> Option<String> {
    let mut empty: Vec<&&Operation> = topic.empty.iter().collect();
    empty.sort_by_key(|operation| operation.invoked_ns);
    let mut longest = Longest::over(free);
    empty.into_iter().find_map(|operation| {
        let returned_ns = operation.returned_ns?;
        let there = longest.before(operation.invoked_ns, 0).filter(|there| there.until_ns > returned_ns)?;
        Some(format!(
            "operation #{} of client {}, invoked at {}, got nothing out of {:?} at {returned_ns}, but message {} \
             was there from {} until {} at least\n",
            operation.id,
            operation.client,
            operation.invoked_ns,
            operation.call.object(),
            there.story.message.number,
            there.there_ns,
            there.until_ns
        ))
    })
}

/// One message of a group as far as order goes.
#[derive(Clone, Copy)]
struct InGroup<'a, 'h> {
    story: &'a Story<'h>,
    /// Its delivery that was answered first.
    first: &'a Handed<'h>,
    /// Its delivery that was asked for last.
    last: &'a Handed<'h>,
}

/// A message delivered although one before it in its group was still to be delivered again.
fn group_out_of_order(journal: &Journal<'_>, name: &str, topic: &Topic<'_>) -> Option<String> {
    let mut members: BTreeMap<u64, InGroup<'_, '_>> = BTreeMap::new();
    for handed in &topic.deliveries {
        let Some(story) = journal.stories.get(&handed.delivery.message) else { continue };
        if story.message.group.is_none() || story.topic != name {
            continue;
        }
        let member =
            members.entry(story.message.number).or_insert(InGroup { story, first: handed, last: handed });
        if handed.returned_ns < member.first.returned_ns {
            member.first = handed;
        }
        if handed.operation.invoked_ns > member.last.operation.invoked_ns {
            member.last = handed;
        }
    }
    let mut groups: BTreeMap<Option<u64>, Vec<InGroup<'_, '_>>> = BTreeMap::new();
    for member in members.into_values() {
        groups.entry(member.story.message.group).or_default().push(member);
    }
    groups
        .into_values()
        .find_map(|group| one_batch_out_of_order(&group).or_else(|| batches_out_of_order(&group)))
}

fn batches_out_of_order(group: &[InGroup<'_, '_>]) -> Option<String> {
    let mut earlier: Vec<(VirtualTime, InGroup<'_, '_>)> =
        group.iter().filter_map(|member| Some((member.story.there_ns?, *member))).collect();
    earlier.sort_by_key(|(there_ns, _)| *there_ns);
    let mut later = group.to_vec();
    later.sort_by_key(|member| member.story.asked_ns);
    let mut earlier = earlier.into_iter().peekable();
    let mut latest: Option<InGroup<'_, '_>> = None;
    later.into_iter().find_map(|member| {
        while let Some((_, before)) = earlier.next_if(|(there_ns, _)| *there_ns < member.story.asked_ns) {
            latest = later_of(latest, before);
        }
        latest.and_then(|before| out_of_order(&before, &member))
    })
}

fn one_batch_out_of_order(group: &[InGroup<'_, '_>]) -> Option<String> {
    let mut members = group.to_vec();
    members.sort_by_key(|member| (member.story.operation, member.story.place));
    let mut latest: Option<InGroup<'_, '_>> = None;
    members.into_iter().find_map(|member| {
        latest = latest.filter(|before| before.story.operation == member.story.operation);
        let problem = latest.and_then(|before| out_of_order(&before, &member));
        latest = later_of(latest, member);
        problem
    })
}

fn later_of<'a, 'h>(one: Option<InGroup<'a, 'h>>, other: InGroup<'a, 'h>) -> Option<InGroup<'a, 'h>> {
    let asked_ns = |member: &InGroup<'_, '_>| member.last.operation.invoked_ns;
    one.filter(|one| asked_ns(one) >= asked_ns(&other)).or(Some(other))
}

fn out_of_order(before: &InGroup<'_, '_>, member: &InGroup<'_, '_>) -> Option<String> {
    (member.first.returned_ns < before.last.operation.invoked_ns).then(|| {
        format!(
            "a message was delivered before one that comes first in its group was done with:\n  {}\n  {}\n",
            member.first.text(),
            before.last.text()
        )
    })
}
