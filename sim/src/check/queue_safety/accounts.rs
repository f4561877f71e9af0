//! Whether anything was lost or made up: the clients' knowledge against the service's counts.

use std::collections::BTreeMap;

use super::journal::{Ask, Journal, Topic};
use crate::check::{CheckReport, Verdict};
use crate::history::{History, Operation, TopicSeen, VirtualTime};

/// Checks the counts, and that nothing was lost.
pub(super) fn check(history: &History, journal: &Journal<'_>) -> CheckReport {
    let mut counted = 0;
    let mut problem = None;
    for (name, topic) in &journal.topics {
        counted += topic.counts.len();
        problem = problem
            .or_else(|| {
                topic.counts.iter().find_map(|(at, seen)| wrong_counts(journal, name, topic, at, seen))
            })
            .or_else(|| stuck(journal, name, topic));
    }
    let empty: BTreeMap<&str, (&Operation, TopicSeen)> = journal
        .topics
        .iter()
        .filter_map(|(name, topic)| Some((*name, emptied(journal, name, topic)?)))
        .collect();
    let mut names = journal.topics.keys();
    let left = names.find(|name| !empty.contains_key(*name) && receives(journal, name));
    let mut judged = 0_u64;
    problem = problem.or_else(|| lost(journal, &empty, &mut judged));
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if judged == 0 || left.is_some() => Verdict::Unknown,
        None => Verdict::Valid,
    };
    let detail = match left {
        Some(first) => format!("topic {first:?} was not seen to be empty in the end"),
        None => format!("{judged} messages accounted for; {counted} counts agree"),
    };
    CheckReport {
        name: "queue accounts".to_owned(),
        source: "no acknowledged message is lost; the accounting identity".to_owned(),
        verdict,
        detail,
        cost_steps: history.operations.len() as u64,
        counterexample: problem,
    }
}

/// Whether messages come here.
fn receives(journal: &Journal<'_>, name: &str) -> bool {
    journal
        .stories
        .values()
        .any(|story| story.topic == name || journal.sources_of(name).any(|(source, _)| source == story.topic))
}

/// When the topic was last seen to be empty, after all enqueues that anybody knows of, and after the topics
/// that give up into it.
fn emptied<'a>(journal: &Journal<'a>, name: &str, topic: &Topic<'a>) -> Option<(&'a Operation, TopicSeen)> {
    let (operation, seen) = topic.counts.iter().rev().find(|(_, seen)| seen.held() == 0)?;
    let last_ns =
        journal.stories.values().filter(|story| story.topic == name).filter_map(|story| story.there_ns);
    let mut is_after = last_ns.max().is_none_or(|last_ns| last_ns <= operation.invoked_ns);
    for (_, source) in journal.sources_of(name).filter(|(source, _)| receives(journal, source)) {
        let last = source.counts.iter().rev().find(|(_, seen)| seen.held() == 0);
        let last_ns = last.and_then(|(last, _)| last.returned_ns);
        is_after &= last_ns.is_some_and(|last_ns| last_ns <= operation.invoked_ns);
    }
    Some((*operation, *seen)).filter(|_| is_after)
}

/// A message that was there, that nobody can have acknowledged, that could not expire, and that is not there.
fn lost(
    journal: &Journal<'_>,
    empty: &BTreeMap<&str, (&Operation, TopicSeen)>,
    judged: &mut u64,
) -> Option<String> {
    for (number, story) in &journal.stories {
        let Some(there_ns) = story.there_ns else { continue };
        let topic = &journal.topics[story.topic];
        let Some((seen_empty, seen)) = empty.get(story.topic) else { continue };
        let into = topic.gives_up.map(|(_, into)| into);
        if seen.moved_out > 0 && into.is_some_and(|into| !empty.contains_key(into)) {
            continue;
        }
        let dead = into.and_then(|into| journal.topics.get(into));
        *judged += 1;
        let acknowledged = [Some(topic), dead].into_iter().flatten().any(|topic| {
            let of_message = topic.asked.range((*number, 0)..=(*number, u64::MAX));
            of_message.flat_map(|(_, asked)| asked).any(|asked| asked.ask == Ask::Acknowledge)
        });
        if !acknowledged && story.message.ttl_us.is_none() {
            return Some(format!(
                "message {number} of {:?}, enqueued by operation #{} and there at {there_ns}, was never \
                 acknowledged, and is gone: operation #{} saw the topic empty at {}\n",
                story.topic, story.operation, seen_empty.id, seen_empty.invoked_ns
            ));
        }
    }
    None
}

