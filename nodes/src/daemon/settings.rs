//! Options, judged: what the daemon goes by.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::xxh3_64;

use super::error::DaemonError;
use super::options::Options;
use crate::env::StreamAddress;
use crate::ids::NodeId;
use crate::server::{NEAR_DRIFT_PPM_MAX, NEAR_LEASE_US_MAX, NearSettings};
use crate::storage::RedisConfig;

/// What logs look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people
    #[default]
    Human,
    /// For programs: one JSON object a line
    Json,
}

/// What the daemon goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This node.
    pub id: NodeId,
    /// The cluster, as its data is marked: a hash of its name.
    pub cluster: u64,
    /// The cluster's name.
    pub cluster_name: String,
    /// Where the nodes are: hosts, by name or number, and ports.
    pub addresses: BTreeMap<NodeId, String>,
    /// The file in which the addresses may change, if it was that file which gave them.
    pub addresses_from: Option<PathBuf>,
    /// Whether the node waits to be added to a cluster that exists.
    pub joins: bool,
    /// The folder of its log, or of the mark by which it knows its Redis again.
    pub data: PathBuf,
    /// The Redis that it keeps its log in, if it does.
    pub redis: Option<RedisConfig>,
    /// Where it listens for nodes and clients.
    pub listen: String,
    /// Where it serves HTTP, if it does.
    pub http: Option<String>,
    /// HTTP requests under way at a time.
    pub http_requests_max: usize,
    /// HTTP requests that wait, at a time.
    pub http_waits_max: usize,
    /// HTTP connections at a time.
    pub http_connections_max: usize,
    /// How long a request's body may take to arrive.
    pub http_body_timeout: Duration,
    /// Whether it may listen beyond loopback without encryption.
    pub is_insecure_beyond_loopback: bool,
    /// The files by which nodes know each other, if they do: authority, certificate, key.
    pub peer_tls: Option<[PathBuf; 3]>,
    /// The files for HTTPS, if it is that: certificate, key.
    pub http_tls: Option<[PathBuf; 2]>,
    /// The file of bearer tokens, if there are any.
    pub http_tokens: Option<PathBuf>,
    /// The least election timeout.
    pub election_timeout: Duration,
    /// How far clocks may differ in speed where reads are answered by the leader's lease, in parts per million. None:
    /// they take a round.
    pub read_lease_drift_ppm_max: Option<u32>,
    /// The near-cache.
    pub near: NearSettings,
    /// How long a stop waits for requests under way.
    pub stop_timeout: Duration,
    /// What logs look like.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
    /// Whether the end of standard input is a reason to stop.
    pub stops_with_stdin: bool,
}

/// Election timeouts: below, no disk and no network would keep up; above, nobody wants to wait.
const ELECTION_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 20..=60_000;

/// Leases of lines, in microseconds.
const NEAR_LEASE_US: std::ops::RangeInclusive<u64> = 0..=NEAR_LEASE_US_MAX;

/// Differences in the speed of clocks, in parts per million.
const DRIFT_PPM: std::ops::RangeInclusive<u32> = 0..=NEAR_DRIFT_PPM_MAX;

const FOLDER: &str = "--data /var/lib/stormglass, a folder of this node alone";

const FOLDER_OF_MARK: &str = "--data /var/lib/stormglass: with --redis it holds the mark by which a Redis that was emptied is told from a new one";

const HOW_TO_CLUSTER: &str = "name every node with the address at which the others reach it: --cluster 1=10.0.0.1:7000,2=10.0.0.2:7000";

