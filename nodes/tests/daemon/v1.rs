//! The resource API: what it promises across nodes.

use serde_json::json;

use crate::support::Daemons;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_a_command_happen_once_whichever_node_brings_it() {
    let daemons = Daemons::start(3, &[]).await;
    let session = daemons.session(1).await;
    let (key, message) = (format!("{session}-1"), json!({"messages": [{"text": "once"}]}));
    let first = daemons.keyed(1, "/v1/topics/orders/messages", &key, &message).await;
    assert_eq!(first.status, 201, "{}", first.text());
    for id in [1, 2, 3] {
        let again = daemons.keyed(id, "/v1/topics/orders/messages", &key, &message).await;
        assert_eq!((again.status, again.json()), (201, first.json()), "at node {id}");
    }
    assert_eq!(daemons.get(2, "/v1/topics/orders").await.json()["depth"], 1);
    // Another command under the same key is not done, and is told so.
    let other = daemons.keyed(2, "/v1/cache/counter/add", &key, &json!({})).await;
    assert_eq!(other.status, 409, "{}", other.text());
    assert_eq!(other.json()["type"], "urn:stormglass:problem:key-used-otherwise");
    assert_eq!(daemons.get(2, "/v1/cache/counter").await.status, 404);
    // Without a key it happens again.
    let anew = daemons.post(3, "/v1/topics/orders/messages", "", &message).await;
    assert_ne!(anew.json(), first.json());
    // Of a session that is not there, nobody knows what it did.
    let gone = daemons.keyed(1, "/v1/topics/orders/messages", "999999-1", &message).await;
    assert_eq!((gone.status, gone.json()["outcome"].clone()), (409, json!("indefinite")), "{}", gone.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_passes_from_session_to_session_with_rising_tokens() {
    let daemons = Daemons::start(3, &[]).await;
    let (one, other) = (daemons.session(1).await, daemons.session(2).await);
    let path = "/v1/locks/printer/acquire";
    assert_eq!(daemons.post(1, path, "", &json!({})).await.status, 400, "a lock belongs to a session");
    let held = daemons.keyed(1, path, &format!("{one}-1"), &json!({})).await;
    assert_eq!(held.status, 200, "{}", held.text());
    let token = held.json()["token"].as_u64().expect("a grant has a token");

    let refused = daemons.keyed(2, path, &format!("{other}-1"), &json!({})).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.json()["type"], "urn:stormglass:problem:lock-not-granted");
    assert_eq!(refused.json()["outcome"], "definite");

    let (waiting_key, release_key) = (format!("{other}-2"), format!("{one}-2"));
    let (long, give_back) = (json!({"wait_ms": 60_000}), json!({"token": token}));
    let waits = daemons.keyed(3, path, &waiting_key, &long);
    let releases = async {
        // Once it stands in line, so that the wait is one.
        while daemons.get(1, "/v1/locks/printer").await.json()["waiters"] == json!([]) {}
        daemons.keyed(2, "/v1/locks/printer/release", &release_key, &give_back).await
    };
    let (passed, released) = tokio::join!(waits, releases);
    assert_eq!((released.status, passed.status), (204, 200), "{}", passed.text());
    let later = passed.json()["token"].as_u64().expect("a grant has a token");
    assert!(later > token);
    let checked = daemons.get(1, &format!("/v1/locks/printer/tokens/{token}")).await;
    assert_eq!(checked.json(), json!({"status": "stale", "latest": later}));
    // The end of a session is the end of its hold.
    let ended = daemons.cluster.request(1, "DELETE", &format!("/v1/sessions/{other}"), "", b"").await;
    assert_eq!(ended.expect("the daemon answers").status, 204);
    assert_eq!(daemons.get(3, "/v1/locks/printer").await.json()["holders"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_found() {
    let daemons = Daemons::start(3, &[]).await;
    let session = daemons.session(1).await;
    let path = format!("/v1/sessions/{session}");
    let open = daemons.get(2, &path).await;
    let nothing = json!({"session": session, "lease_ms": 3_600_000, "held": [], "awaited": []});
    assert_eq!((open.status, open.json()), (200, nothing));
    daemons.keyed(1, "/v1/locks/printer/acquire", &format!("{session}-1"), &json!({})).await;
    let holds = daemons.get(3, &path).await;
    assert_eq!(holds.json()["held"][0]["resource"], "printer", "{}", holds.text());
    let closed = daemons.cluster.request(3, "DELETE", &path, "", b"").await.expect("the daemon answers");
    assert_eq!(closed.status, 204);
    for (id, path) in [(1, path.as_str()), (2, path.as_str()), (3, "/v1/sessions/999999")] {
        let gone = daemons.get(id, path).await;
        assert_eq!((gone.status, gone.header("content-type")), (404, Some("application/problem+json")));
        assert_eq!(gone.json()["type"], "urn:stormglass:problem:not-found");
    }
    for path in ["/v1/topics/none", "/v1/topics/none/messages", "/v1/topics/none/dead", "/v1/cache/none"] {
        let none = daemons.get(2, path).await;
        assert_eq!((none.status, none.json()["outcome"].clone()), (404, json!("definite")), "{path}");
    }
    // A lock has no life of its own: one that nobody ever asked for is one that nobody holds.
    let free = daemons.get(2, "/v1/locks/none").await;
    assert_eq!((free.status, free.json()["holders"].clone()), (200, json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_value_is_the_latest_at_every_node() {
    let daemons = Daemons::start(3, &[]).await;
    for round in 0..20_u8 {
        let writer = 1 + u64::from(round) % 3;
        let written = daemons.put(writer, "key", &[round]).await.expect("the daemon answers");
        assert_eq!(written.status, 204, "{}", written.text());
        for reader in [1, 2, 3, 2] {
            let read = daemons.get(reader, "/v1/cache/key").await;
            assert_eq!((read.status, read.body.as_slice()), (200, [round].as_slice()), "at node {reader}");
            assert_eq!(read.header("etag"), written.header("etag"));
        }
    }
    let hits: f64 = daemons.metric(2, "stormglass_near_hits_total").await;
    assert!(hits > 0.0, "a node that reads twice has it at hand");

    let tag =
        daemons.get(1, "/v1/cache/key").await.header("etag").map(str::to_owned).expect("it has a version");
    let put = async |head: String| daemons.cluster.request(2, "PUT", "/v1/cache/key", &head, b"new").await;
    let refused = put("if-match: \"1\"\r\n".to_owned()).await.expect("the daemon answers");
    assert_eq!((refused.status, refused.header("etag")), (412, Some(tag.as_str())));
    let refused = put("if-none-match: *\r\n".to_owned()).await.expect("the daemon answers");
    assert_eq!(refused.status, 412);
    let taken = put(format!("if-match: {tag}\r\n")).await.expect("the daemon answers");
    assert_eq!(taken.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_leased_waited_for_and_acknowledged() {
    let daemons = Daemons::start(3, &[]).await;
    let (path, long) = ("/v1/topics/jobs/deliveries", json!({"wait_ms": 60_000, "visibility_ms": 60_000}));
    let waits = daemons.post(2, path, "", &long);
    let enqueues = async {
        // Once somebody waits, so that the wait is one.
        while daemons.get(1, "/v1/topics/jobs").await.json()["waiting"] != 1 {}
        let messages = json!({"messages": [{"text": "a", "headers": {"x": "y"}}, {"base64": "AP8="}]});
        daemons.post(3, "/v1/topics/jobs/messages", "", &messages).await
    };
    let (delivered, enqueued) = tokio::join!(waits, enqueues);
    assert_eq!(enqueued.status, 201, "{}", enqueued.text());
    let first = delivered.json()["deliveries"][0].clone();
    assert_eq!((&first["text"], &first["headers"]["x"]), (&json!("a"), &json!("y")));
    let second = daemons.post(1, path, "", &json!({})).await.json()["deliveries"][0].clone();
    assert_eq!((&second["base64"], &second["text"]), (&json!("AP8="), &json!(null)));
    assert_eq!(daemons.post(1, path, "", &json!({})).await.json(), json!({"deliveries": []}));

    let name = |delivery: &serde_json::Value| json!({"id": delivery["id"], "receipt": delivery["receipt"]});
    let both = json!({"deliveries": [name(&first), name(&first)]});
    let settled = daemons.post(3, "/v1/topics/jobs/acknowledgements", "", &both).await;
    assert_eq!(settled.json(), json!({"results": ["done", "unknown"]}));
    let rejected = daemons.post(3, "/v1/topics/jobs/rejections", "", &name(&second)).await;
    assert_eq!(rejected.json(), json!({"dead": false}));
    let again = daemons.post(1, path, "", &json!({})).await.json()["deliveries"][0].clone();
    assert_eq!((&again["id"], &again["attempt"]), (&second["id"], &json!(2)));
    let late = daemons.post(1, "/v1/topics/jobs/rejections", "", &name(&second)).await;
    assert_eq!(
        (late.status, late.json()["type"].clone()),
        (409, json!("urn:stormglass:problem:stale-receipt"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_refused_at_once_and_may_come_again() {
    let daemons = Daemons::start(1, &["--http-waits-max", "1"]).await;
    let (path, long) = ("/v1/topics/jobs/deliveries", json!({"wait_ms": 60_000}));
    let waits = daemons.post(1, path, "", &long);
    let meanwhile = async {
        while daemons.get(1, "/v1/topics/jobs").await.json()["waiting"] != 1 {}
        let refused = daemons.post(1, path, "", &long).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
        assert_eq!(refused.json()["outcome"], "definite");
        // What does not wait is served, and ends the wait.
        daemons.post(1, "/v1/topics/jobs/messages", "", &json!({"messages": [{"text": "a"}]})).await
    };
    let (delivered, enqueued) = tokio::join!(waits, meanwhile);
    assert_eq!((delivered.status, enqueued.status), (200, 201));
    assert_eq!(
        daemons.post(1, path, "", &json!({"wait_ms": 1})).await.status,
        200,
        "the place is free again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_how_it_is_and_hand_the_leadership_over() {
    let daemons = Daemons::start(3, &[]).await;
    let leader = daemons.leader().await;
    let other = 1 + leader % 3;
    assert_eq!(daemons.get(other, "/healthz").await.text(), "ok\n");
    assert_eq!(daemons.get(other, "/readyz").await.json()["ready"], true);
    let to = json!({"to": other});
    let transferred = daemons.post(leader, "/v1/cluster/leader", "", &to).await;
    assert_eq!(transferred.status, 204, "{}", transferred.text());
    assert_eq!(daemons.leader().await, other);
    assert!(daemons.metric(other, "stormglass_raft_elections_won_total").await >= 1.0);
    assert!(daemons.metric(other, "stormglass_storage_write_seconds_count").await >= 1.0);
    let stranger = json!({"voters_now": [1, 2, 3], "add_voters": [4]});
    let refused = daemons.post(1, "/v1/cluster/members", "", &stranger).await;
    assert_eq!(refused.json()["type"], "urn:stormglass:problem:no-address");
    let out_of_date = json!({"voters_now": [1, 2], "remove": [1]});
    assert_eq!(daemons.post(1, "/v1/cluster/members", "", &out_of_date).await.status, 409);
    let removed = json!({"voters_now": [1, 2, 3], "remove": [leader]});
    let members = daemons.post(other, "/v1/cluster/members", "", &removed).await;
    assert_eq!(members.status, 200, "{}", members.text());
    let left: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    assert_eq!(members.json()["voters"], json!(left));
}
