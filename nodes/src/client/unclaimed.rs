//! Commands whose answer nobody takes: a caller that drops the future of an acquire, a release or a dequeue, or is told
//! that nobody knows how it ended, must not leave its session holding, or standing in line for, what no guard stands
//! for, nor messages hidden that nobody was given.
//!
//! Dropping only takes note. The task that keeps the session alive is woken, looks at the notes, and settles each in a
//! task of its own: it cancels the wait, learns how the command ended, and gives back what was granted or delivered; a
//! release it asks for until it is answered. Until then the command stays open, so that the cluster remembers its
//! outcome.

use super::rpc::Completed;
use super::session::Numbers;
use super::{Client, ClientError};
use crate::env::Env;
use crate::machine::{Action, LockAction, LockGrant, LockReply, QueueAction, QueueReply, Reply};
use crate::marks;

/// What a command may have brought its session.
#[derive(Debug)]
pub(super) enum Claim {
    /// Locks, or places in line for them.
    Locks,
    /// Messages of this topic, or a place in line for them.
    Messages(String),
    /// Nothing: it gives these back, and may not have come.
    Release(Vec<LockGrant>),
}

/// A command whose answer nobody takes.
#[derive(Debug)]
pub(super) struct Unclaimed {
    pub(super) numbers: Numbers,
    pub(super) claim: Claim,
}

impl Claim {
    /// What this action asks for.
    pub(super) fn of(action: &Action) -> Self {
        match action {
            Action::Queue(QueueAction::Dequeue { topic, .. }) => Self::Messages(topic.clone()),
            Action::Lock(LockAction::Release { grants }) => Self::Release(grants.clone()),
            _ => Self::Locks,
        }
    }

    /// What gives back what the reply brought, if it brought anything.
    fn give_back(&self, reply: Reply) -> Vec<Action> {
        match (self, reply) {
            (Self::Locks, Reply::Lock(LockReply::Granted { grants })) => {
                vec![Action::Lock(LockAction::Release { grants })]
            }
            (Self::Messages(topic), Reply::Queue(QueueReply::Delivered(deliveries))) => {
                let reject = |(id, receipt)| {
                    Action::Queue(QueueAction::Reject { topic: topic.clone(), id, receipt, delay_us: 0 })
                };
                deliveries.into_iter().map(|delivery| reject((delivery.id, delivery.receipt))).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl<E: Env> Client<E> {
    /// Sees to it that the session neither holds nor awaits anything by this command.
    pub(super) async fn settle(self, unclaimed: Unclaimed) {
        marks::hit("client.unclaimed_command_settled");
        let Unclaimed { numbers, claim } = unclaimed;
        let cancel = Action::Lock(LockAction::Cancel { sequence: numbers.sequence });
        while self.owns(numbers.session) {
            if let Claim::Release(grants) = &claim {
                // The same number again: done once, however often it is asked for.
                let again = numbers.command(Action::Lock(LockAction::Release { grants: grants.clone() }));
                let asked = self.call_command(again, self.config.attempt_timeout_us, 0).await;
                if matches!(asked.and_then(Completed::reply), Err(ClientError::Unknown(_))) {
                    continue;
                }
                break;
            }
            // If it does not wait, it has ended, or has not come yet.
            if matches!(self.once_within_an_attempt(cancel.clone()).await, Err(ClientError::Unknown(_))) {
                continue;
            }
            // The same number again: the cluster answers with the outcome of the command, and if that has never
            // arrived, this one, which does nothing, stands in its place for ever.
            let again = numbers.command(cancel.clone());
            let asked = self.call_command(again, self.config.attempt_timeout_us, 0).await;
            match asked.and_then(Completed::reply) {
                Ok(reply) => {
                    if self.give_back(claim.give_back(reply)).await {
                        break;
                    }
                }
                Err(ClientError::Unknown(_)) => {}
                Err(_) => break,
            }
        }
        self.close_command(&numbers);
    }

    /// Does all of these; whether the outcome of each is known.
    async fn give_back(&self, actions: Vec<Action>) -> bool {
        for action in actions {
            if matches!(self.once_within_an_attempt(action).await, Err(ClientError::Unknown(_))) {
                return false;
            }
        }
        true
    }

    async fn once_within_an_attempt(&self, action: Action) -> Result<Reply, ClientError> {
        self.once(action, self.config.attempt_timeout_us, 0).await.map(|(_, reply)| reply)
    }
}
