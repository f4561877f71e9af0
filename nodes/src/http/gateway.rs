//! The way from HTTP into the cluster.
//!
//! A gateway lives in a node's process and is a client of the cluster like any other: it asks its own node first, by
//! the short way, and whoever leads if that node does not. Commands of people without a session go out in sessions of
//! the gateway's own; a session has room for a thousand commands from the oldest open one on, so there are several, and
//! the next one is used when one is full. What waits has sessions apart, lest it hold up what does not.
//!
//! When the node stops, waits in those sessions are ended, and whoever waits is told what came of it: nothing, or what
//! arrived in time. Waits of people with sessions of their own go on at other nodes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use super::keys::CommandName;
use super::metrics::Metrics;
use super::problem::{Conclusion, Problem};
use crate::api::{KeyLines, NodeStatus};
use crate::client::{Client, ClientConfig, ClientError, ReadFrom};
use crate::env::Env;
use crate::ids::{ClientId, LogIndex, NodeId, Sequence, SessionId};
use crate::machine::{Action, CacheAction, LockAction, LockState, Query, QueueAction, QueueReply, Reply};
use crate::tokio_env::{LocalEnv, TokioEnv};

/// Where the nodes are, as the operator says; that may change.
pub(crate) type Addresses = watch::Receiver<BTreeMap<NodeId, String>>;

/// This node's place among those that the gateway's clients know.
const OWN: usize = 0;

/// Sessions for commands, and for commands that wait.
const SESSIONS: usize = 4;

/// Their lease. They are opened when they are first needed.
const LEASE_US: u64 = 15_000_000;

/// Sessions that a gateway remembers to have been its own: all that are open, and then some.
const OWN_KEPT: usize = 64;

/// How long waits may take to end when the node stops.
const WAITS_END: Duration = Duration::from_secs(2);

/// How long a goodbye to the cluster may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Access to the cluster for all requests of one node.
pub(crate) struct Gateway {
    env: TokioEnv,
    id: NodeId,
    addresses: Addresses,
    commands: Vec<Client<LocalEnv>>,
    waits: Vec<Client<LocalEnv>>,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
    /// Whether somebody was given a key by which to ask later.
    owes_answers: AtomicBool,
    /// The gateway's own sessions, and the greatest number used in each.
    own: Mutex<BTreeMap<SessionId, Sequence>>,
}

impl Gateway {
    /// A gateway of node `id`, which `env` is the environment of and which is among `addresses`.
    pub(crate) async fn start(
        env: TokioEnv,
        id: NodeId,
        addresses: Addresses,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
    ) -> std::io::Result<Self> {
        let nodes = own_first(id, &addresses.borrow());
        let mut clients = Vec::new();
        for _ in 0..2 * SESSIONS {
            let client = ClientId(env.entropy());
            let mut config = ClientConfig::new(client, nodes.clone());
            config.lease_us = LEASE_US;
            config.read_from = ReadFrom::Node(OWN);
            config.writes_near = Some(OWN);
            let own = env.neighbour(client).await?;
            clients.push(Client::start(own, config));
        }
        let waits = clients.split_off(SESSIONS);
        let (commands, owes_answers, own) = (clients, AtomicBool::new(false), Mutex::default());
        Ok(Self { env, id, addresses, commands, waits, metrics, stopping, owes_answers, own })
    }

    /// Goes by the addresses as they change, for as long as somebody may change them.
    pub(crate) async fn follow_addresses(self: Arc<Self>) {
        let mut addresses = self.addresses.clone();
        while addresses.changed().await.is_ok() {
            let nodes = own_first(self.id, &addresses.borrow_and_update());
            for client in self.commands.iter().chain(&self.waits) {
                client.set_nodes(nodes.clone());
            }
        }
    }

    /// Does something once: under the client's own key, or else in a session of the gateway.
    ///
    /// # Errors
    /// As a problem that says whether it may have been done.
    pub(crate) async fn act(
        &self,
        key: Option<CommandName>,
        action: Action,
        wait_us: u64,
    ) -> Result<Reply, Problem> {
        let (service, operation) = kind_of(&action);
        let began = self.env.now();
        let result = match key {
            Some(name) => self.act_as(name, action, wait_us).await,
            None => self.act_for_one(action, wait_us).await,
        };
        self.metrics.operated(service, operation, result.as_ref().err(), self.env.now().since_us(began));
        result
    }

    async fn act_as(&self, name: CommandName, action: Action, wait_us: u64) -> Result<Reply, Problem> {
        if self.last_of_own(name.session).is_some_and(|last| name.sequence > last) {
            return Err(Problem::reserved_session(name.session));
        }
        // The same request at another node finds its place in line: to give that up is not for this node to decide.
        let numbers = name.numbers();
        let acts = self.a_client(wait_us).act_as(&numbers, action, wait_us);
        match self.unless_stopping(wait_us, acts).await? {
            Ok(outcome) => outcome.map_err(|error| Problem::of_machine(&error)),
            Err(error) => Err(Problem::of_client(error, Some(name))),
        }
    }

