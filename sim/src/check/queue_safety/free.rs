//! Messages that were there for certain, and free for everybody.

use super::journal::{By, Story, Topic};
use crate::history::VirtualTime;

/// A message that was there for certain, and free for everybody.
#[derive(Clone, Copy)]
pub(super) struct Free<'a> {
    pub(super) story: &'a Story<'a>,
    /// From when on.
    pub(super) since_ns: VirtualTime,
    /// Whom the answer told that shows it.
    pub(super) since_by: By,
    /// Up to when: the request of its next delivery, or the earliest end of its life.
    pub(super) until_ns: VirtualTime,
    /// Who asked then; [`By::NOBODY`] if nobody did.
    pub(super) until_by: By,
    /// Whether it had been out before.
    pub(super) is_back: bool,
    /// Whether the next delivery proves by its attempt that nobody got it in between.
    pub(super) is_proved: bool,
}

/// Those of no group that were free for certain, in the order in which they became free. What no later delivery proves is
/// certain until the first dequeue is asked for of which nobody knows.
pub(super) fn untouched<'j>(ready: &[Free<'j>], topic: &Topic<'_>) -> Vec<Free<'j>> {
    let unheard = topic.unknown.first().map(|first| {
        let is_alone = topic.unknown.get(1).is_none_or(|second| first.invoked_ns < second.invoked_ns);
        (first.invoked_ns, if is_alone { By::of(first) } else { By::NOBODY })
    });
    let mut all: Vec<Free<'j>> = ready
        .iter()
        .filter(|free| free.story.message.group.is_none())
        .filter_map(|free| {
            let known = (free.until_ns, free.until_by);
            let (until_ns, until_by) = match unheard.filter(|_| !free.is_proved) {
                Some((taken_ns, _)) if taken_ns == free.until_ns => (taken_ns, By::NOBODY),
                Some(taken) if taken.0 < free.until_ns => taken,
                _ => known,
            };
            (free.since_ns < until_ns).then_some(Free { until_ns, until_by, ..*free })
        })
        .collect();
    all.sort_by_key(|free| free.since_ns);
    all
}

impl Free<'_> {
    /// Whether it was there before this client asked: an answer to the same client came first, be it at the same
    /// instant.
    pub(super) fn was_there_before(&self, asked_ns: VirtualTime, by: By) -> bool {
        self.since_ns < asked_ns || self.since_ns == asked_ns && self.since_by.came_before(by)
    }

    /// Whether it was still there when this client was answered; likewise.
    pub(super) fn was_there_after(&self, answered_ns: VirtualTime, by: By) -> bool {
        self.until_ns > answered_ns || self.until_ns == answered_ns && by.came_before(self.until_by)
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
