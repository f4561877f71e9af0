//! Locks and semaphores.
//!
//! A lock belongs to a session, so whatever changes one comes with an Idempotency-Key, which names the session.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::aged::Freshness;
use crate::api::RESERVED_LOCKS;
use crate::http::App;
use crate::http::bounded::{Name, Permits, Reason, Token, WaitMs};
use crate::http::extract::{Body, InPath, InQuery, PathName};
use crate::http::keys::CommandName;
use crate::http::keys::{Key, MaybeKey, NeededKey};
use crate::http::limits::Place;
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::FenceToken;
use crate::machine::{
    LockAction, LockGrant, LockHolder, LockMode, LockQuery, LockReply, LockRequest, LockState, Query, Reply,
    TokenStatus,
};

/// How a lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LockMode)]
pub(crate) enum Mode {
    /// By one.
    #[default]
    Exclusive,
    /// By many, all shared.
    Shared,
    /// With permits of a semaphore.
    Permits,
}

/// What is wanted of one resource.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AcquireLock)]
pub(crate) struct Acquire {
    /// How it is to be held. Default exclusive.
    #[serde(default)]
    mode: Mode,
    /// So many permits, of a semaphore. Default 1.
    #[serde(default)]
    permits: Option<Permits>,
    /// How long to wait in line. Default 0: now or not at all.
    #[serde(default)]
    wait_ms: Option<WaitMs>,
}

/// Several resources, all or none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AcquireLocks)]
pub(crate) struct AcquireAll {
    /// Each for another resource.
    #[schema(min_items = 1, max_items = 16)]
    locks: Vec<Wanted>,
    /// How long to wait in line. Default 0: now or not at all.
    #[serde(default)]
    wait_ms: Option<WaitMs>,
}

/// One of several.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedLock)]
pub(crate) struct Wanted {
    /// The resource.
    resource: Name,
    /// How it is to be held. Default exclusive.
    #[serde(default)]
    mode: Mode,
    /// So many permits, of a semaphore. Default 1.
    #[serde(default)]
    permits: Option<Permits>,
}

/// A lock that was granted.
#[derive(Serialize, ToSchema)]
#[schema(as = LockGrant)]
pub(crate) struct Grant {
    resource: String,
    /// The fencing token: it rises with every grant, so that whoever is protected can refuse an earlier holder.
    token: u64,
    /// The session that holds it.
    session: u64,
}

/// Locks that were granted together.
#[derive(Serialize, ToSchema)]
#[schema(as = LockGrants)]
pub(crate) struct Grants {
    /// In the order in which they were asked for.
    grants: Vec<Grant>,
}

/// Which hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LockHold)]
pub(crate) struct Hold {
    /// Its fencing token.
    token: Token,
}

/// Which hold, and how long to wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpgradeLock)]
pub(crate) struct Upgrade {
    /// The token of the shared hold.
    token: Token,
    /// How long to wait for the other sharers to leave. Default 0.
    #[serde(default)]
    wait_ms: Option<WaitMs>,
}

/// Whose hold to end, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ForceRelease)]
pub(crate) struct Force {
    /// The token of the hold.
    token: Token,
    /// For the record.
    reason: Reason,
}

/// How a semaphore is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Semaphore {
    /// How many permits it has.
    permits: Permits,
}

/// A lock at one moment.
#[derive(Serialize, ToSchema)]
#[schema(as = Lock)]
pub(crate) struct Shown {
    resource: String,
    /// Of a semaphore, how many permits there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    /// Rises whenever something changes.
    version: u64,
    holders: Vec<Holder>,
    /// In the order of the line.
    waiters: Vec<Waiter>,
}

/// Who holds a lock.
#[derive(Serialize, ToSchema)]
#[schema(as = LockHolder)]
pub(crate) struct Holder {
    session: u64,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    token: u64,
}

/// Who waits for a lock.
#[derive(Serialize, ToSchema)]
#[schema(as = LockWaiter)]
pub(crate) struct Waiter {
    session: u64,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    /// The number of the command that waits.
    number: u64,
    /// Whether it holds the lock shared already.
    is_upgrade: bool,
}

/// What is known of a token.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckedToken)]
pub(crate) struct Checked {
    status: Standing,
    /// The latest token, if this one is stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest: Option<u64>,
}

/// Whether a token is to be obeyed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TokenStanding)]
pub(crate) enum Standing {
    /// It is that of a hold.
    Current,
    /// A later one was granted, or the hold is over.
    Stale,
    /// It was not granted, as far as is known.
    Unknown,
}

impl Holder {
    pub(super) fn of(holder: &LockHolder) -> Self {
        let (mode, permits) = shown(holder.mode);
        Self { session: holder.session.0, mode, permits, token: holder.token.0 }
    }
}

