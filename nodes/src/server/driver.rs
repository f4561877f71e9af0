//! The loop of a node: wait, step, obey.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::replica::Replica;
use super::{NodeConfig, NodeError, Probe};
use crate::env::{Env, Net};
use crate::plant::{self, Bug};
use crate::raft::{StoreRequest, StoreToken};
use crate::storage::{LogStore, StorageError, Store};

/// Writes on their way to the storage task: the core asks for one at a time.
const STORE_QUEUE: usize = 1;

/// Snapshots on their way back: one is taken at a time.
const SNAPSHOT_QUEUE: usize = 1;

/// Runs a node until it fails or its process ends.
///
/// # Errors
/// When the node's folder or Redis cannot be opened or belongs to another node, or a write fails.
pub async fn run<E: Env, P: Probe>(env: E, config: NodeConfig, probe: P) -> Result<Infallible, NodeError> {
    match run_until(env, config, probe, std::future::pending::<()>()).await {
        Ok(()) => unreachable!("a node that is never asked to stop does not"),
        Err(error) => Err(error),
    }
}

/// Runs a node until it fails or `stop` is ready; then it hands over its leadership, if it has one, and
/// returns. That takes an election timeout at most.
///
/// # Errors
/// As of [`run`].
pub async fn run_until<E: Env, P: Probe>(
    env: E,
    config: NodeConfig,
    probe: P,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), NodeError> {
    let mut stop = std::pin::pin!(stop);
    let choice = config.storage();
    let (store, recovered) = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        opened = Store::open(&env, config.identity, &choice, &config.storage_status) => opened?,
    };
    let (requests, request_queue) = mpsc::channel(STORE_QUEUE);
    let (completions, mut completion_queue) = mpsc::channel(STORE_QUEUE);
    let (snapshot_done, mut snapshots) = mpsc::channel(SNAPSHOT_QUEUE);
    env.spawn("storage", store_in_order(store, request_queue, completions));

    let mut replica = Replica::new(env.clone(), probe, &config, recovered)?;
    config.storage_status.taken_up();
    let mut is_stopping = false;
    let mut timer_deadline = replica.deadline();
    let mut timer = Box::pin(env.sleep_until(timer_deadline));
    loop {
        // What the log itself proves to be committed is applied before anything arrives.
        if let Some(request) = replica.obey() {
            requests.send(request).await.map_err(|_| NodeError::StorageTaskEnded)?;
        }
        if let Some(error) = replica.take_failure() {
            return Err(error);
        }
        if is_stopping && !replica.is_handing_over() {
            return Ok(());
        }
        if let Some(job) = replica.snapshot_due() {
            env.spawn("snapshot", super::snapshots::take(job, snapshot_done.clone()));
        }
        // An earlier wake-up than needed does no harm; a new timer for each turn would cost.
        let deadline = replica.deadline();
        if deadline < timer_deadline || timer_deadline <= env.now() {
            timer_deadline = deadline;
            timer.set(env.sleep_until(timer_deadline));
        }
        if plant::is(Bug::UnorderedSelect) {
            super::unordered::maybe_a_frame_first(&env, &mut replica).await;
        }
        tokio::select! {
            biased;
            completion = completion_queue.recv() => match completion {
                Some(result) => replica.on_stored(result?),
                None => return Err(NodeError::StorageTaskEnded),
            },
            Some(snapshot) = snapshots.recv() => replica.on_snapshot(snapshot),
            () = &mut stop, if !is_stopping => {
                is_stopping = true;
                replica.hand_over();
            }
            (from, frame) = env.net().receive() => {
                replica.on_frame(from, &frame);
                // What else has arrived shares this turn's write and messages.
                for _ in 1..config.frames_per_turn_max {
                    let Some((from, frame)) = env.net().receive().now_or_never() else { break };
                    replica.on_frame(from, &frame);
                }
            }
            () = &mut timer => {}
        }
        replica.on_time();
    }
}

/// Makes one request after another durable; ends after the first that fails.
async fn store_in_order<S: LogStore>(
    mut store: S,
    mut requests: mpsc::Receiver<Arc<StoreRequest>>,
    completions: mpsc::Sender<Result<StoreToken, StorageError>>,
) {
    let mut kept = None;
    while let Some(request) = requests.recv().await {
        let token = request.token;
        let due = if plant::is(Bug::WriteKeptInMemory) { kept.replace(request) } else { Some(request) };
        let result = match due {
            Some(due) => store.store(&due).await.map(|()| token),
            None => Ok(token),
        };
        let failed = result.is_err();
        if completions.send(result).await.is_err() || failed {
            return;
        }
    }
}
