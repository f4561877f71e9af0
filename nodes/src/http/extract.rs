//! Requests, taken apart: whatever is wrong with one is a problem with its place, and never a panic.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::bounded::Name;
use super::calls::Refusal;
use super::problem::Problem;

/// The longest body that is read: a batch of messages fits, and a value of the cache.
pub(crate) const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A JSON object in the body.
pub(crate) struct Body<T>(pub(crate) T);

/// The same for the older system's calls, whatever the request says of the body's type.
pub(crate) struct LooseBody<T>(pub(crate) T);

/// The body as it is.
pub(crate) struct RawBody(pub(crate) Bytes);

/// The one name in the path.
pub(crate) struct PathName(pub(crate) String);

/// What stands in the path.
pub(crate) struct InPath<T>(pub(crate) T);

/// What stands behind the question mark.
pub(crate) struct InQuery<T>(pub(crate) T);

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(failed) if failed.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body may have {BODY_BYTES_MAX} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too long", detail)
        }
        other => Problem::bad_request(other.to_string()),
    })
}

fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    // An array would pass for a struct otherwise, its elements for the fields.
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => serde_json::from_slice(text)
            .map_err(|error| Problem::bad_request(format!("the body does not fit: {error}"))),
        _ => Err(Problem::bad_request("the body is not a JSON object")),
    }
}

fn is_json(parts: &axum::http::HeaderMap) -> bool {
    let Some(kind) = parts.get(header::CONTENT_TYPE) else { return false };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if !is_json {
            let detail = "say `Content-Type: application/json`";
            let title = "The body is of another type than this takes";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail));
        }
        object(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for LooseBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Ok(Self(object(&read(request, state).await?)?))
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let InPath(name) = InPath::<String>::from_request_parts(parts, state).await?;
        Name::of(name)
            .map(|name| Self(name.0))
            .map_err(|why| Problem::bad_request(format!("the path: {why}")))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(found)| Self(found)).map_err(|error| {
            let expected = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
            Problem::bad_request(format!("{}; the path is {expected}", error.body_text()))
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(found)| Self(found)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}
