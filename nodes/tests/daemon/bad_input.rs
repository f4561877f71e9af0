//! What must not happen to be sent to a port, sent to it.
#![expect(clippy::disallowed_methods, reason = "it reads what the daemons said")]

use std::net::SocketAddr;

use serde_json::json;
use stormglass_nodes::api::{ApiError, RequestId, Response};
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_nodes::transport::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Daemons;

/// Sends bytes, and returns what comes until the other side closes.
pub(crate) async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    // It may be closed before all is sent.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_closed_and_counted_and_the_node_goes_on() {
    let daemons = Daemons::start(1, &[]).await;
    let node = &daemons.cluster.nodes()[0];
    let (nodes, http) = (node.address, node.http.expect("it serves HTTP"));
    // To the port of the nodes: too long a frame, no hello, a hello cut short.
    assert_eq!(say(nodes, b"GET / HTTP/1.1\r\n\r\n").await, "");
    assert_eq!(say(nodes, b"\x08\0\0\0STORMNOT").await, "");
    assert_eq!(say(nodes, b"\x0b\0\0\0STORMNET\x01\0\xff").await, "");
    assert!(daemons.metric(1, "stormglass_net_refused_garbage_total").await >= 2.0);
    // To the port of HTTP.
    assert!(say(http, b"\x16\x03\x01\x02\x00 hello\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let told = say(http, long.as_bytes()).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    assert!(daemons.metric(1, "stormglass_http_connections_refused_total{reason=\"garbage\"}").await >= 1.0);
    daemons.until_served(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_would_not_count_is_refused() {
    let daemons = Daemons::start(1, &[]).await;
    let stray = daemons.keyed(1, "/v1/sessions", "1-1", &json!({"lease_ms": 60_000})).await;
    assert_eq!(stray.status, 400, "{}", stray.text());
    assert!(stray.text().contains("no Idempotency-Key counts here"), "{}", stray.text());
    let session = daemons.session(1).await;
    let message = json!({"messages": [{"text": "one"}]});
    let key = format!("{session}-1");
    assert_eq!(daemons.keyed(1, "/v1/topics/jobs/messages", &key, &message).await.status, 201);
    // The older system knows no keys.
    let enqueued = daemons.keyed(1, "/queue/enqueue", &key, &json!({"topic": "jobs", "message": 1})).await;
    assert_eq!(enqueued.status, 200, "{}", enqueued.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_is_a_problem_that_says_why() {
    let daemons = Daemons::start(1, &[]).await;
    let long_name = "x".repeat(257);
    let cases = [
        ("GET", "/nowhere".to_owned(), "", "", 404, "there is no such path"),
        ("PATCH", "/v1/cache".to_owned(), "", "", 405, "Allow"),
        ("POST", "/v1/sessions".to_owned(), "", "{}", 415, "Content-Type"),
        ("POST", "/v1/sessions".to_owned(), "json", "[]", 400, "not a JSON object"),
        ("GET", "/v1/topics?after=%ff".to_owned(), "", "", 400, "the query is not UTF-8"),
        (
            "POST",
            "/v1/sessions".to_owned(),
            "json",
            "{\"lease_ms\":99}",
            400,
            "99 is not from 100 to 3600000",
        ),
        ("POST", "/v1/sessions".to_owned(), "json", "{\"leese_ms\":1}", 400, "unknown field `leese_ms`"),
        ("POST", "/v1/sessions".to_owned(), "json", "{\"lease_ms\"", 400, "line 1"),
        ("GET", format!("/v1/cache/{long_name}"), "", "", 400, "257 characters"),
        ("GET", "/v1/cache/%FF".to_owned(), "", "", 400, "UTF-8"),
        ("GET", "/v1/topics?count=0".to_owned(), "", "", 400, "0 is not from 1 to 1024"),
        ("GET", "/v1/topics?from=a".to_owned(), "", "", 400, "unknown field"),
        ("GET", "/v1/sessions/x".to_owned(), "", "", 400, "session"),
        ("POST", "/v1/locks/a/acquire".to_owned(), "key", "{}", 400, "SESSION-NUMBER"),
    ];
    for (method, path, kind, body, status, detail) in cases {
        let head = match kind {
            "json" => "content-type: application/json\r\n",
            "key" => "content-type: application/json\r\nidempotency-key: x\r\n",
            _ => "",
        };
        let answer = daemons.cluster.request(1, method, &path, head, body.as_bytes()).await;
        let answer = answer.expect("the daemon answers");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        let problem = answer.json();
        assert_eq!((&problem["status"], &problem["outcome"]), (&json!(status), &json!("definite")));
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(detail)), "{path}: {problem}");
    }
    let too_long = vec![b'x'; 3 * 1024 * 1024];
    // The daemon may close before all of it is sent, and then the answer may be lost.
    assert!(daemons.put(1, "key", &too_long).await.map_or(true, |answer| answer.status == 413));
    assert_eq!(daemons.get(1, "/v1/cache/key").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_and_the_page_are_served() {
    let daemons = Daemons::start(1, &[]).await;
    let document = daemons.get(1, "/openapi.json").await;
    assert!(document.json()["paths"]["/v1/locks/{resource}/acquire"]["post"].is_object());
    let page = daemons.get(1, "/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("/v1/locks/{resource}/acquire"));
}

/// A frame's length and the frame, as they go over the wire.
fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len()).expect("it is short").to_le_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

/// The hello of a client to node 1.
fn hello(client: u64) -> Vec<u8> {
    let mut bytes = b"STORMNET\x01\0".to_vec();
    let (from, to) = (Address::Client(ClientId(client)), Address::Node(NodeId(1)));
    bytes.extend_from_slice(&postcard::to_stdvec(&(from, to)).expect("two addresses always encode"));
    framed(&bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_makes_no_sense_ends_its_connection_and_no_other() {
    let daemons = Daemons::start(1, &[]).await;
    let nodes = daemons.cluster.nodes()[0].address;
    let mut good = TcpStream::connect(nodes).await.expect("somebody listens");
    good.write_all(&hello(7)).await.expect("it is taken");
    let nonsense = [
        b"garbage".to_vec(),
        vec![0xb1; 100],
        Vec::new(),
        // A frame of another kind of sender: what a node sends to a client.
        Frame::Response(Response { id: RequestId(1), result: Err(ApiError::LeadershipLost) })
            .encode()
            .to_vec(),
    ];
    for (count, frame) in (1_u32..).zip(&nonsense) {
        // The same client, so that a connection is closed and not a client.
        let all = [hello(8), framed(frame).repeat(1_000)].concat();
        assert_eq!(say(nodes, &all).await, "");
        let refused = daemons.metric(1, "stormglass_net_refused_nonsense_total").await;
        assert!((refused - f64::from(count)).abs() < f64::EPSILON, "{refused} after {frame:?}");
    }
    let mut byte = [0];
    let is_open = good.try_read(&mut byte).expect_err("nothing was asked, so nothing is answered");
    assert_eq!(is_open.kind(), std::io::ErrorKind::WouldBlock, "the other client's connection is open");
    // One line for each connection, however many frames there were.
    let log = daemons.cluster.folder_of(1).with_extension("log");
    let log = std::fs::read_to_string(log).expect("it has said something");
    assert_eq!(log.matches("closed a connection").count(), nonsense.len(), "{log}");
    daemons.until_served(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_come_leave_their_places() {
    let daemons = Daemons::start(1, &["--http-requests-max", "4", "--http-body-timeout-ms", "500"]).await;
    let http = daemons.cluster.nodes()[0].http.expect("it serves HTTP");
    let slow = b"POST /v1/topics/jobs/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{";
    // Each is answered, and its connection closed, although its client would wait for ever.
    let told = futures_util::future::join_all((0..4).map(|_| say(http, slow))).await;
    for told in told {
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        assert!(told.contains("urn:stormglass:problem:body-late"), "{told}");
    }
    let late = "stormglass_http_requests_total{method=\"POST\",route=\"/v1/topics/{topic}/messages\",status=\"408\"}";
    assert!((daemons.metric(1, late).await - 4.0).abs() < f64::EPSILON);
    assert_eq!(daemons.put(1, "colour", b"blue").await.expect("it answers").status, 204);
}
