//! The HTTP side of a node: a resource API under `/v1`, the older system's calls, and what operators look at.
//!
//! Any node answers. What has to go to the leader goes there through the client library; what may be read here is read
//! here. [`crate::daemon`] starts it.
//!
//! Invariants:
//! * Whatever a client sends is answered with what happened, or with a problem that says whether it may have happened
//!   ([`problem`]). Nothing that a client sends makes anything panic.
//! * Bodies, heads, connections, requests and waits are bounded ([`extract`], [`serve`], [`limits`]), and so is the time
//!   that clients may take over what they send and over what they are sent.
//! * The OpenAPI document is made from the handlers and the types that they read, so it says what they do.
//!
//! Deliberately absent: any state of its own that a client depends on. Another node's gateway goes on where this one
//! ended: what must survive is in the replicated state, under the session that the client names ([`keys`]).

mod access;
mod bounded;
mod calls;
mod document;
mod extract;
mod gateway;
mod health;
mod keys;
mod limits;
mod metrics;
mod page;
mod problem;
mod serve;
mod v1;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::env::Env;
use crate::ids::NodeId;
use crate::storage::StorageStatus;
use crate::tokio_env::TokioEnv;
pub use access::{Tokens, acceptor};
use gateway::{Addresses, Gateway};
use limits::Limits;
pub use metrics::Metrics;
use problem::Problem;
use serve::Serving;

/// How an HTTP side is to be.
#[derive(Clone)]
pub struct HttpConfig {
    /// The node.
    pub id: NodeId,
    /// The cluster's name.
    pub cluster_name: String,
    /// Where the nodes are, as the operator says.
    pub addresses: watch::Receiver<BTreeMap<NodeId, String>>,
    /// How the node's store is.
    pub storage: StorageStatus,
    /// The channels on which it publishes events, if it does.
    pub events: Option<String>,
    /// A node that has not heard from its leader for longer is not ready.
    pub leader_silent_max: Duration,
    /// Requests under way that do not wait, at most.
    pub requests_max: usize,
    /// Requests that wait for something, at most.
    pub waits_max: usize,
    /// Connections, at most.
    pub connections_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Encryption, if there is to be any.
    pub tls: Option<TlsAcceptor>,
    /// Who may ask.
    pub tokens: Tokens,
}

/// What all handlers share.
pub(crate) struct App {
    gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
    limits: Limits,
    stopping: watch::Receiver<bool>,
    id: NodeId,
    cluster_name: String,
    addresses: Addresses,
    storage: StorageStatus,
    events: Option<String>,
    /// A node that has not heard from its leader for longer than so many microseconds is not ready.
    leader_silent_us_max: u64,
    tokens: Tokens,
}

/// The HTTP side of a node that runs.
pub struct Http {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    /// Ends when no connection is open any more.
    open: mpsc::Receiver<()>,
}

impl Http {
    /// Starts to serve on `listener`, for the node whose environment this is.
    ///
    /// # Errors
    /// If the gateway cannot be started.
    pub async fn start(
        env: TokioEnv,
        config: HttpConfig,
        metrics: Arc<Metrics>,
        listener: TcpListener,
    ) -> std::io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let (addresses, counted) = (config.addresses.clone(), Arc::clone(&metrics));
        let gateway = Gateway::start(env.clone(), config.id, addresses, counted, stopping.clone()).await?;
        let gateway = Arc::new(gateway);
        env.spawn("gateway addresses", Arc::clone(&gateway).follow_addresses());
        let app = Arc::new(App {
            gateway,
            metrics: Arc::clone(&metrics),
            limits: Limits::new(config.requests_max, config.waits_max, config.body_timeout),
            stopping: stopping.clone(),
            id: config.id,
            cluster_name: config.cluster_name,
            addresses: config.addresses,
            storage: config.storage,
            events: config.events,
            leader_silent_us_max: u64::try_from(config.leader_silent_max.as_micros()).unwrap_or(u64::MAX),
            tokens: config.tokens,
        });
        let (keep_open, open) = mpsc::channel(1);
        let serving = Serving {
            env: env.clone(),
            app: router(Arc::clone(&app)),
            metrics,
            connections_max: config.connections_max,
            tls: config.tls,
            stopping,
            open: keep_open,
        };
        env.spawn("http", serve::run(serving, listener));
        Ok(Self { app, stop, open })
    }

    /// Takes no more requests, and returns when those under way are answered, or after `patience`.
    pub async fn stop(mut self, patience: Duration) {
        self.stop.send_replace(true);
        let (waits_end, all_end) = (self.app.gateway.end_waits(), self.open.recv());
        if timeout(patience, futures_util::future::join(waits_end, all_end)).await.is_err() {
            tracing::warn!("some requests were still under way");
        }
        self.app.gateway.close().await;
    }
}

/// The services' routes, whose requests have places.
fn services() -> OpenApiRouter<Arc<App>> {
    v1::routes().merge(calls::routes())
}

/// What operators look at, which is answered even when there is no place.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(health::metrics)).routes(routes!(calls::status::status))
}

/// What tells of nothing but life, and so is told to everybody.
fn signs_of_life() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

fn router(app: Arc<App>) -> Router {
    let (services, _) = services().split_for_parts();
    let (operations, _) = operations().split_for_parts();
    let (signs_of_life, _) = signs_of_life().split_for_parts();
    let document = document::text(app.tokens.are_wanted());
    let of_routes = document::of_routes();
    let page = page::html(&of_routes);
    services
        .layer(from_fn_with_state(Arc::new(keys::Takers::of(&of_routes)), keys::admit))
        .layer(from_fn_with_state(Arc::clone(&app), limits::place))
        .merge(operations)
        .route("/openapi.json", get(async move || ([("content-type", "application/json")], document)))
        .route("/", get(async move || ([("content-type", "text/html; charset=utf-8")], page)))
        .layer(from_fn_with_state(Arc::clone(&app), access::admit))
        .merge(signs_of_life)
        .fallback(async || Problem::not_found("there is no such path; GET /openapi.json lists them all"))
        .method_not_allowed_fallback(async || {
            let title = "The path has other methods";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", title, "the Allow header names them")
        })
        .layer(DefaultBodyLimit::max(extract::BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), limits::count))
        .with_state(app)
}
