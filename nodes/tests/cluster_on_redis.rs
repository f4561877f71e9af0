//! A node that keeps its log in a real Redis: it serves, outlives its Redis, starts again where it was, and tells
//! events to whoever listens there.

mod redis_support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use futures_util::StreamExt;
use redis_support::{RedisServer, SYNCED, server};
use stormglass_nodes::client::{Client, ClientConfig};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_nodes::machine::LockMode;
use stormglass_nodes::server::{self, NodeConfig, Silent};
use stormglass_nodes::storage::StorageStatus;
use stormglass_nodes::tokio_env::{TokioConfig, TokioEnv};
use tempfile::TempDir;

const NODE: NodeId = NodeId(1);
const CLUSTER: u64 = 5;
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Long, so that a busy machine does not end what a test needs.
const PATIENCE_US: u64 = 60_000_000;

/// The node's process on its folder, without the node.
async fn environment(folder: &TempDir) -> TokioEnv {
    let data = folder.path().to_owned();
    let config =
        TokioConfig { me: Address::Node(NODE), listen: Some(ANY_PORT), peers: BTreeMap::new(), data };
    loop {
        // Whatever the process before had begun to write holds the folder until it ends.
        match TokioEnv::start(config.clone()).await {
            Ok(env) => return env,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
            Err(error) => panic!("the node does not start: {error}"),
        }
    }
}

/// Starts the node's process on its folder.
async fn start(server: &RedisServer, folder: &TempDir) -> (TokioEnv, NodeConfig) {
    let env = environment(folder).await;
    let node = NodeConfig { redis: Some(server.config()), ..NodeConfig::new(CLUSTER, NODE, vec![NODE]) };
    let program = server::run(env.clone(), node.clone(), Silent);
    env.spawn("node", async move {
        let error = program.await.unwrap_err();
        panic!("the node stopped: {error}");
    });
    (env, node)
}

async fn client(node: &TokioEnv, id: u64, folder: &TempDir) -> Client<TokioEnv> {
    let peers = BTreeMap::from([(NODE, node.listening_on().expect("a node listens"))]);
    let me = Address::Client(ClientId(id));
    let data = folder.path().join(format!("client-{id}"));
    let env = TokioEnv::start(TokioConfig { me, listen: None, peers, data }).await.unwrap();
    let mut config = ClientConfig::new(ClientId(id), vec![NODE]);
    config.lease_us = PATIENCE_US;
    config.operation_timeout_us = PATIENCE_US;
    let client = Client::start(env, config);
    client.open_session().await.unwrap();
    client
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_redis_and_the_node() {
    let Some(mut server) = server(SYNCED).await else { return };
    let folder = TempDir::new().unwrap();
    let (env, config) = start(&server, &folder).await;
    let first = client(&env, 1, &folder).await;
    let value = |number: u64| Bytes::from(format!("value-{number}"));
    for number in 0..20 {
        first.set(&format!("key-{number}"), value(number)).await.unwrap();
    }
    server.kill();
    let mut late = std::pin::pin!(first.set("late", value(99)));
    while config.storage_status.report().is_available {
        tokio::select! {
            biased;
            done = &mut late => panic!("acknowledged without a Redis: {done:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    server.start().await.unwrap();
    late.await.unwrap();
    env.shutdown().await;
    drop(env);
    let (env, _) = start(&server, &folder).await;
    let second = client(&env, 2, &folder).await;
    for number in 0..20 {
        let found = second.get(&format!("key-{number}")).await.unwrap();
        assert_eq!(found.map(|found| found.value), Some(value(number)));
    }
    assert_eq!(second.get("late").await.unwrap().map(|found| found.value), Some(value(99)));
    // All of it is under the prefix of the cluster and the node, so that others may use the same Redis.
    let redis::Value::Array(keys) = server.ask(&["KEYS", "*"]).await else { panic!("it lists its keys") };
    assert!(!keys.is_empty());
    for key in keys {
        let redis::Value::BulkString(key) = key else { panic!("a key is a string: {key:?}") };
        let prefix = format!("stormglass:{CLUSTER}:node:1:");
        assert!(key.starts_with(prefix.as_bytes()), "{}", String::from_utf8_lossy(&key));
    }
    env.shutdown().await;
}

#[tokio::test]
async fn a_node_does_not_start_on_a_redis_that_was_emptied() {
    let Some(mut server) = server(SYNCED).await else { return };
    let folder = TempDir::new().unwrap();
    let (env, config) = start(&server, &folder).await;
    let first = client(&env, 1, &folder).await;
    first.set("key", Bytes::from_static(b"value")).await.unwrap();
    env.shutdown().await;
    drop(env);
    server.lose_everything().await;
    server.start().await.unwrap();
    let env = environment(&folder).await;
    let error = server::run(env.clone(), config, Silent).await.unwrap_err();
    assert!(error.to_string().contains("has forgotten what it acknowledged"), "{error}");
    env.shutdown().await;
}

#[tokio::test]
async fn a_node_changes_from_files_to_a_redis_or_back_under_another_id_only() {
    let Some(server) = server(SYNCED).await else { return };
    let files = NodeConfig::new(CLUSTER, NODE, vec![NODE]);
    let in_redis = NodeConfig { redis: Some(server.config()), ..files.clone() };
    for (first, then, said) in
        [(&files, &in_redis, "in files, not in a Redis"), (&in_redis, &files, "in a Redis, not in files")]
    {
        let folder = TempDir::new().unwrap();
        let env = environment(&folder).await;
        // It stops as soon as it runs, and has a log by then.
        let first = NodeConfig { storage_status: StorageStatus::default(), ..first.clone() };
        let status = first.storage_status.clone();
        let opened = async move {
            while status.report().kind.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        server::run_until(env.clone(), first, Silent, opened).await.unwrap();
        env.shutdown().await;
        drop(env);
        let env = environment(&folder).await;
        let error = server::run(env.clone(), then.clone(), Silent).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        env.shutdown().await;
    }
}

#[tokio::test]
async fn events_are_told_to_whoever_listens_at_the_redis() {
    let Some(server) = server(SYNCED).await else { return };
    let folder = TempDir::new().unwrap();
    let (env, _) = start(&server, &folder).await;
    let listener = redis::Client::open(format!("unix://{}", server.socket().display())).unwrap();
    let mut listener = listener.get_async_pubsub().await.unwrap();
    listener.psubscribe(format!("stormglass:{CLUSTER}:events:*")).await.unwrap();
    let client = client(&env, 1, &folder).await;
    client.set("colour", Bytes::from_static(b"blue")).await.unwrap();
    let guard = client.acquire("printer", LockMode::Exclusive, PATIENCE_US).await.unwrap();
    let mut heard = listener.on_message();
    let (mut is_cache_told, mut is_lock_told) = (false, false);
    while !(is_cache_told && is_lock_told) {
        let message = heard.next().await.expect("the Redis goes on");
        let text: String = message.get_payload().unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["node"], 1, "{text}");
        match message.get_channel_name() {
            "stormglass:5:events:cache" => {
                is_cache_told |= told["event"]["Written"]["key"] == "colour";
            }
            "stormglass:5:events:lock" => {
                is_lock_told |= told["event"]["Granted"]["resource"] == "printer";
            }
            other => panic!("told on {other}: {text}"),
        }
    }
    drop(guard);
    env.shutdown().await;
}
