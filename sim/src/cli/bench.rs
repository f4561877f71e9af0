//! `stormglass bench`: the whole system as its callers meet it. Real nodes on this machine, each write on the disk of
//! a majority before it is answered, and a connection of its own for each request.
//!
//! What is answered is looked at: a bench that times wrong answers, or refusals, says nothing.

#![expect(clippy::disallowed_methods, reason = "it lives in the real world: folders, sockets, seconds")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use stormglass_nodes::daemon::local::{LocalCluster, LocalConfig};

use super::output::say;
use super::{UsageError, args, cluster};

/// Nodes of the cluster on which latencies are measured.
const NODES: u64 = 3;
/// Numbers of nodes at which it is measured how the whole scales.
const SCALES: [u64; 3] = [1, 2, 3];
/// How often it is asked whether a new cluster has a leader.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 200;
/// Significant decimal digits of latencies.
const DIGITS: u8 = 3;

pub(super) fn bench(arguments: &args::Bench) -> Result<ExitCode, UsageError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured = runtime.map_err(|error| format!("no runtime: {error}"));
    measured.and_then(|runtime| runtime.block_on(run(arguments))).map_err(|why| {
        UsageError::new(
            why,
            "a bench wants a machine that is otherwise idle; `stormglass cluster` shows more",
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn run(arguments: &args::Bench) -> Result<(), String> {
    let args::Bench { operations, clients } = *arguments;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    say!("{NODES} nodes on one machine with {cores} cores, logs in files, each write synced; HTTP");
    say!("{:<44}{:>9}{:>10}{:>10}{:>12}", "", "mean", "median", "99 of 100", "each second");
    let mut cluster = start(NODES).await?;
    let result = measure(&cluster, operations, clients).await;
    stop(&mut cluster).await;
    result?;
    say!("\n{clients} callers, half of what they ask writes; requests each second");
    for nodes in SCALES {
        let mut cluster = start(nodes).await?;
        let took = everything(&cluster, operations, clients).await;
        stop(&mut cluster).await;
        let asked = operations / clients * clients;
        say!(
            "  {nodes} {:<10}{:>10.0}",
            if nodes == 1 { "node" } else { "nodes" },
            each_second(asked, took?)
        );
    }
    Ok(())
}

/// Locks, messages and the cache on one cluster.
async fn measure(cluster: &LocalCluster, operations: u64, clients: u64) -> Result<(), String> {
    let mut locked = Timing::new();
    for number in 0..operations {
        let body = json!({ "resource": format!("bench-{number}"), "client_id": "bench" });
        let answer = locked.time(ask(cluster, at(cluster, number), "POST", "/lock", &body)).await?;
        expect(answer["message"].as_str().is_some_and(|said| said.starts_with("Success")), "lock", &answer)?;
    }
    locked.show("a lock, acquired");
    let (mut enqueued, mut dequeued) = (Timing::new(), Timing::new());
    for number in 0..operations {
        let body = json!({ "topic": "bench", "message": number });
        let answer = enqueued.time(ask(cluster, at(cluster, 0), "POST", "/queue/enqueue", &body)).await?;
        expect(answer["status"] == "ok", "enqueue", &answer)?;
    }
    for number in 0..operations {
        let path = "/queue/dequeue?topic=bench";
        let answer = dequeued.time(ask(cluster, at(cluster, 1), "GET", path, &Value::Null)).await?;
        expect(answer["message"] == number, "dequeue", &answer)?;
    }
    enqueued.show("a message, enqueued");
    dequeued.show("a message, dequeued at another node");
    let took = producers(cluster, operations, clients).await?;
    let many = operations / clients * clients;
    say!("{:<44}{:>41.0}", format!("messages of {clients} producers"), each_second(many, took));
    cache(cluster, operations).await
}

async fn cache(cluster: &LocalCluster, operations: u64) -> Result<(), String> {
    let body = json!({ "key": "bench", "value": 500 });
    expect_ok(&ask(cluster, at(cluster, 0), "POST", "/cache/set", &body).await?)?;
    let (mut got, mut hits, mut near) = (Timing::new(), 0_u64, 0_u64);
    for number in 0..operations {
        let path = "/cache/get/bench";
        let answer = got.time(ask(cluster, at(cluster, number), "GET", path, &Value::Null)).await?;
        expect(answer["value"] == 500 || answer["status"] == "miss", "cache get", &answer)?;
        hits += u64::from(answer["status"] == "hit");
        near += u64::from(answer["held_here"] == true);
    }
    got.show("a key, read at each node in turn");
    let share = |count: u64| 100.0 * count as f64 / operations as f64;
    say!("  found {:.1} %, by the node's own near-cache {:.1} %", share(hits), share(near));
    Ok(())
}

/// How long many producers take for so many messages in all.
async fn producers(cluster: &LocalCluster, operations: u64, clients: u64) -> Result<Duration, String> {
    let began = Instant::now();
    let each = (0..clients).map(async |client| {
        for number in 0..operations / clients {
            let body = json!({ "topic": "bench-many", "message": number });
            expect_ok(&ask(cluster, at(cluster, client), "POST", "/queue/enqueue", &body).await?)?;
        }
        Ok::<(), String>(())
    });
    try_join_all(each).await?;
    Ok(began.elapsed())
}

/// How long many callers take for so many requests in all, writes and reads in turn, spread over the nodes.
async fn everything(cluster: &LocalCluster, operations: u64, clients: u64) -> Result<Duration, String> {
    let began = Instant::now();
    let each = (0..clients).map(async |client| {
        let (node, key) = (at(cluster, client), format!("bench-{client}"));
        for number in 0..operations / clients {
            if number % 2 == 0 {
                let body = json!({ "key": key, "value": number });
                expect_ok(&ask(cluster, node, "POST", "/cache/set", &body).await?)?;
            } else {
                let path = format!("/cache/get/{key}");
                let answer = ask(cluster, node, "GET", &path, &Value::Null).await?;
                expect(answer["value"] == number - 1, "cache get", &answer)?;
            }
        }
        Ok::<(), String>(())
    });
    try_join_all(each).await?;
    Ok(began.elapsed())
}

/// How long each of many requests took.
struct Timing {
    histogram: Histogram<u64>,
    took: Duration,
}

impl Timing {
    fn new() -> Self {
        Self { histogram: Histogram::new(DIGITS).expect("so many digits are possible"), took: Duration::ZERO }
    }

    async fn time<T>(&mut self, request: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let answer = request.await;
        let took = began.elapsed();
        self.note(took);
        answer
    }

    fn note(&mut self, took: Duration) {
        self.took += took;
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.record(nanoseconds).expect("a histogram that grows takes whatever fits");
    }

    fn show(&self, what: &str) {
        say!("{}", self.line(what));
    }

    fn line(&self, what: &str) -> String {
        let ms = |nanoseconds: f64| format!("{:.2} ms", nanoseconds / 1e6);
        let quantile = |share: f64| ms(self.histogram.value_at_quantile(share) as f64);
        format!(
            "{what:<44}{:>9}{:>10}{:>10}{:>12.0}",
            ms(self.histogram.mean()),
            quantile(0.5),
            quantile(0.99),
            each_second(self.histogram.len(), self.took)
        )
    }
}

fn each_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The node that has this turn.
fn at(cluster: &LocalCluster, turn: u64) -> u64 {
    turn % cluster.nodes().len() as u64 + 1
}

async fn ask(
    cluster: &LocalCluster,
    node: u64,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, String> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = cluster.request(node, method, path, "content-type: application/json\r\n", &body).await;
    let answer = answer.map_err(|error| format!("node {node} does not answer {path}: {error}"))?;
    match answer.status {
        200 => Ok(answer.json()),
        status => Err(format!("node {node} answers {path} with {status}: {}", answer.text())),
    }
}

fn expect(is_right: bool, what: &str, answer: &Value) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(format!("{what}: an answer that is not the right one: {answer}")) }
}

fn expect_ok(answer: &Value) -> Result<(), String> {
    expect(answer["status"] == "ok", "a write", answer)
}

/// A new cluster that has a leader.
async fn start(nodes: u64) -> Result<LocalCluster, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program does not find itself: {error}"))?;
    let folder = tempfile::Builder::new().prefix("stormglass-bench-").tempdir();
    let folder = folder.map_err(|error| format!("no folder for the nodes: {error}"))?.keep();
    let config = LocalConfig {
        program: vec![program.into(), cluster::DAEMON.into()],
        count: nodes,
        folder,
        arguments: Vec::new(),
        own_arguments: BTreeMap::new(),
        environment: BTreeMap::new(),
    };
    let cluster = LocalCluster::start(config).await.map_err(|error| format!("no cluster: {error}"))?;
    for _ in 0..LOOKS_MAX {
        let asked = (1..=nodes).map(|node| ask(&cluster, node, "GET", "/status", &Value::Null));
        let ready = |state: &Result<Value, String>| {
            state.as_ref().is_ok_and(|state| state["leader_id"].is_u64() && state["commit_index"] != 0)
        };
        if join_all(asked).await.iter().all(ready) {
            return Ok(cluster);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("{nodes} nodes have no leader"))
}

/// Stops the nodes. Their logs and data go, unless one of them did not end as it should.
async fn stop(cluster: &mut LocalCluster) {
    let folder = cluster.folder_of(1).parent().map(std::path::Path::to_path_buf);
    let in_order = cluster.stop_all().await.unwrap_or(false);
    match folder {
        Some(folder) if in_order => drop(std::fs::remove_dir_all(folder)),
        Some(folder) => say!("  not all nodes ended as they should: {}", folder.display()),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timing;

    #[test]
    fn what_was_timed_is_told_in_milliseconds() {
        let mut timing = Timing::new();
        for ms in [1, 1, 1, 5] {
            timing.note(Duration::from_millis(ms));
        }
        let words: Vec<String> = timing.line("x").split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["x", "2.00", "ms", "1.00", "ms", "5.00", "ms", "500"]);
    }
}
