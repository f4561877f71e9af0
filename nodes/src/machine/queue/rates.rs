//! How fast messages pass through a topic: what it had counted when each of the last seconds began.
//!
//! Only a second in which something was counted leaves a mark, made before the first count of that second. So
//! what had been counted by the beginning of any second since is what the first mark at or after it says, or
//! what is counted now if there is none.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::types::{RATE_WINDOW_S, TopicRecent, TopicTotals};
use crate::ids::ClusterTime;

const SECOND_US: u64 = 1_000_000;

/// The whole seconds of cluster time that have passed at `time`.
pub(super) const fn second_of(time: ClusterTime) -> u64 {
    time.0 / SECOND_US
}

/// What had been counted when a second began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) second: u64,
    pub(super) counted: TopicRecent,
}

/// The marks of the last seconds, each later than the one before.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rates(VecDeque<Mark>);

impl Rates {
    /// The most marks kept: one for each second of the window, and one for the second that runs.
    pub(super) const MARKS_MAX: usize = RATE_WINDOW_S as usize + 1;

    /// Takes marks in the order of their seconds.
    pub(super) fn of(marks: Vec<Mark>) -> Self {
        Self(marks.into())
    }

    /// The marks, the earliest first.
    pub(super) fn marks(&self) -> impl ExactSizeIterator<Item = &Mark> {
        self.0.iter()
    }

    /// Something is about to be counted at `time`, beside what was counted so far.
    pub(super) fn note(&mut self, time: ClusterTime, totals: &TopicTotals) {
        let second = second_of(time);
        if self.0.back().is_some_and(|latest| latest.second >= second) {
            return;
        }
        while self.0.pop_front_if(|earliest| earliest.second + RATE_WINDOW_S < second).is_some() {}
        self.0.push_back(Mark { second, counted: counted(totals) });
    }

    /// What was counted in the last whole seconds before `time`.
    pub(super) fn recent(&self, time: ClusterTime, totals: &TopicTotals) -> TopicRecent {
        let by_the_beginning_of = |second| {
            let mark = self.0.iter().find(|mark| mark.second >= second);
            mark.map_or_else(|| counted(totals), |mark| mark.counted)
        };
        let second = second_of(time);
        let (from, until) =
            (by_the_beginning_of(second.saturating_sub(RATE_WINDOW_S)), by_the_beginning_of(second));
        TopicRecent {
            enqueued: until.enqueued - from.enqueued,
            delivered: until.delivered - from.delivered,
            acknowledged: until.acknowledged - from.acknowledged,
        }
    }
}

/// What of the totals has a rate.
pub(super) const fn counted(totals: &TopicTotals) -> TopicRecent {
    let &TopicTotals { enqueued, delivered, acknowledged, .. } = totals;
    TopicRecent { enqueued, delivered, acknowledged }
}

#[cfg(test)]
mod tests {
    use super::{Rates, SECOND_US};
    use crate::ids::ClusterTime;
    use crate::machine::{TopicRecent, TopicTotals};

    fn at(second: u64) -> ClusterTime {
        ClusterTime(second * SECOND_US + 7)
    }

    #[test]
    fn the_second_that_runs_does_not_count_and_what_is_older_than_the_window_neither() {
        let (mut rates, mut totals) = (Rates::default(), TopicTotals::default());
        for second in 0..30 {
            for _ in 0..2 {
                rates.note(at(second), &totals);
                totals.enqueued += second;
            }
            totals.acknowledged += 1;
            let seen = rates.recent(at(second), &totals);
            let counted = second.saturating_sub(10)..second;
            let enqueued = counted.clone().map(|second| 2 * second).sum();
            let acknowledged = counted.count() as u64;
            assert_eq!(seen, TopicRecent { enqueued, delivered: 0, acknowledged }, "in second {second}");
            assert!(rates.marks().len() <= Rates::MARKS_MAX);
        }
    }

    #[test]
    fn a_topic_that_rests_comes_to_nothing_second_by_second() {
        let (mut rates, mut totals) = (Rates::default(), TopicTotals::default());
        for second in [3, 4] {
            rates.note(at(second), &totals);
            totals.delivered += 5;
        }
        let seen = [4, 5, 13, 14, 15, 400].map(|second| rates.recent(at(second), &totals).delivered);
        assert_eq!(seen, [5, 10, 10, 5, 0, 0]);
    }
}
