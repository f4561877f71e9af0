//! A consumer of a topic: the loop that takes messages, has them handled and says what became of them.
//!
//! What it promises:
//! * At most [`ConsumerConfig::concurrency_max`] messages are in hand at a time, and no more are asked for than
//!   can be handled at once.
//! * While a handler runs, the lease of its delivery is extended ahead of its end. Leases are counted by this
//!   process's clock from the moment at which the request that began or renewed them was *sent*, less the
//!   drift between two clocks. A handler whose lease is over, by that count or by the cluster's word, is
//!   dropped where it awaits: the message has gone to somebody else, or may go at any moment.
//! * A handler's `Ok` acknowledges, its `Err` gives the message back after a delay. Both are tried again while
//!   their outcome is unknown; the receipt sees to it that neither can harm a later delivery.
//! * Leases do not end with the session. When the session is lost, the consumer goes on in a new one: what is in
//!   hand stays in hand and is extended and settled under the same receipts. Locks that the client held in the
//!   lost session are lost.
//! * [`Consumer::stop`] is graceful: no further message is asked for, those that the poll under way still brings are
//!   handled like the others, and it returns when nothing is in hand any more.
//!
//! Every message is delivered at least once and may be delivered again after its handler's work was done,
//! when the acknowledgement did not come through in time: handlers are idempotent, or know what they did.
//!
//! Deliberately absent: threads. Handlers are tasks of the environment and do not block.

mod hand;
mod watch;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Semaphore, oneshot, watch as latest};

pub use watch::{ConsumerAsk, ConsumerSettled, ConsumerTold, ConsumerWatch, HandlerEnd};

use super::{Client, ClientError};
use crate::env::Env;
use crate::ids::LocalTime;
use crate::machine::{BATCH_MAX, Delivery, VISIBILITY_US_MAX, VISIBILITY_US_MIN, WAIT_US_MAX};
use crate::marks;
use hand::Hand;

/// Pause after a failure, at most: drawn evenly from half of this up to this.
const FAILURE_PAUSE_US: u64 = 100_000;

/// How a consumer goes about it. Times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The topic.
    pub topic: String,
    /// Messages in hand at a time: 1 to [`BATCH_MAX`]. Default 1.
    pub concurrency_max: u32,
    /// The lease of a delivery and of each extension: for so long nobody else gets the message should this
    /// process die. [`VISIBILITY_US_MIN`] to [`VISIBILITY_US_MAX`]; default 30 s.
    pub visibility_us: u64,
    /// How long one question for messages waits for some, and so how long a stop may wait for it. Up to half
    /// of `visibility_us`, since the lease is counted from the question; default 5 s.
    pub poll_us: u64,
}

impl ConsumerConfig {
    /// The defaults for a topic.
    #[must_use]
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), concurrency_max: 1, visibility_us: 30_000_000, poll_us: 5_000_000 }
    }

    fn check(&self) {
        let is_within = |max: usize| (1..=max).contains(&(self.concurrency_max as usize));
        assert!(is_within(BATCH_MAX), "a consumer has 1 to {BATCH_MAX} messages in hand");
        let visibility = VISIBILITY_US_MIN..=VISIBILITY_US_MAX;
        assert!(visibility.contains(&self.visibility_us), "the lease is {visibility:?} us long");
        let poll_us_max = WAIT_US_MAX.min(self.visibility_us / 2);
        assert!(self.poll_us <= poll_us_max, "a poll waits for at most {poll_us_max} us");
    }
}

/// What a handler says of a message that is to be delivered again, unless that was its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// For how long it is held back, in microseconds; no longer than [`DELAY_US_MAX`](crate::machine::DELAY_US_MAX).
    pub delay_us: u64,
}

/// What has become of the messages that a consumer was given. What is in hand, or was when a handler panicked, is
/// `delivered` less all the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCounts {
    /// Deliveries.
    pub delivered: u64,
    /// Handled and acknowledged.
    pub acknowledged: u64,
    /// Given back by the handler.
    pub rejected: u64,
    /// The lease was over before that could be done.
    pub lost: u64,
    /// Handled, but nobody said whether the acknowledgement or rejection came through. The message is
    /// delivered again if it did not.
    pub unsettled: u64,
    /// Leases extended.
    pub extended: u64,
    /// Questions for messages that failed.
    pub polls_failed: u64,
}

/// A consumer that runs. If it is dropped, it stops as by [`Consumer::stop`], in the background.
#[derive(Debug)]
pub struct Consumer {
    stop: latest::Sender<bool>,
    ended: oneshot::Receiver<()>,
    counts: Arc<latest::Sender<ConsumerCounts>>,
}

impl Consumer {
    /// Starts to consume: `handle` is called for each message, up to [`ConsumerConfig::concurrency_max`] times at a time.
    /// Opens a session if the client has none.
    ///
    /// # Panics
    /// If a bound of the configuration is broken.
    pub fn start<E, H, F>(client: Client<E>, config: ConsumerConfig, handle: H) -> Self
    where
        E: Env,
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Retry>> + Send + 'static,
    {
        Self::start_watched(client, config, (), handle)
    }

