//! The real network endpoint over loopback, on ports that the system chooses.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use stormglass_nodes::env::{Env, FRAME_BYTES_MAX, Net};
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_nodes::tokio_env::net::PROTOCOL_VERSION;
use stormglass_nodes::tokio_env::{NetCounts, NetLimits, TokioConfig, TokioEnv};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

type Peers = BTreeMap<NodeId, SocketAddr>;

struct Process {
    env: TokioEnv,
    _folder: TempDir,
}

impl Process {
    async fn start(me: Address, listen: Option<SocketAddr>, peers: Peers, limits: NetLimits) -> Self {
        let folder = TempDir::new().unwrap();
        let config = TokioConfig { me, listen, peers, data: folder.path().to_owned() };
        Self { env: TokioEnv::start_with(config, limits).await.unwrap(), _folder: folder }
    }

    async fn node(number: u64) -> Self {
        Self::start(node(number), Some(ANY_PORT), Peers::new(), NetLimits::default()).await
    }

    async fn client(number: u64, peers: Peers) -> Self {
        Self::start(Address::Client(ClientId(number)), None, peers, NetLimits::default()).await
    }

    fn at(&self) -> SocketAddr {
        self.env.listening_on().unwrap()
    }

    fn send(&self, to: Address, frame: impl Into<Vec<u8>>) {
        self.env.net().send(to, Bytes::from(frame.into()));
    }

    async fn receive(&self) -> (Address, Vec<u8>) {
        let (from, frame) = self.env.net().receive().await;
        (from, frame.to_vec())
    }

    fn counts(&self) -> NetCounts {
        self.env.net().counts()
    }
}

fn node(number: u64) -> Address {
    Address::Node(NodeId(number))
}

async fn two_nodes() -> (Process, Process, Peers) {
    let (first, second) = (Process::node(1).await, Process::node(2).await);
    let peers = Peers::from([(NodeId(1), first.at()), (NodeId(2), second.at())]);
    first.env.set_peers(peers.clone());
    second.env.set_peers(peers.clone());
    (first, second, peers)
}

/// A connection that opens with these bytes and then waits for the other side to close it.
async fn closed_after(at: SocketAddr, opening: &[u8]) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(opening).await.unwrap();
    let mut rest = Vec::new();
    // An orderly end and a reset both mean that it was closed.
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, Vec::<u8>::new());
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

fn hello(version: u16, from: Address, to: Address) -> Vec<u8> {
    let addresses = postcard::to_stdvec(&(from, to)).unwrap();
    framed(&[&b"STORMNET"[..], &version.to_le_bytes(), &addresses].concat())
}

#[tokio::test]
async fn frames_pass_between_nodes_both_ways_and_in_order() {
    let (first, second, _) = two_nodes().await;
    for number in 0..1000_u32 {
        first.send(node(2), number.to_le_bytes());
    }
    for number in 0..1000_u32 {
        assert_eq!(second.receive().await, (node(1), number.to_le_bytes().to_vec()));
    }
    second.send(node(1), *b"back");
    assert_eq!(first.receive().await, (node(2), b"back".to_vec()));
    assert_eq!(first.counts().connections_dialed, 1);
}

#[tokio::test]
async fn the_longest_frame_passes_and_a_longer_one_is_dropped_and_counted() {
    let (first, second, _) = two_nodes().await;
    first.send(node(2), vec![1; FRAME_BYTES_MAX + 1]);
    first.send(node(2), vec![2; FRAME_BYTES_MAX]);
    first.send(node(2), vec![]);
    assert_eq!(second.receive().await, (node(1), vec![2; FRAME_BYTES_MAX]));
    assert_eq!(second.receive().await, (node(1), vec![]));
    assert_eq!(first.counts().dropped_oversized, 1);
}

#[tokio::test]
async fn a_process_reaches_itself() {
    let (first, _second, _) = two_nodes().await;
    first.send(node(1), *b"me");
    assert_eq!(first.receive().await, (node(1), b"me".to_vec()));
}

#[tokio::test]
async fn replies_reach_a_client_on_the_connection_that_it_opened() {
    let (first, second, peers) = two_nodes().await;
    let client = Process::client(9, peers).await;
    let nine = Address::Client(ClientId(9));
    for (process, number) in [(&first, 1), (&second, 2)] {
        client.send(node(number), *b"request");
        assert_eq!(process.receive().await, (nine, b"request".to_vec()));
        process.send(nine, *b"reply");
        assert_eq!(client.receive().await, (node(number), b"reply".to_vec()));
    }
    first.send(Address::Client(ClientId(10)), *b"nobody");
    assert_eq!(first.counts().dropped_unreachable, 1);
}

#[tokio::test]
async fn a_node_is_reached_again_after_it_restarts() {
    let (first, second, peers) = two_nodes().await;
    first.send(node(2), *b"before");
    assert_eq!(second.receive().await, (node(1), b"before".to_vec()));
    let address = second.at();
    second.env.shutdown().await;
    let second = Process::start(node(2), Some(address), peers, NetLimits::default()).await;
    assert_eq!(resent_until_received(&first, &second).await, node(1));
}

