//! Three real nodes and real clients: loopback TCP, files in temporary folders, tokio's clock.
//!
//! What the simulator proves of the nodes holds in the real world only if its side of the seam keeps the
//! same promises; these tests run the same driver and the same client library over it. They wait for events,
//! never for a time, and each runs under the eye of a witness that ends it when a node fails or panics.

#[path = "tokio_cluster_support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join;
use stormglass_nodes::client::{Client, ClientError, LockGuard};
use stormglass_nodes::ids::{LogIndex, NodeId, Term};
use stormglass_nodes::machine::{LockError, LockMode, MachineError, Versioned};
use stormglass_nodes::storage::WalConfig;
use stormglass_nodes::tokio_env::TokioEnv;
use support::{Cluster, NODES};

/// Long enough for everybody before in line.
const WAIT_US: u64 = 30_000_000;

/// Attempts of a hasty client to get a lock from a machine that may be busy.
const LOCK_ATTEMPTS_MAX: u32 = 100;

/// What was acknowledged: the value and version of each key that holds something.
type Acknowledged = BTreeMap<String, Versioned>;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn key(number: u64) -> String {
    format!("key-{number}")
}

/// Writes keys `from..to`, a second time every third, and deletes every fifth again.
async fn write(client: &Client<TokioEnv>, from: u64, to: u64, acknowledged: &mut Acknowledged) -> LogIndex {
    let mut latest = LogIndex(0);
    for number in from..to {
        let (key, mut value) = (key(number), bytes(&format!("value-{number}")));
        let mut version = client.set(&key, value.clone()).await.expect("it is written");
        if number % 3 == 0 {
            let next = bytes(&format!("next-{number}"));
            let written = client.compare_and_set(&key, Some(value), next.clone()).await;
            version = written.expect("it is answered").expect("nobody else writes this key");
            value = next;
        }
        if number % 5 == 0 {
            let (existed, removed) = client.delete(&key).await.expect("it is removed");
            assert!(existed && removed > version);
            version = removed;
        } else {
            acknowledged.insert(key, Versioned { value, version });
        }
        assert!(version > latest, "versions rise");
        latest = version;
    }
    latest
}

/// Reads keys `0..to` and compares.
async fn expect_all(client: &Client<TokioEnv>, to: u64, acknowledged: &Acknowledged) {
    for number in 0..to {
        let found = client.get(&key(number)).await.expect("it is read");
        assert_eq!(found.as_ref(), acknowledged.get(&key(number)), "key {number}");
    }
}

async fn lock(client: &Client<TokioEnv>, wait_us: u64) -> Result<LockGuard, ClientError> {
    client.acquire("door", LockMode::Exclusive, wait_us).await
}

