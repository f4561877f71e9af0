//! Which deliveries of a message there may be at all.

use super::journal::{Ask, Handed, Journal, Story};
use crate::history::{Call, VirtualTime};

/// Finds a delivery that cannot be.
pub(super) fn check(journal: &Journal<'_>) -> Option<String> {
    let mut names: Vec<(u64, u64)> = Vec::new();
    let problem = journal.topics.values().find_map(|topic| too_many(&topic.deliveries));
    if problem.is_some() {
        return problem;
    }
    for handed in journal.by_message() {
        names.extend(handed.first().map(|first| (first.delivery.id, first.delivery.message)));
        let story = handed.first().and_then(|first| journal.story(first));
        let problem = handed
            .iter()
            .find_map(|one| phantom(journal, story, one))
            .or_else(|| two_ids(handed))
            .or_else(|| disordered(journal, handed))
            .or_else(|| came_back(journal, handed))
            .or_else(|| used_when_stale(journal, handed));
        if problem.is_some() {
            return problem;
        }
    }
    one_id_of_two(names)
}

/// Nobody had asked for it, or not for it to be here.
fn phantom(journal: &Journal<'_>, story: Option<&Story<'_>>, handed: &Handed<'_>) -> Option<String> {
    let is_right = story.is_some_and(|story| {
        let came_over = || journal.beyond(story.topic, handed.returned_ns).contains(handed.topic);
        let is_sent_here = if handed.delivery.given_up { came_over() } else { story.topic == handed.topic };
        story.asked_ns <= handed.returned_ns && is_sent_here
    });
    (!is_right).then(|| format!("{} was delivered, but nobody had sent it there\n", handed.text()))
}

/// More than was asked for.
fn too_many(deliveries: &[Handed<'_>]) -> Option<String> {
    deliveries.chunk_by(|one, other| one.operation.id == other.operation.id).find_map(|answer| {
        let Call::Dequeue { count_max, .. } = &answer.first()?.operation.call else { return None };
        (answer.len() as u64 > *count_max).then(|| {
            let last = answer.last().map_or_else(String::new, Handed::text);
            format!("{} messages for one who asked for {count_max}:\n  {last}\n", answer.len())
        })
    })
}

/// One message under two ids.
fn two_ids(handed: &[Handed<'_>]) -> Option<String> {
    let first = handed.first()?;
    let other = handed.iter().find(|other| other.delivery.id != first.delivery.id)?;
    Some(format!("one message was in the queue twice:\n  {}\n  {}\n", first.text(), other.text()))
}

/// Two messages under one id. Of each its id and its number.
fn one_id_of_two(mut names: Vec<(u64, u64)>) -> Option<String> {
    names.sort_unstable();
    let pair = names.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
    Some(format!("messages {} and {} have one id\n", pair[0].1, pair[1].1))
}

/// Receipts rise in true time and are unique; attempts rise with them for as long as the message stays in one topic.
fn disordered(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    let mut latest_invoked: Option<&Handed<'_>> = None;
    for (position, one) in handed.iter().enumerate() {
        let twin = position.checked_sub(1).map(|before| &handed[before]);
        if let Some(twin) = twin.filter(|twin| twin.delivery.receipt == one.delivery.receipt) {
            return Some(format!("one receipt for two deliveries:\n  {}\n  {}\n", twin.text(), one.text()));
        }
        if let Some(before) = latest_invoked.filter(|before| before.operation.invoked_ns > one.returned_ns) {
            return Some(format!("receipts went back:\n  {}\n  {}\n", one.text(), before.text()));
        }
        latest_invoked = latest_invoked
            .filter(|before| before.operation.invoked_ns >= one.operation.invoked_ns)
            .or(Some(one));
        let before = twin.filter(|before| !journal.may_have_left(before, one));
        let rises = before.is_none_or(|before| before.delivery.attempt < one.delivery.attempt);
        if !rises || one.delivery.attempt == 0 {
            let before = before.map_or_else(String::new, |before| format!("  {}\n", before.text()));
            return Some(format!("attempts do not rise:\n{before}  {}\n", one.text()));
        }
    }
    None
}

/// Delivered after it was acknowledged for sure.
fn came_back(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    // Who asked for it last.
    let last = handed.iter().max_by_key(|other| other.operation.invoked_ns);
    for (position, one) in handed.iter().enumerate() {
        let done =
            journal.asked_about(one).iter().find(|asked| asked.is_sure && asked.ask == Ask::Acknowledge);
        let Some(done) = done else { continue };
        let done_at = done.operation.returned_ns.unwrap_or(VirtualTime(u64::MAX));
        let again = handed[position + 1..].first();
        let again = again.or_else(|| last.filter(|other| other.operation.invoked_ns > done_at));
        if let Some(again) = again {
            return Some(format!(
                "{}\n  was acknowledged by operation #{} between {} and {done_at}, and yet delivered again:\n  {}\n",
                one.text(),
                done.operation.id,
                done.operation.invoked_ns,
                again.text()
            ));
        }
    }
    None
}

/// Something was done by a delivery although a later one had been answered already.
fn used_when_stale(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    // When a later one was answered first.
    let mut later_ns: Option<VirtualTime> = None;
    handed.iter().rev().find_map(|one| {
        let answered_ns = later_ns;
        later_ns = Some(later_ns.map_or(one.returned_ns, |later| later.min(one.returned_ns)));
        let answered_ns = answered_ns?;
        let wrong = journal
            .asked_about(one)
            .iter()
            .find(|asked| asked.is_sure && asked.operation.invoked_ns > answered_ns)?;
        Some(format!(
            "operation #{}, {}, succeeded at a delivery that had been followed by another, answered at \
             {answered_ns}:\n  {}\n",
            wrong.operation.id,
            wrong.operation.call.kind(),
            one.text()
        ))
    })
}
