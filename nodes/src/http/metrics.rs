//! What a node counts, as Prometheus reads it.
//!
//! Counters and histograms are kept as things happen; what the node knows of itself, such as its term, is asked for when
//! somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::problem::{Conclusion, Problem};
use crate::api::NodeStatus;
use crate::machine::{CacheStats, LockStats};
use crate::raft::Role;
use crate::storage::{Durability, StorageReport};
use crate::tokio_env::NetCounts;

/// From 50 us, doubling, up to 26 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

/// An operation of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Operation {
    service: &'static str,
    operation: &'static str,
    /// `None` for durations, which are not told apart by it.
    outcome: Option<&'static str>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Served {
    method: &'static str,
    route: String,
    status: Option<u16>,
}

impl EncodeLabelSet for Operation {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut labels = vec![("service", self.service), ("operation", self.operation)];
        labels.extend(self.outcome.map(|outcome| ("outcome", outcome)));
        labels.encode(encoder)
    }
}

impl EncodeLabelSet for Served {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut labels = vec![("method", self.method.to_owned()), ("route", self.route.clone())];
        labels.extend(self.status.map(|status| ("status", status.to_string())));
        labels.encode(encoder)
    }
}

/// All that a node counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    operations: Family<Operation, Counter>,
    operation_seconds: Family<Operation, Histogram, fn() -> Histogram>,
    requests: Family<Served, Counter>,
    request_seconds: Family<Served, Histogram, fn() -> Histogram>,
    /// HTTP connections that were closed, by why.
    connections_refused: Family<Vec<(&'static str, &'static str)>, Counter>,
    /// Requests under way.
    pub(super) under_way: Gauge,
    /// Waits under way.
    pub(super) waiting: Gauge,
    /// HTTP connections open.
    pub(super) connections: Gauge,
    elections_won: Counter,
    role_changes: Counter,
    log_writes: Counter,
    log_write_seconds: Histogram,
    numbers: Vec<(&'static str, Gauge)>,
    totals: Vec<(&'static str, Counter<u64, AtomicU64>)>,
}

/// What is asked for when somebody looks: a number that may fall.
const NUMBERS: &[(&str, &str)] = &[
    ("raft_term", "The node's term"),
    ("raft_is_leader", "1 at the leader"),
    ("raft_has_leader", "1 at a node that knows of a leader"),
    ("raft_commit_index", "What the node knows to be committed"),
    ("raft_applied_index", "What its machine has applied"),
    ("raft_last_index", "The end of its log"),
    ("raft_first_index", "The first entry that it holds in memory"),
    ("raft_snapshot_index", "The last entry that its latest snapshot covers"),
    ("raft_voters", "Voters of the members in force"),
    ("raft_learners", "Learners of the members in force"),
    ("storage_is_available", "1 while the store of the log takes writes"),
    ("storage_is_volatile", "1 where it may lose what it has acknowledged, as the operator allowed"),
    ("lock_resources", "Locks held or awaited, and semaphores"),
    ("lock_holds", "Holds of locks, each holder counted"),
    ("lock_waits", "Commands that wait for locks"),
    ("near_lines_out", "Lines of near-caches out at the moment, at the leader"),
    ("near_writes_under_way", "Writes taken and not applied, at the leader"),
    ("cache_entries", "Keys of the cache"),
    ("cache_bytes", "Bytes of the cache's keys and values"),
    ("queue_topics", "Topics that there are"),
    ("queue_messages", "Messages in all of them together"),
];

/// What is asked for when somebody looks: a number that only rises.
const TOTALS: &[(&str, &str)] = &[
    ("queue_enqueued", "Messages taken, as clients were told by this node"),
    ("queue_delivered", "Messages handed out, as clients were told by this node"),
    ("queue_acknowledged", "Messages done with, as clients were told by this node"),
    ("storage_reconnects", "Times that a lost connection to a Redis was found again"),
    ("near_hits", "Reads answered from a line of this node at once"),
    ("near_misses", "Reads that found no line"),
    ("near_invalidations", "Invalidations received"),
    ("near_asks", "Questions to the leader for a line"),
    ("near_recalls", "Recalls of lines by new leaders received"),
    ("near_evicted", "Lines given up for want of room"),
    ("near_lapsed", "Lines whose lease ran out"),
    ("near_surrenders", "Lines given up for a write from this node"),
    ("cache_created", "Keys made"),
    ("cache_overwritten", "Values replaced"),
    ("cache_deleted", "Keys deleted"),
    ("cache_expired", "Keys whose time to live ran out"),
    ("cache_evicted", "Keys evicted"),
    ("net_frames_sent", "Frames handed to the system"),
    ("net_frames_received", "Frames taken from the system"),
    ("net_dropped_oversized", "Frames dropped because they are too long"),
    ("net_dropped_full", "Frames dropped because the queue to their receiver was full"),
    ("net_dropped_unreachable", "Frames dropped because there was no way to their receiver"),
    ("net_connections_dialed", "Connections opened to nodes"),
    ("net_connections_accepted", "Connections accepted"),
    ("net_refused_garbage", "Connections closed because they sent garbage"),
    ("net_refused_nonsense", "Connections closed because of a frame that cannot be understood"),
    ("net_refused_oversized", "Connections closed because of a frame that claims to be too long"),
    ("net_refused_silent", "Connections closed because they said nothing"),
    ("net_refused_crowded", "Connections closed because there were too many"),
];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing has happened.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("stormglass");
        let operations = Family::default();
        let operation_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let requests = Family::default();
        let request_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let connections_refused = Family::default();
        let (under_way, waiting, connections) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (elections_won, role_changes) = (Counter::default(), Counter::default());
        let (log_writes, log_write_seconds) = (Counter::default(), seconds());
        registry.register(
            "operations",
            "Operations of the services through this node's gateway",
            operations.clone(),
        );
        registry.register("operation_seconds", "How long they took", operation_seconds.clone());
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_seconds", "How long they took", request_seconds.clone());
        registry.register(
            "http_connections_refused",
            "HTTP connections closed, by why",
            connections_refused.clone(),
        );
        registry.register(
            "http_requests_under_way",
            "Requests under way that do not wait",
            under_way.clone(),
        );
        registry.register(
            "http_waits_under_way",
            "Requests under way that wait for something",
            waiting.clone(),
        );
        registry.register("http_connections", "HTTP connections open", connections.clone());
        registry.register("raft_elections_won", "Elections that this node won", elections_won.clone());
        registry.register("raft_role_changes", "Changes of role or term", role_changes.clone());
        registry.register("storage_writes", "Writes to the log, each with a sync", log_writes.clone());
        registry.register("storage_write_seconds", "How long they took", log_write_seconds.clone());
        let mut numbers = Vec::new();
        for &(name, help) in NUMBERS {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            numbers.push((name, gauge));
        }
        let mut totals = Vec::new();
        for &(name, help) in TOTALS {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            totals.push((name, counter));
        }
        Self {
            registry,
            operations,
            operation_seconds,
            requests,
            request_seconds,
            connections_refused,
            under_way,
            waiting,
            connections,
            elections_won,
            role_changes,
            log_writes,
            log_write_seconds,
            numbers,
            totals,
        }
    }

    /// An operation of a service came to an end.
    pub(super) fn operated(
        &self,
        service: &'static str,
        operation: &'static str,
        failed: Option<&Problem>,
        took_us: u64,
    ) {
        let outcome = match failed.map(|problem| problem.outcome) {
            None => "ok",
            Some(Conclusion::Definite) => "definite-error",
            Some(Conclusion::Indefinite) => "indefinite-error",
        };
        let of = Operation { service, operation, outcome: None };
        self.operation_seconds.get_or_create(&of).observe(took_us as f64 / 1e6);
        self.operations.get_or_create(&Operation { outcome: Some(outcome), ..of }).inc();
    }

    /// A request was answered.
    pub(super) fn served(&self, method: &'static str, route: &str, status: u16, took_us: u64) {
        let of = Served { method, route: route.to_owned(), status: None };
        self.request_seconds.get_or_create(&of).observe(took_us as f64 / 1e6);
        self.requests.get_or_create(&Served { status: Some(status), ..of }).inc();
    }

    /// An HTTP connection was closed, or not taken.
    pub(super) fn refused(&self, why: &'static str) {
        self.connections_refused.get_or_create(&vec![("reason", why)]).inc();
    }

    /// The node's role or term changed.
    pub fn role_changed(&self, role: Role) {
        self.role_changes.inc();
        if role == Role::Leader {
            self.elections_won.inc();
        }
    }

    /// A write to the log is durable.
    pub fn wrote(&self, took: Duration) {
        self.log_writes.inc();
        self.log_write_seconds.observe(took.as_secs_f64());
    }

    fn set(&self, name: &str, value: u64) {
        if let Some((_, gauge)) = self.numbers.iter().find(|(known, _)| *known == name) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// Brings a total up to what it is by now.
    fn raise(&self, name: &str, value: u64) {
        if let Some((_, counter)) = self.totals.iter().find(|(known, _)| *known == name) {
            counter.inner().fetch_max(value, Ordering::Relaxed);
        }
    }

    pub(super) fn take_status(&self, status: &NodeStatus) {
        self.set("raft_term", status.term.0);
        self.set("raft_is_leader", u64::from(status.role == Role::Leader));
        self.set("raft_has_leader", u64::from(status.leader.is_some()));
        self.set("raft_commit_index", status.commit_index.0);
        self.set("raft_applied_index", status.applied_index.0);
        self.set("raft_last_index", status.last_index.0);
        self.set("raft_first_index", status.first_index.0);
        self.set("raft_snapshot_index", status.snapshot_index.0);
        self.set("raft_voters", status.members.voters.len() as u64);
        self.set("raft_learners", status.members.learners.len() as u64);
        self.set("near_lines_out", status.directory.lines);
        self.set("near_writes_under_way", status.directory.writes_under_way);
        self.raise("queue_enqueued", status.traffic.total.enqueued);
        self.raise("queue_delivered", status.traffic.total.delivered);
        self.raise("queue_acknowledged", status.traffic.total.acknowledged);
        self.raise("near_hits", status.near.hits);
        self.raise("near_misses", status.near.misses);
        self.raise("near_invalidations", status.near.invalidations);
        self.raise("near_asks", status.near.asks);
        self.raise("near_recalls", status.near.recalls);
        self.raise("near_evicted", status.near.evicted);
        self.raise("near_lapsed", status.near.lapsed);
        self.raise("near_surrenders", status.near.surrenders);
    }

    pub(super) fn take_storage(&self, report: &StorageReport) {
        self.set("storage_is_available", u64::from(report.is_available));
        self.set("storage_is_volatile", u64::from(matches!(report.durability, Durability::Volatile { .. })));
        self.raise("storage_reconnects", report.reconnects);
    }

    pub(super) fn take_locks(&self, stats: &LockStats) {
        self.set("lock_resources", stats.resources);
        self.set("lock_holds", stats.holds);
        self.set("lock_waits", stats.waits);
    }

    pub(super) fn take_cache(&self, stats: &CacheStats) {
        self.set("cache_entries", stats.entries);
        self.set("cache_bytes", stats.bytes);
        self.raise("cache_created", stats.totals.created);
        self.raise("cache_overwritten", stats.totals.overwritten);
        self.raise("cache_deleted", stats.totals.deleted);
        self.raise("cache_expired", stats.totals.expired);
        self.raise("cache_evicted", stats.totals.evicted);
    }

    pub(super) fn take_topics(&self, topics: u64, messages: u64) {
        self.set("queue_topics", topics);
        self.set("queue_messages", messages);
    }

    pub(super) fn take_net(&self, counts: NetCounts) {
        self.raise("net_frames_sent", counts.frames_sent);
        self.raise("net_frames_received", counts.frames_received);
        self.raise("net_dropped_oversized", counts.dropped_oversized);
        self.raise("net_dropped_full", counts.dropped_full);
        self.raise("net_dropped_unreachable", counts.dropped_unreachable);
        self.raise("net_connections_dialed", counts.connections_dialed);
        self.raise("net_connections_accepted", counts.connections_accepted);
        self.raise("net_refused_garbage", counts.refused_garbage);
        self.raise("net_refused_nonsense", counts.refused_nonsense);
        self.raise("net_refused_oversized", counts.refused_oversized);
        self.raise("net_refused_silent", counts.refused_silent);
        self.raise("net_refused_crowded", counts.refused_crowded);
    }

    /// Everything, as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Metrics, NUMBERS, TOTALS};
    use crate::raft::Role;

    #[test]
    fn everything_that_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.operated("cache", "set", None, 1_500);
        metrics.served("GET", "/v1/cache/{key}", 200, 100);
        metrics.role_changed(Role::Leader);
        metrics.set("raft_term", 7);
        metrics.raise("near_hits", 5);
        metrics.raise("near_hits", 3);
        let text = metrics.text();
        for line in [
            "stormglass_operations_total{service=\"cache\",operation=\"set\",outcome=\"ok\"} 1",
            "stormglass_operation_seconds_count{service=\"cache\",operation=\"set\"} 1",
            "stormglass_http_requests_total{method=\"GET\",route=\"/v1/cache/{key}\",status=\"200\"} 1",
            "stormglass_raft_elections_won_total 1",
            "stormglass_raft_term 7",
            "stormglass_near_hits_total 5",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        for (name, _) in NUMBERS.iter().chain(TOTALS) {
            assert!(text.contains(&format!("stormglass_{name}")), "{name}");
        }
    }
}
