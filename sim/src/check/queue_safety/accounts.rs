//! Whether anything was lost or made up: the clients' knowledge against the service's counts.

use std::collections::BTreeSet;

use super::journal::{Ask, By, Journal, Topic};
use super::unheard::Unheard;
use super::whereabouts::Whereabouts;
use super::{counted, over_time};
use crate::check::by_name::ByName;
use crate::check::drift::Drift;
use crate::check::{CheckReport, Verdict};
use crate::history::{History, Operation, TopicSeen, VirtualTime};

/// A topic's counts when it was seen to be empty, and who saw it.
type Empty<'a> = (&'a Operation, TopicSeen);

/// What clients know of one topic, as moments in order.
#[derive(Debug, Default)]
struct Known {
    /// When each message was known to be there first.
    there: Vec<VirtualTime>,
    /// When each was asked for first.
    asked: Vec<VirtualTime>,
    /// When each acknowledgement that succeeded was answered.
    acknowledged: Vec<VirtualTime>,
    /// When each that may have succeeded was asked for.
    acknowledging: Vec<VirtualTime>,
    /// When each life can have been over first.
    expiring: Vec<VirtualTime>,
    /// When each message was asked for that was delivered.
    delivering: Vec<VirtualTime>,
    /// When each delivery was over for certain.
    settled: Vec<VirtualTime>,
    /// When each delay was asked for, of a message or of a rejection.
    delaying: Vec<VirtualTime>,
    /// What dequeues that nobody was answered can have taken.
    unheard: Unheard,
}

/// How many of these moments are before `at`.
fn before(moments: &[VirtualTime], at: VirtualTime) -> u64 {
    moments.partition_point(|moment| *moment < at) as u64
}

/// How many of these moments are not after `at`.
fn by(moments: &[VirtualTime], at: VirtualTime) -> u64 {
    moments.partition_point(|moment| *moment <= at) as u64
}

impl Known {
    fn of<'a>(journal: &Journal<'a>, places: &ByName<'_, Whereabouts<'_>>, drift: Drift) -> ByName<'a, Self> {
        let mut known: ByName<'a, Self> =
            journal.topics.names().map(|name| (name, Self::default())).collect();
        for story in &journal.stories {
            let topic = known.or_default(story.topic);
            topic.there.extend(story.there_ns);
            topic.asked.push(story.asked_ns);
            topic.delaying.extend(Some(story.asked_ns).filter(|_| story.message.delay_us > 0));
            topic.expiring.extend(story.message.ttl_us.map(|ttl_us| drift.earliest(story.asked_ns, ttl_us)));
        }
        for (name, topic) in journal.topics.iter() {
            let known = known.or_default(name);
            let all = journal.asked_in(topic).iter().filter(|asked| asked.ask == Ask::Acknowledge);
            for asked in all {
                known.acknowledged.extend(asked.operation.returned_ns.filter(|_| asked.is_sure));
                known.acknowledging.push(asked.operation.invoked_ns);
            }
            if topic.counts.is_empty() {
                continue;
            }
            for asked in journal.asked_in(topic) {
                // Of deliveries that are known it is known anyway.
                let is_end = asked.is_sure && !matches!(asked.ask, Ask::Extend { .. });
                if is_end && journal.delivery(asked.about).is_none() {
                    known.settled.extend(asked.operation.returned_ns);
                }
                if matches!(asked.ask, Ask::Reject { delay_us } if delay_us > 0) {
                    known.delaying.push(asked.operation.invoked_ns);
                }
            }
            known.settled.extend(places.get(name).map_or(&[][..], |here| here.over.as_slice()));
            known.delivering.extend(topic.deliveries.iter().map(|handed| handed.operation.invoked_ns));
            known.unheard = Unheard::of(topic);
        }
        for (_, known) in known.iter_mut() {
            let Self { there, asked, acknowledged, acknowledging, expiring, delivering, settled, .. } = known;
            [there, asked, acknowledged, acknowledging, expiring, delivering, settled, &mut known.delaying]
                .into_iter()
                .for_each(|all| all.sort_unstable());
        }
        known
    }

    /// How many deliveries there can have been by then.
    fn delivered(&self, by_ns: VirtualTime) -> u64 {
        by(&self.delivering, by_ns).saturating_add(self.unheard.by(by_ns))
    }
}

