//! Whether a history is one: the promises that checks build on.

use std::collections::BTreeMap;

use thiserror::Error;

use super::pairing::unfit;
use super::{Call, History, Hold, LockMode, Message, Operation, Outcome, VirtualTime};

/// Why a record is no history. No check can be made on it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// An operation is not numbered by its place.
    #[error("operation {found} stands in the place of operation {expected}")]
    Numbering {
        /// The number for this place.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// Operations are not in the order of invocation.
    #[error("operation {0} was invoked before the operation that precedes it")]
    Order(u64),
    /// An operation returned before it was invoked.
    #[error("operation {0} returned before it was invoked")]
    ReturnedEarly(u64),
    /// An answer or a refusal has no time.
    #[error("operation {0} has an answer but no time of return")]
    AnswerWithoutReturn(u64),
    /// Two operations of one client overlap.
    #[error("client {client} invoked operation {id} while another was open")]
    Overlap {
        /// The client.
        client: u64,
        /// The later operation.
        id: u64,
    },
    /// An answer does not belong to its call.
    #[error("operation {id}, {call}, {what}")]
    Answer {
        /// The operation.
        id: u64,
        /// The kind of its call.
        call: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
    /// One message was sent to two topics.
    #[error(
        "operation {id} sends message {message} to {topic:?}, but an earlier one sent it to another topic"
    )]
    MessageElsewhere {
        /// The later operation.
        id: u64,
        /// The message's number.
        message: u64,
        /// The topic of the later operation.
        topic: String,
    },
    /// A hold ends before it begins.
    #[error("the hold of token {0} ends before it begins")]
    HoldReversed(u64),
    /// A hold does not belong to an acquisition of its client and resource.
    #[error("the hold of token {token} names operation {operation}, which is no acquisition of its own")]
    HoldWithoutAcquire {
        /// The hold's token.
        token: u64,
        /// The operation that it names.
        operation: u64,
    },
}

/// Verifies operations one after the other.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    count: u64,
    latest: VirtualTime,
    /// Per client, when its latest operation returned; `None` if that never did.
    clients: BTreeMap<u64, Option<VirtualTime>>,
    /// Topics, numbered as they come.
    topics: BTreeMap<String, u32>,
    /// The topic of each message.
    messages: BTreeMap<u64, u32>,
}

impl Verifier {
    /// Verifies the next operation.
    pub(super) fn operation(&mut self, operation: &Operation) -> Result<(), Malformed> {
        let id = operation.id;
        if id != self.count {
            return Err(Malformed::Numbering { expected: self.count, found: id });
        }
        if operation.invoked_ns < self.latest {
            return Err(Malformed::Order(id));
        }
        match operation.returned_ns {
            Some(returned) if returned < operation.invoked_ns => return Err(Malformed::ReturnedEarly(id)),
            None if !matches!(operation.outcome, Outcome::Unknown { .. }) => {
                return Err(Malformed::AnswerWithoutReturn(id));
            }
            _ => {}
        }
        if let Outcome::Ok { answer } = &operation.outcome
            && let Some(what) = unfit(&operation.call, answer)
        {
            return Err(Malformed::Answer { id, call: operation.call.kind(), what });
        }
        if let Call::Enqueue { topic, messages, .. } = &operation.call {
            self.sent(id, topic, messages)?;
        }
        let before = self.clients.insert(operation.client, operation.returned_ns);
        if before.is_some_and(|returned| returned.is_none_or(|at| at > operation.invoked_ns)) {
            return Err(Malformed::Overlap { client: operation.client, id });
        }
        self.count += 1;
        self.latest = operation.invoked_ns;
        Ok(())
    }

    /// A message has one topic, whoever sends it again.
    fn sent(&mut self, id: u64, topic: &str, messages: &[Message]) -> Result<(), Malformed> {
        let number = match self.topics.get(topic) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.topics.len()).unwrap_or(u32::MAX);
                self.topics.insert(topic.to_owned(), number);
                number
            }
        };
        let elsewhere =
            messages.iter().find(|message| *self.messages.entry(message.number).or_insert(number) != number);
        elsewhere.map_or(Ok(()), |message| {
            Err(Malformed::MessageElsewhere { id, message: message.number, topic: topic.to_owned() })
        })
    }
}

/// Verifies a hold, once all operations are known.
pub(super) fn verify_hold(operations: &[Operation], hold: &Hold) -> Result<(), Malformed> {
    if hold.until_ns < hold.from_ns {
        return Err(Malformed::HoldReversed(hold.token));
    }
    let position = usize::try_from(hold.operation).unwrap_or(usize::MAX);
    let own = operations
        .get(position)
        .is_some_and(|operation| operation.client == hold.client && may_give(&operation.call, hold));
    if own {
        Ok(())
    } else {
        Err(Malformed::HoldWithoutAcquire { token: hold.token, operation: hold.operation })
    }
}

/// Whether this call asks for what is held.
fn may_give(call: &Call, hold: &Hold) -> bool {
    let exclusive = match call {
        Call::Acquire { resource, exclusive, .. } if *resource == hold.resource => *exclusive,
        Call::Upgrade { resource, .. } if *resource == hold.resource => true,
        Call::Downgrade { resource, .. } if *resource == hold.resource => false,
        Call::AcquireAll { wants, .. } => {
            return wants.iter().any(|want| {
                want.resource == hold.resource
                    && (want.mode == LockMode::Exclusive) == hold.exclusive
                    && want.mode.permits() == hold.permits
            });
        }
        _ => return false,
    };
    exclusive == hold.exclusive && hold.permits == 0
}

impl History {
    /// Verifies that this is a history at all.
    ///
    /// # Errors
    /// The first promise found broken.
    pub fn verify(&self) -> Result<(), Malformed> {
        let mut verifier = Verifier::default();
        self.operations.iter().try_for_each(|operation| verifier.operation(operation))?;
        self.holds.iter().try_for_each(|hold| verify_hold(&self.operations, hold))
    }
}
