//! Requests, taken apart: whatever is wrong with one is a problem with its place, and never a panic.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::bounded::Name;
use super::calls::Refusal;
use super::limits::Place;
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
    // Only requests with places have bodies that are read.
    let patience = request.extensions().get::<Place>().ok_or_else(Problem::misanswered)?.body_timeout;
    let arrived = timeout(patience, Bytes::from_request(request, state)).await.map_err(|_| {
        let detail = format!("the body has to arrive within {} ms", patience.as_millis());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body-late", "The body took too long to arrive", detail)
    })?;
    arrived.map_err(|rejection| match rejection {
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
        Some(b'{') => serde_json::from_slice(text).or_else(|error| {
            let whole = || serde_json::from_value(with_integers(serde_json::from_slice(text).ok()?)).ok();
            whole().ok_or_else(|| Problem::bad_request(format!("the body does not fit: {error}")))
        }),
        _ => Err(Problem::bad_request("the body is not a JSON object")),
    }
}

/// The same with every number that is an integer written as one: to JSON Schema, 2.0 is the integer 2.
fn with_integers(value: Value) -> Value {
    /// Beyond it, neighbouring integers are the same floating-point number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT_MAX => {
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(with_integers).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, with_integers(value))).collect()
        }
        other => other,
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
        // What is no text would be read as another text.
        if percent_decode_str(parts.uri.query().unwrap_or_default()).decode_utf8().is_err() {
            return Err(Problem::bad_request("the query is not UTF-8"));
        }
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(found)| Self(found)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::object;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Wanted {
        count: u64,
        deltas: Vec<i64>,
    }

    #[test]
    fn an_integer_may_be_written_with_a_fraction_of_nothing() {
        let read = |text: &str| object::<Wanted>(text.as_bytes()).ok();
        let wanted = Some(Wanted { count: 2, deltas: vec![-3, 4] });
        assert_eq!(read(r#"{"count": 2, "deltas": [-3, 4]}"#), wanted);
        assert_eq!(read(r#"{"count": 2.0, "deltas": [-3.0, 4e0]}"#), wanted);
        // Without `float_roundtrip`, serde_json reads 2188305343203916.8.
        let large = Some(Wanted { count: 2_188_305_343_203_917, deltas: vec![] });
        assert_eq!(read(r#"{"count": 2188305343203917.0, "deltas": []}"#), large);
        for wrong in ["2.5", "-1.0", "1e300", "9007199254740994.0", "\"2\"", "[2.0]"] {
            assert_eq!(read(&format!(r#"{{"count": {wrong}, "deltas": []}}"#)), None, "{wrong}");
        }
    }
}
