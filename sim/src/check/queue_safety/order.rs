//! Who comes first.
//!
//! A message that is neither delayed nor in a group can be delivered from the moment at which it is there. If
//! its first delivery is known (attempt 1), then it was there, and free, up to that delivery's request. So no
//! consumer that asked and was answered in between can have been given a later message of the same or a lower
//! priority, or one of a lower priority. The same holds between a rejection without a delay and the
//! next delivery, if that is known to be the next attempt: who comes back takes the old place. One that was never
//! delivered again lies there until its life may be over, or a dequeue is asked for of which nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use super::emptiness;
use super::free::{Free, Longest, since_then, untouched};
use super::journal::{By, Handed, Journal, Story, Topic};
use super::whereabouts::Whereabouts;
use crate::check::by_name::ByName;
use crate::check::drift::Drift;
use crate::history::VirtualTime;

/// Finds somebody who was passed over.
pub(super) fn check(
    journal: &Journal<'_>,
    places: &ByName<'_, Whereabouts<'_>>,
    drift: Drift,
) -> Option<String> {
    journal.topics.iter().find_map(|(name, topic)| {
        let ready = &places.get(name)?.ready;
        let free = untouched(ready, topic);
        let known = at_home(journal, topic);
        passed_over(&known, &free)
            .or_else(|| back_in_place(&known, &free))
            .or_else(|| within_one_answer(&known))
            .or_else(|| emptiness::check(topic, ready, &free, drift))
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
            let (asked_ns, by) = (handed.operation.invoked_ns, By::of(handed.operation));
            let at_once = since_then(free, asked_ns);
            if let Some(first) = passed_at_once(at_once, handed, (asked_ns, by), higher) {
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
    (asked_ns, by): (VirtualTime, By),
    priority: u8,
) -> Option<&'f Free<'a>> {
    at_once.iter().find(|free| {
        free.story.message.priority >= priority
            && free.was_there_before(asked_ns, by)
            && free.until_ns > handed.returned_ns
    })
}

/// The topic's deliveries of messages that were sent there.
fn at_home<'j, 'a>(journal: &'j Journal<'a>, topic: &'j Topic<'a>) -> Vec<Known<'j, 'a>> {
    let story = |handed: &'j Handed<'a>| Some((handed, journal.story(handed)?));
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

fn unfair(first: &Free<'_>, handed: &Handed<'_>, why: &str) -> String {
    format!(
        "message {} was passed over, {why}: it was there from {} until {} at least, but this was delivered:\n  {}\n",
        first.story.message.number,
        first.since_ns,
        first.until_ns,
        handed.text()
    )
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
        let Some(story) = journal.story(handed) else { continue };
        // What was given up is in its group's way no more, though it may come back by other topics.
        let is_here = story.topic == name && !handed.delivery.given_up;
        if story.message.group.is_none() || !is_here {
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
            .filter(|(_, before)| before.story.there_by.came_before(member.story.asked_by))
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
