//! A cluster of real nodes on loopback, each with a folder of its own, and the clients that it serves.
//!
//! Each node and each client is a [`TokioEnv`] of its own, with its own port, folder and tasks; the nodes run
//! [`server::run`] as a daemon would. What the nodes report goes to a [`Witness`], on whose word the tests
//! wait, and which fails the test when a node does what no node may.

mod witness;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stormglass_nodes::client::{Client, ClientConfig};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_nodes::server::{self, NodeConfig};
use stormglass_nodes::storage::WalConfig;
use stormglass_nodes::tokio_env::{TokioConfig, TokioEnv};
use tempfile::TempDir;

pub(crate) use witness::Witness;

/// The nodes of every cluster here.
pub(crate) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

const CLUSTER: u64 = 77;
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Long, so that a busy machine does not end a session or an operation that a test needs.
const PATIENCE_US: u64 = 60_000_000;

/// Three nodes, some of which run, and their clients.
pub(crate) struct Cluster {
    pub(crate) witness: Witness,
    folders: BTreeMap<NodeId, TempDir>,
    running: BTreeMap<NodeId, TokioEnv>,
    clients: Vec<TokioEnv>,
    client_folders: Vec<TempDir>,
    wal: WalConfig,
}

impl Cluster {
    /// Three nodes that run.
    pub(crate) async fn started() -> Self {
        Self::started_with(WalConfig::default()).await
    }

    /// The same, with logs laid out like this.
    pub(crate) async fn started_with(wal: WalConfig) -> Self {
        let folders = NODES.map(|node| (node, TempDir::new().expect("a temporary folder")));
        let mut cluster = Self {
            witness: Witness::new(),
            folders: BTreeMap::from(folders),
            running: BTreeMap::new(),
            clients: Vec::new(),
            client_folders: Vec::new(),
            wal,
        };
        for node in NODES {
            cluster.start(node).await;
        }
        cluster
    }

    /// Starts a node that does not run, on its own folder and on a new port.
    pub(crate) async fn start(&mut self, node: NodeId) {
        assert!(!self.running.contains_key(&node), "{node} runs already");
        let env = loop {
            // A write that was on its way when the node was stopped holds the folder until it ends.
            match self.open(node, node).await {
                Ok(env) => break env,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                Err(error) => panic!("{node} does not start: {error}"),
            }
        };
        self.running.insert(node, env.clone());
        self.introduce();
        self.run(node, env);
    }

    /// Opens the folder of `owner` for a process of `node`, and a port.
    pub(crate) async fn open(&self, node: NodeId, owner: NodeId) -> io::Result<TokioEnv> {
        let data = self.folders[&owner].path().to_owned();
        let config =
            TokioConfig { me: Address::Node(node), listen: Some(ANY_PORT), peers: BTreeMap::new(), data };
        TokioEnv::start(config).await
    }

    /// Runs the node's program; its end, unless it is stopped, is a failure that the witness hears of.
    pub(crate) fn run(&self, node: NodeId, env: TokioEnv) {
        let config = NodeConfig { wal: self.wal, ..NodeConfig::new(CLUSTER, node, NODES.to_vec()) };
        let program = server::run(env.clone(), config, self.witness.probe(node));
        env.spawn("node", self.witness.clone().attend(node, program));
    }

    /// Ends a node's process where it stands.
    pub(crate) async fn kill(&mut self, node: NodeId) {
        let env = self.running.remove(&node).unwrap_or_else(|| panic!("{node} does not run"));
        self.witness.dies(node);
        env.shutdown().await;
        self.witness.forget(node);
    }

    /// Ends all nodes that run.
    pub(crate) async fn kill_all(&mut self) {
        for node in self.running() {
            self.kill(node).await;
        }
    }

    /// The nodes that run.
    pub(crate) fn running(&self) -> Vec<NodeId> {
        self.running.keys().copied().collect()
    }

    /// Takes a running node's folder away from under it.
    pub(crate) fn remove_folder_of(&mut self, node: NodeId) {
        let folder = self.folders.remove(&node).expect("a node has a folder");
        folder.close().expect("the folder can be removed");
    }

    /// A client process of its own that knows all nodes.
    pub(crate) async fn client(&mut self) -> Client<TokioEnv> {
        self.client_with(|_| {}).await
    }

    /// The same, configured as `change` says.
    pub(crate) async fn client_with(&mut self, change: impl FnOnce(&mut ClientConfig)) -> Client<TokioEnv> {
        let folder = TempDir::new().expect("a temporary folder");
        let id = ClientId(self.clients.len() as u64 + 1);
        let me = Address::Client(id);
        let data = folder.path().to_owned();
        let config = TokioConfig { me, listen: None, peers: self.peers(), data };
        let env = TokioEnv::start(config).await.expect("a client starts");
        self.clients.push(env.clone());
        self.client_folders.push(folder);
        let mut config = ClientConfig::new(id, NODES.to_vec());
        config.lease_us = PATIENCE_US;
        config.operation_timeout_us = PATIENCE_US;
        change(&mut config);
        Client::start(env, config)
    }

    fn peers(&self) -> BTreeMap<NodeId, SocketAddr> {
        let at = |env: &TokioEnv| env.listening_on().expect("a node listens");
        self.running.iter().map(|(&node, env)| (node, at(env))).collect()
    }

    /// Tells everybody where the nodes are.
    fn introduce(&self) {
        for env in self.running.values().chain(&self.clients) {
            env.set_peers(self.peers());
        }
    }
}
