//! The older system's transcripts, in order, each answering as that system's report shows.

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
