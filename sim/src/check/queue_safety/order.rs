//! Who comes first.
//!
//! A message that is neither delayed nor in a group can be delivered from the moment at which it is there. If
//! its first delivery is known (attempt 1), then it was there, and free, up to that delivery's request. So no
//! consumer that asked and was answered in between can have been given a later message of the same or a lower
//! priority, one of a lower priority, or nothing. The same holds between a rejection without a delay and the
//! next delivery, if that is known to be the next attempt: who comes back takes the old place.
//!
//! A consumer that waits is given what comes by the very entry that brings it. One that waited in vain stood
//! there for its whole wait by the stamps, and so for certain between the latest moment at which it can have
//! begun and the earliest at which it can have ended.

use std::collections::{BTreeMap, BTreeSet};

use super::free::{Free, Longest, free, since_then};
use super::journal::{Handed, Journal, Story, Topic};
use crate::check::drift::Drift;
use crate::history::{Operation, VirtualTime};

/// Finds somebody who was passed over.
pub(super) fn check(journal: &Journal<'_>, drift: Drift) -> Option<String> {
    journal.topics.iter().find_map(|(name, topic)| {
        let free = free(journal, name, topic);
        let known = at_home(journal, topic);
        passed_over(&known, &free)
            .or_else(|| back_in_place(&known, &free))
            .or_else(|| within_one_answer(&known))
            .or_else(|| turned_away(topic, drift))
            .or_else(|| empty_although(topic, &free, drift))
            .or_else(|| group_out_of_order(journal, name, topic))
    })
}

/// A delivery with the story of its message.
type Known<'j, 'a> = (&'j Handed<'a>, &'j Story<'a>);

