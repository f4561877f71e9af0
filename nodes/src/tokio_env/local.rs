//! A client within a node's own process: what the two say to each other goes through no socket.
//!
//! It is a client like any other: it has an address of its own, dials the other nodes, and its node answers it as it
//! answers everybody. Only the way between the two is short: a frame goes from one inbox to the other. An inbox that
//! is full drops it and counts it, as a network would.

use std::future::Future;
use std::io;

use bytes::Bytes;

use super::tasks::Tasks;
use super::{TokioDisk, TokioEnv, TokioNet, TokioStream};
use crate::env::{Env, Net, StreamAddress};
use crate::ids::{Address, ClientId, LocalTime};

/// The world as a client sees it that lives in a node's process: the node's clock, tasks and disk, and a network of
/// its own.
#[derive(Clone)]
pub struct LocalEnv {
    node: TokioEnv,
    net: LocalNet,
}

/// Its endpoint.
#[derive(Clone)]
pub struct LocalNet {
    me: Address,
    /// Of the node.
    node: TokioNet,
    /// Its own, for all others.
    own: TokioNet,
}

impl LocalEnv {
    pub(super) async fn start(node: TokioEnv, client: ClientId) -> io::Result<Self> {
        let me = Address::Client(client);
        let tasks: Tasks = node.tasks.clone();
        let own = TokioNet::start(me, None, node.net.book(), node.net.terms(), tasks).await?;
        node.net.attach(client, &own);
        let net = LocalNet { me, node: node.net.clone(), own };
        Ok(Self { node, net })
    }
}

impl Env for LocalEnv {
    type Net = LocalNet;
    type Disk = TokioDisk;
    type Stream = TokioStream;

    fn now(&self) -> LocalTime {
        self.node.now()
    }

    async fn sleep_until(&self, deadline: LocalTime) {
        self.node.sleep_until(deadline).await;
    }

    fn entropy(&self) -> u64 {
        self.node.entropy()
    }

    async fn connect(&self, to: &StreamAddress) -> io::Result<Self::Stream> {
        self.node.connect(to).await
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.node.spawn(name, task);
    }

    fn net(&self) -> &LocalNet {
        &self.net
    }

    fn disk(&self) -> &TokioDisk {
        self.node.disk()
    }
}

impl Net for LocalNet {
    fn send(&self, to: Address, frame: Bytes) {
        if to == self.node.me() {
            self.node.deliver_from(self.me, frame);
        } else {
            self.own.send(to, frame);
        }
    }

    async fn receive(&self) -> (Address, Bytes) {
        self.own.receive().await
    }
}
