//! What clients do: generators of operations, and the loop that carries them out and records them.
//!
//! A workload speaks to a [`Service`], not to our nodes: whoever hosts another program in the world gives
//! its client that trait and gets the same operations, the same record and the same checks.
//!
//! Everything a client does derives from its stream `client/N`, its answers, and time. It records what it
//! knows, when it knows it: an operation is invoked before anything is sent and completed after the answer
//! is in.

mod cache;
mod guarded;
mod lock;
mod looped;
mod names;
mod onlooker;
mod queue;
mod register;
mod service;
mod several;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::RngExt;

pub use looped::{About, LoopCounts, LoopRecord, LoopTerms, Work};
pub use service::Service;

use crate::history::{Asker, Call, History, Hold, Listener, Outcome, Recorder, VirtualTime, WITHDRAWN};
use crate::plan::{WorkloadKind, WorkloadSpec};
use crate::rng::StreamRng;
use names::Numbers;

/// Pause after a failed attempt to get ready, in microseconds of the client's clock.
const PREPARE_AGAIN_US: u64 = 50_000;
/// Names of the topics of producers and consumers, before a number.
const TOPICS: &str = "topic";
/// Names of the topics whose consumers a lock guards, before a number.
const GUARDED_TOPICS: &str = "work";

/// The reason given for an operation whose client was killed.
const KILLED: &str = "its client was killed";

/// The record that all clients of a run share.
#[derive(Clone, Debug, Default)]
pub struct Record {
    recorder: Arc<Mutex<Recorder>>,
    /// Clients with topics that have not done their work yet. The last of them empties the topics.
    at_topics: Arc<AtomicU64>,
}

impl Record {
    /// What was recorded so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.with(|recorder| recorder.history().clone())
    }

    /// Tells `listener` of every operation from now on.
    pub fn tell(&self, listener: Box<dyn Listener>) {
        self.with(|recorder| recorder.tell(listener));
    }

    /// Whoever asked under this number is dead: what it has open is of unknown outcome for ever.
    pub fn bury(&self, asker: Asker, at: VirtualTime) {
        self.leave_unknown(asker.number(), KILLED, &|| at);
    }

    /// Whoever asked under this number has no use for the answer any more.
    fn withdraw(&self, number: u64, now: &dyn Fn() -> VirtualTime) {
        self.leave_unknown(number, WITHDRAWN, now);
    }

    fn leave_unknown(&self, number: u64, reason: &str, now: &dyn Fn() -> VirtualTime) {
        self.with(|recorder| {
            if let Some(id) = recorder.open_operation(number) {
                recorder.complete(id, Outcome::Unknown { reason: reason.to_owned() }, now());
            }
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut Recorder) -> T) -> T {
        f(&mut self.recorder.lock().expect("no holder of this lock panics"))
    }
}

/// Somebody who is not done with the topics yet, and is counted as long as it lives.
#[derive(Debug)]
struct AtTopics(Arc<AtomicU64>);

impl AtTopics {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for AtTopics {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One client at work.
#[derive(Debug)]
pub struct Worker<S> {
    client: u64,
    service: S,
    spec: WorkloadSpec,
    rng: StreamRng,
    record: Record,
    until: VirtualTime,
    numbers: Numbers,
    kind: WorkloadKind,
    /// Whether it is one that makes what others use up.
    produces: bool,
    /// That it is at work on topics, if it is.
    at_topics: Option<AtTopics>,
}

/// What a client knows from one operation to the next.
#[derive(Debug, Default)]
struct Memory {
    registers: register::Registers,
    learnt: cache::Learnt,
    producer: queue::Producer,
    watched: onlooker::Watched,
}

impl<S: Service> Worker<S> {
    /// One who asks in the name of a client, whose draws come from `rng`, a stream of its own. It begins nothing
    /// from `until` on. All clients of a run are made before the first of them is done.
    #[must_use]
    pub fn new(
        asker: Asker,
        service: S,
        spec: WorkloadSpec,
        rng: StreamRng,
        record: Record,
        until: VirtualTime,
    ) -> Self {
        let turns = spec.turns();
        let turn = asker.client.saturating_sub(1);
        let kind = turns[(turn % turns.len() as u64) as usize];
        let produces = (turn / turns.len() as u64).is_multiple_of(2);
        let at_topics = topics(kind).map(|_| AtTopics::new(&record.at_topics));
        let numbers = Numbers::new(spec.keys_before, spec.keys, spec.skew);
        Self { client: asker.number(), service, spec, rng, record, until, numbers, kind, produces, at_topics }
    }

