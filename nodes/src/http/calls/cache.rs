//! `/cache/…`: values that are JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Refusal, Said};
use crate::http::App;
use crate::http::bounded::Name;
use crate::http::extract::{LooseBody, PathName};
use crate::http::problem::Problem;
use crate::machine::{Action, CacheAction, CacheQuery, CacheReply, Query, Reply};

/// A value for a key.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetCall {
    key: Name,
    /// Any JSON, which is kept as it is written.
    #[schema(value_type = serde_json::Value)]
    value: Box<RawValue>,
}

/// A value that was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct WrittenCall {
    message: String,
    status: &'static str,
    node_id: u64,
    version: u64,
}

/// What a key has.
#[derive(Serialize, ToSchema)]
pub(crate) struct GotCall {
    key: String,
    node_id: u64,
    /// `hit` or `miss`.
    status: &'static str,
    /// Nothing if it is a miss.
    #[schema(value_type = serde_json::Value)]
    value: Option<Box<RawValue>>,
    /// Whether this node had it at hand.
    held_here: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// Write a value
#[utoipa::path(post, path = "/cache/set", tag = "calls", request_body = SetCall, responses(
    (status = 200, description = "It is written, and no node has an older one at hand", body = WrittenCall),
    (status = 409, description = "The cache is full", body = Said),
))]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    LooseBody(call): LooseBody<SetCall>,
) -> Result<Json<WrittenCall>, Refusal> {
    let key = call.key.0;
    let message = format!("Success: set {key}");
    let action = CacheAction::Set { key, value: Bytes::from(call.value.get().to_owned()), ttl_us: None };
    match app.gateway.act(None, Action::Cache(action), 0).await? {
        Reply::Cache(CacheReply::Written { version }) => {
            Ok(Json(WrittenCall { message, status: "ok", node_id: app.id.0, version: version.0 }))
        }
        _ => Err(Problem::misanswered().into()),
    }
}

/// Read a value
#[utoipa::path(get, path = "/cache/get/{key}", tag = "calls", params(
    ("key" = inline(Name), Path, description = "The key"),
), responses((status = 200, description = "The value, or that there is none", body = GotCall)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    key: Result<PathName, Problem>,
) -> Result<Json<GotCall>, Refusal> {
    let PathName(key) = key?;
    let (found, held_here) =
        match app.gateway.ask_near(Query::Cache(CacheQuery::Get { key: key.clone() })).await? {
            Reply::Cache(CacheReply::Near(found)) => (found, true),
            Reply::Cache(CacheReply::Value(found)) => (found, false),
            _ => return Err(Problem::misanswered().into()),
        };
    let node_id = app.id.0;
    Ok(Json(match found {
        Some(found) => {
            let value = Some(super::json_of(&found.value));
            GotCall { key, node_id, status: "hit", value, held_here, version: Some(found.version.0) }
        }
        None => GotCall { key, node_id, status: "miss", value: None, held_here, version: None },
    }))
}
