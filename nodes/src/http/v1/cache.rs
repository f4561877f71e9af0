//! The cache: values as they are, versions as entity tags.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema, openapi::RefOr};

use super::aged::{Age, Freshness};
use crate::http::App;
use crate::http::bounded::{Name, TtlMs};
use crate::http::document::never;
use crate::http::extract::{Body, InQuery, PathName, RawBody};
use crate::http::keys::{Key, MaybeKey};
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::LogIndex;
use crate::machine::{
    CacheAction, CacheQuery, CacheReply, Expected, Query, Reply, VALUE_BYTES_MAX, Versioned,
};

/// Says whether a read was answered from this node's near-cache: `hit` or `miss`.
const NEAR: HeaderName = HeaderName::from_static("stormglass-near");

/// How a value is written.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Writing {
    /// How long the key lives. Default for ever.
    #[param(inline)]
    ttl_ms: Option<TtlMs>,
}

/// A version as an entity tag. Its quotation marks are said as the dash of a [`Key`] is, and for the same reason.
pub(crate) struct Tag;

impl PartialSchema for Tag {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^\"?[1-9][0-9]{0,17}\"?$"))
            .extensions(Some(never("^[0-9]|[0-9]$")))
            .examples(["\"17\""])
            .into()
    }
}

impl ToSchema for Tag {}

/// Any version.
pub(crate) struct AnyTag;

impl PartialSchema for AnyTag {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["*"])).into()
    }
}

impl ToSchema for AnyTag {}

/// How to count.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddToCounter)]
pub(crate) struct Add {
    /// What is added. Default 1.
    #[serde(default)]
    #[schema(minimum = -9007199254740991_i64, maximum = 9007199254740991_i64)]
    delta: Option<i64>,
    /// What the counter is taken to be if there is none. Default 0.
    #[serde(default)]
    #[schema(minimum = -9007199254740991_i64, maximum = 9007199254740991_i64)]
    initial: Option<i64>,
    /// How long a counter lives that begins by this. One that is there keeps its life. Without it, for ever.
    #[serde(default)]
    ttl_ms: Option<TtlMs>,
}

/// A counter.
#[derive(Serialize, ToSchema)]
#[schema(as = Counter)]
pub(crate) struct Counted {
    value: i64,
    version: u64,
}

/// How long a key is to live.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TouchKey)]
pub(crate) struct Touch {
    /// From now. Without it, for ever.
    #[serde(default)]
    ttl_ms: Option<TtlMs>,
}

/// The cache at one moment.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheStats)]
pub(crate) struct Stats {
    /// Keys.
    entries: u64,
    /// Of these, keys that do not live for ever.
    expiring: u64,
    /// Bytes of keys and values.
    bytes: u64,
    entries_max: u64,
    bytes_max: u64,
    created: u64,
    overwritten: u64,
    deleted: u64,
    expired: u64,
    evicted: u64,
    refused: u64,
}

/// Numbers that every reader of JSON keeps whole.
const COUNT_MAX: i64 = 9_007_199_254_740_991;

/// What the request's conditions ask of the key.
fn expected(headers: &HeaderMap) -> Result<Option<Expected>, Problem> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    match (text(header::IF_NONE_MATCH), text(header::IF_MATCH)) {
        (Some("*"), _) => Ok(Some(Expected::Absent)),
        (Some(_), _) => {
            Err(Problem::bad_request("If-None-Match may be * here: only if there is no such key"))
        }
        (None, None) => Ok(None),
        (None, Some(tag)) => version_of(tag)
            .map(|version| Some(Expected::Version(version)))
            .ok_or_else(|| Problem::bad_request("If-Match is one version, as an ETag has it: \"17\"")),
    }
}

fn version_of(tag: &str) -> Option<LogIndex> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain =
        digits.len() <= 18 && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain).map(LogIndex)
}

fn tag(version: LogIndex) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", version.0)).expect("digits fit a header")
}