impl Shown {
    /// A lock of this name in this state.
    pub(super) fn of(resource: String, state: &LockState) -> Self {
        let waiters = state.waiters.iter().map(|waiter| {
            let (mode, permits) = shown(waiter.mode);
            let (session, number) = (waiter.session.0, waiter.sequence.0);
            Waiter { session, mode, permits, number, is_upgrade: waiter.is_upgrade }
        });
        let (holders, waiters) = (state.holders.iter().map(Holder::of).collect(), waiters.collect());
        Self { resource, permits: state.permits, version: state.version.0, holders, waiters }
    }
}

/// A mode as it is shown.
pub(super) fn shown(mode: LockMode) -> (Mode, Option<u32>) {
    match mode {
        LockMode::Exclusive => (Mode::Exclusive, None),
        LockMode::Shared => (Mode::Shared, None),
        LockMode::Permits(permits) => (Mode::Permits, Some(permits)),
    }
}

fn mode_of(mode: Mode, permits: Option<Permits>) -> LockMode {
    match mode {
        Mode::Exclusive => LockMode::Exclusive,
        Mode::Shared => LockMode::Shared,
        Mode::Permits => {
            LockMode::Permits(permits.map_or(1, |permits| u32::try_from(permits.0).unwrap_or(u32::MAX)))
        }
    }
}

/// Refuses names that are reserved.
pub(crate) fn is_free(resource: &str) -> Result<(), Problem> {
    if resource.starts_with(RESERVED_LOCKS) {
        return Err(Problem::conflict(
            "reserved-name",
            "The name is reserved",
            format!("names that begin with `{RESERVED_LOCKS}` are those of POST /lock"),
        ));
    }
    Ok(())
}

fn one(grants: Vec<LockGrant>, key: CommandName) -> Result<Json<Grant>, Problem> {
    let grant = grants.into_iter().next().ok_or_else(super::misused)?;
    Ok(Json(granted(grant, key)))
}

fn granted(grant: LockGrant, key: CommandName) -> Grant {
    Grant { resource: grant.resource, token: grant.token.0, session: key.session.0 }
}

/// Who holds and who awaits a lock
#[utoipa::path(get, path = "/v1/locks/{resource}", tag = "locks", params(
    ("resource" = inline(Name), Path, description = "The resource"), Freshness,
), responses((status = 200, description = "Its state", body = Shown)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    InQuery(freshness): InQuery<Freshness>,
) -> Result<Response, Problem> {
    let query = Query::Lock(LockQuery::State { resource: resource.clone() });
    let (Reply::Lock(LockReply::State(state)), age) = freshness.ask(&app, query).await? else {
        return Err(Problem::misanswered());
    };
    Ok(age.on(Json(Shown::of(resource, &state)).into_response()))
}

