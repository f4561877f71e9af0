//! The example programs do what they say: each is run, over real sockets and files, and its report is looked at.

#[path = "../examples/cached_read_through.rs"]
mod cached_read_through;
#[path = "../examples/lock_worker.rs"]
mod lock_worker;
#[path = "../examples/loopback/mod.rs"]
mod loopback;
#[path = "../examples/producer_consumer.rs"]
mod producer_consumer;

use std::time::Duration;

use stormglass_nodes::machine::TokenStatus;

/// An example that has not come to its end by then never will, however busy the machine is.
const EXAMPLE_BOUND: Duration = Duration::from_secs(240);

async fn bounded<T>(example: impl Future<Output = Result<T, Box<dyn std::error::Error>>>) -> T {
    let result = tokio::time::timeout(EXAMPLE_BOUND, example).await;
    result.expect("the example ends by itself").expect("the example succeeds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_write_under_a_stale_token_is_refused() {
    let report = bounded(lock_worker::run()).await;
    let [first, second] = report.tokens;
    assert!(first < second);
    assert_eq!(report.ledger.lines, ["opening balance", "deposit"]);
    assert_eq!(report.late, Err(second));
    assert_eq!(report.status, TokenStatus::Stale { latest: second });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_is_handled_and_none_is_left() {
    let report = bounded(producer_consumer::run()).await;
    let orders: Vec<String> = (1..=16).map(|number| format!("order {number}")).collect();
    assert!(orders.iter().all(|order| report.handled.contains_key(order)), "{report:?}");
    assert_eq!(report.handled.len(), orders.len());
    assert!(report.is_duplicate);
    let totals = report.stats.totals;
    assert_eq!((totals.enqueued, totals.acknowledged, totals.dead_lettered), (16, 16, 0));
    assert!(totals.rejected >= 1 && totals.redelivered >= 1, "{totals:?}");
    assert!(report.counts.extended >= 1, "an order took two leases: {:?}", report.counts);
    report.stats.check_accounts().expect("every message is accounted for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_asked_once_a_page_and_the_node_answers_the_rest() {
    let report = bounded(cached_read_through::run()).await;
    assert_eq!(report.reads, 400);
    assert_eq!(report.loads, 4);
    assert!(report.near_hits > 0, "{report:?}");
    assert_eq!(report.after_write, "a new edition");
}
