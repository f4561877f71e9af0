//! Messages that were there for certain, and free for everybody.

use super::journal::{Ask, Handed, Journal, Story, Topic};
use crate::history::VirtualTime;

/// A message that was there for certain, and free for everybody.
#[derive(Clone, Copy)]
pub(super) struct Free<'a> {
    pub(super) story: &'a Story<'a>,
    /// From when on.
    pub(super) since_ns: VirtualTime,
    /// Whom the answer told that shows it.
    since_by: u64,
    /// Up to when: the request of its next delivery.
    pub(super) until_ns: VirtualTime,
    /// Who asked then.
    until_by: u64,
    /// Whether it had been out before.
    pub(super) is_back: bool,
}

/// All that are known, in the order in which they became free: before the first delivery, and between a
/// rejection without a delay and the next one.
pub(super) fn free<'a>(journal: &'a Journal<'_>, name: &str, topic: &Topic<'_>) -> Vec<Free<'a>> {
    let mut all: Vec<Free<'_>> =
        topic.deliveries.iter().filter_map(|handed| free_before(journal, name, handed)).collect();
    all.sort_by_key(|free| free.since_ns);
    all
}

fn free_before<'a>(journal: &'a Journal<'_>, name: &str, handed: &Handed<'_>) -> Option<Free<'a>> {
    let story = journal.stories.get(&handed.delivery.message)?;
    let there_ns = story.there_ns?;
    if story.topic != name || story.message.group.is_some() {
        return None;
    }
    let until_ns = handed.operation.invoked_ns;
    let is_back = handed.delivery.attempt > 1;
    let (since_ns, since_by) = if is_back {
        let receipt = handed.delivery.receipt.checked_sub(1)?;
        let before = journal.delivery((handed.delivery.message, receipt))?;
        let is_next = before.topic == name && before.delivery.attempt + 1 == handed.delivery.attempt;
        let asked = journal
            .asked_about(before)
            .iter()
            .find(|asked| asked.is_sure && asked.ask == Ask::Reject { delay_us: 0 });
        let asked = asked.filter(|_| is_next)?.operation;
        let back_ns = asked.returned_ns?;
        if back_ns >= there_ns { (back_ns, asked.client) } else { (there_ns, story.there_by) }
    } else {
        (story.message.delay_us == 0).then_some((there_ns, story.there_by))?
    };
    let until_by = handed.operation.client;
    (since_ns < until_ns).then_some(Free { story, since_ns, since_by, until_ns, until_by, is_back })
}

impl Free<'_> {
    /// Whether it was there before this client asked: an answer to the same client came first, be it at the same
    /// instant.
    pub(super) fn was_there_before(&self, asked_ns: VirtualTime, client: u64) -> bool {
        self.since_ns < asked_ns || self.since_ns == asked_ns && self.since_by == client
    }

    /// Whether it was still there when this client was answered; likewise.
    pub(super) fn was_there_after(&self, answered_ns: VirtualTime, client: u64) -> bool {
        self.until_ns > answered_ns || self.until_ns == answered_ns && self.until_by == client
    }
}

/// Those that became free at this very instant.
pub(super) fn since_then<'f, 'a>(free: &'f [Free<'a>], at: VirtualTime) -> &'f [Free<'a>] {
    let from = free.partition_point(|free| free.since_ns < at);
    let rest = &free[from..];
    &rest[..rest.partition_point(|free| free.since_ns == at)]
}

/// Sweeps moments in time, remembering which of the messages that were there by then stayed longest.
pub(super) struct Longest<'f, 'a> {
    free: std::iter::Peekable<std::slice::Iter<'f, Free<'a>>>,
    longest: Option<Free<'a>>,
}

impl<'f, 'a> Longest<'f, 'a> {
    pub(super) fn over(free: &'f [Free<'a>]) -> Self {
        Self { free: free.iter().peekable(), longest: None }
    }

    /// Of those that were there before `at` and of at least this priority, the one that stayed longest.
    /// Moments rise from call to call.
    pub(super) fn before(&mut self, at: VirtualTime, priority: u8) -> Option<Free<'a>> {
        while let Some(free) = self.free.next_if(|free| free.since_ns < at) {
            if free.story.message.priority >= priority {
                self.longest = self.longest.filter(|other| other.until_ns >= free.until_ns).or(Some(*free));
            }
        }
        self.longest
    }
}
