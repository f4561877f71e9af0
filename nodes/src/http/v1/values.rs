//! The cache as a whole: many values at a time, and its bounds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::messages::Payload;
use crate::http::App;
use crate::http::bounded::{CacheBytes, CacheEntries, Name};
use crate::http::extract::{Body, PathName};
use crate::http::keys::{Key, MaybeKey};
use crate::http::problem::{Problem, ProblemBody};
use crate::machine::{
    Action, CacheAction, CacheQuery, CacheReply, CacheSettings, EvictionPolicy, GET_MANY_MAX, Query, Reply,
};

/// Which keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GetValues)]
pub(crate) struct Wanted {
    /// One after the other; one may be named twice.
    #[schema(min_items = 1, max_items = 1024)]
    keys: Vec<Name>,
}

/// Values, all of one state.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheValues)]
pub(crate) struct Values {
    /// In the order of the keys.
    values: Vec<Found>,
}

/// A key's value, or that it has none.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheValue)]
pub(crate) struct Found {
    key: String,
    /// Whether there is such a key.
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(flatten)]
    value: Payload,
}

/// The bounds of the cache. What is not said has its default.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CacheSettings)]
pub(crate) struct Settings {
    /// Keys at a time. Default 1,048,576.
    #[serde(default)]
    entries_max: Option<CacheEntries>,
    /// Bytes of keys and values at a time. Default 1 GiB.
    #[serde(default)]
    bytes_max: Option<CacheBytes>,
    /// Whom to evict when room is wanted. Default `least-recently-written`.
    #[serde(default)]
    policy: Policy,
}

/// Whom to evict. Reads do not pass through the log, so no policy knows of them.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = EvictionPolicy)]
pub(crate) enum Policy {
    /// Nobody: writes that need room are refused.
    Refuse,
    /// The key whose latest write is the longest ago.
    #[default]
    LeastRecentlyWritten,
    /// The key that expires first; of those that do not expire, as above.
    SoonestToExpire,
}

impl From<EvictionPolicy> for Policy {
    fn from(policy: EvictionPolicy) -> Self {
        match policy {
            EvictionPolicy::Refuse => Self::Refuse,
            EvictionPolicy::LeastRecentlyWritten => Self::LeastRecentlyWritten,
            EvictionPolicy::SoonestToExpire => Self::SoonestToExpire,
        }
    }
}

impl From<Policy> for EvictionPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Refuse => Self::Refuse,
            Policy::LeastRecentlyWritten => Self::LeastRecentlyWritten,
            Policy::SoonestToExpire => Self::SoonestToExpire,
        }
    }
}

/// The values of many keys
///
/// They are of one state, the latest.
#[utoipa::path(post, path = "/v1/cache-values", tag = "cache", request_body = Wanted, responses(
    (status = 200, description = "They, and which keys have none", body = Values),
    (status = 409, description = "They are too long together", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn get_many(
    State(app): State<Arc<App>>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Values>, Problem> {
    let keys: Vec<String> = wanted.keys.into_iter().map(|key| key.0).collect();
    if keys.is_empty() || keys.len() > GET_MANY_MAX {
        return Err(Problem::bad_request(format!("`keys` are 1 to {GET_MANY_MAX}, not {}", keys.len())));
    }
    let query = Query::Cache(CacheQuery::GetMany { keys: keys.clone() });
    let Reply::Cache(CacheReply::Values(values)) = app.gateway.ask(query).await? else {
        return Err(Problem::misanswered());
    };
    let found = |(key, value): (String, Option<crate::machine::Versioned>)| Found {
        key,
        found: value.is_some(),
        version: value.as_ref().map(|value| value.version.0),
        value: value.map_or_else(Payload::none, |value| Payload::of(&value.value)),
    };
    Ok(Json(Values { values: keys.into_iter().zip(values).map(found).collect() }))
}

/// How long a key still lives.
#[derive(Serialize, ToSchema)]
#[schema(as = LifeLeft)]
pub(crate) struct Life {
    /// In milliseconds, rounded down. None: for ever, unless it is removed, written anew, or evicted.
    left_ms: Option<u64>,
}

/// How long a key still lives
#[utoipa::path(get, path = "/v1/cache/{key}/life", tag = "cache", params(
    ("key" = inline(Name), Path, description = "The key"),
), responses(
    (status = 200, description = "So long", body = Life),
    (status = 404, description = "There is none", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn life(
    State(app): State<Arc<App>>,
    PathName(key): PathName,
) -> Result<Json<Life>, Problem> {
    match app.gateway.ask(Query::Cache(CacheQuery::Expiry { key })).await? {
        Reply::Cache(CacheReply::Expiry { exists: false, .. }) => {
            Err(Problem::not_found("there is no such key"))
        }
        Reply::Cache(CacheReply::Expiry { expires, now, .. }) => {
            let left_ms = expires.map(|expires| expires.0.saturating_sub(now.0) / 1_000);
            Ok(Json(Life { left_ms }))
        }
        _ => Err(Problem::misanswered()),
    }
}

/// The bounds of the cache
#[utoipa::path(get, path = "/v1/cache-settings", tag = "cache", responses(
    (status = 200, description = "Its bounds and policy", body = Settings),
))]
pub(crate) async fn settings(State(app): State<Arc<App>>) -> Result<Json<Settings>, Problem> {
    let Reply::Cache(CacheReply::Stats(stats)) = app.gateway.ask(Query::Cache(CacheQuery::Stats)).await?
    else {
        return Err(Problem::misanswered());
    };
    let CacheSettings { entries_max, bytes_max, policy } = stats.settings;
    let policy = policy.into();
    let (entries_max, bytes_max) = (Some(CacheEntries(entries_max)), Some(CacheBytes(bytes_max)));
    Ok(Json(Settings { entries_max, bytes_max, policy }))
}

/// Bound the cache
///
/// If it holds more than that, keys are evicted as others are written.
#[utoipa::path(put, path = "/v1/cache-settings", tag = "cache", request_body = Settings, params(
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "It is bounded so"),
    (status = 409, description = "The key is of no use", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn configure(
    State(app): State<Arc<App>>,
    MaybeKey(key): MaybeKey,
    Body(settings): Body<Settings>,
) -> Result<StatusCode, Problem> {
    let default = CacheSettings::default();
    let settings = CacheSettings {
        entries_max: settings.entries_max.map_or(default.entries_max, |entries| entries.0),
        bytes_max: settings.bytes_max.map_or(default.bytes_max, |bytes| bytes.0),
        policy: settings.policy.into(),
    };
    match app.gateway.act(key, Action::Cache(CacheAction::Configure(settings)), 0).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        _ => Err(super::misused()),
    }
}
