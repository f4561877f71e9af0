//! What operators and their tools look at.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::env::Env;
use crate::machine::{CacheQuery, CacheReply, Query, Reply};

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

/// Whether the node can serve: it knows of a leader and is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "It can", body = Readiness),
    (status = 503, description = "It cannot", body = Readiness),
))]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    let reason = if *app.stopping.borrow() {
        Err("the node is stopping")
    } else {
        match app.gateway.own_status().await {
            Ok(status) if status.leader.is_some() => Ok("the node knows of a leader"),
            Ok(_) => Err("the node knows of no leader"),
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
))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    // What does not answer in time is left as it was: a look must not fail because the cluster does.
    if let Ok(status) = app.gateway.own_status().await {
        if status.leader.is_some()
            && let Ok(Reply::Cache(CacheReply::Stats(stats))) =
                app.gateway.ask(Query::Cache(CacheQuery::Stats)).await
        {
            app.metrics.take_cache(&stats);
        }
        app.metrics.take_status(&status);
    }
    app.metrics.take_storage(&app.storage.report());
    app.metrics.take_net(app.gateway.env().net().counts());
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.metrics.text())
}
