//! What a node says of itself, and of a command, when it is left alone.

use serde_json::json;

use crate::support::Daemons;

/// Looks are repeated so often; each takes a request.
const LOOKS_MAX: usize = 20_000;

/// Asks until the node is ready, or is not.
async fn until_ready(daemons: &Daemons, id: u64, is_ready: bool) -> String {
    let mut said = String::new();
    for _ in 0..LOOKS_MAX {
        let answer = daemons.get(id, "/readyz").await;
        said = answer.text();
        if answer.json()["ready"] == is_ready && answer.status == if is_ready { 200 } else { 503 } {
            return said;
        }
    }
    panic!("node {id} never says ready: {is_ready}, but {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_majority_is_not_ready_and_tells_what_it_has_applied() {
    let mut daemons = Daemons::start(3, &[]).await;
    let applied = daemons.metric(1, "stormglass_raft_applied_index").await;
    for key in ["a", "b"] {
        assert_eq!(daemons.put(1, key, b"x").await.expect("it answers").status, 204);
    }
    let two = json!({"messages": [{"text": "one"}, {"text": "two"}]});
    assert_eq!(daemons.post(1, "/v1/topics/jobs/messages", "", &two).await.status, 201);
    // A read of the latest state: from here on the node knows that it has applied all of that.
    assert_eq!(daemons.get(1, "/v1/topics").await.status, 200);
    assert!(daemons.metric(1, "stormglass_raft_applied_index").await >= applied + 3.0);
    until_ready(&daemons, 1, true).await;
    assert_eq!(daemons.put(1, "c", b"x").await.expect("it answers").status, 204);
    let message = json!({"messages": [{"text": "three"}]});
    assert_eq!(daemons.post(1, "/v1/topics/more/messages", "", &message).await.status, 201);
    assert_eq!(daemons.get(1, "/v1/topics").await.status, 200);
    for id in [2, 3] {
        daemons.cluster.kill(id).await.expect("it runs");
    }
    until_ready(&daemons, 1, false).await;
    // Nobody leads who could be asked, and this is later than what was told last.
    for (name, value) in [("cache_entries", 4.0), ("queue_topics", 2.0), ("queue_messages", 3.0)] {
        let told = daemons.metric(1, &format!("stormglass_{name}")).await;
        assert!((told - value).abs() < f64::EPSILON, "{name}: {told}");
    }
    for id in [2, 3] {
        daemons.cluster.restart(id).await.expect("it starts again");
    }
    until_ready(&daemons, 1, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_knows_comes_with_a_key_under_which_it_is_known_later() {
    // Long enough for a leader that is left alone to take a command that it cannot get through.
    let mut daemons = Daemons::start(3, &["--election-timeout-ms", "2000"]).await;
    let leader = daemons.leader().await;
    let path = "/v1/topics/jobs/messages";
    let message = |text: &str| json!({"messages": [{"text": text}]});
    assert_eq!(daemons.post(leader, path, "", &message("first")).await.status, 201);
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    for id in &others {
        daemons.cluster.kill(*id).await.expect("it runs");
    }
    let unknown = daemons.post(leader, path, "", &message("second")).await;
    assert_eq!(unknown.status, 504, "{}", unknown.text());
    let problem = unknown.json();
    assert_eq!(problem["outcome"], "indefinite", "{problem}");
    let key = problem["idempotency_key"].as_str().expect("it comes with a key").to_owned();
    for id in &others {
        daemons.cluster.restart(*id).await.expect("it starts again");
    }
    daemons.until_served(others[0]).await;
    // Others come to the same node without keys, and do not take its place.
    daemons.until_served(leader).await;
    for key in ["a", "b", "c"] {
        assert_eq!(daemons.put(leader, key, b"x").await.expect("it answers").status, 204);
    }
    // Whether or not it was done before, it is done once.
    let settled = daemons.keyed(others[0], path, &key, &message("second")).await;
    assert_eq!(settled.status, 201, "{}", settled.text());
    let again = daemons.keyed(others[1], path, &key, &message("second")).await;
    assert_eq!((again.status, again.json()), (201, settled.json()));
    let topic = daemons.get(others[0], "/v1/topics/jobs").await.json();
    assert_eq!((&topic["depth"], &topic["totals"]["enqueued"]), (&json!(2), &json!(2)), "{topic}");
}