fn mismatch(found: Option<&Versioned>) -> Response {
    let detail = match found {
        Some(found) => format!("the key has version {}", found.version.0),
        None => "there is no such key".to_owned(),
    };
    let title = "The condition does not hold";
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "condition", title, detail);
    let mut response = problem.into_response();
    if let Some(found) = found {
        response.headers_mut().insert(header::ETAG, tag(found.version));
    }
    response
}

fn written(version: LogIndex) -> Response {
    (StatusCode::NO_CONTENT, [(header::ETAG, tag(version))]).into_response()
}

/// The value of a key
///
/// It is the latest, from whatever node; from the node's near-cache if `stormglass-near` says `hit`.
#[utoipa::path(get, path = "/v1/cache/{key}", tag = "cache", params(
    ("key" = inline(Name), Path, description = "The key"), Freshness,
), responses(
    (status = 200, description = "The value", body = Vec<u8>, content_type = "application/octet-stream", headers(
        ("ETag" = String, description = "Its version"),
        ("stormglass-near" = String, description = "Whether it came from the near-cache: hit or miss"),
        ("stormglass-age-ms" = Option<u64>, description = "How old it may be, where it may be stale"),
    )),
    (status = 404, description = "There is no such key", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    PathName(key): PathName,
    InQuery(freshness): InQuery<Freshness>,
) -> Result<Response, Problem> {
    let query = Query::Cache(CacheQuery::Get { key });
    let (reply, age) = if freshness.may_be_stale() {
        freshness.ask(&app, query).await?
    } else {
        (app.gateway.ask_near(query).await?, Age::NONE)
    };
    let (value, near) = match reply {
        Reply::Cache(CacheReply::Near(value)) => (value, "hit"),
        Reply::Cache(CacheReply::Value(value)) => (value, "miss"),
        _ => return Err(Problem::misanswered()),
    };
    let Versioned { value, version } = value.ok_or_else(|| Problem::not_found("there is no such key"))?;
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers =
        [(header::CONTENT_TYPE, kind), (header::ETAG, tag(version)), (NEAR, HeaderValue::from_static(near))];
    Ok(age.on((headers, value).into_response()))
}

/// Write a value
///
/// Under a condition, if there is an If-Match or If-None-Match.
#[utoipa::path(put, path = "/v1/cache/{key}", tag = "cache",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The value: up to 1 MiB"),
    params(
        ("key" = inline(Name), Path, description = "The key"), Writing,
        ("If-Match" = inline(Option<Tag>), Header, description = "Only if the key has this version"),
        ("If-None-Match" = inline(Option<AnyTag>), Header, description = "Only if there is no such key"),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
    ),
    responses(
        (status = 204, description = "It is written", headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "The cache is full", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "The condition does not hold", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    PathName(key): PathName,
    InQuery(writing): InQuery<Writing>,
    MaybeKey(numbers): MaybeKey,
    headers: HeaderMap,
    RawBody(value): RawBody,
) -> Result<Response, Problem> {
    if value.len() > VALUE_BYTES_MAX {
        let detail = format!("a value may have {VALUE_BYTES_MAX} bytes");
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The value is too long",
            detail,
        ));
    }
    let ttl_us = writing.ttl_ms.map(|ttl| ttl.0 * 1_000);
    let action = match expected(&headers)? {
        None => CacheAction::Set { key, value, ttl_us },
        Some(expected) => CacheAction::CompareAndSet { key, expected, value, ttl_us },
    };
    match super::on_cache(&app, numbers, action).await? {
        CacheReply::Written { version } => Ok(written(version)),
        CacheReply::Mismatch(found) => Ok(mismatch(found.as_ref())),
        _ => Err(super::misused()),
    }
}

