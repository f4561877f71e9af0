//! What must not happen to be sent to a port, sent to it.

use std::net::SocketAddr;

use serde_json::json;
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
async fn every_bad_request_is_a_problem_that_says_why() {
    let daemons = Daemons::start(1, &[]).await;
    let long_name = "x".repeat(257);
    let cases = [
        ("GET", "/nowhere".to_owned(), "", "", 404, "there is no such path"),
        ("PATCH", "/v1/cache".to_owned(), "", "", 405, "Allow"),
        ("POST", "/v1/sessions".to_owned(), "", "{}", 415, "Content-Type"),
        ("POST", "/v1/sessions".to_owned(), "json", "[]", 400, "not a JSON object"),
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
