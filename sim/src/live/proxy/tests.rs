//! What each rule does to the frames of a link, by count, through real sockets.

use stormglass_nodes::env::{Env, Net};
use stormglass_nodes::ids::{Address, ClientId};
use stormglass_nodes::tokio_env::{TokioConfig, TokioEnv};
use tempfile::TempDir;

use super::*;

const FRAMES: u64 = 400;

/// A node, a client, and the proxy between them.
struct Pair {
    proxies: Proxies,
    node: TokioEnv,
    client: TokioEnv,
    _folders: [TempDir; 2],
}

const NODE: Process = Process::Node(1);
const CLIENT: Process = Process::Client(7);
const AT_NODE: Address = Address::Node(NodeId(1));
const AT_CLIENT: Address = Address::Client(ClientId(7));

async fn start(me: Address, peers: BTreeMap<NodeId, SocketAddr>, folder: &TempDir) -> TokioEnv {
    let listen = matches!(me, Address::Node(_)).then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let data = folder.path().to_owned();
    TokioEnv::start(TokioConfig { me, listen, peers, data }).await.expect("it starts")
}

impl Pair {
    async fn over(network: NetworkProfile) -> Self {
        let folders = [TempDir::new().expect("a folder"), TempDir::new().expect("a folder")];
        let proxies =
            Proxies::open(&[NODE, CLIENT], 1, Streams::new(1), network).await.expect("there are ports");
        let node = start(AT_NODE, BTreeMap::new(), &folders[0]).await;
        proxies.node_is_at(1, node.listening_on());
        let client = start(AT_CLIENT, proxies.book_of(CLIENT), &folders[1]).await;
        let pair = Self { proxies, node, client, _folders: folders };
        // A first frame each way: both halves of the connection stand.
        pair.client.net().send(AT_NODE, frame(u64::MAX));
        assert_eq!(pair.node.net().receive().await, (AT_CLIENT, frame(u64::MAX)));
        pair.node.net().send(AT_CLIENT, frame(u64::MAX));
        assert_eq!(pair.client.net().receive().await, (AT_NODE, frame(u64::MAX)));
        pair
    }

    fn rule(&self, from: Process, to: Process, action: LinkAction) -> RuleId {
        self.proxies.add_rule(&[from].into(), &[to].into(), action)
    }

