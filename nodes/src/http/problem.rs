//! Errors as problem details (RFC 9457), which say what the caller may conclude.
//!
//! Every problem has an `outcome`: `definite` when what was asked has not happened and never will, `indefinite` when it
//! may have, or may yet. When in doubt it is indefinite. An indefinite one of a command that the gateway carried in a
//! session of its own comes with an `idempotency_key`: the same request with that key, to whatever node, is answered
//! with what came of the first, or done if nothing did.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::keys::CommandName;
use crate::client::ClientError;
use crate::ids::SessionId;
use crate::machine::{CacheError, LockError, MachineError, QueueError};

/// What the caller may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conclusion {
    /// It has not happened and never will.
    Definite,
    /// It may have happened, or may yet.
    Indefinite,
}

/// A problem, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The kind of problem: `urn:stormglass:problem:` and a name that does not change.
    #[serde(rename = "type")]
    #[schema(example = "urn:stormglass:problem:lock-not-granted")]
    kind: String,
    /// The kind, for people.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What is wrong with this very request.
    detail: String,
    /// What may be concluded.
    outcome: Conclusion,
    /// Send the same request with this key to learn what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    name: &'static str,
    title: &'static str,
    pub(crate) detail: String,
    pub(crate) outcome: Conclusion,
    key: Option<CommandName>,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A definite problem.
    pub(crate) fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let outcome = Conclusion::Definite;
        Self { status, name, title, detail: detail.into(), outcome, key: None, retry_after_s: None }
    }

    /// The kind of problem.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be understood", detail)
    }

    /// There is nothing of this name.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    /// Things are not such that it could be done.
    pub(crate) fn conflict(name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, name, title, detail)
    }

    /// Too much is under way here.
    pub(crate) fn too_many(detail: impl Into<String>) -> Self {
        let title = "Too many requests are under way";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", title, detail).retry_after(1)
    }

    /// The session is one in which the node does what callers without a session ask for.
    pub(crate) fn reserved_session(session: SessionId) -> Self {
        let detail = format!("{} is not for others to use or to end: POST /v1/sessions opens one", session.0);
        Self::conflict("reserved-session", "The session is a node's own", detail)
    }

    /// The node is about to stop.
    pub(crate) fn stopping(outcome: Conclusion) -> Self {
        let title = "This node is stopping";
        let detail = "ask another node; a request with an Idempotency-Key may be repeated there";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", title, detail);
        Self { outcome, ..problem }.retry_after(1)
    }

    /// The same, of a command whose outcome can be asked for under this name.
    pub(crate) fn of_command(self, name: CommandName) -> Self {
        Self { key: Some(name), ..self }
    }

    /// The answer makes no sense. That is a bug, or a node of another version.
    pub(crate) fn misanswered() -> Self {
        let title = "The cluster answered another question";
        let problem =
            Self::new(StatusCode::BAD_GATEWAY, "misanswered", title, "are all nodes of the same version?");
        Self { outcome: Conclusion::Indefinite, ..problem }
    }

    /// The client may come again after so many seconds.
    fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// What the client library says of a command that may have gone out under `name`.
    pub(crate) fn of_client(error: ClientError, name: Option<CommandName>) -> Self {
        match error {
            ClientError::Refused(error) => Self::of_machine(&error),
            ClientError::NotDone(why) => {
                let title = "The cluster cannot serve this now";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, why).retry_after(1)
            }
            ClientError::Impossible(why) => {
                let title = "The members cannot be changed so";
                Self { outcome: Conclusion::Indefinite, ..Self::conflict("impossible-change", title, why) }
            }
            ClientError::Unknown(why) => {
                let title = "Nobody knows yet what came of it";
                let problem = Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", title, why);
                Self { outcome: Conclusion::Indefinite, key: name, ..problem }
            }
        }
    }

    /// What the replicated machine says.
    pub(crate) fn of_machine(error: &MachineError) -> Self {
        let detail = error.to_string();
        match error {
            MachineError::InvalidArgument(_) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid", "A bound of the request is broken", detail)
            }
            // Nothing is remembered of an earlier attempt.
            MachineError::SessionExpired | MachineError::SequenceTooOld => {
                let title = "The session or its memory of this command is gone";
                Self { outcome: Conclusion::Indefinite, ..Self::conflict("session-gone", title, detail) }
            }
            MachineError::TooManyOpenCommands => {
                let title = "The number is too far ahead";
                Self {
                    outcome: Conclusion::Indefinite,
                    ..Self::conflict("number-too-far-ahead", title, detail)
                }
            }
            MachineError::TooManySessions => Self::too_many(detail),
            MachineError::Undecodable(_) => Self::misanswered(),
            MachineError::Lock(error) => Self::of_locks(error, detail),
            MachineError::Cache(error) => Self::of_cache(error, detail),
            MachineError::Queue(error) => Self::of_queue(error, detail),
        }
    }

    fn of_locks(error: &LockError, detail: String) -> Self {
        let (name, title) = match error {
            LockError::Timeout => ("lock-not-granted", "The lock was not granted in time"),
            LockError::Cancelled => ("wait-cancelled", "The wait was cancelled"),
            LockError::Reentrant => ("already-held", "The session holds or awaits this lock already"),
            LockError::NotHeld => ("not-held", "The session does not hold this lock under this token"),
            LockError::WrongMode => ("wrong-mode", "The lock is held in another mode"),
            LockError::NotWaiting => ("not-waiting", "Nothing waits under this number"),
            LockError::Deadlock { .. } => ("deadlock", "To wait would be a deadlock"),
            LockError::NotASemaphore | LockError::IsASemaphore | LockError::TooFewPermits { .. } => {
                ("semaphore", "The resource is, or is not, such a semaphore")
            }
            LockError::InUse => ("in-use", "The resource is held or awaited"),
            LockError::WaitGraphTooLarge
            | LockError::TooManyWaiters
            | LockError::TooManyLocks
            | LockError::TooManyClaims
            | LockError::TooManyClaimsOfAll => ("lock-bound", "A bound of the locks is reached"),
        };
        Self::conflict(name, title, detail)
    }

    fn of_cache(error: &CacheError, detail: String) -> Self {
        match error {
            CacheError::NoSuchKey => Self::not_found(detail),
            CacheError::Full => Self::conflict("cache-full", "The cache is full", detail),
            CacheError::TooLarge { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Key and value are larger than the cache",
                detail,
            ),
            CacheError::NotACounter | CacheError::CounterOverflow => {
                Self::conflict("not-a-counter", "The value does not count", detail)
            }
            CacheError::AnswerTooLong => {
                Self::conflict("answer-too-long", "The values are too long together", detail)
            }
        }
    }

    fn of_queue(error: &QueueError, detail: String) -> Self {
        match error {
            QueueError::UnknownTopic | QueueError::UnknownMessage => Self::not_found(detail),
            QueueError::TopicDeleted => {
                Self::conflict("topic-deleted", "The topic was deleted meanwhile", detail)
            }
            QueueError::TooManyTopics | QueueError::Full { .. } | QueueError::TooManyWaiting => {
                Self::conflict("topic-bound", "A bound of the topic is reached", detail)
            }
            QueueError::PayloadTooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The message is too large", detail)
            }
            QueueError::OutOfSequence { .. } => {
                Self::conflict("out-of-sequence", "The producer's numbers have a gap", detail)
            }
            QueueError::StaleReceipt => Self::conflict("stale-receipt", "The delivery is over", detail),
        }
    }

    /// Says when to come again, if that is known.
    pub(crate) fn say_when(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
    }

    pub(crate) fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:stormglass:problem:{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            outcome: self.outcome,
            idempotency_key: self.key.map(super::keys::text_of),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.say_when(headers);
        response
    }
}
