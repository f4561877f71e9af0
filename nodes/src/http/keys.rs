//! Idempotency keys: a session and a number in it.
//!
//! `Idempotency-Key: 812-3` names the third command of session 812. The client opened that session
//! (`POST /v1/sessions`), keeps it alive, and numbers its commands from 1; a request with a key may be repeated, at this
//! node or another, before and after any failure of nodes, and has its effect once. The key *is* the place in the
//! replicated table of sessions where the outcome is remembered (Raft thesis 6.3), so no gateway has to remember
//! anything, and none has to be told of it.
//!
//! Bounds: the outcome is remembered as long as the session lives and until a command with a number that is
//! [`REMEMBERED`] greater has been sent; a command that waits in line is given up then. A repetition after that is
//! answered 409, `session-gone`, and is indefinite. Whoever sends *another* request under a key that was used is answered with what came
//! of the first.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;

use super::document::{never, takes_key};
use super::problem::Problem;
use crate::client::Numbers;
use crate::ids::{Sequence, SessionId};
use crate::machine::OPEN_COMMANDS_MAX;

/// The header.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Numbers of a session, up to the latest, whose outcomes are remembered.
pub(crate) const REMEMBERED: u64 = OPEN_COMMANDS_MAX as u64;

const HOW_TO: &str = "it is SESSION-NUMBER, as in 812-1: open a session with POST /v1/sessions, and number its commands \
                      from 1";

/// The name of a command: what a key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandName {
    pub(crate) session: SessionId,
    pub(crate) sequence: Sequence,
}

impl CommandName {
    /// What the command says of itself: the same for the same name, as a repetition must have it.
    pub(crate) fn numbers(self) -> Numbers {
        let lowest_open = Sequence(self.sequence.0.saturating_sub(REMEMBERED - 1).max(1));
        Numbers::new(self.session, self.sequence, lowest_open)
    }
}

impl From<Numbers> for CommandName {
    fn from(numbers: Numbers) -> Self {
        Self { session: numbers.session, sequence: numbers.sequence }
    }
}

/// Where a key counts: methods, and paths as their routes have them.
pub(crate) struct Takers(BTreeSet<(String, String)>);

impl Takers {
    /// By what the document says of each operation.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let mut takers = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            let operations = [("PUT", &item.put), ("POST", &item.post), ("DELETE", &item.delete)];
            for (method, operation) in operations {
                if operation.as_ref().is_some_and(takes_key) {
                    takers.insert((method.to_owned(), path.clone()));
                }
            }
        }
        Self(takers)
    }
}

/// Refuses a command with a key that would not count: whoever sent it relies on it. The older system's calls know no
/// keys, and a question may be asked again as often as one likes.
pub(crate) async fn admit(State(takers): State<Arc<Takers>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(IDEMPOTENCY_KEY)
        && request.method() != Method::GET
        && let Some(path) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)
        && path.starts_with("/v1/")
        && !takers.0.contains(&(request.method().to_string(), path.to_owned()))
    {
        let why = "no Idempotency-Key counts here: leave it out, and repeat with care";
        return Problem::bad_request(why).into_response();
    }
    next.run(request).await
}

/// The key of a request, if it has one.
pub(crate) struct MaybeKey(pub(crate) Option<CommandName>);

/// The key of a request that cannot do without: what it does belongs to a session. Without it the request is answered
/// 400, as the draft of the header's standard has it.
pub(crate) struct NeededKey(pub(crate) CommandName);

/// A key, as it is written.
pub(crate) fn text_of(name: CommandName) -> String {
    format!("{}-{}", name.session.0, name.sequence.0)
}

/// Reads a key, with or without the quotation marks that the draft of the header's standard wants.
pub(crate) fn read(text: &str) -> Option<CommandName> {
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let (session, sequence) = text.split_once('-')?;
    Some(CommandName { session: SessionId(number(session)?), sequence: Sequence(number(sequence)?) })
}

/// 1 to 18 digits, the first of which is not 0.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits && !text.starts_with('0'))
}

/// The same, for the OpenAPI document. The dash is not optional, which [`never`] says: a pattern that wants a character
/// that is no letter and no digit has Schemathesis think that it cannot write such a header, and send what is none.
pub(crate) struct Key;

impl utoipa::PartialSchema for Key {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        const NUMBER: &str = "[1-9][0-9]{0,17}";
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some(format!("^({NUMBER}-?{NUMBER}|\"{NUMBER}-?{NUMBER}\")$")))
            .extensions(Some(never("^[^-]*$")))
            .examples(["812-1"])
            .into()
    }
}

impl utoipa::ToSchema for Key {}

impl<S: Sync> FromRequestParts<S> for MaybeKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        let read = key.to_str().ok().and_then(read).filter(|_| keys.next().is_none());
        let numbers =
            read.ok_or_else(|| Problem::bad_request(format!("the Idempotency-Key is none: {HOW_TO}")))?;
        Ok(Self(Some(numbers)))
    }
}

impl<S: Sync> FromRequestParts<S> for NeededKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match MaybeKey::from_request_parts(parts, state).await? {
            MaybeKey(Some(numbers)) => Ok(Self(numbers)),
            MaybeKey(None) => Err(Problem::new(
                axum::http::StatusCode::BAD_REQUEST,
                "key-needed",
                "An Idempotency-Key is needed",
                format!("what this does belongs to a session, which the Idempotency-Key names: {HOW_TO}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CommandName, REMEMBERED, read, text_of};
    use crate::client::Numbers;
    use crate::ids::{Sequence, SessionId};

    #[test]
    fn a_key_names_a_session_and_a_number() {
        let name = CommandName { session: SessionId(812), sequence: Sequence(3) };
        assert_eq!((read("812-3"), read("\"812-3\"")), (Some(name), Some(name)));
        assert_eq!(text_of(name), "812-3");
        assert_eq!(name.numbers(), Numbers::new(SessionId(812), Sequence(3), Sequence(1)));
        let late = read("1-5000").map(CommandName::numbers);
        assert_eq!(late, Some(Numbers::new(SessionId(1), Sequence(5000), Sequence(5001 - REMEMBERED))));
        assert_eq!(read("1-999999999999999999").map(|name| name.sequence.0), Some(999_999_999_999_999_999));
    }

    #[test]
    fn anything_else_is_none() {
        let wrong = [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "0-1",
            "1-0",
            "1-1-1",
            "+1-1",
            "01-1",
            "1-01",
            "1- 1",
            "1-1x",
            "\"1-1",
            "1-1000000000000000000",
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
