//! Programs that the tests of the world run.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stormglass_nodes::env::{Disk, Env, File, Net};
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_sim::nemesis::Process;
use stormglass_sim::world::SimEnv;

/// Nodes as the nemesis names them.
pub(crate) fn node_set<const N: usize>(nodes: [u64; N]) -> BTreeSet<Process> {
    nodes.into_iter().map(Process::Node).collect()
}

/// A program that echoes what it receives to a peer chosen at random, sends something of its own now and
/// then, and counts on its disk: a user of everything that the world offers.
pub(crate) fn chatter(env: SimEnv) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        env.spawn("talker", talk(env.clone()));
        env.spawn("writer", write(env.clone()));
        loop {
            let (from, frame) = env.net().receive().await;
            if frame.len() < 40 {
                let mut longer = frame.to_vec();
                longer.push(env.entropy() as u8);
                env.net().send(from, longer.into());
            }
        }
    })
}

async fn talk(env: SimEnv) {
    loop {
        env.sleep_until(env.now().plus_us(200 + env.entropy() % 400)).await;
        let to = match env.entropy() % 5 {
            0 => Address::Client(ClientId(1)),
            1 => Address::Client(ClientId(2)),
            node => Address::Node(NodeId(node - 1)),
        };
        env.net().send(to, Bytes::from(env.entropy().to_le_bytes().to_vec()));
    }
}

async fn write(env: SimEnv) {
    let file = env.disk().open("counter", true).await.expect("the disk opens");
    env.disk().sync_names().await.expect("the disk syncs");
    loop {
        let length = file.len().await.expect("the disk answers");
        file.write_at(length, Bytes::from(env.now().0.to_le_bytes().to_vec())).await.expect("it writes");
        file.sync().await.expect("it syncs");
    }
}
