//! The life of a daemon, from its first log line to its last.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::error::DaemonError;
use super::probe::Counting;
use super::settings::Settings;
use super::stop::{self, Signals};
use super::{book, logging};
use crate::env::{Env, StreamAddress};
use crate::http::{Http, HttpConfig, Metrics, Tokens, acceptor};
use crate::ids::{Address, NodeId};
use crate::raft::membership::Membership;
use crate::server::{self, NodeConfig, NodeError};
use crate::storage::{RedisConfig, StorageStatus};
use crate::tokio_env::net::tls::certificates;
use crate::tokio_env::{NetLimits, Security, StartError, TokioConfig, TokioEnv};

/// Threads that run tasks, at most: the node itself is one task, and HTTP has the others.
const THREADS_MAX: usize = 4;

/// Election timeouts without a word from the leader after which a node is not ready: twice what the slowest voter takes
/// to see that it is gone, so that a failover by itself takes nobody out of a balancer's list.
const ELECTION_TIMEOUTS_SILENT_MAX: u32 = 4;

/// How the line begins that says where the daemon listens.
pub(super) const READY: &str = "ready ";

/// How long the last frames have to get out once the node has stopped.
const LAST_FRAMES: Duration = Duration::from_millis(100);

/// How long the runtime waits for what blocks, such as a read of standard input.
const LAST_TASKS: Duration = Duration::from_millis(200);

/// Runs a daemon until it is told to stop or fails.
pub(super) fn run(settings: Settings) -> Result<(), DaemonError> {
    logging::begin(&settings)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).enable_all().build().map_err(|error| {
        DaemonError::outside(
            format!("no threads can be started: {error}"),
            "look at the limits of this process",
        )
    })?;
    let result = runtime.block_on(live(settings));
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

