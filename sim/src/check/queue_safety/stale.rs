//! Deliveries that are current, and such that are not: what their leases say of who asks about them. And deliveries
//! that nobody got.

use super::journal::{Ask, Asked, Handed, Journal, Story, Topic};
use super::leases::lease_ends;
use crate::check::drift::{Calm, Drift};
use crate::history::{Operation, VirtualTime};

/// Finds a delivery that was of use although nobody got it, that was ended twice, that was refused as stale while its lease ran for
/// certain, or that was of use when its lease was over for certain; and a message delivered when its life was.
pub(super) fn check(journal: &Journal<'_>, drift: Drift, calm: Option<Calm>) -> Option<String> {
    let of_topic = |(name, topic): (&str, &Topic<'_>)| {
        made_up(journal, name, topic).or_else(|| ended_twice(journal, name, topic))
    };
    let of_topics = journal.topics.iter().find_map(of_topic);
    if of_topics.is_some() {
        return of_topics;
    }
    let mut stale = journal.topics.values().flat_map(|topic| &topic.stale);
    stale.find_map(|(operation, about)| refused(journal, drift, operation, *about)).or_else(|| {
        let calm = calm?;
        let mut all = journal.by_message().flatten();
        all.find_map(|handed| {
            used_too_late(journal, calm, handed).or_else(|| outlived(journal, calm, handed))
        })
    })
}

/// Something was done by a delivery that is in no answer, and that nobody can have got unanswered by then.
fn made_up(journal: &Journal<'_>, name: &str, topic: &Topic<'_>) -> Option<String> {
    let before_it_was_asked_for = topic.deliveries.iter().find_map(|handed| {
        let is_early = |asked: &&Asked<'_>| {
            let returned_ns = asked.operation.returned_ns.filter(|_| asked.is_sure);
            returned_ns.is_some_and(|returned| returned < handed.operation.invoked_ns)
        };
        let early = journal.asked_about(handed).iter().find(is_early)?;
        Some(format!(
            "operation #{}, {}, succeeded before that delivery was asked for:\n  {}\n",
            early.operation.id,
            early.operation.call.kind(),
            handed.text()
        ))
    });
    let first = topic.unknown.first().map(|dequeue| dequeue.invoked_ns);
    before_it_was_asked_for.or_else(|| {
        let is_wrong = |asked: &&Asked<'_>| {
            let returned_ns = asked.operation.returned_ns.filter(|_| asked.is_sure && !asked.is_of_known);
            returned_ns.is_some_and(|returned| first.is_none_or(|first| first > returned))
        };
        let asked = journal.asked_in(topic).iter().find(is_wrong)?;
        let (message, receipt) = asked.about;
        Some(format!(
            "operation #{}, {}, succeeded at message {message} of {name:?} under receipt {receipt}, which nobody got\n",
            asked.operation.id,
            asked.operation.call.kind(),
        ))
    })
}

/// A delivery was acknowledged or rejected twice, with success: whichever came first, nothing was left for the other.
/// Or it was extended after that.
fn ended_twice(journal: &Journal<'_>, name: &str, topic: &Topic<'_>) -> Option<String> {
    journal.asked_in(topic).chunk_by(|one, other| one.about == other.about).find_map(|asked| {
        let mut ends = asked.iter().filter(|asked| asked.is_sure && !matches!(asked.ask, Ask::Extend { .. }));
        let first = ends.next()?;
        let is_late = |asked: &&Asked<'_>| {
            let ended_ns = first.operation.returned_ns.filter(|_| asked.is_sure);
            ended_ns.is_some_and(|ended| ended < asked.operation.invoked_ns)
        };
        let second = ends.next().or_else(|| asked.iter().find(is_late))?;
        Some(format!(
            "operations #{}, {}, and #{}, {}, both succeeded at message {} of {name:?} under receipt {}\n",
            first.operation.id,
            first.operation.call.kind(),
            second.operation.id,
            second.operation.call.kind(),
            first.about.0,
            first.about.1
        ))
    })
}

/// Refused although nothing can have ended the lease: neither time, nor another request about it.
fn refused(journal: &Journal<'_>, drift: Drift, operation: &Operation, about: (u64, u64)) -> Option<String> {
    let handed = journal.delivery(about).filter(|handed| handed.topic == operation.call.object())?;
    let returned_ns = operation.returned_ns?;
    let is_early = returned_ns < lease_ends(journal, drift, handed);
    let may_have_ended = journal
        .asked_about(handed)
        .iter()
        .any(|asked| !matches!(asked.ask, Ask::Extend { .. }) && asked.operation.invoked_ns <= returned_ns);
    (is_early && !may_have_ended).then(|| {
        format!(
            "operation #{}, {}, was refused as stale at {returned_ns}, while the lease ran until {} at least:\n  \
             {}\n",
            operation.id,
            operation.call.kind(),
            lease_ends(journal, drift, handed),
            handed.text()
        )
    })
}

/// The latest end of this delivery's lease; never, if somebody may have extended it of whom nobody knows.
fn lease_over(journal: &Journal<'_>, calm: Calm, handed: &Handed<'_>, but: &Asked<'_>) -> VirtualTime {
    let first = calm.certainly_over(handed.returned_ns, handed.visibility_us);
    let extended = journal.asked_about(handed).iter().filter_map(|asked| match asked.ask {
        Ask::Extend { visibility_us } if asked.operation.id != but.operation.id => {
            let from = asked.operation.returned_ns.filter(|_| asked.is_sure);
            Some(from.map_or(VirtualTime(u64::MAX), |from| calm.certainly_over(from, visibility_us)))
        }
        _ => None,
    });
    extended.chain([first]).max().unwrap_or(first)
}

fn used_too_late(journal: &Journal<'_>, calm: Calm, handed: &Handed<'_>) -> Option<String> {
    journal.asked_about(handed).iter().filter(|asked| asked.is_sure).find_map(|asked| {
        let over = lease_over(journal, calm, handed, asked);
        (asked.operation.invoked_ns > over).then(|| {
            format!(
                "operation #{}, {}, succeeded at {}, although the lease had been over since {over} at the \
                 latest:\n  {}\n",
                asked.operation.id,
                asked.operation.call.kind(),
                asked.operation.invoked_ns,
                handed.text()
            )
        })
    })
}

fn outlived(journal: &Journal<'_>, calm: Calm, handed: &Handed<'_>) -> Option<String> {
    // What was given up lives anew, be it that it came back.
    let is_first_life = |story: &&Story<'_>| story.topic == handed.topic && !handed.delivery.given_up;
    let story = journal.story(handed).filter(is_first_life)?;
    let over = calm.certainly_over(story.there_ns?, story.message.ttl_us?);
    (handed.operation.invoked_ns > over).then(|| {
        format!("a message was delivered although its life was over by {over}:\n  {}\n", handed.text())
    })
}