impl Settings {
    /// Judges options.
    ///
    /// # Errors
    /// For the first that is missing or makes no sense.
    pub fn from_options(options: Options) -> Result<Self, DaemonError> {
        let id = options.id.ok_or_else(|| missing("id", "--id 1, and another number for each other node"))?;
        if id == 0 {
            return Err(DaemonError::usage(
                "--id 0: a node's number is 1 or more",
                "number the nodes from 1",
            ));
        }
        let id = NodeId(id);
        let cluster = options.cluster.as_deref().ok_or_else(|| missing("cluster", HOW_TO_CLUSTER))?;
        let addresses = addresses_of(cluster)?;
        let Some(own) = addresses.get(&id).cloned() else {
            return Err(DaemonError::usage(
                format!("--cluster does not say where this node, {}, is", id.0),
                HOW_TO_CLUSTER,
            ));
        };
        let data = options
            .data
            .ok_or_else(|| missing("data", if options.redis.is_some() { FOLDER_OF_MARK } else { FOLDER }))?;
        let redis = redis_of(
            options.redis.as_deref(),
            options.redis_tls_ca,
            options.allow_volatile_redis.unwrap_or(false),
            options.adopt_redis.unwrap_or(false),
        )?;
        if data.as_os_str().is_empty() {
            return Err(DaemonError::usage("--data is empty", FOLDER));
        }
        must_be_an_address("listen", options.listen.as_deref())?;
        must_be_an_address("http", options.http.as_deref())?;
        let cluster_name = options.cluster_name.unwrap_or_else(|| "stormglass".to_owned());
        if cluster_name.is_empty() {
            return Err(DaemonError::usage(
                "--cluster-name is empty",
                "give all nodes of a cluster one name, or leave it out",
            ));
        }
        let of_http = [
            (options.http_tokens.is_some(), "http-tokens"),
            (options.http_tls_cert.is_some(), "http-tls-cert"),
            (options.http_tls_key.is_some(), "http-tls-key"),
        ];
        if let (None, Some((_, name))) = (&options.http, of_http.iter().find(|(is_given, _)| *is_given)) {
            return Err(DaemonError::usage(
                format!("--{name} is given without --http"),
                "name the address at which to serve HTTP, such as --http 127.0.0.1:8000, or leave it out",
            ));
        }
        let peer_tls = [options.peer_tls_ca, options.peer_tls_cert, options.peer_tls_key];
        let http_tls = [options.http_tls_cert, options.http_tls_key];
        let timeout_ms = options.election_timeout_ms.unwrap_or(300);
        within("election-timeout-ms", timeout_ms, ELECTION_TIMEOUT_MS, "300 suits a local network")?;
        let drift = "clocks of this century stay within 1000 of each other, or else are not to be relied on";
        let read_lease_drift_ppm_max = options.read_lease_drift_ppm_max;
        if let Some(ppm) = read_lease_drift_ppm_max {
            within("read-lease-drift-ppm-max", ppm, DRIFT_PPM, drift)?;
        }
        let counts = [
            ("http-requests-max", options.http_requests_max),
            ("http-waits-max", options.http_waits_max),
            ("http-connections-max", options.http_connections_max),
        ];
        for (name, count) in counts.into_iter().filter_map(|(name, count)| Some((name, count?))) {
            let hint =
                if count == 0 { "with none, nobody would be served" } else { "leave it out for the default" };
            within(name, count, 1..=Semaphore::MAX_PERMITS, hint)?;
        }
        let near = near_of(options.near_lease_us, options.near_drift_ppm_max, options.near_lines_max);
        within("near-lease-us", near.lease_us, NEAR_LEASE_US, "150000 suits the default election timeout")?;
        within("near-drift-ppm-max", near.drift_ppm_max, DRIFT_PPM, drift)?;
        within("near-lines-max", near.lines_max, 1..=usize::MAX, "--near-lease-us 0 switches it off")?;
        Ok(Self {
            id,
            cluster: xxh3_64(cluster_name.as_bytes()),
            cluster_name,
            listen: options.listen.unwrap_or(own),
            addresses,
            addresses_from: options.config.filter(|_| options.is_cluster_from_file),
            http: options.http,
            http_requests_max: options.http_requests_max.unwrap_or(1_024),
            http_waits_max: options.http_waits_max.unwrap_or(4_096),
            http_connections_max: options.http_connections_max.unwrap_or(8_192),
            http_body_timeout: Duration::from_millis(options.http_body_timeout_ms.unwrap_or(10_000)),
            joins: options.join.unwrap_or(false),
            data,
            redis,
            is_insecure_beyond_loopback: options.insecure_listen_beyond_loopback.unwrap_or(false),
            peer_tls: all_or_none("peer-tls-ca, --peer-tls-cert and --peer-tls-key", peer_tls)?,
            http_tls: all_or_none("http-tls-cert and --http-tls-key", http_tls)?,
            http_tokens: options.http_tokens,
            election_timeout: Duration::from_millis(timeout_ms),
            read_lease_drift_ppm_max,
            near,
            stop_timeout: Duration::from_millis(options.stop_timeout_ms.unwrap_or(10_000)),
            log_format: options.log_format.unwrap_or_default(),
            log_level: options.log_level.unwrap_or_else(|| "info".to_owned()),
            stops_with_stdin: options.stop_with_stdin.unwrap_or(false),
        })
    }
}