async fn live(settings: Settings) -> Result<(), DaemonError> {
    let mut signals = Signals::take(settings.stops_with_stdin)?;
    // Names may take long to be looked up.
    let started = tokio::select! {
        biased;
        reason = signals.stop() => {
            tracing::info!(reason, "stopped before it had started");
            return Ok(());
        }
        started = start(&settings) => started?,
    };
    let Started { env, http, stop_node, mut node_ended, status, listen, http_address } = started;
    let ready = async {
        status.in_use().await;
        announce(&settings, listen, http_address);
        std::future::pending::<Infallible>().await
    };
    let reason = tokio::select! {
        biased;
        ended = &mut node_ended => return Err(failure(ended)),
        reason = signals.stop() => reason,
        never = ready => match never {},
    };
    tracing::info!(reason, "stopping: another such signal ends the node at once");
    let goodbye = async {
        if let Some(http) = http {
            http.stop(settings.stop_timeout).await;
        }
        // If nobody hears it, the node has ended.
        let _ = stop_node.send(());
        let ended = node_ended.await;
        drop(timeout(LAST_FRAMES, std::future::pending::<()>()).await);
        ended
    };
    tokio::select! {
        biased;
        _ = signals.signal() => tracing::warn!("ended at once"),
        ended = goodbye => {
            if let Ok(Err(error)) = ended {
                return Err(error.into());
            }
        }
    }
    env.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// What runs once a daemon has started.
struct Started {
    env: TokioEnv,
    http: Option<Http>,
    stop_node: oneshot::Sender<()>,
    node_ended: Ended,
    /// Tells when the node has its store.
    status: StorageStatus,
    listen: SocketAddr,
    http_address: Option<SocketAddr>,
}

async fn start(settings: &Settings) -> Result<Started, DaemonError> {
    settings.redis.as_ref().map_or(Ok(()), must_vouch)?;
    let listen = book::must_find("--listen", &settings.listen).await?;
    must_be_private("--listen", listen, settings.is_insecure_beyond_loopback || settings.peer_tls.is_some())?;
    let peers = book::look_all_up(&settings.addresses, &BTreeMap::new()).await;
    let env = start_env(settings, listen, peers.clone()).await?;
    let (renew, addresses) = watch::channel(settings.addresses.clone());
    env.spawn("addresses", book::keep(env.clone(), addresses.clone(), peers));
    env.spawn("hang-up", stop::read_anew(settings.id, settings.addresses_from.clone(), renew));

    let metrics = Arc::new(Metrics::new());
    let config = node_config(settings);
    let storage = config.storage();
    let status = config.storage_status.clone();
    let (http, http_address) =
        start_http(&env, settings, &metrics, (status.clone(), addresses)).await?.unzip();
    let (stop_node, node_ended) = start_node(&env, config, metrics);
    tracing::info!(id = settings.id.0, cluster = settings.cluster_name, %listen, data = %settings.data.display(), %storage, "the node runs");
    let listen = env.listening_on().unwrap_or(listen);
    Ok(Started { env, http, stop_node, node_ended, status, listen, http_address })
}

/// One line on standard output, for whoever started the daemon: the node runs, and where it listens.
fn announce(settings: &Settings, listen: SocketAddr, http: Option<SocketAddr>) {
    let mut line = format!("{READY}node={} nodes={listen}", settings.id.0);
    if let Some(http) = http {
        line.push_str(&format!(" http={http}"));
    }
    // Nobody may be listening.
    drop(writeln!(std::io::stdout(), "{line}"));
}

type Ended = oneshot::Receiver<Result<(), NodeError>>;

/// Starts the node; it stops once the sender is used or gone, and tells how it ended.
fn start_node(env: &TokioEnv, config: NodeConfig, metrics: Arc<Metrics>) -> (oneshot::Sender<()>, Ended) {
    let (stop_node, stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let stop = async move { drop(stopped.await) };
    let node = server::run_until(env.clone(), config, Counting::new(env.clone(), metrics), stop);
    env.spawn("node", async move { drop(end.send(node.await)) });
    (stop_node, ended)
}

/// Files that cannot be used are bad options.
fn unusable(option: &str) -> impl Fn(std::io::Error) -> DaemonError {
    move |error| {
        DaemonError::usage(format!("{option}: {error}"), "name files in PEM format that this user may read")
    }
}

/// Refuses a file of authorities that cannot be used: a Redis that is not reached would be tried again and again.
fn must_vouch(redis: &RedisConfig) -> Result<(), DaemonError> {
    match &redis.address {
        StreamAddress::Tls { authorities: Some(file), .. } => {
            certificates(file).map(drop).map_err(unusable("--redis-tls-ca"))
        }
        _ => Ok(()),
    }
}

fn tokens_in(path: &Path) -> Result<Tokens, DaemonError> {
    #[expect(clippy::disallowed_methods, reason = "a file of the daemon's own configuration, read once")]
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| Tokens::of(&text)).map_err(|why| {
        let hint =
            "a token on each line, such as `openssl rand -hex 32` makes; the file for this user's eyes only";
        DaemonError::usage(format!("--http-tokens {}: {why}", path.display()), hint)
    })
}

/// Starts to serve HTTP, if that is wanted.
async fn start_http(
    env: &TokioEnv,
    settings: &Settings,
    metrics: &Arc<Metrics>,
    (storage, addresses): (StorageStatus, watch::Receiver<BTreeMap<NodeId, String>>),
) -> Result<Option<(Http, SocketAddr)>, DaemonError> {
    let Some(address) = &settings.http else { return Ok(None) };
    let address = book::must_find("--http", address).await?;
    let is_closed = settings.http_tls.is_some() && settings.http_tokens.is_some();
    must_be_private("--http", address, settings.is_insecure_beyond_loopback || is_closed)?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        DaemonError::outside(
            format!("cannot serve HTTP on {address}: {error}"),
            "is the port taken? Name an address of this machine and a free port",
        )
    })?;
    let address = listener.local_addr().unwrap_or(address);
    let config = HttpConfig {
        id: settings.id,
        cluster_name: settings.cluster_name.clone(),
        addresses,
        storage,
        events: settings.redis.as_ref().map(|_| server::channels(settings.cluster)),
        leader_silent_max: settings.election_timeout.saturating_mul(ELECTION_TIMEOUTS_SILENT_MAX),
        requests_max: settings.http_requests_max,
        waits_max: settings.http_waits_max,
        connections_max: settings.http_connections_max,
        body_timeout: settings.http_body_timeout,
        tls: settings
            .http_tls
            .as_ref()
            .map(|[certificate, key]| acceptor(certificate, key))
            .transpose()
            .map_err(unusable("--http-tls-cert, --http-tls-key"))?,
        tokens: settings
            .http_tokens
            .as_ref()
            .map_or_else(|| Ok(Tokens::default()), |path| tokens_in(path))?,
    };
    let started = Http::start(env.clone(), config, Arc::clone(metrics), listener).await;
    tracing::info!(%address, "serves HTTP");
    let failed =
        |error| DaemonError::outside(format!("the gateway does not start: {error}"), "start it again");
    started.map(|http| Some((http, address))).map_err(failed)
}

