//! What the examples share: three real nodes on loopback, each with a folder that is removed at the end, and
//! clients of them. This is all that it takes to run a cluster within one process.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stormglass_nodes::client::{Client, ClientConfig};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_nodes::server::{self, NodeConfig, Silent};
use stormglass_nodes::tokio_env::{TokioConfig, TokioEnv};
use tempfile::TempDir;

const CLUSTER: u64 = 1;
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Three nodes that run, until this is dropped with the runtime.
pub(crate) struct Loopback {
    peers: BTreeMap<NodeId, SocketAddr>,
    folders: Vec<TempDir>,
    clients: u64,
}

/// A client process: its library, and the environment that is its life.
pub(crate) struct Process {
    pub(crate) client: Client<TokioEnv>,
    pub(crate) env: TokioEnv,
}

impl Loopback {
    /// Starts the nodes.
    pub(crate) async fn start() -> io::Result<Self> {
        let mut loopback = Self { peers: BTreeMap::new(), folders: Vec::new(), clients: 0 };
        let mut envs = Vec::new();
        for node in NODES {
            let env = loopback.process(Address::Node(node), Some(ANY_PORT)).await?;
            loopback.peers.extend(env.listening_on().map(|at| (node, at)));
            envs.push((node, env));
        }
        for (node, env) in envs {
            env.set_peers(loopback.peers.clone());
            let config = NodeConfig::new(CLUSTER, node, NODES.to_vec());
            let program = server::run(env.clone(), config, Silent);
            env.spawn("node", async move {
                let Err(error) = program.await;
                eprintln!("{node}: {error}");
            });
        }
        Ok(loopback)
    }

    /// Starts a client process, configured as `adjust` says.
    pub(crate) async fn client(&mut self, adjust: impl FnOnce(&mut ClientConfig)) -> io::Result<Process> {
        self.clients += 1;
        let id = ClientId(self.clients);
        let env = self.process(Address::Client(id), None).await?;
        let mut config = ClientConfig::new(id, NODES.to_vec());
        config.operation_timeout_us = 30_000_000;
        adjust(&mut config);
        Ok(Process { client: Client::start(env.clone(), config), env })
    }

    async fn process(&mut self, me: Address, listen: Option<SocketAddr>) -> io::Result<TokioEnv> {
        let folder = TempDir::new()?;
        let data = folder.path().to_owned();
        self.folders.push(folder);
        TokioEnv::start(TokioConfig { me, listen, peers: self.peers.clone(), data }).await
    }
}