/// Delete a key
#[utoipa::path(delete, path = "/v1/cache/{key}", tag = "cache", params(
    ("key" = inline(Name), Path, description = "The key"),
    ("If-Match" = inline(Option<Tag>), Header, description = "Only if the key has this version"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There was none", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The key is of no use", body = ProblemBody, content_type = "application/problem+json"),
    (status = 412, description = "The condition does not hold", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    PathName(key): PathName,
    MaybeKey(numbers): MaybeKey,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let action = match expected(&headers)? {
        None => CacheAction::Delete { key },
        Some(Expected::Absent) => {
            return Err(Problem::bad_request("there is nothing to delete if there is no such key"));
        }
        Some(expected) => CacheAction::CompareAndDelete { key, expected },
    };
    match super::on_cache(&app, numbers, action).await? {
        CacheReply::Deleted { existed: true, .. } => Ok(StatusCode::NO_CONTENT.into_response()),
        CacheReply::Deleted { existed: false, .. } => Err(Problem::not_found("there was no such key")),
        CacheReply::Mismatch(found) => Ok(mismatch(found.as_ref())),
        _ => Err(super::misused()),
    }
}

/// Count: add to a value that is a number
#[utoipa::path(post, path = "/v1/cache/{key}/add", tag = "cache", request_body = Add, params(
    ("key" = inline(Name), Path, description = "The key"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "The counter now", body = Counted),
    (status = 409, description = "It does not count", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    PathName(key): PathName,
    MaybeKey(numbers): MaybeKey,
    Body(add): Body<Add>,
) -> Result<Json<Counted>, Problem> {
    let (delta, initial) = (add.delta.unwrap_or(1), add.initial.unwrap_or(0));
    if !(-COUNT_MAX..=COUNT_MAX).contains(&delta) || !(-COUNT_MAX..=COUNT_MAX).contains(&initial) {
        return Err(Problem::bad_request(format!(
            "`delta` and `initial` are from -{COUNT_MAX} to {COUNT_MAX}"
        )));
    }
    let ttl_us = add.ttl_ms.map(|ttl| ttl.0 * 1_000);
    let action = CacheAction::Add { key, delta, initial, ttl_us };
    match super::on_cache(&app, numbers, action).await? {
        CacheReply::Counted { value, version } => Ok(Json(Counted { value, version: version.0 })),
        _ => Err(super::misused()),
    }
}

/// Say anew how long a key lives
#[utoipa::path(post, path = "/v1/cache/{key}/touch", tag = "cache", request_body = Touch, params(
    ("key" = inline(Name), Path, description = "The key"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "It lives so long", headers(("ETag" = String, description = "Its version"))),
    (status = 404, description = "There is none", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The key is of no use", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn touch(
    State(app): State<Arc<App>>,
    PathName(key): PathName,
    MaybeKey(numbers): MaybeKey,
    Body(touch): Body<Touch>,
) -> Result<Response, Problem> {
    let action = CacheAction::Touch { key, ttl_us: touch.ttl_ms.map(|ttl| ttl.0 * 1_000) };
    match super::on_cache(&app, numbers, action).await? {
        CacheReply::Written { version } => Ok(written(version)),
        _ => Err(super::misused()),
    }
}

/// How the cache is and what it has counted
#[utoipa::path(get, path = "/v1/cache", tag = "cache", responses(
    (status = 200, description = "Its statistics", body = Stats),
))]
pub(crate) async fn stats(State(app): State<Arc<App>>) -> Result<Json<Stats>, Problem> {
    let Reply::Cache(CacheReply::Stats(stats)) = app.gateway.ask(Query::Cache(CacheQuery::Stats)).await?
    else {
        return Err(Problem::misanswered());
    };
    Ok(Json(Stats {
        entries: stats.entries,
        expiring: stats.expiring,
        bytes: stats.bytes,
        entries_max: stats.settings.entries_max,
        bytes_max: stats.settings.bytes_max,
        created: stats.totals.created,
        overwritten: stats.totals.overwritten,
        deleted: stats.totals.deleted,
        expired: stats.totals.expired,
        evicted: stats.totals.evicted,
        refused: stats.totals.refused,
    }))
}

#[cfg(test)]
mod tests {
    use super::version_of;
    use crate::ids::LogIndex;

    #[test]
    fn a_version_is_written_as_an_entity_tag() {
        assert_eq!(version_of("\"17\""), Some(LogIndex(17)));
        for wrong in ["17", "\"17", "17\"", "\"\"", "\"017\"", "\"+1\"", "W/\"17\"", "*", "\"1\", \"2\""] {
            assert_eq!(version_of(wrong), None, "{wrong}");
        }
    }
}