/// Checks the counts, and that nothing was lost.
pub(super) fn check(
    history: &History,
    journal: &Journal<'_>,
    places: &ByName<'_, Whereabouts<'_>>,
    drift: Drift,
) -> CheckReport {
    let mut counted = 0;
    let mut problem = None;
    let known = Known::of(journal, places, drift);
    for (name, topic) in journal.topics.iter() {
        counted += topic.counts.len();
        problem = problem
            .or_else(|| topic.counts.iter().find_map(|(at, seen)| wrong_counts(&known[name], name, at, seen)))
            .or_else(|| stuck(&known[name], name, topic));
    }
    let receives = |name: &str| {
        let has_some = |name: &str| known.get(name).is_some_and(|known| !known.asked.is_empty());
        has_some(name) || journal.all_sources_of(name).into_iter().any(has_some)
    };
    let empty: ByName<'_, Empty<'_>> = journal
        .topics
        .iter()
        .filter_map(|(name, topic)| {
            let last_ns = known[name].there.last().copied();
            Some((name, emptied(journal, name, topic, last_ns, receives)?))
        })
        .collect();
    let mut names = journal.topics.names();
    let left = names.find(|name| empty.get(name).is_none() && receives(name));
    let mut judged = 0_u64;
    problem = problem
        .or_else(|| lost(journal, &empty, drift, &mut judged))
        .or_else(|| lost_on_the_way(journal, &empty))
        .or_else(|| counted::check(journal, places))
        .or_else(|| over_time::check(journal));
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

/// When the topic was last seen to be empty, after all enqueues that anybody knows of, and after the topics
/// that give up into it.
fn emptied<'a>(
    journal: &Journal<'a>,
    name: &str,
    topic: &Topic<'a>,
    last_ns: Option<VirtualTime>,
    receives: impl Fn(&str) -> bool,
) -> Option<Empty<'a>> {
    let (operation, seen) = topic.counts.iter().rev().find(|(_, seen)| seen.held() == 0)?;
    let mut is_after = last_ns.is_none_or(|last_ns| last_ns < operation.invoked_ns);
    for (_, source) in journal.sources_of(name).filter(|(source, _)| receives(source)) {
        let last = source.counts.iter().rev().find(|(_, seen)| seen.held() == 0);
        is_after &= last.is_some_and(|(last, _)| {
            By::of(last).came_before(By::of(operation))
                || last.returned_ns.is_some_and(|last_ns| last_ns < operation.invoked_ns)
        });
    }
    Some((*operation, *seen)).filter(|_| is_after)
}

/// A message that was there, that nobody can have acknowledged, whose life cannot have been over, and that is
/// not there.
fn lost(
    journal: &Journal<'_>,
    empty: &ByName<'_, Empty<'_>>,
    drift: Drift,
    judged: &mut u64,
) -> Option<String> {
    // By topic, where its messages may have gone.
    let mut beyond: ByName<'_, Option<BTreeSet<&str>>> = ByName::default();
    for story in &journal.stories {
        let number = story.message.number;
        let Some(there_ns) = story.there_ns else { continue };
        let topic = &journal.topics[story.topic];
        let Some((seen_empty, seen)) = empty.get(story.topic) else { continue };
        let never = VirtualTime(u64::MAX);
        let beyond = beyond.or_default(story.topic).get_or_insert_with(|| journal.beyond(story.topic, never));
        if seen.moved_out > 0 && beyond.iter().any(|into| empty.get(into).is_none()) {
            continue;
        }
        *judged += 1;
        let acknowledged =
            beyond.iter().filter_map(|into| journal.topics.get(into)).chain([topic]).any(|topic| {
                journal.asked_of_message(topic, number).iter().any(|asked| asked.ask == Ask::Acknowledge)
            });
        let may_be_over = story.message.ttl_us.is_some_and(|ttl_us| {
            seen_empty.returned_ns.is_none_or(|seen_ns| drift.earliest(story.asked_ns, ttl_us) <= seen_ns)
        });
        if !acknowledged && !may_be_over {
            return Some(format!(
                "message {number} of {:?}, enqueued by operation #{} and there at {there_ns}, was never \
                 acknowledged, and is gone: operation #{} saw the topic empty at {}\n",
                story.topic, story.operation, seen_empty.id, seen_empty.invoked_ns
            ));
        }
    }
    None
}

/// What left some topics for another one, and did not arrive, or was never sent. All of them are empty, and
/// that other one was last.
fn lost_on_the_way(journal: &Journal<'_>, empty: &ByName<'_, Empty<'_>>) -> Option<String> {
    empty.iter().find_map(|(name, (operation, seen))| {
        let mut sources: Vec<&str> = Vec::new();
        for (source, topic) in journal.sources_of(name) {
            // What a topic gave up went here and elsewhere.
            if topic.declared.iter().any(|declared| declared.into != name) {
                return None;
            }
            sources.push(source);
        }
        let moved = sources.iter().map(|source| empty.get(source).map(|(_, seen)| seen.moved_out));
        let moved_out = moved.sum::<Option<u64>>().filter(|_| !sources.is_empty())?;
        (moved_out != seen.moved_in).then(|| {
            format!(
                "{moved_out} messages went over to {name:?}, but as operation #{} got its counts, {} came there\n",
                operation.id, seen.moved_in
            )
        })
    })
}

