//! Near-caches, as an operator sets them.

use std::collections::BTreeMap;

use crate::support::Daemons;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_near_cache_is_set_otherwise_than_agreed_stops_and_names_the_options() {
    let all = ["--near-drift-ppm-max=2000", "--read-lease-drift-ppm-max=1000"];
    let own = [(1, 90_000), (2, 90_000), (3, 50_000)];
    let own: BTreeMap<_, _> = own.map(|(id, lease)| (id, vec![format!("--near-lease-us={lease}")])).into();
    let mut daemons = Daemons::start_unasked(3, &all, own).await;
    daemons.until_served(2).await;
    let leader = daemons.leader().await;
    // Whoever leads proposes its own terms for the first line that anybody asks for.
    let read = daemons.get(leader, "/v1/cache/served").await;
    assert_eq!(read.status, 200, "{}", read.text());
    let others = loop {
        match [1, 3].into_iter().find(|id| daemons.cluster.has_failed(*id)) {
            Some(failed) => break failed,
            None => tokio::task::yield_now().await,
        }
    };
    let said = daemons.last_words(others).await;
    for part in ["lease_us 90000 and drift_ppm_max 2000", "lease_us 50000", "hint: give --near-lease-us"] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}
