//! Our client library as the service that workloads speak to.

use std::sync::Mutex;

use bytes::Bytes;
use stormglass_nodes::client::{Client, ClientConfig, ClientError, LockGuard, ReadFrom};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{ClientId, FenceToken, NodeId};
use stormglass_nodes::machine::{LockMode, MachineError, Versioned};

use crate::history::{Answer, Call, Outcome, VirtualTime};
use crate::nemesis::Process;
use crate::plan::{ReadsAt, Schedule};
use crate::workload::Service;
use crate::world::{SimEnv, World};

/// One simulated client process's access to our cluster.
pub(super) struct NodesService {
    world: World,
    process: Process,
    env: SimEnv,
    client: Client<SimEnv>,
    /// The lock that was granted last and not given back.
    guard: Mutex<Option<LockGuard>>,
    /// The lock that was given up last, which a late release may still name.
    given_up: Mutex<Option<LockGuard>>,
}

impl NodesService {
    pub(super) fn start(world: World, number: u64, env: SimEnv, schedule: &Schedule) -> Self {
        let nodes = (1..=schedule.cluster.nodes_in_all()).map(NodeId).collect();
        let mut config = ClientConfig::new(ClientId(number), nodes);
        config.operation_timeout_us = schedule.workload.timeout_ms * 1_000;
        config.lease_us = schedule.workload.lease_ms * 1_000;
        config.drift_ppm_max = schedule.clocks.drift_ppm_max;
        config.read_from = match schedule.reads.at {
            ReadsAt::Leader => ReadFrom::Leader,
            ReadsAt::Any => ReadFrom::Node(((number - 1) % schedule.cluster.nodes) as usize),
        };
        let client = Client::start(env.clone(), config);
        Self {
            world,
            process: Process::Client(number),
            env,
            client,
            guard: Mutex::default(),
            given_up: Mutex::default(),
        }
    }

    fn guard(&self) -> std::sync::MutexGuard<'_, Option<LockGuard>> {
        self.guard.lock().expect("no holder of this lock panics")
    }

    fn given_up(&self) -> std::sync::MutexGuard<'_, Option<LockGuard>> {
        self.given_up.lock().expect("no holder of this lock panics")
    }

    async fn acquire(&self, resource: &str, exclusive: bool, wait_us: u64) -> Result<Answer, ClientError> {
        let mode = if exclusive { LockMode::Exclusive } else { LockMode::Shared };
        match self.client.acquire(resource, mode, wait_us).await {
            Ok(guard) => {
                let token = guard.token.0;
                *self.guard() = Some(guard);
                Ok(Answer::Granted { token })
            }
            Err(ClientError::Refused(MachineError::LockTimeout)) => Ok(Answer::NotGranted),
            Err(error) => Err(error),
        }
    }

    async fn release(&self, token: u64) -> Result<Answer, ClientError> {
        let named = |guard: &LockGuard| guard.token == FenceToken(token);
        let guard = self.guard().take().filter(named).or_else(|| self.given_up().take().filter(named));
        let guard = guard.ok_or(ClientError::NotDone("the client does not hold this lock"))?;
        match self.client.release(&guard).await {
            Ok(()) => Ok(Answer::Released),
            Err(ClientError::Refused(MachineError::LockNotHeld)) => Ok(Answer::NotHeld),
            Err(error) => Err(error),
        }
    }
}

impl Service for NodesService {
    fn now(&self) -> VirtualTime {
        self.world.now()
    }

    async fn sleep_us(&self, us: u64) {
        self.env.sleep_until(self.env.now().plus_us(us)).await;
    }

    async fn prepare(&self) -> bool {
        self.client.has_session() || self.client.open_session().await.is_ok()
    }

    async fn call(&self, call: &Call) -> Outcome {
        let result = match call {
            Call::Get { key } => self.client.get(key).await.map(|found| {
                let (value, version) = split(found);
                Answer::Value { value, version }
            }),
            Call::Set { key, value } => self
                .client
                .set(key, encode(*value))
                .await
                .map(|version| Answer::Written { version: version.0 }),
            Call::CompareAndSet { key, expected, value } => {
                let done = self.client.compare_and_set(key, expected.map(encode), encode(*value)).await;
                done.map(|done| match done {
                    Ok(version) => Answer::Written { version: version.0 },
                    Err(found) => {
                        let (value, version) = split(found);
                        Answer::Mismatch { value, version }
                    }
                })
            }
            Call::Delete { key } => self
                .client
                .delete(key)
                .await
                .map(|(existed, version)| Answer::Deleted { existed, version: version.0 }),
            Call::Acquire { resource, exclusive, wait_us } => {
                self.acquire(resource, *exclusive, *wait_us).await
            }
            Call::Release { token, .. } => self.release(*token).await,
        };
        match result {
            Ok(answer) => Outcome::Ok { answer },
            Err(error) if error.is_definite() => Outcome::Fail { reason: error.to_string() },
            Err(error) => Outcome::Unknown { reason: error.to_string() },
        }
    }

    fn belief_ends(&self) -> Option<VirtualTime> {
        let local = self.client.belief_ends(self.guard().as_ref()?)?;
        Some(self.world.true_time_of(self.process, local))
    }

    async fn abandon(&self) {
        let guard = self.guard().take();
        *self.given_up() = guard;
        self.client.close_session().await;
    }
}

fn encode(value: u64) -> Bytes {
    Bytes::copy_from_slice(&value.to_le_bytes())
}

/// A value that nobody wrote is reported as one that nobody wrote.
fn split(found: Option<Versioned>) -> (Option<u64>, Option<u64>) {
    let Some(Versioned { value, version }) = found else { return (None, None) };
    let number = <[u8; 8]>::try_from(value.as_ref()).map_or(u64::MAX, u64::from_le_bytes);
    (Some(number), Some(version.0))
}
