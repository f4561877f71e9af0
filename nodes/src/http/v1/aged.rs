//! Answers that may be stale within a bound, and say how stale.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::App;
use crate::http::bounded::StaleMs;
use crate::http::problem::Problem;
use crate::machine::{Query, Reply};

/// How old the state was at most from which an answer comes, in milliseconds, rounded up.
pub(super) const AGE: HeaderName = HeaderName::from_static("stormglass-age-ms");

/// How fresh the answer has to be.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Freshness {
    /// The answer may come from a state that was the latest no longer ago than this, from this node as a rule, and
    /// though it has lost its leader; `stormglass-age-ms` says how old it may be. Without it, the answer is the latest.
    #[param(inline)]
    stale_ms: Option<StaleMs>,
}

impl Freshness {
    /// Asks; says how old the answer may be, if it may be old.
    pub(super) async fn ask(&self, app: &App, query: Query) -> Result<(Reply, Age), Problem> {
        match &self.stale_ms {
            None => Ok((app.gateway.ask(query).await?, Age::NONE)),
            Some(stale) => {
                let (reply, age_us) = app.gateway.ask_within(query, stale.0 * 1_000).await?;
                Ok((reply, Age(Some(age_us))))
            }
        }
    }

    /// Whether the answer may be stale.
    pub(super) const fn may_be_stale(&self) -> bool {
        self.stale_ms.is_some()
    }
}

/// How old an answer may be.
#[derive(Clone, Copy)]
pub(super) struct Age(Option<u64>);

impl Age {
    /// It is the latest.
    pub(super) const NONE: Self = Self(None);

    /// Says it with the answer.
    pub(super) fn on(self, mut response: Response) -> Response {
        if let Some(age_us) = self.0 {
            response.headers_mut().insert(AGE, HeaderValue::from(age_us.div_ceil(1_000)));
        }
        response
    }
}