/// Asks until somebody stands in line for the lock.
async fn somebody_waits(client: &Client<TokioEnv>) {
    while client.lock_state("door").await.expect("it is read").waiters.is_empty() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_what_it_wrote_and_compares_before_it_sets() {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let test = async {
        let client = cluster.client().await;
        client.open_session().await.unwrap();
        assert_eq!(client.get("a").await, Ok(None));
        let first = client.set("a", bytes("1")).await.unwrap();
        assert_eq!(client.get("a").await, Ok(Some(Versioned { value: bytes("1"), version: first })));
        let found = client.compare_and_set("a", Some(bytes("2")), bytes("3")).await.unwrap();
        assert_eq!(found, Err(Some(Versioned { value: bytes("1"), version: first })));
        let second = client.compare_and_set("a", Some(bytes("1")), bytes("2")).await.unwrap().unwrap();
        assert!(second > first);
        let (existed, third) = client.delete("a").await.unwrap();
        assert!(existed && third > second);
        assert_eq!(client.get("a").await, Ok(None));
        assert!(!client.delete("a").await.unwrap().0);
        let refused = client.set("", bytes("x")).await;
        assert!(
            matches!(refused, Err(ClientError::Refused(MachineError::InvalidArgument(_)))),
            "{refused:?}"
        );
        for node in NODES {
            cluster.witness.applied(node, third).await;
        }
    };
    witness.watch(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_passes_from_one_client_to_the_next_in_line() {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let test = async {
        let (one, other) = (cluster.client().await, cluster.client().await);
        one.open_session().await.unwrap();
        other.open_session().await.unwrap();

        let held = lock(&one, 0).await.unwrap();
        assert!(one.believes(&held));
        assert_eq!(lock(&other, 0).await, Err(ClientError::Refused(MachineError::Lock(LockError::Timeout))));
        let (released, passed) = join(
            async {
                somebody_waits(&one).await;
                one.release(&held).await
            },
            lock(&other, WAIT_US),
        )
        .await;
        released.unwrap();
        let passed = passed.unwrap();
        assert!(other.believes(&passed) && passed.token > held.token);
        assert_eq!(
            one.release(&held).await,
            Err(ClientError::Refused(MachineError::Lock(LockError::NotHeld)))
        );

        // A session that ends gives back what it holds.
        let ((), back) = join(
            async {
                somebody_waits(&one).await;
                other.close_session().await;
            },
            lock(&one, WAIT_US),
        )
        .await;
        let back = back.unwrap();
        assert!(back.token > passed.token && !other.believes(&passed));
        let state = one.lock_state("door").await.unwrap();
        assert_eq!(state.holders.iter().map(|holder| holder.token).collect::<Vec<_>>(), [back.token]);
        one.release(&back).await.unwrap();
        let state = one.lock_state("door").await.unwrap();
        assert_eq!((state.holders, state.waiters), (vec![], vec![]));
        assert!(state.version > back.token.granting_index(), "the release is later than the grant");
    };
    witness.watch(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_successor_of_a_killed_leader_serves_and_misses_nothing() {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let test = async {
        let (writer, locker) = (cluster.client().await, cluster.client().await);
        writer.open_session().await.unwrap();
        locker.open_session().await.unwrap();
        let held = lock(&locker, 0).await.unwrap();
        let mut acknowledged = Acknowledged::new();
        write(&writer, 0, 20, &mut acknowledged).await;

        // The writer goes on while its leader dies.
        let (term, leader) = cluster.witness.leader_after(Term(0)).await;
        join(cluster.kill(leader), write(&writer, 20, 40, &mut acknowledged)).await;
        let (_, successor) = cluster.witness.leader_after(term).await;
        assert_ne!(successor, leader);
        expect_all(&writer, 40, &acknowledged).await;
        assert_eq!(lock(&writer, 0).await, Err(ClientError::Refused(MachineError::Lock(LockError::Timeout))));
        assert!(locker.believes(&held));
        locker.release(&held).await.unwrap();
        assert!(lock(&writer, 0).await.unwrap().token > held.token);

        // The dead one comes back, and catches up.
        cluster.start(leader).await;
        let latest = write(&writer, 40, 50, &mut acknowledged).await;
        cluster.witness.applied(leader, latest).await;
        expect_all(&writer, 50, &acknowledged).await;
    };
    witness.watch(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_come_back_from_their_folders_with_everything_acknowledged() {
    // Small segments, so that recovery reads many.
    let wal = WalConfig { segment_bytes: 2_048, preallocate_bytes: 512 };
    let mut cluster = Cluster::started_with(wal).await;
    let witness = cluster.witness.clone();
    let test = async {
        let mut acknowledged = Acknowledged::new();
        let first = cluster.client().await;
        first.open_session().await.unwrap();
        let held = lock(&first, 0).await.unwrap();
        for round in 0..3 {
            let from = round * 20;
            write(&first, from, from + 20, &mut acknowledged).await;
            let (term, _) = cluster.witness.leader_after(Term(0)).await;
            cluster.kill_all().await;
            for node in NODES {
                cluster.start(node).await;
            }
            cluster.witness.leader_after(term).await;
            let other = cluster.client().await;
            expect_all(&other, from + 20, &acknowledged).await;
            other.open_session().await.unwrap();
            assert_eq!(
                lock(&other, 0).await,
                Err(ClientError::Refused(MachineError::Lock(LockError::Timeout)))
            );
        }
        // The session went through it all.
        first.release(&held).await.unwrap();
        let latest = first.set("end", bytes("end")).await.unwrap();
        for node in NODES {
            cluster.witness.applied(node, latest).await;
        }
    };
    witness.watch(test).await.unwrap();
}

/// Which nodes stay without the others.
async fn without_quorum(survivor: impl FnOnce(NodeId) -> NodeId) {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let test = async {
        let patient = cluster.client().await;
        let hasty = cluster.client_with(|config| config.operation_timeout_us = 1_000_000).await;
        patient.open_session().await.unwrap();
        while hasty.open_session().await.is_err() {}
        let before = patient.set("a", bytes("before")).await.unwrap();
        let mut held = Err(ClientError::NotDone("not tried yet"));
        // An attempt of unknown outcome may hold its lock, so that each has one of its own.
        for attempt in 0..LOCK_ATTEMPTS_MAX {
            held = hasty.acquire(&format!("door-{attempt}"), LockMode::Exclusive, 0).await;
            if held.is_ok() {
                break;
            }
        }
        let held = held.expect("a quorum runs");
        let (_, leader) = cluster.witness.leader_after(Term(0)).await;
        let survivor = survivor(leader);
        for node in NODES.into_iter().filter(|node| *node != survivor) {
            cluster.kill(node).await;
        }

        let set = hasty.set("a", bytes("after"));
        let compare_and_set = hasty.compare_and_set("a", Some(bytes("before")), bytes("after"));
        let (set, compare_and_set) = join(set, compare_and_set).await;
        let (delete, release) = join(hasty.delete("b"), hasty.release(&held)).await;
        assert!(matches!(set, Err(ClientError::Unknown(_))), "{set:?}");
        assert!(matches!(compare_and_set, Err(ClientError::Unknown(_))), "{compare_and_set:?}");
        assert!(matches!(delete, Err(ClientError::Unknown(_))), "{delete:?}");
        assert!(matches!(release, Err(ClientError::Unknown(_))), "{release:?}");
        let read = hasty.get("a").await;
        assert!(matches!(read, Err(ClientError::NotDone(_))), "a read has no effect: {read:?}");

        let back = NODES.into_iter().find(|node| *node != survivor).expect("there are others");
        cluster.start(back).await;
        let found = patient.get("a").await.unwrap().expect("it was never deleted");
        let is_before = found == Versioned { value: bytes("before"), version: before };
        assert!(is_before || found.value == bytes("after") && found.version > before, "{found:?}");
        patient.set("a", bytes("at last")).await.unwrap();
    };
    witness.watch(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_to_a_leader_without_quorum_have_unknown_outcomes() {
    without_quorum(|leader| leader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_to_a_follower_without_quorum_have_unknown_outcomes() {
    without_quorum(|leader| if leader == NODES[0] { NODES[1] } else { NODES[0] }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_is_refused_to_a_second_node() {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let test = async {
        let client = cluster.client().await;
        client.open_session().await.unwrap();
        for node in NODES {
            let Err(error) = cluster.open(node, node).await else {
                panic!("a second {node} opened its folder");
            };
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        }
        client.set("a", bytes("the first ones go on")).await.unwrap();
    };
    witness.watch(test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_the_folder_of_another_stops_and_says_why() {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let test = async {
        let client = cluster.client().await;
        client.open_session().await.unwrap();
        cluster.kill(NodeId(1)).await;
        cluster.kill(NodeId(2)).await;
        let env = loop {
            match cluster.open(NodeId(2), NodeId(1)).await {
                Ok(env) => break env,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        };
        cluster.run(NodeId(2), env);
        std::future::pending::<()>().await;
    };
    let failure = witness.watch(test).await.unwrap_err();
    assert!(failure.starts_with("n2: the node stops because its storage failed"), "{failure}");
    assert!(failure.ends_with("belongs to n1 of cluster 77, not to n2 of cluster 77"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_folder_vanishes_stops_and_the_others_serve_on() {
    let wal = WalConfig { segment_bytes: 2_048, preallocate_bytes: 0 };
    let mut cluster = Cluster::started_with(wal).await;
    let witness = cluster.witness.clone();
    let client = cluster.client().await;
    let test = async {
        client.open_session().await.unwrap();
        cluster.remove_folder_of(NodeId(3));
        for number in 0.. {
            client.set("a", Bytes::from(vec![number as u8; 512])).await.unwrap();
        }
    };
    let failure = witness.watch(test).await.unwrap_err();
    assert!(failure.starts_with("n3: the node stops because its storage failed"), "{failure}");
    client.set("b", bytes("the others go on")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_panics_is_noticed() {
    let mut cluster = Cluster::started().await;
    let witness = cluster.witness.clone();
    let client = cluster.client().await;
    let test = async {
        client.open_session().await.unwrap();
        cluster.witness.sabotage(NodeId(2));
        client.set("a", bytes("1")).await.unwrap();
        std::future::pending::<()>().await;
    };
    let failure = witness.watch(test).await.unwrap_err();
    assert!(failure.starts_with("n2: it panicked: ") && failure.contains("it was sabotaged"), "{failure}");
}