#[tokio::test]
async fn a_node_that_moved_is_reached_at_its_new_address() {
    let (first, second, mut peers) = two_nodes().await;
    first.send(node(2), *b"before");
    assert_eq!(second.receive().await, (node(1), b"before".to_vec()));
    let moved = Process::node(2).await;
    peers.insert(NodeId(2), moved.at());
    moved.env.set_peers(peers.clone());
    first.env.set_peers(peers);
    assert_eq!(resent_until_received(&first, &moved).await, node(1));
}

/// Sends again and again, as the code above the network does, until something arrives.
async fn resent_until_received(from: &Process, to: &Process) -> Address {
    let receiving = to.receive();
    tokio::pin!(receiving);
    loop {
        from.send(node(2), *b"again");
        let pause = from.env.now().plus_us(5_000);
        tokio::select! {
            biased;
            (sender, frame) = &mut receiving => {
                assert_eq!(frame, b"again");
                return sender;
            }
            () = from.env.sleep_until(pause) => {}
        }
    }
}

#[tokio::test]
async fn garbage_instead_of_a_hello_is_refused_and_counted() {
    let (first, _second, _) = two_nodes().await;
    let strangers: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &framed(b"STORMNE"),
        &framed(b"STORMNET\x01\x00\xff\xff\xff"),
        &hello(PROTOCOL_VERSION + 1, node(2), node(1)),
        &hello(PROTOCOL_VERSION, node(2), node(3)),
        &hello(PROTOCOL_VERSION, node(7), node(1)),
    ];
    for (refused, stranger) in strangers.iter().enumerate() {
        closed_after(first.at(), stranger).await;
        let expected = NetCounts { refused_garbage: refused as u64 + 1, ..NetCounts::default() };
        assert_eq!(first.counts(), expected, "{stranger:?}");
    }
}

#[tokio::test]
async fn a_frame_that_claims_to_be_too_long_is_refused_and_counted() {
    let (first, _second, _) = two_nodes().await;
    let long = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes();
    closed_after(first.at(), &[&hello(PROTOCOL_VERSION, node(2), node(1)), &long[..]].concat()).await;
    assert_eq!(first.counts().refused_oversized, 1);
    assert_eq!(first.counts().connections_accepted, 1);
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_and_counted() {
    let limits = NetLimits { hello_timeout: Duration::from_millis(1), ..NetLimits::default() };
    let first = Process::start(node(1), Some(ANY_PORT), Peers::new(), limits).await;
    closed_after(first.at(), b"").await;
    assert_eq!(first.counts().refused_silent, 1);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_counted() {
    let limits = NetLimits { connections_max: 1, ..NetLimits::default() };
    let first = Process::start(node(1), Some(ANY_PORT), Peers::new(), limits).await;
    let held = TcpStream::connect(first.at()).await.unwrap();
    closed_after(first.at(), b"").await;
    assert_eq!(first.counts().refused_crowded, 1);
    drop(held);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let limits = NetLimits { outbox_frames_max: 4, outbox_bytes_max: 1000, ..NetLimits::default() };
    let second = Process::node(2).await;
    let peers = Peers::from([(NodeId(2), second.at())]);
    let first = Process::start(node(1), None, peers, limits).await;
    // Nothing is awaited here, so that nothing leaves the queue on this one-threaded runtime.
    for _ in 0..6 {
        first.send(node(2), vec![0; 10]);
    }
    assert_eq!(first.counts().dropped_full, 2);
    first.send(node(3), vec![]);
    assert_eq!(first.counts().dropped_unreachable, 1);

    let peers = Peers::from([(NodeId(2), second.at())]);
    let third = Process::start(node(3), None, peers, limits).await;
    for _ in 0..3 {
        third.send(node(2), vec![0; 400]);
    }
    assert_eq!(third.counts().dropped_full, 1);
}

#[tokio::test]
async fn shutdown_ends_every_task_where_it_awaits() {
    let first = Process::node(1).await;
    let (alive, ended) = tokio::sync::oneshot::channel::<()>();
    first.env.spawn("holds a channel", async move {
        std::future::pending::<()>().await;
        drop(alive);
    });
    first.env.shutdown().await;
    assert!(ended.await.is_err(), "the task was dropped where it awaited");
    let (late, ended) = tokio::sync::oneshot::channel::<()>();
    first.env.spawn("too late", async move { drop(late) });
    assert!(ended.await.is_err());
}

#[tokio::test]
async fn a_sleep_ends_once_its_deadline_has_come() {
    let first = Process::node(1).await;
    let deadline = first.env.now().plus_us(1_500);
    first.env.sleep_until(deadline).await;
    assert!(first.env.now() >= deadline);
    first.env.sleep_until(deadline).await;
    assert_ne!(first.env.entropy(), first.env.entropy());
}
