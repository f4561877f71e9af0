//! One message in hand: its handler, its lease, and its settlement.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::{
    ConsumerAsk, ConsumerConfig, ConsumerCounts, ConsumerSettled, ConsumerTold, ConsumerWatch, HandlerEnd,
    Retry, pause,
};
use crate::client::{Client, ClientError};
use crate::env::Env;
use crate::ids::{LocalTime, MessageId, Receipt};
use crate::machine::{Acknowledgement, DELAY_US_MAX, MachineError, QueueError};
use crate::marks;
use crate::plant::{self, Bug};

/// Attempts to say what became of a message, each as long as an operation may take.
const SETTLE_ATTEMPTS_MAX: u32 = 8;

/// A lease is extended once this part of it is over.
const EXTEND_AFTER_DIVISOR: u64 = 3;

/// A delivery.
pub(super) struct Hand<E: Env, W> {
    pub(super) client: Client<E>,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) receipt: (MessageId, Receipt),
    pub(super) counts: Arc<watch::Sender<ConsumerCounts>>,
    pub(super) watch: Arc<W>,
    /// Until when, by this process's clock, the lease is believed in.
    pub(super) believed_until: AtomicU64,
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

impl<E: Env, W: ConsumerWatch> Hand<E, W> {
    /// Runs the handler under a lease that was asked for at `asked_at`, and says what comes of it.
    pub(super) async fn hold(self, handled: impl Future<Output = Result<(), Retry>>, asked_at: LocalTime) {
        if plant::is(Bug::ConsumerAcknowledgesFirst) {
            let _ = self.acknowledge().await;
        }
        let lost = async {
            self.keep(asked_at).await;
            if plant::is(Bug::ConsumerOutlivesLease) {
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            biased;
            () = lost => None,
            result = handled => Some(result),
        };
        let ended_at = self.client.env.now();
        let believed_until = LocalTime(self.believed_until.load(Ordering::Relaxed));
        self.watch
            .handled(self.receipt, HandlerEnd { is_finished: result.is_some(), ended_at, believed_until });
        let how = match result {
            Some(result) => self.settled(result).await,
            None => {
                marks::hit("client.consumer_lost_a_delivery");
                ConsumerSettled::Lost
            }
        };
        self.count(|counts| match how {
            ConsumerSettled::Acknowledged => counts.acknowledged += 1,
            ConsumerSettled::Rejected => counts.rejected += 1,
            ConsumerSettled::Lost => counts.lost += 1,
            ConsumerSettled::Unsettled => counts.unsettled += 1,
        });
        self.watch.settled(self.receipt, how);
    }

    async fn settled(&self, result: Result<(), Retry>) -> ConsumerSettled {
        match self.settle(result).await {
            Word::Taken(()) if result.is_ok() => ConsumerSettled::Acknowledged,
            Word::Taken(()) => ConsumerSettled::Rejected,
            Word::Over => ConsumerSettled::Lost,
            Word::Unknown | Word::NotDone => ConsumerSettled::Unsettled,
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
            self.believed_until.store(end.0, Ordering::Relaxed);
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
            let (id, receipt) = self.receipt;
            match self.in_session(ConsumerAsk::Extend(id, receipt), extension).await {
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
        let (id, receipt) = self.receipt;
        let acknowledged = async {
            let results = self.client.acknowledge(&self.config.topic, vec![self.receipt]).await?;
            match results.as_slice() {
                [Acknowledgement::Done] => Ok(()),
                _ => Err(ClientError::Refused(MachineError::Queue(QueueError::StaleReceipt))),
            }
        };
        self.in_session(ConsumerAsk::Acknowledge(id, receipt), acknowledged).await
    }

    async fn reject(&self, delay_us: u64) -> Word<()> {
        let ((id, receipt), delay_us) = (self.receipt, delay_us.min(DELAY_US_MAX));
        let rejected = async {
            let _is_dead = self.client.reject(&self.config.topic, self.receipt, delay_us).await?;
            Ok(())
        };
        self.in_session(ConsumerAsk::Reject(id, receipt, delay_us), rejected).await
    }

    /// Does something in the client's session, or in a new one if that is lost.
    async fn in_session<T>(
        &self,
        ask: ConsumerAsk,
        operation: impl Future<Output = Result<T, ClientError>>,
    ) -> Word<T> {
        if self.client.ensure_session().await.is_err() {
            return Word::NotDone;
        }
        let asked = self.watch.asks(ask);
        let (word, told) = match operation.await {
            Ok(done) => (Word::Taken(done), None),
            Err(error) if is_over(&error) => (Word::Over, None),
            Err(error) if error.is_definite() => (Word::NotDone, Some(error)),
            Err(error) => (Word::Unknown, Some(error)),
        };
        let told = match (&word, &told) {
            (_, Some(error)) => ConsumerTold::Failed(error),
            (Word::Over, None) => ConsumerTold::Over,
            (_, None) => ConsumerTold::Done,
        };
        self.watch.told(asked, told);
        word
    }
}

/// Whether an error says that the delivery is over.
fn is_over(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused(MachineError::Queue(
            QueueError::StaleReceipt | QueueError::UnknownMessage | QueueError::UnknownTopic,
        ))
    )
}