fn failure(ended: Result<Result<(), NodeError>, oneshot::error::RecvError>) -> DaemonError {
    match ended {
        Ok(Err(error)) => error.into(),
        // It is asked to stop only later; so its task is gone, by a panic, which is on record by now.
        Ok(Ok(())) | Err(_) => DaemonError::outside(
            "the node ended without being asked to: a bug, told of in the log",
            "start it again; what it acknowledged is on its disk",
        ),
    }
}

pub(super) fn node_config(settings: &Settings) -> NodeConfig {
    let voters = if settings.joins { Vec::new() } else { settings.addresses.keys().copied().collect() };
    let mut config = NodeConfig::new(settings.cluster, settings.id, voters);
    config.redis.clone_from(&settings.redis);
    let timeout_us = u64::try_from(settings.election_timeout.as_micros()).unwrap_or(u64::MAX);
    config.raft.election_timeout_us = timeout_us;
    config.raft.election_timeout_us_max = timeout_us.saturating_mul(2);
    config.raft.heartbeat_interval_us = timeout_us / 6;
    config.raft.lease_drift_ppm_max = settings.read_lease_drift_ppm_max;
    config.near = settings.near;
    if settings.joins {
        config.raft.members = Membership::default().into();
    }
    config
}

async fn start_env(
    settings: &Settings,
    listen: SocketAddr,
    peers: BTreeMap<NodeId, SocketAddr>,
) -> Result<TokioEnv, DaemonError> {
    let me = Address::Node(settings.id);
    let config = TokioConfig { me, listen: Some(listen), peers, data: settings.data.clone() };
    let security =
        settings.peer_tls.as_ref().map(|[ca, certificate, key]| Security::from_files(ca, certificate, key));
    let security =
        security.transpose().map_err(unusable("--peer-tls-ca, --peer-tls-cert, --peer-tls-key"))?;
    let data = settings.data.display();
    TokioEnv::start_secure(config, NetLimits::default(), security).await.map_err(|error| match error {
        StartError::Net(error) => DaemonError::outside(
            format!("cannot listen on {listen}: {error}"),
            "is another node running here? Otherwise name an address of this machine and a free port",
        ),
        StartError::Disk(error) if error.kind() == std::io::ErrorKind::WouldBlock => DaemonError::outside(
            format!("--data {data}: {error}"),
            "each node has a folder of its own, and one process at a time",
        ),
        StartError::Disk(error) => DaemonError::outside(
            format!("cannot use --data {data}: {error}"),
            "name a folder that this user may create or write, and look at its disk",
        ),
    })
}

/// Refuses to serve the open network without encryption, unless that is wanted.
fn must_be_private(option: &str, address: SocketAddr, is_wanted: bool) -> Result<(), DaemonError> {
    if address.ip().is_loopback() || is_wanted {
        return Ok(());
    }
    Err(DaemonError::usage(
        format!("{option} {address} is not on loopback, and nothing there is encrypted or authenticated"),
        "use TLS (--peer-tls-ca and its kin for the nodes; --http-tls-cert, --http-tls-key and --http-tokens for HTTP), listen \
         on 127.0.0.1, or say --insecure-listen-beyond-loopback if only trusted machines reach the port",
    ))
}