    async fn act_for_one(&self, action: Action, wait_us: u64) -> Result<Reply, Problem> {
        let begun = self.a_client(wait_us).begin().await;
        let mut begun = begun.map_err(|error| Problem::of_client(error, None))?;
        let name = CommandName::from(begun.numbers().clone());
        self.note_own(name);
        let problem = |error| Problem::of_client(error, Some(name));
        if wait_us == 0 {
            return begun.act(action, wait_us).await.map_err(problem);
        }
        let done = {
            let mut acts = std::pin::pin!(begun.act(action, wait_us));
            tokio::select! {
                biased;
                done = &mut acts => return done.map_err(problem),
                // Meanwhile `end_waits` has it ended.
                () = self.stops() => timeout(WAITS_END, acts).await,
            }
        };
        let stopped = match done {
            Ok(Ok(Reply::Queue(QueueReply::Delivered(none)))) if none.is_empty() => {
                Problem::stopping(Conclusion::Definite)
            }
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => problem(error),
            Err(_) => {
                begun.owe();
                Problem::stopping(Conclusion::Indefinite).of_command(name)
            }
        };
        if stopped.outcome == Conclusion::Indefinite {
            self.owes_answers.store(true, Ordering::Relaxed);
        }
        Err(stopped)
    }

    /// The client whose session has room; the first, if none has: it says so.
    fn a_client(&self, wait_us: u64) -> &Client<LocalEnv> {
        let clients = if wait_us == 0 { &self.commands } else { &self.waits };
        clients.iter().find(|client| client.has_room()).unwrap_or(&clients[0])
    }

    /// A wait in somebody's own session goes on without this node when that stops: what comes of it is not known here.
    async fn unless_stopping<T>(&self, wait_us: u64, done: impl Future<Output = T>) -> Result<T, Problem> {
        if wait_us == 0 {
            return Ok(done.await);
        }
        tokio::select! {
            biased;
            done = done => Ok(done),
            () = self.stops() => Err(Problem::stopping(Conclusion::Indefinite)),
        }
    }

    /// A command goes out under this name in a session of the gateway's own.
    fn note_own(&self, name: CommandName) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let last = own.entry(name.session).or_insert(name.sequence);
        *last = name.sequence.max(*last);
        if own.len() > OWN_KEPT {
            // Later sessions have greater numbers.
            own.pop_first();
        }
    }

    /// The greatest number that the gateway has used in this session, if it is one of its own. Callers were given the
    /// names of such commands to ask what came of them, and have no other business there: under the next number goes
    /// somebody else's command.
    pub(crate) fn last_of_own(&self, session: SessionId) -> Option<Sequence> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied()
    }

    /// Returns when the node is to stop.
    async fn stops(&self) {
        drop(self.stopping.clone().wait_for(|is_stopping| *is_stopping).await);
    }

    /// Asks a question; any node can answer, and this one does as a rule.
    ///
    /// # Errors
    /// Always definite: a question has no effect.
    pub(crate) async fn ask(&self, query: Query) -> Result<Reply, Problem> {
        self.ask_from(query, ReadFrom::Node(OWN)).await
    }

    /// The same, answered from this node's near-cache where that is possible.
    ///
    /// # Errors
    /// As of [`Gateway::ask`].
    pub(crate) async fn ask_near(&self, query: Query) -> Result<Reply, Problem> {
        self.ask_from(query, ReadFrom::Near(OWN)).await
    }

    /// The same, of a state that was the latest no longer than `age_us_max` ago; and how long ago that may have been.
    ///
    /// # Errors
    /// As of [`Gateway::ask`].
    pub(crate) async fn ask_within(&self, query: Query, age_us_max: u64) -> Result<(Reply, u64), Problem> {
        let (service, operation) = kind_of_query(&query);
        let began = self.env.now();
        let answer = self.commands[0].query_within(query, age_us_max).await;
        let result = answer.map_err(|error| Problem::of_client(error, None));
        self.metrics.operated(service, operation, result.as_ref().err(), self.env.now().since_us(began));
        result
    }

    /// How a lock is once it has changed since it had this version, or after `wait_us`.
    ///
    /// # Errors
    /// As of [`Gateway::ask`], also when the node stops.
    pub(crate) async fn watch(
        &self,
        resource: &str,
        seen: LogIndex,
        wait_us: u64,
    ) -> Result<LockState, Problem> {
        let began = self.env.now();
        let watches = self.commands[0].watch_lock(resource, seen, wait_us);
        let mut stopping = self.stopping.clone();
        let result = tokio::select! {
            biased;
            state = watches => state.map_err(|error| Problem::of_client(error, None)),
            _ = stopping.wait_for(|is_stopping| *is_stopping) => Err(Problem::stopping(Conclusion::Definite)),
        };
        self.metrics.operated("lock", "watch", result.as_ref().err(), self.env.now().since_us(began));
        result
    }

    /// What one of the nodes knows of a key's lines.
    ///
    /// # Errors
    /// If it does not say in time.
    pub(crate) async fn lines_of(&self, key: &str, node: NodeId) -> Result<KeyLines, ClientError> {
        self.client().lines_of(key, node).await
    }

    async fn ask_from(&self, query: Query, from: ReadFrom) -> Result<Reply, Problem> {
        let (service, operation) = kind_of_query(&query);
        let began = self.env.now();
        let answer = self.commands[0].question(query, from).await;
        let result = answer.map_err(|error| Problem::of_client(error, None));
        self.metrics.operated(service, operation, result.as_ref().err(), self.env.now().since_us(began));
        result
    }

    /// A client for what is neither command nor question.
    pub(crate) fn client(&self) -> &Client<LocalEnv> {
        &self.commands[0]
    }

    /// How this node is.
    ///
    /// # Errors
    /// If it does not say in time.
    pub(crate) async fn own_status(&self) -> Result<NodeStatus, ClientError> {
        self.client().status_of(self.id).await
    }

    /// How one of the nodes is.
    ///
    /// # Errors
    /// If it does not say in time.
    pub(crate) async fn status_of(&self, node: NodeId) -> Result<NodeStatus, ClientError> {
        self.client().status_of(node).await
    }

    /// What the network of this node did.
    pub(crate) fn env(&self) -> &TokioEnv {
        &self.env
    }

    /// Ends the waits of people without a session, who are told that nothing came of them.
    pub(crate) async fn end_waits(&self) {
        let waits = self.waits.iter().filter(|client| client.has_session());
        let ends = join_all(waits.map(|client| timeout(WAITS_END, client.let_go_of_waits()))).await;
        if ends.iter().any(|end| !matches!(end, Ok(Ok(())))) {
            tracing::warn!("some waits could not be ended: the cluster did not answer in time");
        }
    }

    /// Ends the gateway's sessions, so that nobody has to wait for their leases; unless somebody was given a key by which
    /// to ask for what came of a command in one of them.
    pub(crate) async fn close(&self) {
        if self.owes_answers.load(Ordering::Relaxed) {
            return;
        }
        for client in self.commands.iter().chain(&self.waits).filter(|client| client.has_session()) {
            drop(timeout(GOODBYE, client.close_session()).await);
        }
    }
}

