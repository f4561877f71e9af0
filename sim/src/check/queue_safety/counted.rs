//! A topic's counts against where its messages were for certain, and against what can have used up attempts.

use super::covering::covering;
use super::journal::{Journal, Topic};
use super::unheard::Unheard;
use super::whereabouts::{Span, Whereabouts};
use crate::check::by_name::ByName;
use crate::history::{TopicSeen, VirtualTime};

/// How many attempts a topic can have seen used up.
struct UsedUp {
    /// When each last attempt may have been over first, in order.
    known: Vec<VirtualTime>,
    /// Those of which nobody knows.
    unheard: Unheard,
}

impl UsedUp {
    fn of(topic: &Topic<'_>, here: &Whereabouts<'_>) -> Self {
        let mut known = here.giving_up.clone();
        known.sort_unstable();
        Self { known, unheard: Unheard::of(topic) }
    }

    /// How many messages can have been given up by then: each at the end of a delivery of its own.
    fn by(&self, at: VirtualTime) -> u64 {
        let known = self.known.partition_point(|moment| *moment <= at) as u64;
        known.saturating_add(self.unheard.by(at))
    }
}

/// Finds counts that cannot be true.
pub(super) fn check(journal: &Journal<'_>, places: &ByName<'_, Whereabouts<'_>>) -> Option<String> {
    let used_up: ByName<'_, UsedUp> = journal
        .topics
        .iter()
        .filter_map(|(name, topic)| Some((name, UsedUp::of(topic, places.get(name)?))))
        .collect();
    journal.topics.iter().filter(|(_, topic)| !topic.counts.is_empty()).find_map(|(name, topic)| {
        let here = places.get(name)?;
        let sources: Vec<(VirtualTime, &UsedUp)> = journal
            .sources_of(name)
            .filter_map(|(source, topic)| Some((topic.first_into(name)?, used_up.get(source)?)))
            .collect();
        too_few(name, topic, here).or_else(|| too_many(name, topic, &used_up[name], &sources))
    })
}

/// Fewer in some state than are in it for certain.
fn too_few(name: &str, topic: &Topic<'_>, here: &Whereabouts<'_>) -> Option<String> {
    let never = VirtualTime(u64::MAX);
    let asked: Vec<Span> = topic
        .counts
        .iter()
        .map(|(at, _)| Span { since_ns: at.invoked_ns, until_ns: at.returned_ns.unwrap_or(never) })
        .collect();
    let ready = |is_proved: bool| {
        let all = here.ready.iter().filter(move |free| free.is_proved == is_proved);
        all.map(|free| Span { since_ns: free.since_ns, until_ns: free.until_ns })
    };
    let unheard = Unheard::of(topic);
    let (proved, unproved) = (covering(ready(true), &asked), covering(ready(false), &asked));
    let delayed = covering(here.delayed.iter().copied(), &asked);
    let in_flight = covering(here.in_flight.iter().copied(), &asked);
    let held = covering(here.held.iter().copied(), &asked);
    let mut given_up = here.given_up.clone();
    given_up.sort_unstable();
    topic.counts.iter().enumerate().find_map(|(place, (at, seen))| {
        let untaken = unproved[place].saturating_sub(unheard.by(asked[place].until_ns));
        let last_tried = given_up.partition_point(|moment| *moment < at.invoked_ns) as u64;
        let states = [
            ("ready", seen.ready, proved[place] + untaken),
            ("held back", seen.delayed, delayed[place]),
            ("in flight", seen.in_flight, in_flight[place]),
            ("there", seen.held(), held[place]),
            ("given up", ever_dead(seen), last_tried),
        ];
        states.iter().find(|(_, counted, certain)| counted < certain).map(|(state, counted, certain)| {
            format!(
                "the counts of {name:?}, as operation #{} got them, are wrong: {counted} were {state}, but for \
                 {certain} that is certain\n",
                at.id
            )
        })
    })
}

/// How many were ever given up. None is brought back.
pub(super) fn ever_dead(seen: &TopicSeen) -> u64 {
    seen.dead.saturating_add(seen.moved_out)
}

/// More given up, or come from elsewhere, than can have been tried so often.
fn too_many(
    name: &str,
    topic: &Topic<'_>,
    used_up: &UsedUp,
    sources: &[(VirtualTime, &UsedUp)],
) -> Option<String> {
    topic.counts.iter().find_map(|(at, seen)| {
        let by_ns = at.returned_ns?;
        let most_dead = used_up.by(by_ns);
        let is_declared = topic.declared.first().is_some_and(|first| first.asked_ns <= by_ns);
        let came = sources.iter().filter(|(declared_ns, _)| *declared_ns <= by_ns);
        let most_came = came.fold(0_u64, |sum, (_, source)| sum.saturating_add(source.by(by_ns)));
        let what = if ever_dead(seen) > most_dead {
            format!("{} were given up, but at most {most_dead} can have been tried so often", ever_dead(seen))
        } else if seen.moved_out > 0 && !is_declared {
            format!("{} went to another topic, which nobody had declared", seen.moved_out)
        } else if seen.moved_in > most_came {
            format!("{} came from other topics, which can have given up {most_came}", seen.moved_in)
        } else {
            return None;
        };
        Some(format!("the counts of {name:?}, as operation #{} got them, are wrong: {what}\n", at.id))
    })
}