/// The near-cache by what is said of it, and its defaults.
fn near_of(lease_us: Option<u64>, drift_ppm_max: Option<u32>, lines_max: Option<usize>) -> NearSettings {
    let usual = NearSettings::default();
    NearSettings {
        lease_us: lease_us.unwrap_or(usual.lease_us),
        drift_ppm_max: drift_ppm_max.unwrap_or(usual.drift_ppm_max),
        lines_max: lines_max.unwrap_or(usual.lines_max),
        ..usual
    }
}

/// Refuses a number outside its bounds.
fn within<N: PartialOrd + std::fmt::Debug>(
    name: &str,
    given: N,
    bounds: std::ops::RangeInclusive<N>,
    hint: &str,
) -> Result<(), DaemonError> {
    if bounds.contains(&given) {
        return Ok(());
    }
    Err(DaemonError::usage(format!("--{name} {given:?}: it must be {bounds:?}"), hint))
}

/// The Redis of a URL, and what is said besides of it.
fn redis_of(
    url: Option<&str>,
    authorities: Option<PathBuf>,
    allow_volatile: bool,
    adopts_unmarked: bool,
) -> Result<Option<RedisConfig>, DaemonError> {
    let Some(url) = url else {
        let stray = [
            (authorities.is_some(), "redis-tls-ca"),
            (allow_volatile, "allow-volatile-redis"),
            (adopts_unmarked, "adopt-redis"),
        ];
        return match stray.iter().find(|(is_given, _)| *is_given) {
            Some((_, name)) => Err(DaemonError::usage(
                format!("--{name} is given without --redis"),
                "name the Redis, or leave it out: the log is kept in files of --data",
            )),
            None => Ok(None),
        };
    };
    let config = RedisConfig::from_url(url).map_err(|error| {
        DaemonError::usage(format!("--redis: {error}"), "for example --redis redis://127.0.0.1:6379/0")
    })?;
    let is_tls = matches!(config.address, StreamAddress::Tls { .. });
    let config = match authorities {
        Some(_) if !is_tls => {
            return Err(DaemonError::usage(
                "--redis-tls-ca is given, and --redis does not say rediss://",
                "write rediss:// to reach the Redis by TLS, or leave the certificates out",
            ));
        }
        Some(file) => config.trusting(file),
        None => config,
    };
    Ok(Some(RedisConfig { allow_volatile, adopts_unmarked, ..config }))
}

/// Files that are of use together only.
fn all_or_none<const N: usize>(
    names: &str,
    files: [Option<PathBuf>; N],
) -> Result<Option<[PathBuf; N]>, DaemonError> {
    let given: Vec<PathBuf> = files.into_iter().flatten().collect();
    if given.is_empty() {
        return Ok(None);
    }
    let all = <[PathBuf; N]>::try_from(given);
    all.map(Some)
        .map_err(|_| DaemonError::usage(format!("--{names} go together"), "give all of them, or none"))
}

fn missing(name: &str, hint: &str) -> DaemonError {
    DaemonError::usage(format!("--{name} is missing"), hint)
}

