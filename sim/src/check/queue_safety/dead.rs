//! Dead letters: a message is given up when its attempts are used up, and not earlier.

use super::journal::{Handed, Journal};

/// Finds a delivery beyond the last attempt, or a message given up before it.
pub(super) fn check(journal: &Journal<'_>) -> Option<String> {
    journal.by_message().find_map(|handed| beyond(journal, handed).or_else(|| early(journal, handed)))
}

fn beyond(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    handed.iter().find_map(|one| {
        let (most, _) = journal.topics.get(one.topic)?.gives_up?;
        (one.delivery.attempt > most).then(|| {
            format!("a message was tried more than the {most} times of its topic:\n  {}\n", one.text())
        })
    })
}

/// Attempts of which nobody knows may have gone to dequeues of unknown outcome that came before.
fn early(journal: &Journal<'_>, handed: &[Handed<'_>]) -> Option<String> {
    let given_up = handed.iter().find(|one| one.delivery.given_up)?;
    let home = journal.stories.get(&given_up.delivery.message)?.topic;
    let topic = journal.topics.get(home)?;
    let (most, _) = topic.gives_up?;
    let known = handed.iter().filter(|one| one.topic == home).map(|one| one.delivery.attempt).max();
    let missing = most.saturating_sub(known.unwrap_or(0));
    let before = |operation: &&&crate::history::Operation| operation.invoked_ns <= given_up.returned_ns;
    let possible = topic.unknown.iter().filter(before).count() as u64;
    (missing > possible).then(|| {
        format!(
            "a message was given up after {} of {most} attempts, and {possible} that nobody knows of:\n  {}\n",
            known.unwrap_or(0),
            given_up.text()
        )
    })
}
