//! HTTP connections: accepted within bounds, served, and ended gracefully.

#![expect(clippy::disallowed_methods, reason = "this file is on the real side of the seam")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::metrics::Metrics;
use crate::env::Env;
use crate::tokio_env::TokioEnv;

/// A connection on which no whole head of a request has come after this time is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head of a request, and what is read ahead at a time.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection is given up if its client takes no byte of what it was sent for this long.
const UNREAD_MAX: Duration = Duration::from_secs(30);

/// The pause after the system refused to accept, as it does when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What serving needs.
pub(crate) struct Serving {
    pub(crate) env: TokioEnv,
    pub(crate) app: Router,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connections_max: usize,
    /// If connections are encrypted.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) stopping: watch::Receiver<bool>,
    /// Held by every connection: when nobody holds it any more, all have ended.
    pub(crate) open: mpsc::Sender<()>,
}

/// Serves until the process ends. Once the daemon is to stop, a new connection is answered one request, which says so,
/// and does not hold the stop up: a balancer learns of it by asking, rather than by being refused.
pub(crate) async fn run(serving: Serving, listener: TcpListener) {
    let Serving { env, app, metrics, connections_max, tls, mut stopping, open } = serving;
    let room = Arc::new(Semaphore::new(connections_max));
    let mut open = Some(open);
    loop {
        let accepted = tokio::select! {
            biased;
            told = stopping.wait_for(|is_stopping| *is_stopping), if open.is_some() => {
                if told.is_err() {
                    // Whoever could tell is gone, and with it the reason to serve.
                    return;
                }
                open = None;
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            metrics.refused("crowded");
            continue;
        };
        let (app, metrics) = (app.clone(), Arc::clone(&metrics));
        let (open, tls) = (open.clone(), tls.clone());
        let stopping = open.is_some().then(|| stopping.clone());
        env.spawn("http connection", async move {
            metrics.connections.inc();
            converse(stream, remote, app, &metrics, stopping, tls).await;
            metrics.connections.dec();
            drop((place, open));
        });
    }
}

/// Returns once the daemon is to stop; never for a connection that began after that.
async fn stops(stopping: Option<watch::Receiver<bool>>) {
    match stopping {
        // An error says that whoever could tell is gone, and with it the reason to serve.
        Some(mut stopping) => drop(stopping.wait_for(|is_stopping| *is_stopping).await),
        None => std::future::pending().await,
    }
}

async fn converse(
    stream: TcpStream,
    remote: SocketAddr,
    app: Router,
    metrics: &Metrics,
    stopping: Option<watch::Receiver<bool>>,
    tls: Option<TlsAcceptor>,
) {
    // Answers are written whole: there is nothing to wait for.
    drop(stream.set_nodelay(true));
    // The system counts from the moment at which the other side's window was full, too.
    drop(SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_MAX)));
    let Some(tls) = tls else {
        return exchange(stream, remote, app, metrics, stopping).await;
    };
    match timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => exchange(stream, remote, app, metrics, stopping).await,
        Ok(Err(error)) => {
            metrics.refused("garbage");
            tracing::debug!(%remote, %error, "closed an HTTP connection: no proper handshake");
        }
        Err(_) => metrics.refused("silent"),
    }
}

/// Requests and answers over a stream, until it ends or the daemon stops; then the one under way is answered still. A
/// stream that began after that, and so is not told of it, is for one request.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    remote: SocketAddr,
    app: Router,
    metrics: &Metrics,
    stopping: Option<watch::Receiver<bool>>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    builder.keep_alive(stopping.is_some());
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stops(stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        let why = match &error {
            error if error.is_timeout() => "silent",
            error if error.is_parse() => "garbage",
            _ => return,
        };
        metrics.refused(why);
        tracing::debug!(%remote, %error, "closed an HTTP connection");
    }
}
