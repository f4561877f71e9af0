//! The calls of an older system, so that what was written for it goes on working: `/lock`, `/queue/…`, `/cache/…` and
//! `/status`, with its fields and its words.
//!
//! Where that system left something open, these calls promise what the services promise:
//! * A lock belongs to its client until it is given back, whichever node is called, or until an hour has passed since
//!   its client last called for it. Whoever waits gets the lock by itself, first come, first served.
//! * A message is removed when it is handed out: if that answer is lost, so is the message. Consumers who must not lose
//!   any use `/v1`, where messages are acknowledged.
//! * A cached value is the latest, at whatever node.
//!
//! Bodies are JSON whatever the request calls them, and fields that nobody knows are passed over.

mod cache;
mod locks;
mod queue;
pub(super) mod status;

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::problem::Problem;

/// What a call is answered with.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Said {
    /// In words.
    message: String,
    /// `ok`, `empty` or `error`.
    status: &'static str,
}

/// A problem, in the older system's form.
pub(crate) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let said = Said { message: format!("Error: {}", self.0.detail), status: "error" };
        let mut response = (self.0.status, Json(said)).into_response();
        self.0.say_when(response.headers_mut());
        response
    }
}

/// What was stored, as it is if it is JSON; or else the text that it is.
fn json_of(stored: &[u8]) -> Box<RawValue> {
    let text = || {
        let text = String::from_utf8_lossy(stored);
        to_raw_value(&text).expect("every text can be written as JSON")
    };
    serde_json::from_slice(stored).unwrap_or_else(|_| text())
}

fn ok(message: String) -> Json<Said> {
    Json(Said { message, status: "ok" })
}

/// All calls but `/status`, which needs no place.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(locks::lock))
        .routes(routes!(locks::unlock))
        .routes(routes!(queue::enqueue))
        .routes(routes!(queue::dequeue))
        .routes(routes!(queue::stats))
        .routes(routes!(cache::set))
        .routes(routes!(cache::get))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use axum::response::IntoResponse;

    use super::super::problem::{Conclusion, Problem};
    use super::Refusal;

    #[test]
    fn whoever_may_come_again_is_told_when() {
        for problem in [Problem::too_many("there are many"), Problem::stopping(Conclusion::Definite)] {
            let refused = Refusal::from(problem.clone()).into_response();
            assert_eq!(
                refused.headers().get(header::RETRY_AFTER),
                Some(&HeaderValue::from(1)),
                "{problem:?}"
            );
        }
        let refused = Refusal::from(Problem::not_found("it is not there")).into_response();
        assert_eq!(refused.headers().get(header::RETRY_AFTER), None);
    }
}
