//! Our client library as the service that workloads speak to.

mod cache;
mod locks;
mod looped;
mod queue;
mod true_time;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use stormglass_nodes::client::{Client, ClientConfig, ClientError, LockGuard, ReadFrom};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{ClientId, MessageId, NodeId, Receipt, SessionId};

use crate::history::{Answer, Call, Delivery, Outcome, VirtualTime};
use crate::plan::{ReadsAt, Schedule};
use crate::workload::{LoopCounts, LoopRecord, Service, Work};

pub(super) use true_time::{ProcessTime, TrueTime};

/// One client process's access to our cluster, simulated or real.
pub(super) struct NodesService<E: Env, T> {
    time: T,
    env: E,
    client: Client<E>,
    /// The node that near reads go to, by its place among all.
    near: usize,
    memory: Mutex<Memory>,
}

/// What the process remembers; gone if it dies.
#[derive(Debug, Default)]
struct Memory {
    session: SessionId,
    /// Locks granted and not given back, by resource and token.
    held: BTreeMap<(String, u64), LockGuard>,
    /// Locks given up last, which a late release may still name.
    given_up: BTreeMap<(String, u64), LockGuard>,
    /// Deliveries not dealt with, by topic, message and receipt.
    receipts: BTreeMap<(String, u64, u64), (MessageId, Receipt)>,
}

impl<E: Env, T: TrueTime> NodesService<E, T> {
    pub(super) fn start(time: T, number: u64, env: E, schedule: &Schedule) -> Self {
        let nodes = (1..=schedule.cluster.nodes_in_all()).map(NodeId).collect();
        let mut config = ClientConfig::new(ClientId(number), nodes);
        config.operation_timeout_us = schedule.workload.timeout_ms * 1_000;
        config.lease_us = schedule.workload.lease_ms * 1_000;
        config.drift_ppm_max = schedule.clocks.drift_ppm_max;
        let own = ((number - 1) % schedule.cluster.nodes) as usize;
        config.read_from = match schedule.reads.at {
            ReadsAt::Leader => ReadFrom::Leader,
            ReadsAt::Any => ReadFrom::Node(own),
            ReadsAt::Near => ReadFrom::Near(own),
        };
        // Whoever reads some keys near has its writes go by there as well.
        config.writes_near = (schedule.workload.cache.near > 0.0).then_some(own);
        let client = Client::start(env.clone(), config);
        Self { time, env, client, near: own, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no holder of this lock panics")
    }

    async fn answer(&self, call: &Call) -> Result<Answer, ClientError> {
        match call {
            Call::Get { .. } | Call::Set { .. } | Call::CompareAndSet { .. } | Call::Delete { .. } => {
                self.register(call).await
            }
            Call::CacheGet { .. }
            | Call::CacheGetWithin { .. }
            | Call::CacheConfigure { .. }
            | Call::CacheSet { .. }
            | Call::CacheSetIfAbsent { .. }
            | Call::CacheCompareAndSet { .. }
            | Call::CacheDelete { .. }
            | Call::CacheIncrement { .. } => self.cache(call).await,
            Call::Acquire { .. }
            | Call::Release { .. }
            | Call::DeclareSemaphore { .. }
            | Call::AcquireAll { .. }
            | Call::Upgrade { .. }
            | Call::Downgrade { .. }
            | Call::LockState { .. }
            | Call::WatchLock { .. }
            | Call::CheckToken { .. }
            | Call::ForceRelease { .. }
            | Call::ReleaseAll { .. } => self.lock(call).await,
            Call::DeclareTopic { .. }
            | Call::Enqueue { .. }
            | Call::Dequeue { .. }
            | Call::Acknowledge { .. }
            | Call::Reject { .. }
            | Call::Extend { .. }
            | Call::TopicStats { .. } => self.topic(call).await,
            Call::Handle { .. } | Call::StopConsumer { .. } => {
                Err(ClientError::NotDone("this is the work of a consumer loop"))
            }
        }
    }
}

/// What an operation came to, as histories have it.
fn outcome_of(result: Result<Answer, ClientError>) -> Outcome {
    match result {
        Ok(answer) => Outcome::Ok { answer },
        Err(error) if error.is_definite() => Outcome::Fail { reason: error.to_string() },
        Err(error) => Outcome::Unknown { reason: error.to_string() },
    }
}

impl<E: Env, T: TrueTime> Service for NodesService<E, T> {
    fn now(&self) -> VirtualTime {
        self.time.now()
    }

    async fn sleep_us(&self, us: u64) {
        self.env.sleep_until(self.env.now().plus_us(us)).await;
    }

    async fn prepare(&self) -> bool {
        if self.client.has_session() {
            return true;
        }
        let opened = self.client.ensure_session().await;
        if let Ok(session) = opened {
            self.memory().session = session;
        }
        opened.is_ok()
    }

    fn session(&self) -> u64 {
        self.memory().session.0
    }

    async fn call(&self, call: &Call) -> Outcome {
        outcome_of(self.answer(call).await)
    }

    async fn consume(
        &self,
        looped: LoopRecord,
        plan: impl FnMut(&Delivery) -> Work + Send + 'static,
        stop: impl Future<Output = ()> + Send,
    ) -> Option<LoopCounts> {
        Some(self.run_loop(looped, plan, stop).await)
    }

    fn belief_ends(&self, resource: &str, token: u64) -> Option<VirtualTime> {
        let guard = self.memory().held.get(&(resource.to_owned(), token)).cloned()?;
        let local = self.client.belief_ends(&guard)?;
        Some(self.time.of(local))
    }

    async fn abandon(&self) {
        {
            let mut memory = self.memory();
            memory.given_up = std::mem::take(&mut memory.held);
        }
        self.client.close_session().await;
    }

    /// The next process begins with a session of its own; that of the one that died is left to expire.
    async fn crash(&self) {
        *self.memory() = Memory::default();
        if let Ok(session) = self.client.open_session().await {
            self.memory().session = session;
        }
    }
}
