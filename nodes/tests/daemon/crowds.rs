//! More than a daemon has room for, sent to it.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bad_input::say;
use crate::support::Daemons;

/// Looks are repeated so often; each takes a connection.
const LOOKS_MAX: usize = 20_000;

/// The head of a request whose body does not come.
const UNFINISHED: &[u8] = b"PUT /v1/cache/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhal";

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

/// Asks for this until the answer has that in it.
async fn until_told(http: SocketAddr, path: &str, wanted: &str) -> String {
    let mut told = String::new();
    for _ in 0..LOOKS_MAX {
        told = say(http, &get(path)).await;
        if told.contains(wanted) {
            return told;
        }
    }
    panic!("{path} never tells {wanted}: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_more_than_there_are_places_is_told_when_to_come_again() {
    let daemons = Daemons::start(1, &["--http-requests-max", "1", "--http-body-timeout-ms", "600000"]).await;
    let http = daemons.cluster.nodes()[0].http.expect("it serves HTTP");
    let mut slow = TcpStream::connect(http).await.expect("somebody listens");
    slow.write_all(UNFINISHED).await.expect("it is taken");
    until_told(http, "/metrics", "stormglass_http_requests_under_way 1").await;
    // The older system's calls are refused alike: none is looked at before it has a place.
    for path in ["/v1/cache/colour", "/queue/stats"] {
        let refused = daemons.get(1, path).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.text());
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        let problem = refused.json();
        assert_eq!(problem["type"], "urn:stormglass:problem:too-many-requests", "{problem}");
        assert_eq!((&problem["status"], &problem["outcome"]), (&429.into(), &"definite".into()));
    }
    // What operators look at needs no place.
    for path in ["/healthz", "/readyz", "/status"] {
        assert_eq!(daemons.get(1, path).await.status, 200, "{path}");
    }
    slow.write_all(b"lo").await.expect("it is taken");
    until_told(http, "/v1/cache/slow", "hallo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_more_than_there_is_room_for_is_closed_and_counted() {
    let daemons = Daemons::start(1, &["--http-connections-max", "1"]).await;
    let http = daemons.cluster.nodes()[0].http.expect("it serves HTTP");
    let alive = get("/healthz");
    // The one before may take a moment to end.
    let mut idle = None;
    for _ in 0..LOOKS_MAX {
        let mut first = TcpStream::connect(http).await.expect("somebody listens");
        // It is served, and stays open.
        first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is taken");
        let mut byte = [0];
        if tokio::io::AsyncReadExt::read(&mut first, &mut byte).await.is_ok_and(|read| read == 1) {
            idle = Some(first);
            break;
        }
    }
    let idle = idle.expect("there is room for one");
    for _ in 0..3 {
        assert_eq!(say(http, &alive).await, "", "there is no room for another");
    }
    drop(idle);
    until_told(http, "/healthz", "HTTP/1.1 200").await;
    let told =
        until_told(http, "/metrics", "stormglass_http_connections_refused_total{reason=\"crowded\"}").await;
    let crowded = told.lines().find_map(|line| line.split_once("{reason=\"crowded\"} "));
    let crowded: u32 = crowded.and_then(|(_, count)| count.trim().parse().ok()).expect("it is a number");
    assert!(crowded >= 3, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_says_so_to_whoever_asks_until_it_is_gone() {
    let arguments = ["--http-body-timeout-ms", "600000", "--stop-timeout-ms", "600000"];
    let mut daemons = Daemons::start(1, &arguments).await;
    let http = daemons.cluster.nodes()[0].http.expect("it serves HTTP");
    let mut slow = TcpStream::connect(http).await.expect("somebody listens");
    slow.write_all(UNFINISHED).await.expect("it is taken");
    until_told(http, "/metrics", "stormglass_http_requests_under_way 1").await;
    assert!(say(http, &get("/readyz")).await.starts_with("HTTP/1.1 200"));
    crate::process::signal(daemons.cluster.process(1).expect("it runs"), "TERM").await;
    // The request that is under way holds the stop up. Meanwhile the node is asked over new connections.
    let told = until_told(http, "/readyz", "the node is stopping").await;
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("\"ready\":false"), "{told}");
    let refused = say(http, &get("/v1/cache/colour")).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("problem:stopping"), "{refused}");
    assert!(refused.contains("\"outcome\":\"definite\"") && refused.contains("retry-after: 1"), "{refused}");
    // A connection that asks nothing does not hold it up.
    let silent = TcpStream::connect(http).await.expect("somebody listens");
    slow.write_all(b"lo").await.expect("it is taken");
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut slow, &mut answer).await.expect("it is answered");
    assert!(answer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer));
    let ended = daemons.cluster.wait(1).await.expect("it ran");
    assert_eq!(ended.code(), Some(0), "{ended}");
    drop(silent);
}