    /// Sends all frames from the client; waits until the proxy has taken them.
    async fn send_all(&self) {
        let before = self.proxies.counts().sent;
        (0..FRAMES).for_each(|number| self.client.net().send(AT_NODE, frame(number)));
        while self.proxies.counts().sent < before + FRAMES {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the proxy has handed on so many frames in all.
    async fn delivered(&self, frames: u64) {
        while self.proxies.counts().delivered < frames {
            tokio::task::yield_now().await;
        }
    }

    /// The numbers of the next `count` frames that reach the node.
    async fn received(&self, count: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let (from, bytes) = self.node.net().receive().await;
            assert_eq!(from, AT_CLIENT);
            numbers.push(u64::from_le_bytes(bytes.as_ref().try_into().expect("a frame as it was sent")));
        }
        numbers
    }
}

fn frame(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

fn degrade(loss: f64, duplicate: f64, extra_delay_us: u64, jitter_us: u64) -> LinkAction {
    LinkAction::Degrade { loss, duplicate, extra_delay_us, jitter_us }
}

fn all() -> Vec<u64> {
    (0..FRAMES).collect()
}

#[tokio::test]
async fn without_rules_every_frame_arrives_once_and_in_order() {
    let pair = Pair::over(NetworkProfile::default()).await;
    pair.send_all().await;
    assert_eq!(pair.received(FRAMES).await, all());
    pair.delivered(FRAMES + 2).await;
    assert_eq!(pair.proxies.counts().sent, FRAMES + 2);
}

#[tokio::test]
async fn a_cut_drops_every_frame_and_says_how_many_and_after_it_the_same_connection_serves() {
    let pair = Pair::over(NetworkProfile::default()).await;
    let cut = pair.rule(CLIENT, NODE, LinkAction::Cut);
    pair.send_all().await;
    let effect = pair.proxies.remove_rule(cut).expect("it was in force");
    assert_eq!(effect, RuleEffect { dropped: FRAMES, ..RuleEffect::default() });
    pair.send_all().await;
    assert_eq!(pair.received(FRAMES).await, all());
}

#[tokio::test]
async fn a_cut_of_one_direction_leaves_the_other() {
    let pair = Pair::over(NetworkProfile::default()).await;
    let cut = pair.rule(NODE, CLIENT, LinkAction::Cut);
    pair.send_all().await;
    assert_eq!(pair.received(FRAMES).await, all());
    let before = pair.proxies.counts().sent;
    pair.node.net().send(AT_CLIENT, frame(1));
    while pair.proxies.counts().sent == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(pair.proxies.remove_rule(cut).map(|effect| effect.dropped), Some(1));
}

#[tokio::test]
async fn loss_takes_about_its_share_and_what_is_left_is_in_order() {
    let pair = Pair::over(NetworkProfile::default()).await;
    let rule = pair.rule(CLIENT, NODE, degrade(0.25, 0.0, 0, 0));
    pair.send_all().await;
    let effect = pair.proxies.remove_rule(rule).expect("it was in force");
    assert!((60..=140).contains(&effect.dropped), "{effect:?}");
    let numbers = pair.received(FRAMES - effect.dropped).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn doubled_frames_arrive_twice() {
    let pair = Pair::over(NetworkProfile::default()).await;
    let rule = pair.rule(CLIENT, NODE, degrade(0.0, 1.0, 0, 0));
    pair.send_all().await;
    let numbers = pair.received(2 * FRAMES).await;
    assert_eq!(numbers, (0..FRAMES).flat_map(|number| [number, number]).collect::<Vec<_>>());
    assert_eq!(pair.proxies.remove_rule(rule).map(|effect| effect.duplicated), Some(FRAMES));
}

#[tokio::test]
async fn delayed_frames_arrive_no_earlier_and_overtake_one_another_by_the_random_part() {
    let pair = Pair::over(NetworkProfile::default()).await;
    let rule = pair.rule(CLIENT, NODE, degrade(0.0, 0.0, 20_000, 60_000));
    let begin = Instant::now();
    pair.send_all().await;
    let mut numbers = pair.received(FRAMES).await;
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert!(!numbers.is_sorted(), "none overtook another");
    numbers.sort_unstable();
    assert_eq!(numbers, all());
    assert_eq!(pair.proxies.remove_rule(rule).map(|effect| effect.delayed), Some(FRAMES));
}

#[tokio::test]
async fn a_cut_drops_what_is_on_its_way() {
    let pair = Pair::over(NetworkProfile::default()).await;
    let slow = pair.rule(CLIENT, NODE, degrade(0.0, 0.0, 60_000_000, 0));
    pair.send_all().await;
    let cut = pair.rule(CLIENT, NODE, LinkAction::Cut);
    assert_eq!(pair.proxies.remove_rule(cut).map(|effect| effect.dropped), Some(FRAMES));
    pair.proxies.remove_rule(slow);
}

#[tokio::test]
async fn the_networks_own_delay_loss_and_doubles_need_no_rule() {
    let network = NetworkProfile { latency_us: 2_000, latency_tail_us: 500, loss: 0.0, duplicate: 1.0 };
    let pair = Pair::over(network).await;
    // The doubles of the opening.
    assert_eq!(pair.received(1).await, [u64::MAX]);
    pair.send_all().await;
    let mut numbers = pair.received(2 * FRAMES).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..FRAMES).flat_map(|number| [number, number]).collect::<Vec<_>>());
}

#[tokio::test]
async fn frames_that_reach_a_process_that_stands_still_are_counted() {
    let pair = Pair::over(NetworkProfile::default()).await;
    pair.proxies.stands_still(NODE);
    pair.send_all().await;
    assert_eq!(pair.received(FRAMES).await, all());
    pair.delivered(FRAMES + 2).await;
    assert_eq!(pair.proxies.goes_on(NODE), FRAMES);
    assert_eq!(pair.proxies.goes_on(NODE), 0);
}

#[tokio::test]
async fn a_node_that_moved_is_reached_again() {
    let pair = Pair::over(NetworkProfile::default()).await;
    pair.proxies.node_is_at(1, None);
    pair.node.shutdown().await;
    let folder = TempDir::new().expect("a folder");
    let node = start(AT_NODE, BTreeMap::new(), &folder).await;
    pair.proxies.node_is_at(1, node.listening_on());
    // Frames may be lost until the broken connection is noticed, as frames may.
    let sending = async {
        loop {
            pair.client.net().send(AT_NODE, frame(5));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        received = node.net().receive() => assert_eq!(received, (AT_CLIENT, frame(5))),
        () = sending => {}
    }
}