/// Counts that contradict each other, or what clients know for sure.
fn wrong_counts(known: &Known, name: &str, at: &Operation, seen: &TopicSeen) -> Option<String> {
    let sum = |terms: &[u64]| terms.iter().fold(0_u64, |sum, term| sum.saturating_add(*term));
    let came = sum(&[seen.enqueued, seen.moved_in]);
    let accounted = sum(&[seen.held(), seen.acknowledged, seen.expired, seen.purged, seen.moved_out]);
    let returned_ns = at.returned_ns.unwrap_or(VirtualTime(u64::MAX));
    let (sure, possible) = (before(&known.there, at.invoked_ns), by(&known.asked, returned_ns));
    let (sure_acks, possible_acks) =
        (before(&known.acknowledged, at.invoked_ns), by(&known.acknowledging, returned_ns));
    // What came from elsewhere lives anew, for as long as is said there.
    let possibly_over = by(&known.expiring, returned_ns).saturating_add(seen.moved_in);
    let (delivered, possibly_delayed) = (known.delivered(returned_ns), by(&known.delaying, returned_ns));
    let what = if came != accounted {
        format!("{came} messages came, and {accounted} are accounted for")
    } else if !(sure..=possible).contains(&seen.enqueued) {
        format!("{} were enqueued, but clients know of {sure} to {possible}", seen.enqueued)
    } else if !(sure_acks..=possible_acks).contains(&seen.acknowledged) {
        format!("{} were acknowledged, but clients know of {sure_acks} to {possible_acks}", seen.acknowledged)
    } else if seen.expired > possibly_over {
        format!("{} had expired, but the lives of at most {possibly_over} can have been over", seen.expired)
    } else if seen.in_flight > delivered.saturating_sub(before(&known.settled, at.invoked_ns)) {
        format!("{} were in flight, which nobody had been given, or had not done with", seen.in_flight)
    } else if seen.dead > delivered {
        format!("{} were dead, but there had been {delivered} deliveries at most", seen.dead)
    } else if seen.delayed > possibly_delayed {
        format!("{} were held back, but at most {possibly_delayed} delays had been asked for", seen.delayed)
    } else if seen.purged > 0 {
        format!("{} were purged, which nobody asked for", seen.purged)
    } else {
        return None;
    };
    Some(format!("the counts of {name:?}, as operation #{} got them, are wrong: {what}\n", at.id))
}

/// Messages that nothing holds back, and that nobody gets: some were ready and nothing was in flight or
/// delayed, no other consumer asked, and yet a dequeue came back with nothing.
fn stuck(known: &Known, name: &str, topic: &Topic<'_>) -> Option<String> {
    if !topic.unknown.is_empty() || !known.expiring.is_empty() {
        return None;
    }
    let mut handed: Vec<(VirtualTime, VirtualTime)> =
        topic.deliveries.iter().map(|handed| (handed.operation.invoked_ns, handed.returned_ns)).collect();
    handed.sort_unstable();
    // Of those asked for by then, when the last was answered.
    let mut latest = VirtualTime(0);
    let answered: Vec<(VirtualTime, VirtualTime)> = handed
        .into_iter()
        .map(|(invoked, returned)| {
            latest = latest.max(returned);
            (invoked, latest)
        })
        .collect();
    topic.counts.iter().find_map(|(seen_by, seen)| {
        let seen_ns = seen_by.returned_ns?;
        let is_ready = seen.ready > 0 && seen.delayed == 0 && seen.in_flight == 0;
        if !is_ready {
            return None;
        }
        let next = topic.empty.partition_point(|dequeue| dequeue.invoked_ns <= seen_ns);
        let dequeue = topic.empty.get(next)?;
        let until_ns = dequeue.returned_ns?;
        let asked = answered.partition_point(|(invoked, _)| *invoked <= until_ns);
        let others = asked.checked_sub(1).is_some_and(|last| answered[last].1 >= seen_by.invoked_ns);
        (!others).then(|| {
            format!(
                "{} messages of {name:?} are stuck: operation #{} saw them, with none in flight or delayed, and \
                 operation #{} got nothing after that\n",
                seen.ready, seen_by.id, dequeue.id
            )
        })
    })
}
