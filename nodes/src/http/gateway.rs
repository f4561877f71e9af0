//! The way from HTTP into the cluster.
//!
//! A gateway lives in a node's process and is a client of the cluster like any other: it asks its own node first, by
//! the short way, and whoever leads if that node does not. Commands of people without a session go out in sessions of
//! the gateway's own; a session has room for a thousand commands from the oldest open one on, so there are several, and
//! the next one is used when one is full. What waits has sessions apart, lest it hold up what does not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::keys::CommandName;
use super::metrics::Metrics;
use super::problem::{Conclusion, Problem};
use crate::api::{KeyLines, NodeStatus};
use crate::client::{Client, ClientConfig, ClientError, ReadFrom};
use crate::env::Env;
use crate::ids::{ClientId, LogIndex, NodeId};
use crate::machine::{Action, CacheAction, LockAction, LockState, Query, QueueAction, Reply};
use crate::tokio_env::{LocalEnv, TokioEnv};

/// Sessions for commands, and for commands that wait.
const SESSIONS: usize = 4;

/// Their lease. They are opened when they are first needed.
const LEASE_US: u64 = 15_000_000;

/// How long a goodbye to the cluster may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Access to the cluster for all requests of one node.
pub(crate) struct Gateway {
    env: TokioEnv,
    /// This node's place in `nodes`.
    position: usize,
    nodes: Vec<NodeId>,
    commands: Vec<Client<LocalEnv>>,
    waits: Vec<Client<LocalEnv>>,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
}

impl Gateway {
    /// A gateway of node `id`, one of `nodes`, which `env` is the environment of.
    pub(crate) async fn start(
        env: TokioEnv,
        id: NodeId,
        nodes: Vec<NodeId>,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
    ) -> std::io::Result<Self> {
        let position = nodes.iter().position(|node| *node == id).unwrap_or(0);
        let mut clients = Vec::new();
        for _ in 0..2 * SESSIONS {
            let client = ClientId(env.entropy());
            let mut config = ClientConfig::new(client, nodes.clone());
            config.lease_us = LEASE_US;
            config.read_from = ReadFrom::Node(position);
            let own = env.neighbour(client).await?;
            clients.push(Client::start_at(own, config, position));
        }
        let waits = clients.split_off(SESSIONS);
        Ok(Self { env, position, nodes, commands: clients, waits, metrics, stopping })
    }

    /// The nodes that it knows.
    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes
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
        let numbers = name.numbers();
        let acts = self.a_client(wait_us).act_as(&numbers, action, wait_us);
        match self.unless_stopping(wait_us, acts).await? {
            Ok(outcome) => outcome.map_err(|error| Problem::of_machine(&error)),
            Err(error) => Err(Problem::of_client(error, Some(name))),
        }
    }

    async fn act_for_one(&self, action: Action, wait_us: u64) -> Result<Reply, Problem> {
        let acts = self.a_client(wait_us).act(action, wait_us);
        let (numbers, done) = self.unless_stopping(wait_us, acts).await?;
        done.map_err(|error| Problem::of_client(error, numbers.map(CommandName::from)))
    }

    /// The client whose session has room; the first, if none has: it says so.
    fn a_client(&self, wait_us: u64) -> &Client<LocalEnv> {
        let clients = if wait_us == 0 { &self.commands } else { &self.waits };
        clients.iter().find(|client| client.has_room()).unwrap_or(&clients[0])
    }

    /// Something that may take long is given up when the node stops; what comes of it is unknown then.
    async fn unless_stopping<T>(&self, wait_us: u64, done: impl Future<Output = T>) -> Result<T, Problem> {
        if wait_us == 0 {
            return Ok(done.await);
        }
        let mut stopping = self.stopping.clone();
        tokio::select! {
            biased;
            done = done => Ok(done),
            _ = stopping.wait_for(|is_stopping| *is_stopping) => Err(Problem::stopping(Conclusion::Indefinite)),
        }
    }

    /// Asks a question; any node can answer, and this one does as a rule.
    ///
    /// # Errors
    /// Always definite: a question has no effect.
    pub(crate) async fn ask(&self, query: Query) -> Result<Reply, Problem> {
        self.ask_from(query, ReadFrom::Node(self.position)).await
    }

    /// The same, answered from this node's near-cache where that is possible.
    ///
    /// # Errors
    /// As of [`Gateway::ask`].
    pub(crate) async fn ask_near(&self, query: Query) -> Result<Reply, Problem> {
        self.ask_from(query, ReadFrom::Near(self.position)).await
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
        match self.nodes.iter().position(|known| *known == node) {
            Some(position) => self.client().lines_of(key, position).await,
            None => Err(ClientError::NotDone("this node has no address of that one")),
        }
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
        self.client().status_of(self.position).await
    }

    /// How one of the nodes is.
    ///
    /// # Errors
    /// If it does not say in time.
    pub(crate) async fn status_of(&self, node: NodeId) -> Result<NodeStatus, ClientError> {
        match self.nodes.iter().position(|known| *known == node) {
            Some(position) => self.client().status_of(position).await,
            None => Err(ClientError::NotDone("this node has no address of that one")),
        }
    }

    /// What the network of this node did.
    pub(crate) fn env(&self) -> &TokioEnv {
        &self.env
    }

    /// Ends the gateway's sessions, so that nobody has to wait for their leases.
    pub(crate) async fn close(&self) {
        for client in self.commands.iter().chain(&self.waits).filter(|client| client.has_session()) {
            drop(timeout(GOODBYE, client.close_session()).await);
        }
    }
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