/// Get a lock, waiting in line if need be
///
/// While it waits the request may be repeated with its key, here or elsewhere; the place in line stays.
#[utoipa::path(post, path = "/v1/locks/{resource}/acquire", tag = "locks", request_body = Acquire, params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Key), Header, description = "The session, and a new number in it"),
), responses(
    (status = 200, description = "It is held", body = Grant),
    (status = 409, description = "It was not to be had", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn acquire(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    NeededKey(key): NeededKey,
    place: Place,
    Body(acquire): Body<Acquire>,
) -> Result<Json<Grant>, Problem> {
    is_free(&resource)?;
    let wait_us = acquire.wait_ms.map_or(0, |wait| wait.0 * 1_000);
    place.to_wait(&app, wait_us)?;
    let requests = vec![LockRequest { resource, mode: mode_of(acquire.mode, acquire.permits) }];
    one(super::on_locks(&app, Some(key), LockAction::Acquire { requests, wait_us }, wait_us).await?, key)
}

/// Get several locks together, or none
#[utoipa::path(post, path = "/v1/locks", tag = "locks", request_body = AcquireAll, params(
    ("Idempotency-Key" = inline(Key), Header, description = "The session, and a new number in it"),
), responses(
    (status = 200, description = "They are held", body = Grants),
    (status = 409, description = "They were not to be had", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn acquire_all(
    State(app): State<Arc<App>>,
    NeededKey(key): NeededKey,
    place: Place,
    Body(wanted): Body<AcquireAll>,
) -> Result<Json<Grants>, Problem> {
    for lock in &wanted.locks {
        is_free(&lock.resource.0)?;
    }
    let mut names: Vec<&str> = wanted.locks.iter().map(|lock| lock.resource.0.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Problem::conflict(
            "named-twice",
            "A resource is named twice",
            "each may be asked for once",
        ));
    }
    let wait_us = wanted.wait_ms.map_or(0, |wait| wait.0 * 1_000);
    place.to_wait(&app, wait_us)?;
    let request =
        |lock: Wanted| LockRequest { resource: lock.resource.0, mode: mode_of(lock.mode, lock.permits) };
    let requests = wanted.locks.into_iter().map(request).collect();
    let grants = super::on_locks(&app, Some(key), LockAction::Acquire { requests, wait_us }, wait_us).await?;
    Ok(Json(Grants { grants: grants.into_iter().map(|grant| granted(grant, key)).collect() }))
}

/// Give a lock back
#[utoipa::path(post, path = "/v1/locks/{resource}/release", tag = "locks", request_body = Hold, params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Key), Header, description = "The session, and a new number in it"),
), responses(
    (status = 204, description = "It is given back"),
    (status = 409, description = "It is not held so", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    NeededKey(key): NeededKey,
    Body(hold): Body<Hold>,
) -> Result<StatusCode, Problem> {
    let grants = vec![LockGrant { resource, token: FenceToken(hold.token.0) }];
    super::on_locks(&app, Some(key), LockAction::Release { grants }, 0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a shared hold exclusive
///
/// The old token counts until the new one is granted.
#[utoipa::path(post, path = "/v1/locks/{resource}/upgrade", tag = "locks", request_body = Upgrade, params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Key), Header, description = "The session, and a new number in it"),
), responses(
    (status = 200, description = "It is held exclusively", body = Grant),
    (status = 409, description = "It was not to be had", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn upgrade(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    NeededKey(key): NeededKey,
    place: Place,
    Body(upgrade): Body<Upgrade>,
) -> Result<Json<Grant>, Problem> {
    let wait_us = upgrade.wait_ms.map_or(0, |wait| wait.0 * 1_000);
    place.to_wait(&app, wait_us)?;
    let action = LockAction::Upgrade { resource, token: FenceToken(upgrade.token.0), wait_us };
    one(super::on_locks(&app, Some(key), action, wait_us).await?, key)
}

/// Make an exclusive hold shared
#[utoipa::path(post, path = "/v1/locks/{resource}/downgrade", tag = "locks", request_body = Hold, params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Key), Header, description = "The session, and a new number in it"),
), responses(
    (status = 200, description = "It is held shared, under a new token", body = Grant),
    (status = 409, description = "It is not held so", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn downgrade(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    NeededKey(key): NeededKey,
    Body(hold): Body<Hold>,
) -> Result<Json<Grant>, Problem> {
    let action = LockAction::Downgrade { resource, token: FenceToken(hold.token.0) };
    one(super::on_locks(&app, Some(key), action, 0).await?, key)
}

/// Whether a token is the one to obey
///
/// For a protected resource that cannot remember tokens itself.
#[utoipa::path(get, path = "/v1/locks/{resource}/tokens/{token}", tag = "locks", params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("token" = inline(Token), Path, description = "The token"),
), responses((status = 200, description = "What is known of it", body = Checked)))]
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    InPath((Name(resource), Token(token))): InPath<(Name, Token)>,
) -> Result<Json<Checked>, Problem> {
    let query = Query::Lock(LockQuery::Check { resource, token: FenceToken(token) });
    let Reply::Lock(LockReply::Checked(status)) = app.gateway.ask(query).await? else {
        return Err(Problem::misanswered());
    };
    Ok(Json(match status {
        TokenStatus::Current => Checked { status: Standing::Current, latest: None },
        TokenStatus::Stale { latest } => Checked { status: Standing::Stale, latest: Some(latest.0) },
        TokenStatus::Unknown => Checked { status: Standing::Unknown, latest: None },
    }))
}

/// End somebody's hold for them
///
/// An operator's last resort. It is recorded.
#[utoipa::path(post, path = "/v1/locks/{resource}/force-release", tag = "locks", request_body = Force, params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "It is not held under this token any more"),
    (status = 409, description = "It was not held so", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn force_release(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    MaybeKey(key): MaybeKey,
    Body(force): Body<Force>,
) -> Result<StatusCode, Problem> {
    let action =
        LockAction::ForceRelease { resource, token: FenceToken(force.token.0), reason: force.reason.0 };
    super::on_locks(&app, key, action, 0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Declare a semaphore, or change how many permits it has
#[utoipa::path(put, path = "/v1/semaphores/{resource}", tag = "locks", request_body = Semaphore, params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "It is declared"),
    (status = 409, description = "The resource is a lock in use", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn declare_semaphore(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    MaybeKey(key): MaybeKey,
    Body(semaphore): Body<Semaphore>,
) -> Result<StatusCode, Problem> {
    is_free(&resource)?;
    let permits = u32::try_from(semaphore.permits.0).unwrap_or(u32::MAX);
    super::on_locks(&app, key, LockAction::DeclareSemaphore { resource, permits }, 0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget a semaphore that nobody holds or awaits
#[utoipa::path(delete, path = "/v1/semaphores/{resource}", tag = "locks", params(
    ("resource" = inline(Name), Path, description = "The resource"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "It is forgotten"),
    (status = 409, description = "It is in use, or none", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn remove_semaphore(
    State(app): State<Arc<App>>,
    PathName(resource): PathName,
    MaybeKey(key): MaybeKey,
) -> Result<StatusCode, Problem> {
    super::on_locks(&app, key, LockAction::RemoveSemaphore { resource }, 0).await?;
    Ok(StatusCode::NO_CONTENT)
}
