//! Counts of all time, from one answer to the next: they never go back, and what left one topic came to another.

use super::counted::ever_dead;
use super::journal::{Journal, Topic};
use crate::history::{Operation, TopicSeen, VirtualTime};

type Count = (&'static str, fn(&TopicSeen) -> u64);

/// What only rises.
const RISING: [Count; 7] = [
    ("enqueued", |seen| seen.enqueued),
    ("moved in", |seen| seen.moved_in),
    ("moved out", |seen| seen.moved_out),
    ("acknowledged", |seen| seen.acknowledged),
    ("expired", |seen| seen.expired),
    ("purged", |seen| seen.purged),
    ("given up", ever_dead),
];

/// Finds a count that went back, or messages on their way between topics.
pub(super) fn check(journal: &Journal<'_>) -> Option<String> {
    let back = journal.topics.iter().find_map(|(name, topic)| went_back(name, topic));
    back.or_else(|| journal.topics.iter().find_map(|(name, topic)| on_the_way(journal, name, topic)))
}

/// A count below one that had been answered before it was asked for.
fn went_back(name: &str, topic: &Topic<'_>) -> Option<String> {
    // A client's counts are in order at equal instants too.
    let mut own: Vec<&(&Operation, TopicSeen)> = topic.counts.iter().collect();
    own.sort_by_key(|(at, _)| (at.client, at.id));
    RISING.iter().find_map(|(what, count)| {
        let said = |before: u64, (at, seen): &(&Operation, TopicSeen)| {
            (count(seen) < before).then(|| {
                format!(
                    "the counts of {name:?}, as operation #{} got them, are wrong: {} {what} of all time, after \
                     somebody had been told of {before}\n",
                    at.id,
                    count(seen)
                )
            })
        };
        let own_back = own.windows(2).filter(|pair| pair[0].0.client == pair[1].0.client);
        let own_back = own_back.into_iter().find_map(|pair| said(count(&pair[0].1), pair[1]));
        own_back.or_else(|| {
            let most = Told::least(topic, *count);
            topic.counts.iter().find_map(|counted| said(most.before(counted.0.invoked_ns), counted))
        })
    })
}

/// What a rising count was at least, by when it was answered.
struct Told(Vec<(VirtualTime, u64)>);

impl Told {
    fn least(topic: &Topic<'_>, count: fn(&TopicSeen) -> u64) -> Self {
        let told = topic.counts.iter().filter_map(|(at, seen)| Some((at.returned_ns?, count(seen))));
        let mut told: Vec<(VirtualTime, u64)> = told.collect();
        told.sort_unstable();
        let mut most = 0;
        for (_, count) in &mut told {
            most = most.max(*count);
            *count = most;
        }
        Self(told)
    }

    /// The most that had been answered before then.
    fn before(&self, at: VirtualTime) -> u64 {
        let before = self.0.partition_point(|(told, _)| *told < at);
        before.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// What a rising count was at most, by when it was asked for.
struct Asked(Vec<(VirtualTime, u64)>);

impl Asked {
    fn most(topic: &Topic<'_>, count: fn(&TopicSeen) -> u64) -> Self {
        let asked = topic.counts.iter().map(|(at, seen)| (at.invoked_ns, count(seen)));
        let mut asked: Vec<(VirtualTime, u64)> = asked.collect();
        asked.sort_unstable();
        let mut least = u64::MAX;
        for (_, count) in asked.iter_mut().rev() {
            least = least.min(*count);
            *count = least;
        }
        Self(asked)
    }

    /// The least that was answered to who asked after that.
    fn after(&self, at: VirtualTime) -> u64 {
        let from = self.0.partition_point(|(asked, _)| *asked <= at);
        self.0.get(from).map_or(u64::MAX, |(_, least)| *least)
    }
}

/// A message that has left a topic is where it went by the same entry.
fn on_the_way(journal: &Journal<'_>, name: &str, topic: &Topic<'_>) -> Option<String> {
    if topic.counts.is_empty() {
        return None;
    }
    let moved_out = |seen: &TopicSeen| seen.moved_out;
    let sources: Vec<&Topic<'_>> = journal.sources_of(name).map(|(_, source)| source).collect();
    let goes_nowhere_else = |source: &&&Topic<'_>| source.declared.iter().all(|one| one.into == name);
    let left: Vec<Told> =
        sources.iter().filter(goes_nowhere_else).map(|source| Told::least(source, moved_out)).collect();
    let leaving: Vec<Asked> = sources.iter().map(|source| Asked::most(source, moved_out)).collect();
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    topic.counts.iter().find_map(|(at, seen)| {
        let least = sum(&mut left.iter().map(|told| told.before(at.invoked_ns)));
        let most = sum(&mut leaving.iter().map(|asked| asked.after(at.returned_ns.unwrap_or_default())));
        let what = if seen.moved_in < least {
            format!("{} came from other topics, where {least} had gone over", seen.moved_in)
        } else if seen.moved_in > most {
            format!("{} came from other topics, from where only {most} ever went over", seen.moved_in)
        } else {
            return None;
        };
        Some(format!("the counts of {name:?}, as operation #{} got them, are wrong: {what}\n", at.id))
    })
}
