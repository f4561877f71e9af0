//! The older system's transcripts, in order, each answering as that system's report shows.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::support::{Daemons, Transcript};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_systems_transcripts_replay() {
    let daemons = Daemons::start(3, &[]).await;
    let mut said = Transcript::default();
    said.note("Two share a lock.");
    let shared =
        |client: &str| format!(r#"{{"resource":"file-1","client_id":"{client}","lock_type":"shared"}}"#);
    said.ask(&daemons, 1, "POST", "/lock", &shared("client-A")).await;
    said.ask(&daemons, 2, "POST", "/lock", &shared("client-B")).await;

    said.note("One holds a lock alone, another waits at another node, and gets it by itself.");
    let database = |client: &str| format!(r#"{{"resource":"database-1","client_id":"{client}"}}"#);
    said.ask(&daemons, 1, "POST", "/lock", &database("client-C")).await;
    said.ask(&daemons, 3, "POST", "/lock", &database("client-E")).await;
    said.ask(&daemons, 2, "POST", "/lock", &database("client-F")).await;
    said.ask(&daemons, 2, "POST", "/unlock", &database("client-C")).await;
    said.ask(&daemons, 1, "POST", "/lock", &database("client-E")).await;
    said.ask(&daemons, 1, "POST", "/lock", &database("client-F")).await;
    said.ask(&daemons, 3, "POST", "/unlock", &database("client-F")).await;
    said.ask(&daemons, 3, "POST", "/unlock", &database("client-E")).await;
    said.ask(&daemons, 3, "POST", "/unlock", &database("client-E")).await;

    said.note("Who asks for an exclusive lock waits for all who share it.");
    let exclusive = r#"{"resource":"file-1","client_id":"client-D","lock_type":"exclusive"}"#;
    said.ask(&daemons, 1, "POST", "/lock", exclusive).await;

    said.note("What is no JSON is refused.");
    said.ask(&daemons, 1, "POST", "/lock", "resource=file-1").await;
    said.ask(&daemons, 1, "POST", "/lock", "").await;
    said.ask(&daemons, 1, "POST", "/lock", r#"{"resource":"file-1"}"#).await;

    said.note("Five messages in, taken in order at another node, five out, and accounted for.");
    said.ask(&daemons, 3, "GET", "/queue/dequeue?topic=test-queue", "").await;
    for number in 1..=5 {
        let message = format!(r#"{{"topic":"test-queue","message":"message {number}"}}"#);
        said.ask(&daemons, 1, "POST", "/queue/enqueue", &message).await;
    }
    said.ask(&daemons, 2, "GET", "/queue/stats", "").await;
    for _ in 1..=6 {
        said.ask(&daemons, 2, "GET", "/queue/dequeue?topic=test-queue", "").await;
    }
    said.ask(&daemons, 2, "GET", "/queue/stats", "").await;

    said.note("One node writes, another reads and holds it, a third writes: the second reads what is new.");
    said.ask(&daemons, 2, "GET", "/cache/get/product:500", "").await;
    said.ask(&daemons, 1, "POST", "/cache/set", r#"{"key":"product:500","value":1000}"#).await;
    said.ask(&daemons, 2, "GET", "/cache/get/product:500", "").await;
    said.ask(&daemons, 2, "GET", "/cache/get/product:500", "").await;
    said.ask(&daemons, 3, "POST", "/cache/set", r#"{"key":"product:500","value":900}"#).await;
    said.ask(&daemons, 2, "GET", "/cache/get/product:500", "").await;

    said.note("Every field of the older system's status is there.");
    said.ask(&daemons, 1, "GET", "/status", "").await;
    insta::assert_snapshot!(said.text());
}

/// A client that gives up on a call for a lock, at any moment of it, and calls again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_gets_its_place_in_line_all_the_same() {
    let daemons = Daemons::start(1, &[]).await;
    let wish = |client: &str| json!({"resource": "r", "client_id": client});
    assert_eq!(daemons.post(1, "/lock", "", &wish("holder")).await.status, 200);
    for number in 0..40 {
        let client = format!("c{number}");
        let patience = Duration::from_micros(200 * number);
        // Whether it was answered before it hung up does not matter.
        drop(timeout(patience, daemons.post(1, "/lock", "", &wish(&client))).await);
        let again = daemons.post(1, "/lock", "", &wish(&client)).await;
        let message = again.json()["message"].as_str().unwrap_or_default().to_owned();
        let expected = format!("Waiting: {client} waiting for exclusive lock on r");
        assert!(
            again.status == 200 && message.starts_with(&expected),
            "{number}: {} {message}",
            again.status
        );
    }
    // All are in line, each once.
    let line = daemons.get(1, "/v1/locks/r").await.json();
    assert_eq!(line["waiters"].as_array().map(Vec::len), Some(40), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_values_are_kept_as_they_are_written() {
    let daemons = Daemons::start(1, &[]).await;
    let written = r#"{"z":1,"a":[1e2,12345678901234567890123], "a":null}"#;
    let head = "content-type: application/json\r\n";
    for (path, field, got) in [
        ("/queue/enqueue", r#""topic":"t","message""#, "/queue/dequeue?topic=t"),
        ("/cache/set", r#""key":"k","value""#, "/cache/get/k"),
    ] {
        let body = format!("{{{field}:{written}}}");
        let answer = daemons.cluster.request(1, "POST", path, head, body.as_bytes()).await;
        assert_eq!(answer.expect("the daemon answers").status, 200);
        let answer = daemons.cluster.request(1, "GET", got, "", b"").await.expect("the daemon answers");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(&format!(":{written},")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_a_lock_is_not_told_that_it_has_it_alone() {
    let daemons = Daemons::start(1, &[]).await;
    let wish = |client: &str, kind: &str| json!({"resource": "a", "client_id": client, "lock_type": kind});
    let said = async |client: &str, kind: &str| {
        let answer = daemons.post(1, "/lock", "", &wish(client, kind)).await;
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(said("x", "shared").await, (200, "Success: x acquired shared lock on a".to_owned()));
    let (status, message) = said("x", "exclusive").await;
    assert_eq!(status, 409, "{message}");
    assert!(message.starts_with("Error: x holds shared lock on a; POST /unlock first"), "{message}");
    // It has it still, and the one that waits to share it is told the same.
    assert_eq!(said("x", "shared").await.0, 200);
    assert!(said("y", "exclusive").await.1.starts_with("Waiting: y waiting for exclusive lock on a"));
    assert!(said("z", "shared").await.1.starts_with("Waiting: z waiting for shared lock on a"));
    let (status, message) = said("z", "exclusive").await;
    assert_eq!(status, 409, "{message}");
    assert!(message.starts_with("Error: z waits for shared lock on a"), "{message}");
    for client in ["z", "x"] {
        assert_eq!(daemons.post(1, "/unlock", "", &wish(client, "shared")).await.status, 200);
    }
    // Who has it alone may share it as well.
    let held = (200, "Success: y acquired exclusive lock on a".to_owned());
    while said("y", "exclusive").await != held {}
    assert_eq!(said("y", "shared").await, (200, "Success: y holds exclusive lock on a".to_owned()));
}
