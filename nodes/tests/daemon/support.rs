//! Clusters of real daemons, and what is said to them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;

use serde_json::Value;
use stormglass_nodes::daemon::local::{Answer, LocalCluster, LocalConfig};
use tempfile::TempDir;

/// A request is tried so often, each time for as long as the daemon takes to answer.
const ATTEMPTS_MAX: usize = 100;

/// Daemons and the folder of their data.
pub(crate) struct Daemons {
    pub(crate) cluster: LocalCluster,
    folder: TempDir,
}

fn config(
    count: u64,
    folder: &TempDir,
    arguments: &[&str],
    own_arguments: BTreeMap<u64, Vec<String>>,
) -> LocalConfig {
    LocalConfig {
        program: vec![OsString::from(env!("CARGO_BIN_EXE_stormglassd"))],
        count,
        folder: folder.path().to_owned(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        own_arguments,
        environment: BTreeMap::new(),
    }
}

impl Daemons {
    /// So many, with these further options, ready to serve.
    pub(crate) async fn start(count: u64, arguments: &[&str]) -> Self {
        let daemons = Self::start_unasked(count, arguments, BTreeMap::new()).await;
        daemons.until_served(1).await;
        daemons
    }

    /// The same, with options of their own for some; whether they serve is not asked.
    pub(crate) async fn start_unasked(
        count: u64,
        arguments: &[&str],
        own_arguments: BTreeMap<u64, Vec<String>>,
    ) -> Self {
        let folder = TempDir::new().expect("there is room for a folder");
        let config = config(count, &folder, arguments, own_arguments);
        let cluster = LocalCluster::start(config).await.expect("the daemons start");
        Self { cluster, folder }
    }

    /// What a daemon says that does not start with these options.
    pub(crate) async fn refused(arguments: &[&str]) -> String {
        let folder = TempDir::new().expect("there is room for a folder");
        let started = LocalCluster::start(config(1, &folder, arguments, BTreeMap::new())).await;
        started.expect_err("it must not start").to_string()
    }

    /// The folder of all.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns once a command has gone through by way of this node, and how many attempts that took.
    pub(crate) async fn until_served(&self, id: u64) -> usize {
        for attempt in 1..=ATTEMPTS_MAX {
            // The daemon itself tries for seconds before it gives up.
            if self.put(id, "served", b"yes").await.is_ok_and(|answer| answer.status == 204) {
                return attempt;
            }
        }
        panic!("node {id} does not serve:\n{}", self.logs());
    }

    pub(crate) async fn get(&self, id: u64, path: &str) -> Answer {
        self.cluster.request(id, "GET", path, "", b"").await.expect("the daemon answers")
    }

    pub(crate) async fn post(&self, id: u64, path: &str, head: &str, body: &Value) -> Answer {
        let head = format!("content-type: application/json\r\n{head}");
        let body = body.to_string();
        self.cluster.request(id, "POST", path, &head, body.as_bytes()).await.expect("the daemon answers")
    }

    /// A POST with an Idempotency-Key.
    pub(crate) async fn keyed(&self, id: u64, path: &str, key: &str, body: &Value) -> Answer {
        self.post(id, path, &format!("idempotency-key: {key}\r\n"), body).await
    }

    pub(crate) async fn put(&self, id: u64, key: &str, value: &[u8]) -> std::io::Result<Answer> {
        let head = "content-type: application/octet-stream\r\n";
        self.cluster.request(id, "PUT", &format!("/v1/cache/{key}"), head, value).await
    }

    /// A new session.
    pub(crate) async fn session(&self, id: u64) -> u64 {
        let opened = self.post(id, "/v1/sessions", "", &serde_json::json!({"lease_ms": 3_600_000})).await;
        assert_eq!(opened.status, 201, "{}", opened.text());
        opened.json()["session"].as_u64().expect("a session has a number")
    }

    /// Who leads, as the nodes that answer say.
    pub(crate) async fn leader(&self) -> u64 {
        for _ in 0..ATTEMPTS_MAX {
            for node in self.cluster.nodes().iter().filter(|node| node.http.is_some()) {
                let status = self.get(node.id, "/status").await.json();
                if status["role"] == "leader" {
                    return node.id;
                }
            }
        }
        panic!("nobody leads:\n{}", self.logs());
    }

    /// A metric's value at a node.
    pub(crate) async fn metric(&self, id: u64, name: &str) -> f64 {
        let text = self.get(id, "/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.and_then(|value| value.trim().parse().ok());
        value.unwrap_or_else(|| panic!("there is no {name} in\n{text}"))
    }

    /// What the daemons said, once this one has ended by itself.
    pub(crate) async fn last_words(&mut self, id: u64) -> String {
        while !self.cluster.has_failed(id) {
            tokio::task::yield_now().await;
        }
        self.logs()
    }

    fn logs(&self) -> String {
        let mut all = String::new();
        for node in self.cluster.nodes() {
            let path = self.cluster.folder_of(node.id).with_extension("log");
            #[expect(clippy::disallowed_methods, reason = "to show what the daemons said")]
            let log = std::fs::read_to_string(path).unwrap_or_default();
            let _ = writeln!(all, "-- node {}\n{log}", node.id);
        }
        all
    }
}

/// Requests and answers, one after the other, with what differs from run to run left out.
#[derive(Default)]
pub(crate) struct Transcript(String);

/// Fields whose values differ from run to run.
const VOLATILE: &[&str] = &[
    "message_id",
    "version",
    "timestamp",
    "uptime_seconds",
    "dequeue_rate",
    "enqueue_rate",
    "overall_msg_per_sec",
    "commit_index",
    "last_applied",
    "log_length",
    "next_election_timeout",
    "time_since_last_contact",
    "term",
    "voted_for",
    "leader_id",
    "peers",
    "role",
    "held_here",
];

impl Transcript {
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n# {text}");
    }

    /// Asks, and writes both down.
    pub(crate) async fn ask(&mut self, daemons: &Daemons, id: u64, method: &str, path: &str, body: &str) {
        let head = "content-type: application/json\r\n";
        let answer = daemons.cluster.request(id, method, path, head, body.as_bytes()).await;
        let answer = answer.expect("the daemon answers");
        let mut json = answer.json();
        hide(&mut json);
        let _ = writeln!(self.0, "> n{id} {method} {path} {body}\n< {} {json}", answer.status);
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if VOLATILE.contains(&name.as_str()) {
                    *value = Value::from("…");
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        _ => {}
    }
}