fn passed_over(known: &[Known<'_, '_>], free: &[Free<'_>]) -> Option<String> {
    let priorities: BTreeSet<u8> = known.iter().map(|(_, story)| story.message.priority).collect();
    for priority in priorities {
        let mut later: Vec<&Known<'_, '_>> =
            known.iter().filter(|(_, story)| story.message.priority == priority).collect();
        // Those of the same priority that were there before this one was sent.
        later.sort_by_key(|(_, story)| story.asked_ns);
        let mut longest = Longest::over(free);
        for (handed, story) in &later {
            let first = longest.before(story.asked_ns, priority);
            if let Some(first) = first.filter(|first| first.until_ns > handed.returned_ns) {
                return Some(unfair(&first, handed, "sent before it, and of no lower priority"));
            }
            let at_once = since_then(free, story.asked_ns);
            if let Some(first) = passed_at_once(at_once, handed, (story.asked_ns, story.asked_by), priority) {
                return Some(unfair(first, handed, "sent before it, and of no lower priority"));
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
            let (asked_ns, client) = (handed.operation.invoked_ns, handed.operation.client);
            let at_once = since_then(free, asked_ns);
            if let Some(first) = passed_at_once(at_once, handed, (asked_ns, client), higher) {
                return Some(unfair(first, handed, "of a higher priority"));
            }
        }
    }
    None
}

/// Of those that became free as somebody asked, one that was there before because the same client was told so, and that
/// this delivery passed over.
fn passed_at_once<'f, 'a>(
    at_once: &'f [Free<'a>],
    handed: &Handed<'_>,
    (asked_ns, client): (VirtualTime, u64),
    priority: u8,
) -> Option<&'f Free<'a>> {
    at_once.iter().find(|free| {
        free.story.message.priority >= priority
            && free.was_there_before(asked_ns, client)
            && free.until_ns > handed.returned_ns
    })
}

/// The topic's deliveries of messages that were sent there.
fn at_home<'j, 'a>(journal: &'j Journal<'a>, topic: &'j Topic<'a>) -> Vec<Known<'j, 'a>> {
    let story = |handed: &'j Handed<'a>| Some((handed, journal.stories.get(&handed.delivery.message)?));
    let all = topic.deliveries.iter().filter_map(story);
    all.filter(|(handed, story)| story.topic == handed.topic).collect()
}

/// A message that had come back, and that one sent after it was given out before. Those that were never out
/// are judged by [`passed_over`].
fn back_in_place(known: &[Known<'_, '_>], free: &[Free<'_>]) -> Option<String> {
    let mut back: Vec<&Free<'_>> = free.iter().filter(|free| free.is_back).collect();
    if back.is_empty() {
        return None;
    }
    back.sort_by_key(|free| free.since_ns);
    let mut came: Vec<VirtualTime> = back.iter().filter_map(|free| free.story.there_ns).collect();
    came.sort_unstable();
    let mut later = known.to_vec();
    later.sort_by_key(|(handed, _)| handed.operation.invoked_ns);
    let priorities: BTreeSet<u8> = back.iter().map(|free| free.story.message.priority).collect();
    for priority in priorities {
        // Of those that came into the topic by some moment, the one that is free longest, in a tree of prefixes.
        let mut longest: Vec<Option<&Free<'_>>> = vec![None; came.len() + 1];
        let mut begun = back.iter().filter(|free| free.story.message.priority == priority).peekable();
        for (handed, story) in later.iter().filter(|(_, story)| story.message.priority <= priority) {
            while let Some(free) = begun.next_if(|free| free.since_ns < handed.operation.invoked_ns) {
                let there_ns = free.story.there_ns.unwrap_or_default();
                let mut place = came.partition_point(|came| *came < there_ns) + 1;
                while place < longest.len() {
                    let longer = longest[place].filter(|other| other.until_ns >= free.until_ns);
                    longest[place] = longer.or(Some(free));
                    place += place & place.wrapping_neg();
                }
            }
            let mut place = came.partition_point(|came| *came < story.asked_ns);
            let mut first: Option<&Free<'_>> = None;
            while place > 0 {
                let here = longest[place];
                first =
                    first.filter(|first| here.is_none_or(|here| first.until_ns >= here.until_ns)).or(here);
                place -= place & place.wrapping_neg();
            }
            if let Some(first) = first.filter(|first| first.until_ns > handed.returned_ns) {
                return Some(unfair(first, handed, "sent before it, back, and of no lower priority"));
            }
        }
    }
    None
}

/// Two messages in one answer in the wrong order. All of one answer lay there together.
fn within_one_answer(known: &[Known<'_, '_>]) -> Option<String> {
    // The next of a group may come up only when the one before it is out.
    let is_plain = |(_, story): &&Known<'_, '_>| story.message.group.is_none();
    known.chunk_by(|(one, _), (other, _)| one.operation.id == other.operation.id).find_map(|answer| {
        let plain: Vec<&Known<'_, '_>> = answer.iter().filter(is_plain).collect();
        plain.windows(2).find_map(|pair| {
            let ((one, before), (other, after)) = (pair[0], pair[1]);
            let came_first = after.there_ns.is_some_and(|there| there < before.asked_ns);
            let (first, second) = (before.message.priority, after.message.priority);
            (second > first || second == first && came_first)
                .then(|| format!("one answer in the wrong order:\n  {}\n  {}\n", one.text(), other.text()))
        })
    })
}

/// Somebody who was to wait longer than it took until it was told that there is nothing.
fn turned_away(topic: &Topic<'_>, drift: Drift) -> Option<String> {
    topic.empty.iter().find_map(|operation| {
        let stood_ns = operation.returned_ns?.since_ns(operation.invoked_ns);
        let wait_us = operation.call.wait_us();
        (stood_ns < drift.least_ns(wait_us)).then(|| {
            format!(
                "operation #{} was to wait at {:?} for {wait_us} us, but was turned away after {} us\n",
                operation.id,
                operation.call.object(),
                stood_ns / 1_000
            )
        })
    })
}

fn unfair(first: &Free<'_>, handed: &Handed<'_>, why: &str) -> String {
    format!(
        "message {} was passed over, {why}: it was there from {} until {} at least, but this was delivered:\n  {}\n",
        first.story.message.number,
        first.since_ns,
        first.until_ns,
        handed.text()
    )
}

/// Nothing, although there was something: from before it asked until it was answered, or at any moment at which
/// it waited for certain.
fn empty_although(topic: &Topic<'_>, free: &[Free<'_>], drift: Drift) -> Option<String> {
    // The latest moment at which the free one must have been there already, and from when on it must not be.
    let mut bounds: Vec<(VirtualTime, VirtualTime, &Operation)> = Vec::new();
    for operation in &topic.empty {
        let Some(returned_ns) = operation.returned_ns else { continue };
        bounds.push((operation.invoked_ns, returned_ns, operation));
        let wait_ns = drift.least_ns(operation.call.wait_us());
        let from_ns = VirtualTime(returned_ns.0.saturating_sub(wait_ns));
        let until_ns = VirtualTime(operation.invoked_ns.0.saturating_add(wait_ns));
        if from_ns < until_ns {
            bounds.push((until_ns, from_ns, operation));
        }
    }
    bounds.sort_by_key(|(by_ns, _, operation)| (*by_ns, operation.id));
    let mut by_end: Vec<&Free<'_>> = if bounds.is_empty() { Vec::new() } else { free.iter().collect() };
    by_end.sort_by_key(|free| free.until_ns);
    let mut longest = Longest::over(free);
    bounds.into_iter().find_map(|(by_ns, after_ns, operation)| {
        let over_it = longest.before(by_ns, 0).filter(|there| there.until_ns > after_ns);
        let there = over_it.or_else(|| {
            // Whoever asks as it is answered knows the order of both.
            let (client, returned_ns) = (operation.client, operation.returned_ns?);
            let until = by_end.partition_point(|free| free.until_ns < returned_ns);
            let until_then = by_end[until..].iter().take_while(|free| free.until_ns == returned_ns);
            let mut at_once = since_then(free, operation.invoked_ns).iter().chain(until_then.copied());
            let spans = |free: &&Free<'_>| {
                free.was_there_before(operation.invoked_ns, client) && free.was_there_after(returned_ns, client)
            };
            at_once.find(spans).copied()
        })?;
        Some(format!(
            "operation #{} of client {}, invoked at {}, got nothing out of {:?} at {}, but message {} was there \
             from {} until {} at least\n",
            operation.id,
            operation.client,
            operation.invoked_ns,
            operation.call.object(),
            operation.returned_ns.unwrap_or_default(),
            there.story.message.number,
            there.since_ns,
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
    // One that the same client was told of as it sent the next.
    let told_at_once = |member: &InGroup<'_, '_>| {
        let asked_ns = member.story.asked_ns;
        let from = earlier.partition_point(|(there_ns, _)| *there_ns < asked_ns);
        let at_once = earlier[from..].iter().take_while(|(there_ns, _)| *there_ns == asked_ns);
        at_once
            .filter(|(_, before)| {
                before.story.there_by == member.story.asked_by
                    && before.story.message.number != member.story.message.number
            })
            .find_map(|(_, before)| out_of_order(before, member))
    };
    let at_once = later.iter().find_map(told_at_once);
    if at_once.is_some() {
        return at_once;
    }
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
