//! Taking messages out: delivery under a lease, and what a consumer may say of a delivery.

use std::collections::BTreeSet;

use super::message::State;
use super::queues::{Queues, check_count, check_topic, check_within, nothing};
use super::topic::{Topic, Waiter};
use super::types::{
    Acknowledgement, DELAY_US_MAX, DeathReason, QueueError, QueueReply, VISIBILITY_US_MAX, VISIBILITY_US_MIN,
};
use crate::ids::{ClusterTime, MessageId, Receipt};
use crate::machine::WAIT_US_MAX;
use crate::machine::service::{Asker, Moment, Out};
use crate::machine::{MachineError, Outcome, Reply};
use crate::marks;
use crate::plant::{self, Bug};

impl Queues {
    pub(super) fn dequeue(
        &mut self,
        at: Moment,
        by: Asker,
        topic: &str,
        (count_max, visibility_us): (u32, u64),
        wait_us: u64,
        out: &mut Out,
    ) -> Outcome {
        check_topic(topic)?;
        check_count("count_max", u64::from(count_max))?;
        check_visibility(visibility_us)?;
        check_within("wait_us", wait_us, 0, WAIT_US_MAX)?;
        if wait_us == 0 && !self.topics.contains_key(topic) {
            return nothing();
        }
        let waiting_max = self.limits.waiting;
        let name = self.named_or_made(topic, out)?;
        let topic = self.must(&name);
        let has_some = topic.first(at.time).is_some();
        if !has_some && wait_us > 0 && topic.line.len() >= waiting_max {
            marks::hit("queue.line_full");
            return Err(QueueError::TooManyWaiting.into());
        }
        let is_new = topic.consumers.insert(by.session).is_none();
        let reply = if has_some {
            Reply::Queue(QueueReply::Delivered(topic.deliver(at, count_max, visibility_us)))
        } else if wait_us == 0 {
            Reply::Queue(QueueReply::Delivered(Vec::new()))
        } else {
            let ahead = topic.line.len() as u64;
            let deadline = at.time.plus_us(wait_us);
            topic.wait(at.index, Waiter { by, count_max, visibility_us, deadline });
            self.waits.insert(by, (name.clone(), at.index));
            Reply::Waiting { ahead }
        };
        if is_new {
            self.asked.insert((by.session, name.clone()));
        }
        self.hand_on(at, &name, out);
        Ok(reply)
    }

    pub(super) fn acknowledge(
        &mut self,
        at: Moment,
        topic: &str,
        receipts: &[(MessageId, Receipt)],
        out: &mut Out,
    ) -> Outcome {
        check_count("the number of receipts", receipts.len() as u64)?;
        let name = self.named(topic)?;
        let topic = self.must(&name);
        let results = receipts.iter().map(|&delivery| topic.acknowledge(at.time, delivery)).collect();
        self.hand_on(at, &name, out);
        Ok(Reply::Queue(QueueReply::Acknowledged(results)))
    }

    pub(super) fn reject(
        &mut self,
        at: Moment,
        topic: &str,
        (id, receipt): (MessageId, Receipt),
        delay_us: u64,
        out: &mut Out,
    ) -> Outcome {
        check_within("delay_us", delay_us, 0, DELAY_US_MAX)?;
        let name = self.named(topic)?;
        let topic = self.must(&name);
        topic.check_receipt(at.time, (id, receipt))?;
        topic.totals.rejected += 1;
        let mut touched = BTreeSet::from([name.clone()]);
        let dead = self.come_back(at, &name, id, (DeathReason::Rejected, delay_us), &mut touched, out);
        for name in &touched {
            self.hand_on(at, name, out);
        }
        Ok(Reply::Queue(QueueReply::Rejected { dead }))
    }

    pub(super) fn extend(
        &mut self,
        at: Moment,
        topic: &str,
        (id, receipt): (MessageId, Receipt),
        visibility_us: u64,
        out: &mut Out,
    ) -> Outcome {
        check_visibility(visibility_us)?;
        let name = self.named(topic)?;
        let topic = self.must(&name);
        topic.check_receipt(at.time, (id, receipt))?;
        let lease_until = at.time.plus_us(visibility_us);
        topic.change(id, State::InFlight, lease_until);
        self.hand_on(at, &name, out);
        Ok(Reply::Queue(QueueReply::Extended { lease_until }))
    }
}

impl Topic {
    fn acknowledge(&mut self, time: ClusterTime, (id, receipt): (MessageId, Receipt)) -> Acknowledgement {
        match self.check_receipt(time, (id, receipt)) {
            Ok(()) => {
                self.take(id);
                self.rates.note(time, &self.totals);
                self.totals.acknowledged += 1;
                Acknowledgement::Done
            }
            Err(QueueError::StaleReceipt) => Acknowledgement::Stale,
            Err(_) => Acknowledgement::Unknown,
        }
    }

    /// Refuses a delivery that is not the one under whose lease the message is in flight.
    fn check_receipt(
        &self,
        time: ClusterTime,
        (id, receipt): (MessageId, Receipt),
    ) -> Result<(), QueueError> {
        let message = self.messages.get(&id).ok_or(QueueError::UnknownMessage)?;
        let is_current = message.receipt() == receipt || plant::is(Bug::QueueAckByStaleConsumer);
        if message.is_in_flight(time) && is_current {
            return Ok(());
        }
        marks::hit("queue.receipt_stale");
        Err(QueueError::StaleReceipt)
    }
}

fn check_visibility(visibility_us: u64) -> Result<(), MachineError> {
    check_within("visibility_us", visibility_us, VISIBILITY_US_MIN, VISIBILITY_US_MAX)
}