/// All nodes, this one in its place at the head.
fn own_first(id: NodeId, addresses: &BTreeMap<NodeId, String>) -> Vec<NodeId> {
    std::iter::once(id).chain(addresses.keys().copied().filter(|other| *other != id)).collect()
}

/// The service and the name of an operation, as metrics have them.
fn kind_of(action: &Action) -> (&'static str, &'static str) {
    match action {
        Action::Lock(action) => (
            "lock",
            match action {
                LockAction::Acquire { .. } => "acquire",
                LockAction::Release { .. } => "release",
                LockAction::Upgrade { .. } => "upgrade",
                LockAction::Downgrade { .. } => "downgrade",
                LockAction::Cancel { .. } => "cancel",
                LockAction::DeclareSemaphore { .. } => "declare-semaphore",
                LockAction::RemoveSemaphore { .. } => "remove-semaphore",
                LockAction::ForceRelease { .. } => "force-release",
            },
        ),
        Action::Cache(action) => (
            "cache",
            match action {
                CacheAction::Set { .. } => "set",
                CacheAction::CompareAndSet { .. } => "compare-and-set",
                CacheAction::Delete { .. } => "delete",
                CacheAction::CompareAndDelete { .. } => "compare-and-delete",
                CacheAction::Add { .. } => "add",
                CacheAction::Touch { .. } => "touch",
                CacheAction::Configure(_) => "configure",
            },
        ),
        Action::Queue(action) => (
            "queue",
            match action {
                QueueAction::Declare { .. } => "declare",
                QueueAction::DeleteTopic { .. } => "delete-topic",
                QueueAction::Purge { .. } => "purge",
                QueueAction::Enqueue { .. } => "enqueue",
                QueueAction::Dequeue { .. } => "dequeue",
                QueueAction::Acknowledge { .. } => "acknowledge",
                QueueAction::Reject { .. } => "reject",
                QueueAction::Extend { .. } => "extend",
                QueueAction::Redrive { .. } => "redrive",
            },
        ),
    }
}

fn kind_of_query(query: &Query) -> (&'static str, &'static str) {
    match query {
        Query::Lock(_) => ("lock", "read"),
        Query::Cache(_) => ("cache", "read"),
        Query::Queue(_) => ("queue", "read"),
        Query::Session { .. } => ("session", "read"),
    }
}