/// Whether this is HOST:PORT.
fn is_host_and_port(address: &str) -> bool {
    let parts = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    parts.is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// Refuses what is no HOST:PORT, if it is given.
fn must_be_an_address(name: &str, given: Option<&str>) -> Result<(), DaemonError> {
    match given.filter(|address| !is_host_and_port(address)) {
        None => Ok(()),
        Some(address) => Err(DaemonError::usage(
            format!("--{name} {address:?} is not HOST:PORT"),
            "the host by its number or by a name that this machine can look up: 127.0.0.1:8000",
        )),
    }
}

/// Reads `1=host:port,2=host:port`.
pub(super) fn addresses_of(text: &str) -> Result<BTreeMap<NodeId, String>, DaemonError> {
    let mut addresses = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = |why: &str| DaemonError::usage(format!("--cluster, at `{part}`: {why}"), HOW_TO_CLUSTER);
        let (id, address) = part.split_once('=').ok_or_else(|| wrong("it is not NUMBER=HOST:PORT"))?;
        let id =
            id.trim().parse().ok().filter(|id| *id > 0).ok_or_else(|| wrong("the number is 1 or more"))?;
        let address = address.trim();
        if !is_host_and_port(address) {
            return Err(wrong("the address is not HOST:PORT"));
        }
        // Port 0 is chosen by the system, for each anew.
        let is_fixed = !address.ends_with(":0");
        if is_fixed && addresses.values().any(|other| other == address) {
            return Err(wrong("another node has this address"));
        }
        if addresses.insert(NodeId(id), address.to_owned()).is_some() {
            return Err(wrong("this node is named twice"));
        }
    }
    if addresses.is_empty() {
        return Err(DaemonError::usage("--cluster names no node", HOW_TO_CLUSTER));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{NearSettings, Options, Settings, StreamAddress};
    use crate::daemon::run::node_config;

    fn judge(arguments: &str) -> Result<Settings, String> {
        let arguments = std::iter::once("stormglassd").chain(arguments.split_whitespace());
        let options = Options::try_parse_from(arguments).map_err(|error| error.to_string())?;
        Settings::from_options(options).map_err(|error| format!("{error}; {}", error.hint()))
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_a_hint() {
        for (arguments, named) in [
            ("", "--id is missing"),
            ("--id 0", "--id 0"),
            ("--id 1", "--cluster is missing"),
            ("--id 1 --cluster ,", "names no node"),
            ("--id 1 --cluster 1", "NUMBER=HOST:PORT"),
            ("--id 1 --cluster x=a:1", "the number is 1 or more"),
            ("--id 1 --cluster 0=a:1", "the number is 1 or more"),
            ("--id 1 --cluster 1=a", "the address is not HOST:PORT"),
            ("--id 1 --cluster 1=:1", "the address is not HOST:PORT"),
            ("--id 1 --cluster 1=a:1,1=b:1", "named twice"),
            ("--id 1 --cluster 1=a:1,2=a:1", "another node has this address"),
            ("--id 1 --cluster 1=a:1 --data d --http foo", "--http \"foo\" is not HOST:PORT"),
            ("--id 1 --cluster 1=a:1 --data d --http 127.0.0.1", "is not HOST:PORT"),
            ("--id 1 --cluster 1=a:1 --data d --listen a:99999", "--listen \"a:99999\" is not HOST:PORT"),
            ("--id 1 --cluster 1=a:1 --data d --cluster-name=", "--cluster-name is empty"),
            ("--id 1 --cluster 1=a:1 --data d --http-waits-max 18446744073709551615", "leave it out"),
            ("--id 1 --cluster 2=a:1", "does not say where this node, 1, is"),
            ("--id 1 --cluster 1=a:1", "--data is missing"),
            ("--id 1 --cluster 1=a:1 --redis redis://h", "emptied"),
            ("--id 1 --cluster 1=a:1 --data d --redis http://h", "`http://`"),
            ("--id 1 --cluster 1=a:1 --data d --redis redis://h --redis-tls-ca f", "rediss://"),
            ("--id 1 --cluster 1=a:1 --data d --redis-tls-ca f", "without --redis"),
            ("--id 1 --cluster 1=a:1 --data d --allow-volatile-redis", "without --redis"),
            ("--id 1 --cluster 1=a:1 --data d --adopt-redis", "without --redis"),
            ("--id 1 --cluster 1=a:1 --data d --http h:1 --http-tls-key k", "go together"),
            ("--id 1 --cluster 1=a:1 --data d --http-tls-key k", "--http-tls-key is given without --http"),
            ("--id 1 --cluster 1=a:1 --data d --http-tokens f", "--http-tokens is given without --http"),
            ("--id 1 --cluster 1=a:1 --data d --election-timeout-ms 1", "20..=60000"),
            ("--id 1 --cluster 1=a:1 --data d --near-lease-us 60000001", "0..=60000000"),
            ("--id 1 --cluster 1=a:1 --data d --near-drift-ppm-max 500001", "0..=500000"),
            ("--id 1 --cluster 1=a:1 --data d --near-lines-max 0", "switches it off"),
            ("--id 1 --cluster 1=a:1 --data d --http-requests-max 0", "1..="),
            ("--id 1 --cluster 1=a:1 --data d --http-waits-max 0", "nobody would be served"),
            ("--id 1 --cluster 1=a:1 --data d --http-connections-max 0", "--http-connections-max 0"),
            ("--id 1 --cluster 1=a:1 --data d --read-lease-drift-ppm-max 500001", "0..=500000"),
        ] {
            let refused = judge(arguments).expect_err(arguments);
            assert!(refused.contains(named), "{arguments}: {refused}");
        }
    }

    #[test]
    fn a_node_listens_where_the_others_reach_it_unless_told_otherwise() {
        let base = "--id 2 --cluster 1=a:1,2=b:2 --data d";
        assert_eq!(judge(base).map(|settings| settings.listen), Ok("b:2".to_owned()));
        let other = judge(&format!("{base} --listen 0.0.0.0:9")).map(|settings| settings.listen);
        assert_eq!(other, Ok("0.0.0.0:9".to_owned()));
    }

    #[test]
    fn a_redis_is_taken_with_what_is_said_of_it() {
        let base = "--id 1 --cluster 1=a:1 --data d --redis rediss://:secret@h:7000/2";
        let redis = |more: &str| {
            judge(&format!("{base} {more}")).expect("it is complete").redis.expect("there is one")
        };
        assert!(!redis("").allow_volatile);
        let redis = redis("--allow-volatile-redis --redis-tls-ca ca.pem");
        assert!(redis.allow_volatile && redis.database == 2);
        let authorities = Some("ca.pem".into());
        assert_eq!(redis.address, StreamAddress::Tls { host: "h".to_owned(), port: 7_000, authorities });
    }

    #[test]
    fn what_is_said_of_near_caches_and_reads_reaches_the_node() {
        let base = "--id 1 --cluster 1=a:1 --data d";
        let config = |more: &str| node_config(&judge(&format!("{base} {more}")).expect("it is complete"));
        let usual = config("");
        assert_eq!(usual.near, NearSettings::default());
        assert_eq!(usual.raft.lease_drift_ppm_max, None);
        let other = config(
            "--near-lease-us 7 --near-drift-ppm-max 8 --near-lines-max 9 --read-lease-drift-ppm-max 10",
        );
        let NearSettings { lease_us, drift_ppm_max, lines_max, .. } = other.near;
        assert_eq!((lease_us, drift_ppm_max, lines_max), (7, 8, 9));
        assert_eq!(other.raft.lease_drift_ppm_max, Some(10));
    }

    #[test]
    fn clusters_of_different_names_have_different_marks() {
        let base = "--id 1 --cluster 1=a:1 --data d";
        let one = judge(base).expect("it is complete").cluster;
        let other = judge(&format!("{base} --cluster-name other")).expect("it is complete").cluster;
        assert_ne!(one, other);
    }
}
