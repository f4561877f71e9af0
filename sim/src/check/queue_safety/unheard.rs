//! How many messages dequeues of unknown outcome may have taken.

use super::journal::Topic;
use crate::history::{Call, VirtualTime};

/// Of one topic: when each such dequeue was asked for, and how many messages they can have taken up to that one.
#[derive(Debug, Default)]
pub(super) struct Unheard(Vec<(VirtualTime, u64)>);

/// How many messages a dequeue asked for.
pub(super) fn asked_for(call: &Call) -> u64 {
    if let Call::Dequeue { count_max, .. } = call { *count_max } else { 0 }
}

impl Unheard {
    pub(super) fn of(topic: &Topic<'_>) -> Self {
        let mut most = 0_u64;
        let mut all: Vec<(VirtualTime, u64)> = Vec::with_capacity(topic.unknown.len());
        for dequeue in &topic.unknown {
            most = most.saturating_add(asked_for(&dequeue.call));
            all.push((dequeue.invoked_ns, most));
        }
        Self(all)
    }

    /// How many they can have taken by then.
    pub(super) fn by(&self, at: VirtualTime) -> u64 {
        let asked = self.0.partition_point(|(asked, _)| *asked <= at);
        asked.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}
