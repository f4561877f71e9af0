//! What happens to locks: waiting for a change, and the record of forced releases.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::locks::{Holder, Shown};
use crate::http::App;
use crate::http::bounded::{LockVersion, Name, WaitMs};
use crate::http::extract::{InQuery, PathName};
use crate::http::limits::Place;
use crate::http::problem::Problem;
use crate::ids::LogIndex;
use crate::machine::{ForcedRelease, LockQuery, LockReply, Query, Reply};

/// Since when, and how long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Watching {
    /// The version that is known. Default 0: nothing is.
    #[param(inline)]
    since: Option<LockVersion>,
    /// How long to wait for a change. Default 0.
    #[param(inline)]
    wait_ms: Option<WaitMs>,
}

/// Forced releases.
#[derive(Serialize, ToSchema)]
pub(crate) struct ForcedReleases {
    /// The oldest first.
    releases: Vec<Forced>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
#[schema(as = ForcedReleaseRecord)]
pub(crate) struct Forced {
    /// The log entry that did it.
    index: u64,
    resource: String,
    /// Who held it, and how.
    holder: Holder,
    /// The session that forced it.
    by: u64,
    reason: String,
}

/// How a lock is once it has changed
///
/// Answers when this node sees a later version than `since`, or when the wait is over, with the lock as the node
/// knows it, which may lag behind the cluster. It tells how the lock is, not all that happened to it.
#[utoipa::path(get, path = "/v1/locks/{resource}/changes", tag = "locks", params(
    ("resource" = inline(Name), Path, description = "The resource"), Watching,
), responses((status = 200, description = "Its state", body = Shown)))]
pub(crate) async fn watch(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    InQuery(watching): InQuery<Watching>,
    place: Place,
) -> Result<Json<Shown>, Problem> {
    let wait_us = watching.wait_ms.map_or(0, |wait| wait.0 * 1_000);
    place.to_wait(&app, wait_us)?;
    let since = LogIndex(watching.since.map_or(0, |since| since.0));
    let state = app.gateway.watch(&resource, since, wait_us).await?;
    Ok(Json(Shown::of(resource, &state)))
}

/// The holds that were ended by force
///
/// The latest 64.
#[utoipa::path(get, path = "/v1/forced-releases", tag = "locks", responses(
    (status = 200, description = "They", body = ForcedReleases),
))]
pub(crate) async fn forced(State(app): State<Arc<App>>) -> Result<Json<ForcedReleases>, Problem> {
    let query = Query::Lock(LockQuery::ForcedReleases);
    let Reply::Lock(LockReply::Forced(records)) = app.gateway.ask(query).await? else {
        return Err(Problem::misanswered());
    };
    let of = |record: ForcedRelease| Forced {
        index: record.index.0,
        resource: record.resource,
        holder: Holder::of(&record.holder),
        by: record.by.0,
        reason: record.reason,
    };
    Ok(Json(ForcedReleases { releases: records.into_iter().map(of).collect() }))
}
