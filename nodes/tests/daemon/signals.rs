//! What a daemon does when it is signalled, and when nobody listens to what it says.
#![expect(clippy::disallowed_methods, reason = "it reads what the daemons said")]

use serde_json::Value;
use tempfile::TempDir;

use crate::bad_input::say;
use crate::process::{Process, signal};
use crate::support::Daemons;

/// More lines than a pipe holds that nobody reads.
const LINES: usize = 1_000;

/// What a daemon has logged as JSON: each line is an object with the fields that programs go by.
fn logged(daemons: &Daemons, id: u64) -> Vec<Value> {
    let log = daemons.cluster.folder_of(id).with_extension("log");
    let log = std::fs::read_to_string(log).expect("it has said something");
    log.lines().map(parsed).collect()
}

fn parsed(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    for field in ["timestamp", "level", "target", "message"] {
        assert!(event[field].is_string(), "{field} is missing in {line}");
    }
    event
}

fn candidacies(log: &[Value]) -> usize {
    log.iter().filter(|event| event["role"] == "PreCandidate").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sigterm_a_leader_hands_over_and_ends_with_code_0() {
    // Long enough for nobody to campaign by itself: who leads next was asked to.
    let arguments = ["--election-timeout-ms", "5000", "--log-format", "json"];
    let mut daemons = Daemons::start(3, &arguments).await;
    let leader = daemons.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let before: Vec<usize> = others.iter().map(|id| candidacies(&logged(&daemons, *id))).collect();
    signal(daemons.cluster.process(leader).expect("it runs"), "TERM").await;
    let ended = daemons.cluster.wait(leader).await.expect("it ran");
    assert_eq!(ended.code(), Some(0), "{ended}");
    let next = daemons.leader().await;
    assert_ne!(next, leader);
    daemons.until_served(next).await;
    let after: Vec<usize> = others.iter().map(|id| candidacies(&logged(&daemons, *id))).collect();
    assert_eq!(after, before, "somebody campaigned because nobody led");
    let log = logged(&daemons, leader);
    assert!(log.iter().any(|event| event["reason"] == "SIGTERM"), "{log:?}");
    assert_eq!(log.last().map(|event| &event["message"]), Some(&"stopped".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_daemon_that_waits_for_its_clients() {
    let folder = TempDir::new().expect("there is room for a folder");
    let mut daemon = Process::start(folder.path(), &["--stop-timeout-ms", "600000"]);
    let (_, http) = daemon.ready().await;
    // A request whose body does not come holds the stop up.
    let body = b"PUT /v1/cache/key HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhal";
    let held = tokio::spawn(say(http, body));
    while !say(http, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .contains("stormglass_http_requests_under_way 1")
    {}
    daemon.signal("TERM").await;
    daemon.logged("another such signal ends the node at once").await;
    daemon.signal("INT").await;
    daemon.logged("ended at once").await;
    assert_eq!(daemon.ended().await.code(), Some(0));
    assert_eq!(held.await.expect("its connection is closed"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_goes_on_when_nobody_reads_what_it_says() {
    for format in ["human", "json"] {
        let folder = TempDir::new().expect("there is room for a folder");
        let mut daemon = Process::start(folder.path(), &["--log-format", format]);
        let (nodes, http) = daemon.ready().await;
        daemon.stop_listening();
        // Each is worth a line of the log.
        for _ in 0..LINES {
            assert_eq!(say(nodes, b"\x08\0\0\0STORMNOT").await, "");
        }
        let told = say(http, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
        daemon.signal("TERM").await;
        assert_eq!(daemon.ended().await.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_an_exit_code_even_if_nobody_hears_it() {
    let folder = TempDir::new().expect("there is room for a folder");
    let mut daemon = Process::start(folder.path(), &["--election-timeout-ms", "1"]);
    daemon.stop_listening();
    assert_eq!(daemon.ended().await.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_log_for_programs_is_an_object() {
    let folder = TempDir::new().expect("there is room for a folder");
    let mut daemon = Process::start(folder.path(), &["--log-format", "json", "--log-level", "debug"]);
    let (nodes, _) = daemon.ready().await;
    assert_eq!(say(nodes, b"\x08\0\0\0STORM\n\"}").await, "");
    daemon.signal("TERM").await;
    let lines = daemon.rest_of_log().await;
    assert_eq!(daemon.ended().await.code(), Some(0));
    let events: Vec<Value> = lines.iter().map(|line| parsed(line)).collect();
    assert!(events.iter().any(|event| event["level"] == "WARN" && event["reason"].is_string()), "{events:?}");
}

async fn ask(http: std::net::SocketAddr, path: &str) -> Value {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let told = say(http, request.as_bytes()).await;
    let (_, body) = told.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// The nodes whose addresses a node knows, and those that its gateway asks.
async fn known(http: std::net::SocketAddr) -> (Vec<String>, Vec<u64>) {
    let cluster = ask(http, "/v1/cluster").await;
    let addresses = cluster["addresses"].as_object().expect("it has addresses").keys().cloned().collect();
    let nodes = ask(http, "/v1/cluster/nodes").await;
    let asked = nodes["nodes"].as_array().expect("it asks nodes").iter();
    (addresses, asked.filter_map(|node| node["node"].as_u64()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sighup_a_node_reads_where_the_others_are_and_believes_no_nonsense() {
    let folder = TempDir::new().expect("there is room for a folder");
    let file = folder.path().join("node.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("it can be written");
    write("cluster = \"1=127.0.0.1:0\"\n");
    let config = file.display().to_string();
    let data = folder.path().join("data");
    let mut daemon = Process::start_anywhere(&data, &["--config", &config]);
    let (_, http) = daemon.ready().await;
    assert_eq!(known(http).await, (vec!["1".to_owned()], vec![1]));
    write("cluster = \"1=127.0.0.1:0,2=127.0.0.1:9\"\n");
    daemon.signal("HUP").await;
    daemon.logged("read --cluster anew").await;
    let two = (vec!["1".to_owned(), "2".to_owned()], vec![1, 2]);
    assert_eq!(known(http).await, two);
    for (text, why) in [
        ("cluster = \"2=127.0.0.1:9\"\n", "does not say where this node, 1, is"),
        ("id = 1\n", "it has no `cluster`"),
        ("cluster = \"2\"\n", "NUMBER=HOST:PORT"),
        ("redis = \"redis://:topsecret@h\ncluster = \"1=127.0.0.1:0\"\n", "line 1"),
    ] {
        write(text);
        daemon.signal("HUP").await;
        let line = daemon.logged("the addresses stay as they are").await;
        assert!(line.contains(why) && !line.contains("topsecret"), "{line}");
        assert_eq!(known(http).await, two);
    }
    daemon.signal("TERM").await;
    assert_eq!(daemon.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_counts_for_more_than_the_file_on_sighup_too() {
    let folder = TempDir::new().expect("there is room for a folder");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "cluster = \"1=127.0.0.1:0,2=127.0.0.1:9\"\n").expect("it can be written");
    let config = file.display().to_string();
    let mut daemon = Process::start(&folder.path().join("data"), &["--config", &config]);
    let (_, http) = daemon.ready().await;
    daemon.signal("HUP").await;
    daemon.logged("there is nothing to read anew").await;
    assert_eq!(known(http).await, (vec!["1".to_owned()], vec![1]));
}
