//! How much may be under way at a time: what is too much is refused at once, and may come again.
//!
//! A request takes a place when it comes and leaves it when it is answered. One that waits for something exchanges it
//! for a place among those that wait, of which there are more: they cost memory and nothing else. Its body has to arrive
//! within a time, or clients that send none to its end would hold all places for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::problem::{Conclusion, Problem};
use crate::env::Env;

/// The places.
pub(crate) struct Limits {
    requests: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    requests_max: usize,
    waits_max: usize,
    body_timeout: Duration,
}

/// A place that is taken, and counted.
struct Taken {
    gauge: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Taken {
    fn of(places: &Arc<Semaphore>, gauge: &Gauge) -> Option<Self> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        gauge.inc();
        Some(Self { gauge: gauge.clone(), _permit: permit })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The place of one request.
#[derive(Clone)]
pub(crate) struct Place {
    taken: Arc<Mutex<Option<Taken>>>,
    /// How long it may wait for the request's body.
    pub(crate) body_timeout: Duration,
}

impl Limits {
    pub(crate) fn new(requests_max: usize, waits_max: usize, body_timeout: Duration) -> Self {
        let semaphore = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        let (requests, waits) = (semaphore(requests_max), semaphore(waits_max));
        Self { requests, waits, requests_max, waits_max, body_timeout }
    }
}

impl Place {
    /// The request is about to wait, unless `wait_us` is 0: its place is one among those that wait from now on.
    pub(crate) fn to_wait(&self, app: &App, wait_us: u64) -> Result<(), Problem> {
        if wait_us == 0 {
            return Ok(());
        }
        let Some(taken) = Taken::of(&app.limits.waits, &app.metrics.waiting) else {
            let detail = format!(
                "{} requests wait already; ask again without waiting, or later",
                app.limits.waits_max
            );
            return Err(Problem::too_many(detail));
        };
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        Ok(())
    }
}

impl<S: Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::misanswered)
    }
}

/// Gives every request a place, or refuses it.
pub(crate) async fn place(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if *app.stopping.borrow() {
        return Problem::stopping(Conclusion::Definite).into_response();
    }
    let Some(taken) = Taken::of(&app.limits.requests, &app.metrics.under_way) else {
        let detail = format!("{} requests are under way already", app.limits.requests_max);
        return Problem::too_many(detail).into_response();
    };
    let body_timeout = app.limits.body_timeout;
    let place = Place { taken: Arc::new(Mutex::new(Some(taken))), body_timeout };
    request.extensions_mut().insert(place.clone());
    let response = next.run(request).await;
    drop(place);
    response
}

/// Counts every request.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let env = app.gateway.env();
    let began = env.now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.served(method, route, response.status().as_u16(), env.now().since_us(began));
    response
}

/// A name out of few: what clients make up must not become labels without end.
fn method_name(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
