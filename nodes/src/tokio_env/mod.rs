//! The seam's real side: tokio's clock and tasks, the system's entropy, files in a folder, TCP, and streams to
//! services of others.
//!
//! One [`TokioEnv`] is one process as the code above the seam sees it. Several may live in one real process,
//! as they do in tests; each has a folder and an address of its own. [`TokioEnv::shutdown`] ends it: every
//! task is aborted where it awaits, as a crash would, and the folder can be opened again.
//!
//! Connections are encrypted and their ends authenticated if the process is given a [`Security`]; otherwise the network
//! between nodes is trusted to be private, and the checks on connections are against accidents.

#![expect(clippy::disallowed_methods, reason = "this file is on the real side of the seam")]

mod disk;
mod local;
pub mod net;
mod stream;
mod tasks;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub use disk::{TokioDisk, TokioFile};
pub use local::{LocalEnv, LocalNet};
pub use net::tls::Security;
pub use net::{NetCounts, NetLimits, TokioNet};
pub use stream::TokioStream;

use thiserror::Error;

use crate::env::{Env, StreamAddress};
use crate::ids::{Address, ClientId, LocalTime, NodeId};
use tasks::Tasks;

/// Who a process is and where its things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokioConfig {
    /// This process.
    pub me: Address,
    /// Where to accept connections; port 0 lets the system choose. Nodes listen, clients need not.
    pub listen: Option<SocketAddr>,
    /// Where the nodes are. Can be replaced later: [`TokioEnv::set_peers`].
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// The folder of its disk. It is created if need be, and belongs to this process alone.
    pub data: PathBuf,
}

/// Why a process did not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// The folder cannot be created or used; [`io::ErrorKind::WouldBlock`] if a living process has it.
    #[error(transparent)]
    Disk(io::Error),
    /// The address cannot be bound.
    #[error(transparent)]
    Net(io::Error),
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Disk(error) | StartError::Net(error) => error,
        }
    }
}

/// One process on the real world.
#[derive(Clone)]
pub struct TokioEnv {
    origin: Instant,
    tasks: Tasks,
    net: TokioNet,
    disk: TokioDisk,
}

impl TokioEnv {
    /// Opens the folder, starts to listen, and is ready.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created or is in use by a living process, or the address cannot be bound.
    pub async fn start(config: TokioConfig) -> io::Result<Self> {
        Self::start_with(config, NetLimits::default()).await
    }

    /// [`TokioEnv::start`], with limits of one's own.
    ///
    /// # Errors
    ///
    /// As [`TokioEnv::start`].
    pub async fn start_with(config: TokioConfig, limits: NetLimits) -> io::Result<Self> {
        Ok(Self::start_secure(config, limits, None).await?)
    }

    /// The same; if there is a `security`, over connections that are encrypted and whose ends are known.
    ///
    /// # Errors
    ///
    /// As [`TokioEnv::start`], and which of the two it was.
    pub async fn start_secure(
        config: TokioConfig,
        limits: NetLimits,
        security: Option<Security>,
    ) -> Result<Self, StartError> {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let disk = TokioDisk::open(config.data).await.map_err(StartError::Disk)?;
        let book = Arc::new(watch::Sender::new(config.peers));
        let net = TokioNet::start(config.me, config.listen, book, (limits, security), tasks.clone());
        let net = net.await.map_err(StartError::Net)?;
        Ok(Self { origin: Instant::now(), tasks, net, disk })
    }

    /// The address that it listens on, with the port that the system chose.
    #[must_use]
    pub fn listening_on(&self) -> Option<SocketAddr> {
        self.net.listening_on()
    }

    /// The moment at which its clock showed 0.
    #[must_use]
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// Replaces the address book. Connections to nodes that have moved or left are closed.
    pub fn set_peers(&self, peers: BTreeMap<NodeId, SocketAddr>) {
        self.net.set_peers(peers);
    }

    /// A client that lives in this process: see [`LocalEnv`].
    ///
    /// # Errors
    ///
    /// None as things are: it binds nothing.
    pub async fn neighbour(&self, client: ClientId) -> io::Result<LocalEnv> {
        LocalEnv::start(self.clone(), client).await
    }

    /// Aborts every task at the point where it awaits and returns when all have ended; later spawns are
    /// ignored. A disk operation that had begun runs to its end; the folder is free once it and the last
    /// handle on this environment are gone.
    pub async fn shutdown(&self) {
        self.tasks.shutdown().await;
    }
}

impl Env for TokioEnv {
    type Net = TokioNet;
    type Disk = TokioDisk;
    type Stream = TokioStream;

    fn now(&self) -> LocalTime {
        LocalTime(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, deadline: LocalTime) {
        // The timer may cap a distant deadline and return early; hence the loop.
        while self.now() < deadline {
            tokio::time::sleep(Duration::from_micros(deadline.since_us(self.now()))).await;
        }
    }

    /// # Panics
    ///
    /// If the operating system has no entropy to give: nothing can be elected or named without.
    fn entropy(&self) -> u64 {
        getrandom::u64().expect("the operating system supplies entropy")
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, task);
    }

    async fn connect(&self, to: &StreamAddress) -> io::Result<TokioStream> {
        TokioStream::connect(to).await
    }

    fn net(&self) -> &TokioNet {
        &self.net
    }

    fn disk(&self) -> &TokioDisk {
        &self.disk
    }
}