    /// Works until the time is over and nothing is open any more.
    pub async fn work(mut self) {
        let mut memory = Memory::default();
        self.declare().await;
        while self.service.now() < self.until {
            if !self.service.prepare().await {
                self.service.sleep_us(PREPARE_AGAIN_US).await;
                continue;
            }
            if !self.is_consumer() {
                self.pace().await;
            }
            if self.service.now() >= self.until {
                break;
            }
            self.one_turn(&mut memory).await;
        }
        let was_at_topics = self.at_topics.take().is_some();
        if was_at_topics && self.record.at_topics.load(Ordering::Relaxed) == 0 {
            self.drain_all().await;
        }
    }

    /// Makes what all clients of its kind use.
    async fn declare(&mut self) {
        if self.kind == WorkloadKind::Semaphore {
            self.declare_semaphores().await;
        }
        if let Some(entries_max) = self.spec.cache.entries_max.filter(|_| self.kind == WorkloadKind::Cache) {
            self.until_declared(Call::CacheConfigure { entries_max }).await;
        }
        if let Some(prefix) = topics(self.kind) {
            self.declare_topics(prefix).await;
        }
    }

    async fn one_turn(&mut self, memory: &mut Memory) {
        let looks_on = self.kind == WorkloadKind::Lock && self.looks_on();
        match self.kind {
            WorkloadKind::Lock if looks_on => self.look_on(&mut memory.watched).await,
            WorkloadKind::Lock if self.asks_for_several() => self.several_locks_cycle().await,
            WorkloadKind::Lock => self.lock_cycle().await,
            WorkloadKind::Semaphore => self.semaphore_cycle().await,
            WorkloadKind::Cache => self.cache_operation(&mut memory.learnt).await,
            WorkloadKind::Queue if !self.produces => self.consume().await,
            WorkloadKind::Guarded if !self.produces => self.guarded_cycle().await,
            WorkloadKind::Queue => self.produce(&mut memory.producer, TOPICS).await,
            WorkloadKind::Guarded => self.produce(&mut memory.producer, GUARDED_TOPICS).await,
            // `mixed` has been resolved.
            WorkloadKind::Register | WorkloadKind::Mixed => {
                self.register_operation(&mut memory.registers).await;
            }
        }
    }

    /// Empties all topics of the run, whatever its own part was.
    async fn drain_all(&mut self) {
        let mut prefixes: Vec<&str> = self.spec.turns().iter().filter_map(|kind| topics(*kind)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        for prefix in prefixes {
            self.drain(prefix).await;
        }
    }

    /// A consumer is paced by what there is to consume.
    fn is_consumer(&self) -> bool {
        self.kind == WorkloadKind::Queue && !self.produces
    }

    fn asks_for_several(&self) -> bool {
        let locks = &self.spec.locks;
        locks.resources_max > 1 || locks.upgrade > 0.0 || locks.nested > 0.0
    }

    /// Asks until the answer is in or the time is over.
    async fn until_declared(&mut self, call: Call) {
        while self.service.now() < self.until {
            if self.service.prepare().await && matches!(self.call(call.clone()).await.1, Outcome::Ok { .. }) {
                return;
            }
            self.service.sleep_us(PREPARE_AGAIN_US).await;
        }
    }

    /// Waits between two operations: evenly from none to twice the mean, or as long as it thinks.
    async fn pace(&mut self) {
        let pause_us = match self.spec.think_ms {
            Some(think) => think.draw_us(&mut self.rng),
            None => {
                let mean_us = (1e6 / self.spec.rate_per_client_hz) as u64;
                self.rng.random_range(0..=mean_us.saturating_mul(2))
            }
        };
        self.service.sleep_us(pause_us).await;
    }

    /// Carries out one operation and records it.
    async fn call(&mut self, call: Call) -> (u64, Outcome) {
        // The clock is read with the record in hand: where clients run at the same time, what is recorded later
        // must not bear an earlier time. It can only make an operation seem longer than it was.
        let (client, service) = (self.client, &self.service);
        let id = self.record.with(|recorder| recorder.invoke(client, call.clone(), service.now()));
        let outcome = service.call(&call).await;
        self.record.with(|recorder| recorder.complete(id, outcome.clone(), service.now()));
        (id, outcome)
    }

    /// When an operation was answered, as it is recorded: no later than now, and a little earlier on a real clock.
    fn answered_at(&self, operation: u64) -> Option<VirtualTime> {
        self.record.with(|recorder| recorder.returned_at(operation))
    }

    fn record_hold(&self, hold: Hold) {
        self.record.with(|recorder| recorder.hold(hold));
    }

    /// Whether something is done that is done with this share. Draws nothing for what is never done.
    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }

    fn pick(&mut self, prefix: &str) -> String {
        format!("{prefix}-{}", self.numbers.draw(&mut self.rng))
    }
}

/// What the topics of clients of this kind are called, if they have any.
const fn topics(kind: WorkloadKind) -> Option<&'static str> {
    match kind {
        WorkloadKind::Queue => Some(TOPICS),
        WorkloadKind::Guarded => Some(GUARDED_TOPICS),
        _ => None,
    }
}
