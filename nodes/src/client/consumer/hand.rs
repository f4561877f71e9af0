//! One message in hand: its handler, its lease, and its settlement.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use super::{ConsumerConfig, ConsumerCounts, Retry, pause};
use crate::client::{Client, ClientError};
use crate::env::Env;
use crate::ids::{LocalTime, MessageId, Receipt};
use crate::machine::{Acknowledgement, DELAY_US_MAX, MachineError, QueueError};
use crate::marks;

/// Attempts to say what became of a message, each as long as an operation may take.
const SETTLE_ATTEMPTS_MAX: u32 = 8;

/// A lease is extended once this part of it is over.
const EXTEND_AFTER_DIVISOR: u64 = 3;

/// A delivery.
pub(super) struct Hand<E: Env> {
    pub(super) client: Client<E>,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) receipt: (MessageId, Receipt),
    pub(super) counts: Arc<watch::Sender<ConsumerCounts>>,
}

/// What an attempt to extend or settle says of the delivery.
enum Word<T> {
    /// It took effect.
    Taken(T),
    /// The delivery is over, or the message gone.
    Over,
    /// Nothing: it may have had effect.
    Unknown,
    /// Nothing: it had no effect, and may be tried again.
    NotDone,
}

impl<E: Env> Hand<E> {
    /// Runs the handler under a lease that was asked for at `asked_at`, and says what comes of it.
    pub(super) async fn hold(self, handled: impl Future<Output = Result<(), Retry>>, asked_at: LocalTime) {
        let result = tokio::select! {
            biased;
            () = self.keep(asked_at) => None,
            result = handled => Some(result),
        };
        let Some(result) = result else {
            marks::hit("client.consumer_lost_a_delivery");
            return self.count(|counts| counts.lost += 1);
        };
        match self.settle(result).await {
            Word::Taken(()) if result.is_ok() => self.count(|counts| counts.acknowledged += 1),
            Word::Taken(()) => self.count(|counts| counts.rejected += 1),
            Word::Over => self.count(|counts| counts.lost += 1),
            Word::Unknown | Word::NotDone => self.count(|counts| counts.unsettled += 1),
        }
    }

    fn count(&self, change: impl FnOnce(&mut ConsumerCounts)) {
        self.counts.send_modify(change);
    }

    /// Extends the lease again and again; returns when it is over.
    async fn keep(&self, mut counted_from: LocalTime) {
        let believed_us = self.client.config.belief_in_us(self.config.visibility_us);
        loop {
            let end = counted_from.plus_us(believed_us);
            let env = &self.client.env;
            env.sleep_until(counted_from.plus_us(believed_us / EXTEND_AFTER_DIVISOR)).await;
            tokio::select! {
                biased;
                () = env.sleep_until(end) => return,
                extended = self.extend() => match extended {
                    Some(sent_at) => counted_from = sent_at,
                    None => return,
                },
            }
        }
    }

    /// Tries until the lease is extended; returns when the attempt that did so was sent. `None` if the
    /// delivery is over.
    async fn extend(&self) -> Option<LocalTime> {
        loop {
            let sent_at = self.client.env.now();
            let ConsumerConfig { topic, visibility_us, .. } = &*self.config;
            let extension = self.client.extend(topic, self.receipt, *visibility_us);
            match self.in_session(extension).await {
                Word::Taken(_) => {
                    self.count(|counts| counts.extended += 1);
                    return Some(sent_at);
                }
                Word::Over => return None,
                Word::Unknown | Word::NotDone => pause(&self.client).await,
            }
        }
    }

    /// Acknowledges or rejects.
    async fn settle(&self, result: Result<(), Retry>) -> Word<()> {
        let mut word = Word::NotDone;
        let mut may_be_done = false;
        for attempt in 0..SETTLE_ATTEMPTS_MAX {
            if attempt > 0 {
                pause(&self.client).await;
            }
            word = match result {
                Ok(()) => self.acknowledge().await,
                Err(Retry { delay_us }) => self.reject(delay_us).await,
            };
            match word {
                Word::Taken(()) => return word,
                // Then it was this consumer, at an attempt whose answer was lost, that ended the delivery, or
                // its lease ran out meanwhile; nobody can tell, so it is not said to be settled.
                Word::Over if may_be_done => return Word::Unknown,
                Word::Over => return word,
                Word::Unknown => may_be_done = true,
                Word::NotDone => {}
            }
        }
        word
    }

    async fn acknowledge(&self) -> Word<()> {
        let topic = &self.config.topic;
        match self.in_session(self.client.acknowledge(topic, vec![self.receipt])).await {
            Word::Taken(results) if results == [Acknowledgement::Done] => Word::Taken(()),
            Word::Taken(_) | Word::Over => Word::Over,
            Word::Unknown => Word::Unknown,
            Word::NotDone => Word::NotDone,
        }
    }

    async fn reject(&self, delay_us: u64) -> Word<()> {
        let topic = &self.config.topic;
        let rejection = self.client.reject(topic, self.receipt, delay_us.min(DELAY_US_MAX));
        match self.in_session(rejection).await {
            Word::Taken(_) => Word::Taken(()),
            Word::Over => Word::Over,
            Word::Unknown => Word::Unknown,
            Word::NotDone => Word::NotDone,
        }
    }

    /// Does something in the client's session, or in a new one if that is lost.
    async fn in_session<T>(&self, operation: impl Future<Output = Result<T, ClientError>>) -> Word<T> {
        if self.client.ensure_session().await.is_err() {
            return Word::NotDone;
        }
        match operation.await {
            Ok(done) => Word::Taken(done),
            Err(ClientError::Refused(MachineError::Queue(
                QueueError::StaleReceipt | QueueError::UnknownMessage | QueueError::UnknownTopic,
            ))) => Word::Over,
            Err(error) if error.is_definite() => Word::NotDone,
            Err(_) => Word::Unknown,
        }
    }
}