/// Counts that contradict each other, or what clients know for sure.
fn wrong_counts(
    journal: &Journal<'_>,
    name: &str,
    topic: &Topic<'_>,
    at: &Operation,
    seen: &TopicSeen,
) -> Option<String> {
    let sum = |terms: &[u64]| terms.iter().fold(0_u64, |sum, term| sum.saturating_add(*term));
    let came = sum(&[seen.enqueued, seen.moved_in]);
    let accounted = sum(&[seen.held(), seen.acknowledged, seen.expired, seen.purged, seen.moved_out]);
    let returned_ns = at.returned_ns.unwrap_or(VirtualTime(u64::MAX));
    let stories = || journal.stories.values().filter(|story| story.topic == name);
    let sure = stories().filter(|story| story.there_ns.is_some_and(|there| there < at.invoked_ns)).count();
    let possible = stories().filter(|story| story.asked_ns <= returned_ns).count();
    let acknowledgements = || topic.asked.values().flatten().filter(|asked| asked.ask == Ask::Acknowledge);
    let is_before = |operation: &Operation| operation.returned_ns.is_some_and(|at_ns| at_ns < at.invoked_ns);
    let sure_acks = acknowledgements().filter(|asked| asked.is_sure && is_before(asked.operation)).count();
    let possible_acks = acknowledgements().filter(|asked| asked.operation.invoked_ns <= returned_ns).count();
    let what = if came != accounted {
        format!("{came} messages came, and {accounted} are accounted for")
    } else if !(sure as u64..=possible as u64).contains(&seen.enqueued) {
        format!("{} were enqueued, but clients know of {sure} to {possible}", seen.enqueued)
    } else if !(sure_acks as u64..=possible_acks as u64).contains(&seen.acknowledged) {
        format!("{} were acknowledged, but clients know of {sure_acks} to {possible_acks}", seen.acknowledged)
    } else if seen.purged > 0 {
        format!("{} were purged, which nobody asked for", seen.purged)
    } else {
        return None;
    };
    Some(format!("the counts of {name:?}, as operation #{} got them, are wrong: {what}\n", at.id))
}

/// Messages that nothing holds back, and that nobody gets: some were ready and nothing was in flight or
/// delayed, no other consumer asked, and yet a dequeue came back with nothing.
fn stuck(journal: &Journal<'_>, name: &str, topic: &Topic<'_>) -> Option<String> {
    let mut stories = journal.stories.values().filter(|story| story.topic == name);
    if !topic.unknown.is_empty() || stories.any(|story| story.message.ttl_us.is_some()) {
        return None;
    }
    topic.counts.iter().find_map(|(seen_by, seen)| {
        let seen_ns = seen_by.returned_ns?;
        let dequeue = topic.empty.iter().find(|dequeue| dequeue.invoked_ns > seen_ns)?;
        let until_ns = dequeue.returned_ns?;
        let is_ready = seen.ready > 0 && seen.delayed == 0 && seen.in_flight == 0;
        let others = topic.deliveries.iter().any(|handed| {
            handed.returned_ns >= seen_by.invoked_ns && handed.operation.invoked_ns <= until_ns
        });
        (is_ready && !others).then(|| {
            format!(
                "{} messages of {name:?} are stuck: operation #{} saw them, with none in flight or delayed, and \
                 operation #{} got nothing after that\n",
                seen.ready, seen_by.id, dequeue.id
            )
        })
    })
}
