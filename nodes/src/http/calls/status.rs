//! `/status`: how this node is, in the older system's fields and some more.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Said;
use crate::http::App;
use crate::http::problem::ProblemBody;
use crate::http::v1::role_name;
use crate::storage::StorageReport;

/// A node.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct Node {
    commit_index: u64,
    last_applied: u64,
    leader_id: Option<u64>,
    /// The entries of its log, those included that only a snapshot has any more.
    log_length: u64,
    /// When its timer runs out next, in seconds from now. Nothing if it waits for no time.
    next_election_timeout: Option<f64>,
    node_id: u64,
    /// Where the others are, by number.
    peers: BTreeMap<u64, String>,
    /// `leader`, `follower`, `candidate` or `pre-candidate`.
    role: &'static str,
    term: u64,
    /// When it last heard from the leader, in seconds. 0 at the leader, nothing if it never has.
    time_since_last_contact: Option<f64>,
    voted_for: Option<u64>,
    /// The cluster's name.
    cluster: String,
    voters: Vec<u64>,
    learners: Vec<u64>,
    snapshot_index: u64,
    uptime_seconds: f64,
    version: &'static str,
    storage: Storage,
}

/// Where a node keeps its log, and how that is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Storage {
    /// `wal`, or `redis` and where it is.
    kind: String,
    /// What an acknowledged write survives: `synced`, or `volatile` and why, if the operator allowed that.
    durability: String,
    /// False while it is not there: the node then acknowledges nothing.
    available: bool,
    /// What the trouble is, or was last.
    last_trouble: Option<String>,
    /// How often a connection to it was lost and found again.
    reconnects: u64,
    /// The channels of the Redis on which the node publishes events, for PSUBSCRIBE.
    events: Option<String>,
}

impl Storage {
    fn of(report: StorageReport, events: Option<String>) -> Self {
        Self {
            kind: report.kind,
            durability: report.durability.to_string(),
            available: report.is_available,
            last_trouble: report.last_trouble,
            reconnects: report.reconnects,
            events,
        }
    }
}

/// How this node is
#[utoipa::path(get, path = "/status", tag = "calls", responses(
    (status = 200, description = "It is so", body = Node),
    (status = 401, description = "A bearer token is needed", body = ProblemBody,
     content_type = "application/problem+json"),
    (status = 503, description = "It does not answer", body = Said),
))]
pub(crate) async fn status(State(app): State<Arc<App>>) -> Response {
    let Ok(status) = app.gateway.own_status().await else {
        let storage = app.storage.report();
        let why = storage.last_trouble.filter(|_| !storage.is_available);
        let why = why.map_or_else(String::new, |why| format!(", its storage is not available: {why}"));
        let said = Said { message: format!("Error: the node does not answer{why}"), status: "error" };
        return (StatusCode::SERVICE_UNAVAILABLE, Json(said)).into_response();
    };
    let seconds = |us: u64| us as f64 / 1e6;
    let leads = status.leader == Some(status.id);
    let addresses = app.addresses.borrow().clone();
    let others = addresses.iter().filter(|(node, _)| **node != app.id);
    Json(Node {
        commit_index: status.commit_index.0,
        last_applied: status.applied_index.0,
        leader_id: status.leader.map(|leader| leader.0),
        log_length: status.last_index.0,
        next_election_timeout: status.timer_us.map(seconds),
        node_id: status.id.0,
        peers: others.map(|(node, address)| (node.0, address.clone())).collect(),
        role: role_name(status.role),
        term: status.term.0,
        time_since_last_contact: if leads { Some(0.0) } else { status.leader_silent_us.map(seconds) },
        voted_for: status.voted_for.map(|node| node.0),
        cluster: app.cluster_name.clone(),
        voters: status.members.voters.iter().map(|node| node.0).collect(),
        learners: status.members.learners.iter().map(|node| node.0).collect(),
        snapshot_index: status.snapshot_index.0,
        uptime_seconds: seconds(status.traffic.uptime_us),
        version: env!("CARGO_PKG_VERSION"),
        storage: Storage::of(app.storage.report(), app.events.clone()),
    })
    .into_response()
}
