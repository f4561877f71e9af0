//! What operators and their tools look at.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::App;
use super::problem::ProblemBody;
use crate::env::Env;
use crate::machine::{
    BATCH_MAX, CacheQuery, CacheReply, LockQuery, LockReply, Query, QueueQuery, QueueReply, Reply,
};

/// How long a scrape waits for what only the state can tell. A node that has applied something lately answers at once;
/// one that has never been told how fresh it is asks its leader, who may be gone.
const STATE_WITHIN: Duration = Duration::from_millis(250);

/// Whether a node can serve.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether it can.
    ready: bool,
    /// Why, or why not.
    reason: &'static str,
}

/// Whether the process lives.
///
/// Says nothing of the cluster: a node without a leader lives, and is of use to nobody by being restarted.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses(
    (status = 200, description = "It does", body = String, content_type = "text/plain"),
))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the node can serve: it knows of a leader, has heard of it lately, has its storage and is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "It can", body = Readiness),
    (status = 503, description = "It cannot", body = Readiness),
))]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    let reason = if *app.stopping.borrow() {
        Err("the node is stopping")
    } else {
        match app.gateway.own_status().await {
            Ok(_) if !app.storage.report().is_available => Err("the node's storage is not available"),
            Ok(status) if status.leader.is_none() => Err("the node knows of no leader"),
            // A learner knows of its last leader for as long as nobody tells it of another.
            Ok(status) if status.leader_silent_us > Some(app.leader_silent_us_max) => {
                Err("the node has not heard from its leader lately")
            }
            Ok(_) => Ok("the node knows of a leader"),
            Err(_) => Err("the node does not answer"),
        }
    };
    match reason {
        Ok(reason) => (StatusCode::OK, Json(Readiness { ready: true, reason })),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, reason })),
    }
}

/// What the node counts, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses(
    (status = 200, description = "In the OpenMetrics text format", body = String,
     content_type = "application/openmetrics-text"),
    (status = 401, description = "A bearer token is needed", body = ProblemBody,
     content_type = "application/problem+json"),
))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    // What does not answer in time is left as it was: a look must not fail, or take long, because the cluster does.
    if let Ok(status) = app.gateway.own_status().await {
        app.metrics.take_status(&status);
        drop(timeout(STATE_WITHIN, take_state(&app)).await);
    }
    app.metrics.take_storage(&app.storage.report());
    app.metrics.take_net(app.gateway.env().net().counts());
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.metrics.text())
}

/// Takes over what the state that this node has applied says of the cache, the locks and the topics, however old it is:
/// the node can tell of it without a leader.
async fn take_state(app: &App) {
    let ask = async |query| app.gateway.client().query_within(query, u64::MAX).await.map(|(reply, _)| reply);
    if let Ok(Reply::Cache(CacheReply::Stats(stats))) = ask(Query::Cache(CacheQuery::Stats)).await {
        app.metrics.take_cache(&stats);
    }
    if let Ok(Reply::Lock(LockReply::Stats(stats))) = ask(Query::Lock(LockQuery::Stats)).await {
        app.metrics.take_locks(&stats);
    }
    let (mut topics, mut messages, mut after) = (0_u64, 0_u64, None);
    loop {
        let list = QueueQuery::List { after, count_max: BATCH_MAX as u32 };
        let Ok(Reply::Queue(QueueReply::Topics(listed))) = ask(Query::Queue(list)).await else { return };
        topics += listed.len() as u64;
        messages += listed.iter().map(|topic| topic.depth).sum::<u64>();
        if listed.len() < BATCH_MAX {
            break;
        }
        after = listed.into_iter().next_back().map(|topic| topic.topic);
    }
    app.metrics.take_topics(topics, messages);
}