    /// The same, and tells somebody what it does.
    ///
    /// # Panics
    /// If a bound of the configuration is broken.
    pub fn start_watched<E, W, H, F>(client: Client<E>, config: ConsumerConfig, watch: W, handle: H) -> Self
    where
        E: Env,
        W: ConsumerWatch,
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Retry>> + Send + 'static,
    {
        config.check();
        let (stop, stopping) = latest::channel(false);
        let (end, ended) = oneshot::channel();
        let counts = Arc::new(latest::Sender::new(ConsumerCounts::default()));
        let env = client.env.clone();
        let (config, watch) = (Arc::new(config), Arc::new(watch));
        let works = Works { client, config, handle, watch, counts: Arc::clone(&counts) };
        env.spawn("consumer", async move {
            works.consume(stopping).await;
            // Nobody may wait for it.
            let _ = end.send(());
        });
        Self { stop, ended, counts }
    }

    /// What has become of the messages so far.
    #[must_use]
    pub fn counts(&self) -> ConsumerCounts {
        *self.counts.borrow()
    }

    /// Asks for no more messages and returns when nothing is in hand any more: after the poll under way, at most
    /// [`ConsumerConfig::poll_us`] and an operation's timeout, and as long as the handlers take.
    pub async fn stop(self) -> ConsumerCounts {
        self.stop.send_replace(true);
        // An error says that the process is ending, and the consumer with it.
        let _ = self.ended.await;
        *self.counts.borrow()
    }
}

/// The loop's side of a consumer.
struct Works<E: Env, W, H> {
    client: Client<E>,
    config: Arc<ConsumerConfig>,
    handle: H,
    watch: Arc<W>,
    counts: Arc<latest::Sender<ConsumerCounts>>,
}

impl<E, W, H, F> Works<E, W, H>
where
    E: Env,
    W: ConsumerWatch,
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Retry>> + Send + 'static,
{
    async fn consume(self, mut stopping: latest::Receiver<bool>) {
        let hands = Arc::new(Semaphore::new(self.config.concurrency_max as usize));
        loop {
            let hand = tokio::select! {
                biased;
                _ = stopping.wait_for(|&is_stopping| is_stopping) => break,
                hand = Arc::clone(&hands).acquire_owned() => hand.expect("the semaphore is never closed"),
            };
            // Only this loop takes, so there are no fewer later.
            let free = 1 + hands.available_permits();
            match self.poll(free as u32, &stopping).await {
                Ok((deliveries, asked_at)) => {
                    drop(hand);
                    for delivery in deliveries.into_iter().take(free) {
                        let hand = Arc::clone(&hands).try_acquire_owned().expect("as many are free");
                        let work = self.take_in_hand(delivery, asked_at);
                        self.client.env.spawn("handler", async move {
                            work.await;
                            drop(hand);
                        });
                    }
                }
                Err(error) => {
                    marks::hit("client.consumer_poll_failed");
                    tracing::warn!(topic = self.config.topic, %error, "no messages could be asked for");
                    self.counts.send_modify(|counts| counts.polls_failed += 1);
                    drop(hand);
                    tokio::select! {
                        biased;
                        _ = stopping.wait_for(|&is_stopping| is_stopping) => break,
                        () = pause(&self.client) => {}
                    }
                }
            }
        }
        drop(hands.acquire_many(self.config.concurrency_max).await);
    }

    /// Messages, and when they were asked for.
    async fn poll(
        &self,
        count_max: u32,
        stopping: &latest::Receiver<bool>,
    ) -> Result<(Vec<Delivery>, LocalTime), ClientError> {
        self.client.ensure_session().await?;
        let asked_at = self.client.env.now();
        if *stopping.borrow() {
            return Ok((Vec::new(), asked_at));
        }
        let ConsumerConfig { topic, visibility_us, poll_us, .. } = &*self.config;
        let asked = self.watch.asks(ConsumerAsk::Messages(count_max));
        let deliveries = self.client.dequeue(topic, count_max, *visibility_us, *poll_us).await;
        let told = match &deliveries {
            Ok(deliveries) => ConsumerTold::Messages(deliveries),
            Err(error) => ConsumerTold::Failed(error),
        };
        self.watch.told(asked, told);
        Ok((deliveries?, asked_at))
    }

    /// Begins to handle a delivery; the rest is for a task of its own.
    fn take_in_hand(
        &self,
        delivery: Delivery,
        asked_at: LocalTime,
    ) -> impl Future<Output = ()> + Send + use<E, W, H, F> {
        self.counts.send_modify(|counts| counts.delivered += 1);
        let hand = Hand {
            client: self.client.clone(),
            config: Arc::clone(&self.config),
            receipt: (delivery.id, delivery.receipt),
            counts: Arc::clone(&self.counts),
            watch: Arc::clone(&self.watch),
            believed_until: AtomicU64::new(asked_at.0),
        };
        let handled = (self.handle)(delivery);
        hand.hold(handled, asked_at)
    }
}

/// A pause after a failure, of a length that differs from others'.
async fn pause<E: Env>(client: &Client<E>) {
    let pause_us = FAILURE_PAUSE_US / 2 + client.env.entropy() % (FAILURE_PAUSE_US / 2 + 1);
    client.env.sleep_until(client.env.now().plus_us(pause_us)).await;
}
