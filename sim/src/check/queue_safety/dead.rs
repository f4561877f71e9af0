//! Dead letters: a message is given up when its attempts are used up, and not earlier.

use smallvec::SmallVec;

use super::declared::attempts_within;
use super::journal::{Handed, Journal, Topic};
use crate::history::VirtualTime;

/// Finds a delivery beyond the last attempt, one whose number nobody can have brought it to, or a message given up
/// before its last attempt.
pub(super) fn check(journal: &Journal<'_>) -> Option<String> {
    journal.by_message().find_map(|handed| {
        beyond(journal, handed)
            .or_else(|| uncounted(journal, handed))
            .or_else(|| given_up(journal, handed).find_map(|(from, to)| early(journal, handed, from, to)))
    })
}

/// How many dequeues nobody was answered that were asked for by then.
fn unheard(topic: &Topic<'_>, by: VirtualTime) -> u64 {
    topic.unknown.partition_point(|dequeue| dequeue.invoked_ns <= by) as u64
}

/// When the message can have been in that topic first, as a delivery before this place in the list tells.
fn since(journal: &Journal<'_>, handed: &[Handed<'_>], place: usize, topic: &str) -> VirtualTime {
    let before = handed[..place].iter().rev().find(|before| before.topic == topic);
    let asked = || handed.first().and_then(|first| journal.story(first));
    before
        .map(|before| before.operation.invoked_ns)
        .or_else(|| asked().map(|story| story.asked_ns))
        .unwrap_or_default()
}

/// It came back after the attempt before, by whatever was declared then or later.
fn beyond(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    handed.iter().enumerate().find_map(|(place, one)| {
        let declared = &journal.topics.get(one.topic)?.declared;
        let since = since(journal, handed, place, one.topic);
        let most = attempts_within(declared, since, one.returned_ns)?.1?;
        (one.delivery.attempt > most).then(|| {
            format!("a message was tried more than the {most} times of its topic:\n  {}\n", one.text())
        })
    })
}

/// Every attempt is a delivery: one that is known, or one to a dequeue that nobody was answered.
fn uncounted(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    let mut counts: SmallVec<[(&str, u64); 2]> = SmallVec::new();
    handed.iter().find_map(|one| {
        let place = counts.iter().position(|(topic, _)| *topic == one.topic).unwrap_or_else(|| {
            counts.push((one.topic, 0));
            counts.len() - 1
        });
        counts[place].1 += 1;
        let known = counts[place].1;
        let possible = unheard(journal.topics.get(one.topic)?, one.returned_ns);
        (one.delivery.attempt > known.saturating_add(possible)).then(|| {
            format!(
                "a message came to an attempt that nobody brought it to: {known} are known, and {possible} may have \
                 gone unanswered:\n  {}\n",
                one.text()
            )
        })
    })
}

/// The topics that certainly gave the message up, each with the place of the delivery that shows it.
fn given_up<'j, 'a>(
    journal: &'j Journal<'a>,
    handed: &'j [Handed<'a>],
) -> impl Iterator<Item = (&'a str, usize)> + use<'j, 'a> {
    let first = handed.iter().position(|one| one.delivery.given_up);
    let home = handed.first().and_then(|one| journal.story(one)).map(|story| story.topic);
    let later = handed.windows(2).zip(1..).filter(|(pair, _)| pair[0].topic != pair[1].topic);
    let later = later.flat_map(move |(pair, place)| {
        let (from, to) = (pair[0].topic, pair[1].topic);
        let way = way(journal, from, to).into_iter().chain(Some(from).filter(|from| Some(*from) != home));
        way.map(move |topic| (topic, place))
    });
    home.zip(first).into_iter().chain(later)
}

/// The topics between two of which the first gives up into the second by several steps, if there is one way only.
fn way<'a>(journal: &Journal<'a>, from: &'a str, to: &str) -> Vec<&'a str> {
    let mut between = Vec::new();
    let mut at = from;
    loop {
        let declared = journal.topics.get(at).map_or(&[][..], |topic| topic.declared.as_slice());
        let into = declared.first().map(|one| one.into);
        let Some(into) = into.filter(|into| declared.iter().all(|one| one.into == *into)) else {
            return Vec::new();
        };
        if into == to {
            return between;
        }
        if into == from || between.contains(&into) {
            return Vec::new();
        }
        between.push(into);
        at = into;
    }
}

/// Attempts of which nobody knows may have gone to dequeues of unknown outcome that came before.
fn early(journal: &Journal<'_>, handed: &[Handed<'_>], from: &str, place: usize) -> Option<String> {
    let given_up = &handed[place];
    let topic = journal.topics.get(from)?;
    // What can come back to a topic begins anew there.
    if journal.beyond(from, given_up.returned_ns).contains(from) {
        return None;
    }
    let since = since(journal, handed, place, from);
    let (fewest, _) = attempts_within(&topic.declared, since, given_up.returned_ns)?;
    let known = handed[..place].iter().filter(|one| one.topic == from).count() as u64;
    let possible = unheard(topic, given_up.returned_ns);
    (fewest.saturating_sub(known) > possible).then(|| {
        format!(
            "a message was given up after {known} of {fewest} attempts, and {possible} that nobody knows of:\n  {}\n",
            given_up.text()
        )
    })
}
