//! What passes through the queue at this node: how many messages clients were told of here, and how fast.
//!
//! The totals of a topic are replicated and exact; see [`crate::machine::TopicStats`]. These are one node's,
//! of one life of it, and count answers: one that is given twice, because the first was lost, counts twice.

use std::collections::VecDeque;

use crate::api::{QueueCounts, QueueTraffic};
use crate::ids::LocalTime;
use crate::machine::{Acknowledgement, Outcome, QueueReply, Reply};

/// Rates are means over so many whole seconds.
const WINDOW_SECONDS: u64 = 10;
const SECOND_US: u64 = 1_000_000;

/// What an answer tells of.
fn counts_of(reply: &QueueReply) -> QueueCounts {
    let none = QueueCounts::default();
    match reply {
        QueueReply::Enqueued { ids, duplicate: false } => QueueCounts { enqueued: ids.len() as u64, ..none },
        QueueReply::Delivered(deliveries) | QueueReply::DeliveredBefore { deliveries, .. } => {
            QueueCounts { delivered: deliveries.len() as u64, ..none }
        }
        QueueReply::Acknowledged(results) => {
            let done = results.iter().filter(|&&result| result == Acknowledgement::Done).count();
            QueueCounts { acknowledged: done as u64, ..none }
        }
        _ => none,
    }
}

/// The counters of one life of a node.
#[derive(Debug)]
pub(super) struct Traffic {
    began: LocalTime,
    total: QueueCounts,
    /// By second since the beginning, the latest last; seconds in which nothing came are not there.
    seconds: VecDeque<(u64, QueueCounts)>,
}

impl Traffic {
    pub(super) fn new(now: LocalTime) -> Self {
        Self { began: now, total: QueueCounts::default(), seconds: VecDeque::new() }
    }

    /// A client was answered this.
    pub(super) fn answered(&mut self, outcome: &Outcome, now: LocalTime) {
        let Ok(Reply::Queue(reply)) = outcome else { return };
        let counts = counts_of(reply);
        if counts == QueueCounts::default() {
            return;
        }
        self.total = self.total.plus(counts);
        let second = now.since_us(self.began) / SECOND_US;
        match self.seconds.back_mut() {
            Some((latest, sum)) if *latest == second => *sum = sum.plus(counts),
            _ => self.seconds.push_back((second, counts)),
        }
        while self.seconds.pop_front_if(|(at, _)| *at + WINDOW_SECONDS < second).is_some() {}
    }

    /// The counters now.
    pub(super) fn read(&self, now: LocalTime) -> QueueTraffic {
        let uptime_us = now.since_us(self.began);
        let second = uptime_us / SECOND_US;
        // The second that has just begun would pull the mean down; there is no other at first.
        let (recent_s, until) = if second == 0 { (1, 1) } else { (second.min(WINDOW_SECONDS), second) };
        let counted = self.seconds.iter().filter(|(at, _)| (until - recent_s..until).contains(at));
        let recent = counted.fold(QueueCounts::default(), |sum, (_, counts)| sum.plus(*counts));
        QueueTraffic { uptime_us, total: self.total, recent, recent_s }
    }
}

#[cfg(test)]
mod tests {
    use super::{SECOND_US, Traffic};
    use crate::ids::{LocalTime, MessageId};
    use crate::machine::{QueueReply, Reply};

    fn enqueued(traffic: &mut Traffic, messages: u64, at_us: u64) {
        let ids = (0..messages).map(MessageId).collect();
        let outcome = Ok(Reply::Queue(QueueReply::Enqueued { ids, duplicate: false }));
        traffic.answered(&outcome, LocalTime(at_us));
    }

    #[test]
    fn rates_are_means_over_the_last_whole_seconds() {
        let mut traffic = Traffic::new(LocalTime(0));
        for second in 0..20 {
            enqueued(&mut traffic, second, second * SECOND_US);
        }
        let read = traffic.read(LocalTime(20 * SECOND_US));
        assert_eq!(read.total.enqueued, (0..20).sum::<u64>());
        assert_eq!((read.recent.enqueued, read.recent_s), ((10..20).sum(), 10));
        assert_eq!(traffic.read(LocalTime(40 * SECOND_US)).recent.enqueued, 0);
        assert!(traffic.seconds.len() <= 11);
    }

    #[test]
    fn a_node_that_has_just_begun_tells_what_it_has_seen() {
        let mut traffic = Traffic::new(LocalTime(0));
        enqueued(&mut traffic, 3, 10);
        assert_eq!(traffic.read(LocalTime(20)).recent.enqueued, 3);
        assert_eq!(traffic.read(LocalTime(SECOND_US)).per_second(3), 3.0);
    }

    #[test]
    fn what_was_no_news_does_not_count() {
        let mut traffic = Traffic::new(LocalTime(0));
        let again = QueueReply::Enqueued { ids: vec![MessageId(1)], duplicate: true };
        traffic.answered(&Ok(Reply::Queue(again)), LocalTime(1));
        traffic.answered(&Ok(Reply::Done), LocalTime(1));
        assert_eq!(traffic.read(LocalTime(2)).total.enqueued, 0);
    }
}
