//! Nodes that are killed and stopped.
#![expect(clippy::disallowed_methods, reason = "it tells how long a failover took; nothing depends on it")]

use std::time::Instant;

use serde_json::json;

use crate::support::Daemons;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_serve_again_after_the_leader_is_killed_and_the_third_rejoins_with_nothing_lost() {
    let mut daemons = Daemons::start(3, &[]).await;
    let session = daemons.session(1).await;
    let mut written = Vec::new();
    for round in 0..3 {
        for number in 0..10 {
            let name = format!("key-{round}-{number}");
            let answer =
                daemons.put(1 + number % 3, &name, name.as_bytes()).await.expect("the daemon answers");
            assert_eq!(answer.status, 204, "{}", answer.text());
            written.push(name);
        }
        let key = format!("{session}-{}", round + 1);
        let message = json!({"messages": [{"text": format!("message {round}")}]});
        let first = daemons.keyed(1 + round, "/v1/topics/kept/messages", &key, &message).await;
        assert_eq!(first.status, 201, "{}", first.text());

        let leader = daemons.leader().await;
        daemons.cluster.kill(leader).await.expect("it can be killed");
        let survivor = 1 + leader % 3;
        let began = Instant::now();
        let attempts = daemons.until_served(survivor).await;
        eprintln!("served again after {:?}, at attempt {attempts}", began.elapsed());
        // A repetition elsewhere, after the failover, finds what was done before it.
        let again = daemons.keyed(survivor, "/v1/topics/kept/messages", &key, &message).await;
        assert_eq!(again.json(), first.json());

        daemons.cluster.restart(leader).await.expect("it starts again");
        daemons.until_served(leader).await;
        for name in &written {
            let read = daemons.get(leader, &format!("/v1/cache/{name}")).await;
            assert_eq!(read.text(), *name, "at the node that was killed");
        }
    }
    let kept = daemons.get(2, "/v1/topics/kept").await.json();
    assert_eq!((&kept["depth"], &kept["totals"]["enqueued"]), (&json!(3), &json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_stop_answers_what_is_under_way_and_hands_over() {
    let mut daemons = Daemons::start(3, &[]).await;
    let leader = daemons.leader().await;
    let http = daemons.cluster.nodes()[leader as usize - 1].http.expect("it serves HTTP");
    let session = daemons.session(leader).await;
    let waits = |topic: &str, key: &str| {
        let body = r#"{"wait_ms":60000}"#;
        let request = format!(
            "POST /v1/topics/{topic}/deliveries HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{key}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        tokio::spawn(async move { crate::bad_input::say(http, request.as_bytes()).await })
    };
    let (mine, keyed) = (waits("jobs", ""), waits("kept", &format!("idempotency-key: {session}-1\r\n")));
    for topic in ["jobs", "kept"] {
        while daemons.get(leader, &format!("/v1/topics/{topic}")).await.json()["waiting"] != 1 {}
    }
    assert!(
        daemons.cluster.stop(leader).await.expect("it can be waited for"),
        "it ends in order, and in time"
    );
    // Nothing came of the wait, and nothing will.
    let told = mine.await.expect("the task ends");
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("retry-after: 1"), "{told}");
    assert!(told.contains("\"outcome\":\"definite\""), "{told}");
    // The one with a key goes on without this node.
    let told = keyed.await.expect("the task ends");
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("\"outcome\":\"indefinite\""), "{told}");
    let survivor = 1 + leader % 3;
    daemons.until_served(survivor).await;
    let waiting = async |topic: &str| {
        daemons.get(survivor, &format!("/v1/topics/{topic}")).await.json()["waiting"].clone()
    };
    assert_eq!((waiting("jobs").await, waiting("kept").await), (json!(0), json!(1)));
    let message = json!({"messages": [{"text": "late"}]});
    assert_eq!(daemons.post(survivor, "/v1/topics/kept/messages", "", &message).await.status, 201);
    let key = format!("{session}-1");
    let again =
        daemons.keyed(survivor, "/v1/topics/kept/deliveries", &key, &json!({"wait_ms": 60_000})).await;
    assert_eq!(again.json()["deliveries"][0]["text"], "late", "{}", again.text());
    let log = daemons.cluster.folder_of(leader).with_extension("log");
    let log = std::fs::read_to_string(log).expect("it has said something");
    assert!(log.contains("stopped"), "{log}");
    assert!(daemons.cluster.stop_all().await.expect("they can be waited for"));
}
