//! Daemons that keep their logs in a Redis, a private one for each test.

use futures_util::StreamExt;

use crate::bad_input::say;
use crate::process::Process;
use crate::redis_support::{RedisServer, SYNCED, server};
use crate::support::Daemons;

/// Looks at the status are repeated so often; each takes a request.
const LOOKS_MAX: usize = 20_000;

fn url(redis: &RedisServer) -> String {
    format!("unix://{}", redis.socket().display())
}

/// What a node says of its store.
async fn storage_of(daemons: &Daemons, id: u64) -> serde_json::Value {
    daemons.get(id, "/status").await.json()["storage"].clone()
}

/// Looks until every node gives this reason for being ready, or for not being.
async fn until_ready(daemons: &Daemons, reason: &str) {
    for id in 1..=3 {
        for look in 0.. {
            let said = daemons.get(id, "/readyz").await.text();
            if said.contains(reason) {
                break;
            }
            assert!(look < LOOKS_MAX, "node {id} never says {reason}, but {said}");
        }
    }
}

/// Looks until no node says that it knows of a leader.
async fn until_no_leader(daemons: &Daemons) {
    for id in 1..=3 {
        for look in 0.. {
            let status = daemons.get(id, "/status").await.json();
            if status["leader_id"].is_null() {
                break;
            }
            assert!(look < LOOKS_MAX, "node {id} goes on to know a leader: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_daemons_acknowledged_outlives_them_and_their_redis() {
    let Some(mut redis) = server(SYNCED).await else { return };
    let url = url(&redis);
    let mut daemons = Daemons::start(3, &["--redis", &url]).await;
    let storage = storage_of(&daemons, 2).await;
    assert_eq!(storage["kind"], format!("redis at {}", redis.config().address), "{storage}");
    assert_eq!(storage["durability"], "synced", "{storage}");
    let channels = storage["events"].as_str().expect("it publishes events").to_owned();
    let listener = redis::Client::open(url.clone()).expect("it is a URL");
    let mut listener = listener.get_async_pubsub().await.expect("the Redis serves");
    listener.psubscribe(&channels).await.expect("the Redis serves");
    let lock = serde_json::json!({"resource": "printer", "client_id": "client-A"});
    assert_eq!(daemons.post(1, "/lock", "", &lock).await.status, 200);
    assert_eq!(daemons.put(1, "colour", b"blue").await.expect("it answers").status, 204);
    let mut heard = listener.on_message();
    let mut granted = Vec::new();
    loop {
        let message = heard.next().await.expect("the Redis goes on");
        let told: serde_json::Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
        granted.extend(told["event"]["Granted"]["resource"].as_str().map(str::to_owned));
        if message.get_channel_name().ends_with(":events:cache")
            && told["event"]["Written"]["key"] == "colour"
        {
            break;
        }
    }
    drop(heard);
    // That call takes two locks, and the other is the gateways' own.
    assert_eq!(granted, ["printer"]);
    until_ready(&daemons, "the node knows of a leader").await;
    redis.kill();
    let leader = daemons.leader().await;
    // Whether it notices is known once it has something to write: nobody is told that this one was done.
    let put = daemons.put(leader, "colour", b"red").await.expect("it answers");
    assert_ne!(put.status, 204, "{}", put.text());
    let storage = storage_of(&daemons, leader).await;
    assert_eq!(storage["available"], false, "{storage}");
    // None of them can serve, and none says that it can.
    until_ready(&daemons, "the node's storage is not available").await;
    for id in 1..=3 {
        assert_eq!(daemons.get(id, "/readyz").await.status, 503);
    }
    until_no_leader(&daemons).await;
    redis.start().await.expect("it starts again");
    daemons.until_served(leader).await;
    until_ready(&daemons, "the node knows of a leader").await;
    assert!(storage_of(&daemons, leader).await["reconnects"].as_u64() >= Some(1));
    assert!(daemons.metric(leader, "stormglass_storage_reconnects_total").await >= 1.0);
    // All of them killed at once, the log is in the Redis alone.
    for id in 1..=3 {
        daemons.cluster.kill(id).await.expect("it runs");
    }
    for id in 1..=3 {
        daemons.cluster.restart(id).await.expect("it starts again");
    }
    daemons.until_served(3).await;
    let colour = daemons.get(3, "/v1/cache/colour").await.text();
    // What failed while the Redis was away may have been done after all: nobody was told that it was not.
    assert!(["blue", "red"].contains(&colour.as_str()), "{colour}");
    let redis::Value::Int(keys) = redis.ask(&["DBSIZE"]).await else { panic!("it counts its keys") };
    assert!(keys >= 3, "each node has keys of its own: {keys}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_forget_is_refused_unless_that_is_allowed() {
    let Some(redis) = server(&["--appendonly", "yes", "--appendfsync", "no"]).await else { return };
    let url = url(&redis);
    let said = Daemons::refused(&["--redis", &url]).await;
    assert!(said.contains("may lose what it acknowledges: appendfsync is no"), "{said}");
    assert!(said.contains("hint: ") && said.contains("--allow-volatile-redis"), "{said}");
    let allowed = Daemons::start(1, &["--redis", &url, "--allow-volatile-redis"]).await;
    let storage = storage_of(&allowed, 1).await;
    assert_eq!(storage["durability"], "volatile: appendfsync is no", "{storage}");
    assert!((allowed.metric(1, "stormglass_storage_is_volatile").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_redis_was_emptied_does_not_start() {
    let Some(mut redis) = server(SYNCED).await else { return };
    let url = url(&redis);
    let mut daemons = Daemons::start(1, &["--redis", &url]).await;
    assert!(daemons.cluster.stop(1).await.expect("it can be waited for"));
    redis.lose_everything().await;
    redis.start().await.expect("it starts again");
    let said = daemons.cluster.restart(1).await.expect_err("it must not start").to_string();
    assert!(said.contains("has forgotten what it acknowledged"), "{said}");
    assert!(said.contains("hint: ") && said.contains("new id"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_of_one_name_never_share_a_redis() {
    let Some(redis) = server(SYNCED).await else { return };
    let url = url(&redis);
    let mut first = Daemons::start(1, &["--redis", &url]).await;
    assert_eq!(first.put(1, "colour", b"blue").await.expect("it answers").status, 204);
    let said = Daemons::refused(&["--redis", &url]).await;
    assert!(said.contains("and the folder has no mark of it"), "{said}");
    assert!(said.contains("hint: ") && said.contains("--adopt-redis"), "{said}");
    // By another name it has a store of its own.
    let second = Daemons::start(1, &["--redis", &url, "--cluster-name", "second"]).await;
    assert_eq!(second.get(1, "/v1/cache/colour").await.status, 404);
    // The first has not been touched. Whoever lost its folder says so, and finds what it had.
    assert_eq!(first.get(1, "/v1/cache/colour").await.text(), "blue");
    assert!(first.cluster.stop(1).await.expect("it can be waited for"));
    let heir = Daemons::start(1, &["--redis", &url, "--adopt-redis"]).await;
    assert_eq!(heir.get(1, "/v1/cache/colour").await.text(), "blue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_redis_is_away_at_the_start_a_daemon_says_so() {
    let Some(mut redis) = server(SYNCED).await else { return };
    redis.kill();
    let url = url(&redis);
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let mut daemon = Process::start(folder.path(), &["--redis", &url]);
    let line = daemon.logged("serves HTTP").await;
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")?.parse().ok());
    let address = address.expect("it says where");
    let mut said = String::new();
    for _ in 0..LOOKS_MAX {
        said = say(address, b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        if said.starts_with("HTTP/1.1 503") && said.contains("its storage is not available") {
            break;
        }
    }
    assert!(said.contains("its storage is not available: no connection"), "{said}");
    redis.start().await.expect("it starts again");
    // It is ready now, and was not before.
    assert_eq!(daemon.ready().await.1, address);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lets_nobody_in_is_told_of_at_once_and_in_one_line() {
    let arguments = [SYNCED, &["--requirepass", "secret"]].concat();
    let Some(redis) = server(&arguments).await else { return };
    // Of a login that asks for a database the library tells only that it could not be chosen.
    let refusals = ["Authentication required", "Password authentication failed", "out of range"];
    for wrong in ["", "?db=3", "?db=3&pass=wrong", "?db=99&pass=secret"] {
        let said = Daemons::refused(&["--redis", &format!("{}{wrong}", url(&redis))]).await;
        assert!(said.contains("cannot be used"), "{wrong}: {said}");
        assert!(refusals.iter().any(|refusal| said.contains(refusal)), "{wrong}: {said}");
        assert_eq!(said.lines().count(), 2, "an error and a hint: {said}");
        assert!(said.lines().last().is_some_and(|line| line.starts_with("hint: ")), "{said}");
    }
}
