//! The resource API: what tells how things are, and who has them.

use serde_json::{Value, json};

use crate::support::Daemons;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_watched_and_a_forced_release_is_on_record() {
    let daemons = Daemons::start(3, &[]).await;
    let session = daemons.session(1).await;
    let at_first = daemons.get(2, "/v1/locks/printer/changes").await;
    assert_eq!(
        (at_first.status, at_first.json()["holders"].clone()),
        (200, json!([])),
        "{}",
        at_first.text()
    );
    let since = at_first.json()["version"].as_u64().expect("it has a version");
    let path = format!("/v1/locks/printer/changes?since={since}&wait_ms=60000");
    let acquires =
        async { daemons.keyed(1, "/v1/locks/printer/acquire", &format!("{session}-1"), &json!({})).await };
    let watches = async {
        // It may wake in vain.
        loop {
            let seen = daemons.get(3, &path).await;
            if seen.json()["holders"] != json!([]) {
                return seen;
            }
        }
    };
    let (seen, held) = tokio::join!(watches, acquires);
    let token = held.json()["token"].clone();
    assert_eq!(seen.json()["holders"][0]["token"], token, "{}", seen.text());
    assert_eq!(daemons.get(1, "/v1/locks/printer/changes?wait_ms=60001").await.status, 400);

    let forced = json!({"token": token, "reason": "its owner is on holiday"});
    let ended = daemons.post(2, "/v1/locks/printer/force-release", "", &forced).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    let record = daemons.get(3, "/v1/forced-releases").await.json();
    let record = &record["releases"][0];
    assert_eq!(record["resource"], "printer");
    assert_eq!((&record["holder"]["session"], &record["holder"]["token"]), (&json!(session), &token));
    assert_eq!(record["reason"], "its owner is on holiday");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_values_come_at_once_and_the_cache_is_bounded() {
    let daemons = Daemons::start(3, &[]).await;
    for (key, value) in [("a", b"1".as_slice()), ("b", &[0xff])] {
        assert_eq!(daemons.put(1, key, value).await.expect("the daemon answers").status, 204);
    }
    let found = daemons.post(2, "/v1/cache-values", "", &json!({"keys": ["b", "none", "a"]})).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let values = found.json()["values"].clone();
    assert_eq!(
        (&values[0]["base64"], &values[1]["found"], &values[2]["text"]),
        (&json!("/w=="), &json!(false), &json!("1"))
    );
    assert!(values[2]["version"].as_u64() > Some(0), "{values}");
    assert_eq!(daemons.post(2, "/v1/cache-values", "", &json!({"keys": []})).await.status, 400);

    let counted = daemons.post(3, "/v1/cache/window/add", "", &json!({"ttl_ms": 60_000})).await;
    assert_eq!((counted.status, &counted.json()["value"]), (200, &json!(1)), "{}", counted.text());
    let life = daemons.get(2, "/v1/cache/window/life").await.json()["left_ms"].as_u64();
    // Lives end at multiples of ten milliseconds.
    assert!(life.is_some_and(|left_ms| (1..60_010).contains(&left_ms)), "{life:?}");
    assert_eq!(daemons.get(1, "/v1/cache/a/life").await.json(), json!({"left_ms": null}));
    assert_eq!(daemons.get(1, "/v1/cache/none/life").await.status, 404);

    let bounds = json!({"entries_max": 1, "bytes_max": 1_000, "policy": "refuse"});
    let body = bounds.to_string();
    let bounded = daemons.cluster.request(
        3,
        "PUT",
        "/v1/cache-settings",
        "content-type: application/json\r\n",
        body.as_bytes(),
    );
    assert_eq!(bounded.await.expect("the daemon answers").status, 204);
    assert_eq!(daemons.get(1, "/v1/cache-settings").await.json(), bounds);
    let refused = daemons.put(2, "c", b"x").await.expect("the daemon answers");
    assert_eq!(
        (refused.status, refused.json()["outcome"].clone()),
        (409, json!("definite")),
        "{}",
        refused.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_key_at_hand_can_be_seen() {
    let daemons = Daemons::start(3, &[]).await;
    assert_eq!(daemons.put(1, "key", b"v").await.expect("the daemon answers").status, 204);
    let lines = async || daemons.get(2, "/v1/cache/key/lines").await.json();
    let state_of = |lines: &Value, id: u64| lines["nodes"][id as usize - 1]["state"].clone();
    // Two readers share it.
    for id in [1, 3, 1, 3] {
        assert_eq!(daemons.get(id, "/v1/cache/key").await.status, 200);
    }
    let shared = lines().await;
    assert_eq!((state_of(&shared, 1), state_of(&shared, 3)), (json!("shared"), json!("shared")), "{shared}");
    assert_eq!(shared["nodes"][1]["reachable"], true);
    let counted = |lines: &Value, id: usize, what: &str| lines["nodes"][id - 1]["counts"][what].as_u64();
    // The first read of each found no line, and asked; a second one found it, unless its lease was over again.
    for id in [1, 3] {
        let [hits, misses] = ["hits", "misses"].map(|what| counted(&shared, id, what).expect("it counts"));
        assert!(hits + misses >= 2 && misses >= 1, "{shared}");
        assert!(counted(&shared, id, "grants") >= Some(1), "{shared}");
    }
    assert_eq!(counted(&shared, 2, "hits"), Some(0), "{shared}");
    let directory = shared["directory"].as_array().expect("the leader knows of lines");
    let holders: Vec<u64> = directory.iter().filter_map(|holder| holder["node"].as_u64()).collect();
    assert!(holders.contains(&1) && holders.contains(&3), "{shared}");
    assert!(directory.iter().all(|holder| holder["left_ms"].as_u64() > Some(0)), "{shared}");
    // A write ends that. Whoever brought it to the leader has the line alone now, if anybody has.
    assert_eq!(daemons.put(2, "key", b"w").await.expect("the daemon answers").status, 204);
    let after = lines().await;
    let states: Vec<Value> = [1, 2, 3].map(|id| state_of(&after, id)).into();
    assert!(!states.contains(&json!("shared")), "{after}");
    assert!(states.iter().filter(|state| !state.is_null()).count() <= 1, "{after}");
    // Each of the two had its line taken from it, or saw its lease end just then.
    let lost = |id| counted(&after, id, "invalidated").zip(counted(&after, id, "lapsed"));
    let told = [1, 3].map(|id| lost(id).map_or(0, |(invalidated, lapsed)| invalidated + lapsed));
    assert!(told.iter().sum::<u64>() >= 1, "{after}");
    assert!(daemons.metric(1, "stormglass_near_asks_total").await > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_may_be_stale_within_a_bound_and_says_how_stale() {
    let daemons = Daemons::start(3, &[]).await;
    assert_eq!(daemons.put(1, "key", b"v").await.expect("the daemon answers").status, 204);
    daemons.post(1, "/v1/topics/orders/messages", "", &json!({"messages": [{"text": "x"}]})).await;
    for path in ["/v1/cache/key", "/v1/topics/orders", "/v1/locks/printer"] {
        for id in [1, 2, 3] {
            let aged = daemons.get(id, &format!("{path}?stale_ms=3600000")).await;
            // What a node has not applied within the hour, it does not have.
            assert!(aged.status == 200 || aged.status == 404, "{path}: {}", aged.text());
            let fresh = daemons.get(id, &format!("{path}?stale_ms=0")).await;
            assert_eq!(fresh.status, 200, "{path}: {}", fresh.text());
            let age: u64 =
                fresh.header("stormglass-age-ms").and_then(|age| age.parse().ok()).expect("an age");
            assert!(age < 60_000, "it was asked for anew: {age}");
            let latest = daemons.get(id, path).await;
            assert_eq!((latest.status, latest.header("stormglass-age-ms")), (200, None));
        }
    }
    assert_eq!(daemons.get(1, "/v1/cache/key?stale_ms=3600001").await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_numbers_its_messages_may_repeat_itself() {
    let daemons = Daemons::start(3, &[]).await;
    let numbered =
        |sequence: u64| json!({"messages": [{"text": "once"}], "producer": {"id": 7, "sequence": sequence}});
    let path = "/v1/topics/orders/messages";
    let first = daemons.post(1, path, "", &numbered(1)).await;
    assert_eq!((first.status, first.json().get("duplicate").cloned()), (201, None), "{}", first.text());
    let again = daemons.post(2, path, "", &numbered(1)).await;
    assert_eq!((again.status, again.json()["duplicate"].clone()), (201, json!(true)), "{}", again.text());
    assert_eq!(again.json()["ids"], first.json()["ids"]);
    let gap = daemons.post(3, path, "", &numbered(3)).await;
    assert_eq!((gap.status, gap.json()["outcome"].clone()), (409, json!("definite")), "{}", gap.text());
    let topic = daemons.get(2, "/v1/topics/orders").await.json();
    assert_eq!(
        (&topic["depth"], &topic["deliverable"], &topic["consumers"]),
        (&json!(1), &json!(1), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_ends_or_uses_the_sessions_in_which_a_node_serves_callers_without_one() {
    let daemons = Daemons::start(1, &[]).await;
    let (path, message) = ("/v1/topics/jobs/messages", json!({"messages": [{"text": "x"}]}));
    assert_eq!(daemons.post(1, path, "", &message).await.status, 201);
    // Sessions are numbered by the log, which is short.
    let mut own = Vec::new();
    for session in 1..20 {
        if daemons.get(1, &format!("/v1/sessions/{session}")).await.status == 200 {
            own.push(session);
        }
    }
    assert!(!own.is_empty(), "it serves in some session");
    for session in own {
        let ended = daemons.cluster.request(1, "DELETE", &format!("/v1/sessions/{session}"), "", b"").await;
        let ended = ended.expect("the daemon answers");
        assert_eq!(ended.status, 409, "{}", ended.text());
        assert_eq!(ended.json()["type"], "urn:stormglass:problem:reserved-session");
        // A number that has not come yet would be taken from whoever comes next, or leave nobody a number.
        for ahead in [100, 1_000_000] {
            let used = daemons.keyed(1, path, &format!("{session}-{ahead}"), &message).await;
            assert_eq!(used.status, 409, "{}", used.text());
        }
        // One that has been is answered with what came of it: that is what indefinite answers give keys for.
        let again = daemons.keyed(1, path, &format!("{session}-1"), &message).await;
        assert_ne!(again.json()["type"], "urn:stormglass:problem:reserved-session", "{}", again.text());
    }
    assert_eq!(daemons.post(1, path, "", &message).await.status, 201);
    let own = daemons.session(1).await;
    let ended = daemons.cluster.request(1, "DELETE", &format!("/v1/sessions/{own}"), "", b"").await;
    assert_eq!(ended.expect("the daemon answers").status, 204);
}
