//! Sessions: what locks belong to, and what remembers the outcomes of commands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::bounded::{LeaseMs, NUMBER_MAX, Session};
use crate::http::extract::{Body, InPath};
use crate::http::keys::{Key, NeededKey};
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::{Sequence, SessionId};
use crate::machine::{LockAction, Query, Reply, SessionState};

/// How a session is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OpenSession)]
pub(crate) struct Opening {
    /// How long it lives without a command or a keep-alive. Default 30,000.
    #[serde(default)]
    lease_ms: Option<LeaseMs>,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenedSession)]
pub(crate) struct Opened {
    /// Its name: the first part of its commands' Idempotency-Keys.
    session: u64,
    /// How long it lives without a command or a keep-alive.
    lease_ms: u64,
    /// The Idempotency-Key of its first command.
    #[schema(example = "812-1")]
    first_key: String,
}

/// A session that is open: what it holds and awaits.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionLocks)]
pub(crate) struct Locks {
    /// The session.
    session: u64,
    /// How long it lives without a command or a keep-alive.
    lease_ms: u64,
    /// What it holds.
    held: Vec<Held>,
    /// What it waits for.
    awaited: Vec<Awaited>,
}

/// A lock that is held.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldLock)]
pub(crate) struct Held {
    resource: String,
    mode: super::locks::Mode,
    /// Permits of a semaphore.
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    /// The fencing token.
    token: u64,
}

/// A lock that is waited for.
#[derive(Serialize, ToSchema)]
#[schema(as = AwaitedLock)]
pub(crate) struct Awaited {
    resource: String,
    mode: super::locks::Mode,
    /// Permits of a semaphore.
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    /// The number of the command that waits.
    number: u64,
}

/// Which command's wait is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// Its number in the session.
    #[schema(minimum = 1, maximum = 9223372036854775807_u64)]
    number: u64,
}

const DEFAULT_LEASE_MS: u64 = 30_000;

const NOT_OPEN: &str = "the session is not open, or not any more";

/// Open a session
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = Opening, responses(
    (status = 201, description = "It is open", body = Opened, headers(("Location" = String, description = "The session"))),
))]
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    Body(opening): Body<Opening>,
) -> Result<impl IntoResponse, Problem> {
    let lease_ms = opening.lease_ms.map_or(DEFAULT_LEASE_MS, |lease| lease.0);
    let opened = app.gateway.client().open_for_another(lease_ms * 1_000).await;
    // One that was opened all the same does nothing until it ends by itself.
    let session = opened.map_err(|error| Problem::of_client(error, None))?.0;
    let body = Opened { session, lease_ms, first_key: format!("{session}-1") };
    let location = format!("/v1/sessions/{session}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)))
}

/// How long a session lives, what it holds and what it awaits
#[utoipa::path(get, path = "/v1/sessions/{session}", tag = "sessions", params(
    ("session" = inline(Session), Path, description = "The session"),
), responses(
    (status = 200, description = "It is open", body = Locks),
    (status = 404, description = "It is not open", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    InPath(Session(session)): InPath<Session>,
) -> Result<Json<Locks>, Problem> {
    let query = Query::Session { session: SessionId(session) };
    let Reply::Session(state) = app.gateway.ask(query).await? else {
        return Err(Problem::misanswered());
    };
    let (lease_us, locks) = match state {
        SessionState::Open { lease_us, locks } => (lease_us, locks),
        SessionState::Overdue => return Err(Problem::not_found("the session's lease is over")),
        SessionState::NotOpen => return Err(Problem::not_found(NOT_OPEN)),
    };
    let held = locks.held.into_iter().map(|lock| {
        let (mode, permits) = super::locks::shown(lock.mode);
        Held { resource: lock.resource, mode, permits, token: lock.token.0 }
    });
    let awaited = locks.awaited.into_iter().map(|lock| {
        let (mode, permits) = super::locks::shown(lock.mode);
        Awaited { resource: lock.resource, mode, permits, number: lock.sequence.0 }
    });
    let lease_ms = lease_us / 1_000;
    Ok(Json(Locks { session, lease_ms, held: held.collect(), awaited: awaited.collect() }))
}

/// Keep a session alive
///
/// Every command of the session does so as well.
#[utoipa::path(post, path = "/v1/sessions/{session}/keep-alive", tag = "sessions", params(
    ("session" = inline(Session), Path, description = "The session"),
), responses(
    (status = 204, description = "It lives for another lease"),
    (status = 404, description = "It is not open", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn keep_alive(
    State(app): State<Arc<App>>,
    InPath(Session(session)): InPath<Session>,
) -> Result<StatusCode, Problem> {
    let kept = app.gateway.client().keep_alive_for_another(SessionId(session)).await;
    match kept.map_err(|error| Problem::of_client(error, None))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(NOT_OPEN)),
    }
}

/// End a session, with all that it holds and awaits
///
/// Of a session that is not open, nothing happens.
#[utoipa::path(delete, path = "/v1/sessions/{session}", tag = "sessions", params(
    ("session" = inline(Session), Path, description = "The session"),
), responses(
    (status = 204, description = "It is not open any more"),
    (status = 409, description = "It is a node's own", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn close(
    State(app): State<Arc<App>>,
    InPath(Session(session)): InPath<Session>,
) -> Result<StatusCode, Problem> {
    let session = SessionId(session);
    if app.gateway.last_of_own(session).is_some() {
        // Whoever ended it would end what others have under way in it.
        return Err(Problem::reserved_session(session));
    }
    let closed = app.gateway.client().close_for_another(session).await;
    closed.map_err(|error| Problem::of_client(error, None))?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the wait of one of the session's commands
///
/// That command is answered with a problem, `wait-cancelled`.
#[utoipa::path(post, path = "/v1/cancellations", tag = "sessions", request_body = Cancel, params(
    ("Idempotency-Key" = inline(Key), Header, description = "The session, and a new number in it"),
), responses(
    (status = 204, description = "It waits no more"),
    (status = 409, description = "It does not wait", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    NeededKey(key): NeededKey,
    Body(Cancel { number }): Body<Cancel>,
) -> Result<StatusCode, Problem> {
    if !(1..=NUMBER_MAX).contains(&number) {
        return Err(Problem::bad_request(format!("`number` is from 1 to {NUMBER_MAX}")));
    }
    let cancel = LockAction::Cancel { sequence: Sequence(number) };
    super::on_locks(&app, Some(key), cancel, 0).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use crate::http::v1::locks::shown;
    use crate::machine::LockMode;

    #[test]
    fn permits_are_shown_as_such() {
        assert_eq!(shown(LockMode::Permits(3)).1, Some(3));
        assert_eq!(shown(LockMode::Shared).1, None);
    }
}
