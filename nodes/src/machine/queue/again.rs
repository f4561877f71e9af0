//! The answer to who asks once more for messages that were delivered to it.
//!
//! The session table keeps the names of what a command was given ([`Handed`]). As long as all these deliveries
//! last, the answer is the first one to the byte. A delivery is over when its message was acknowledged, rejected,
//! purged or deleted, when its lease has run out, or when somebody else has the message since: then nothing that
//! is done with it could count any more, and the answer names it among those that are over. So every answer names
//! the same messages under the same receipts, and none hands out what the asker has no right to.

use super::queues::Queues;
use super::types::QueueReply;
use crate::ids::ClusterTime;
use crate::machine::remembered::Handed;
use crate::marks;

impl Queues {
    /// The answer to a retry of the command that was given these.
    pub(in crate::machine) fn again(&self, time: ClusterTime, handed: &Handed) -> QueueReply {
        let topic = self.topics.get(&*handed.topic);
        let (mut deliveries, mut over) = (Vec::new(), Vec::new());
        for &(id, receipt) in &handed.messages {
            match topic.and_then(|topic| topic.in_hand(time, id, receipt)) {
                Some(message) => deliveries.push(message.delivery(id, handed.lease_until)),
                None => over.push((id, receipt)),
            }
        }
        if over.is_empty() {
            return QueueReply::Delivered(deliveries);
        }
        marks::hit("queue.retry_found_deliveries_over");
        QueueReply::DeliveredBefore { deliveries, over }
    }
}
