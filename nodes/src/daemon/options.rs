//! What can be said to the daemon: as a flag, as an environment variable, or as a line of a TOML file.
//!
//! The names are the same: `--log-format json`, `STORMGLASS_LOG_FORMAT=json` and `log-format = "json"`. A flag counts
//! for more than a variable, and a variable for more than the file. One struct is read by all three, so no option can be
//! in one and not in the others.

use std::path::PathBuf;

use clap::Parser;
use serde::Deserialize;

use super::error::DaemonError;
use super::settings::LogFormat;

/// A node of a Stormglass cluster: locks, queues and a cache, replicated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(
    name = "stormglassd",
    version,
    after_help = "Three nodes on one machine, each in a terminal of its own, N being 1, 2 and 3:\n  \
        stormglassd --id N --cluster 1=127.0.0.1:7001,2=127.0.0.1:7002,3=127.0.0.1:7003 \\\n    \
        --data /tmp/stormglass/N --http 127.0.0.1:600N\n\n\
        Every option can also be set in the environment (--log-format as STORMGLASS_LOG_FORMAT) and in the file of\n\
        --config (as log-format = \"json\"). Flags count for more than the environment, and that for more than the file.\n\n\
        SIGTERM and SIGINT stop the node gracefully, SIGHUP makes it read --cluster from the file anew.\n\
        Exit codes: 0 stopped as asked, 1 the node failed, 64 bad options."
)]
pub struct Options {
    /// A TOML file with any of these options
    #[arg(long, env = "STORMGLASS_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Whether `cluster` is what that file says, and so changes with it
    #[arg(skip)]
    #[serde(skip)]
    pub is_cluster_from_file: bool,

    /// This node's number: 1 or more, never used again for another data folder
    #[arg(long, env = "STORMGLASS_ID", value_name = "N")]
    pub id: Option<u64>,

    /// Where all nodes are, this one included: the address at which the others reach each
    #[arg(long, env = "STORMGLASS_CLUSTER", value_name = "1=HOST:PORT,2=HOST:PORT,…")]
    pub cluster: Option<String>,

    /// The cluster's name, the same on all nodes; data of another cluster is refused [default: stormglass]
    #[arg(long, env = "STORMGLASS_CLUSTER_NAME", value_name = "NAME")]
    pub cluster_name: Option<String>,

    /// This node is to be added to a cluster that exists: it waits until a leader calls
    #[arg(long, env = "STORMGLASS_JOIN", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub join: Option<bool>,

    /// The node's folder, for its log and snapshots; it is created if need be. With --redis it holds no more than a mark
    /// by which the node knows its Redis again, and has to outlive the node all the same
    #[arg(long, env = "STORMGLASS_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Keep log and snapshots in this Redis instead: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for
    /// TLS, or unix:///PATH. It has to sync what it acknowledges: `appendonly yes`, `appendfsync always`
    #[arg(long, env = "STORMGLASS_REDIS", value_name = "URL", hide_env_values = true)]
    pub redis: Option<String>,

    /// Certificates of the authorities that may vouch for a rediss:// Redis (PEM) [default: those of this machine]
    #[arg(long, env = "STORMGLASS_REDIS_TLS_CA", value_name = "FILE")]
    pub redis_tls_ca: Option<PathBuf>,

    /// Take a Redis that may lose what it has acknowledged, to try things out: a node that forgot a vote can undo a
    /// decision of the cluster
    #[arg(long, env = "STORMGLASS_ALLOW_VOLATILE_REDIS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_volatile_redis: Option<bool>,

    /// Take over what the Redis holds of this node although the folder of --data has no mark of it: the folder was lost,
    /// the Redis was not. For one start, and only if no other cluster of the same name uses that Redis
    #[arg(long, env = "STORMGLASS_ADOPT_REDIS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub adopt_redis: Option<bool>,

    /// Where to serve HTTP; without it the node does not
    #[arg(long, env = "STORMGLASS_HTTP", value_name = "HOST:PORT")]
    pub http: Option<String>,

    /// HTTP requests under way at a time; more are answered 429 [default: 1024]
    #[arg(long, env = "STORMGLASS_HTTP_REQUESTS_MAX", value_name = "N")]
    pub http_requests_max: Option<usize>,

    /// HTTP requests that wait for a lock or a message at a time, beside the others [default: 4096]
    #[arg(long, env = "STORMGLASS_HTTP_WAITS_MAX", value_name = "N")]
    pub http_waits_max: Option<usize>,

    /// HTTP connections at a time; more are closed [default: 8192]
    #[arg(long, env = "STORMGLASS_HTTP_CONNECTIONS_MAX", value_name = "N")]
    pub http_connections_max: Option<usize>,

    /// How long the body of an HTTP request may take to arrive; one that takes longer is answered 408, and its
    /// connection closed [default: 10000]
    #[arg(long, env = "STORMGLASS_HTTP_BODY_TIMEOUT_MS", value_name = "MS")]
    pub http_body_timeout_ms: Option<u64>,

    /// Where to listen for the other nodes and for native clients [default: this node's address in --cluster]
    #[arg(long, env = "STORMGLASS_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,

    /// Listen beyond loopback although nothing there is encrypted or authenticated: whoever reaches the port can
    /// read and change everything
    #[arg(long, env = "STORMGLASS_INSECURE_LISTEN_BEYOND_LOOPBACK", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure_listen_beyond_loopback: Option<bool>,

    /// Certificates of the authority that signs those of all nodes and native clients (PEM). With it, and the two
    /// below, what passes between them is encrypted, and each shows who it is
    #[arg(long, env = "STORMGLASS_PEER_TLS_CA", value_name = "FILE")]
    pub peer_tls_ca: Option<PathBuf>,

    /// This node's certificate, made out to the name node-N, N being its number (PEM)
    #[arg(long, env = "STORMGLASS_PEER_TLS_CERT", value_name = "FILE")]
    pub peer_tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, env = "STORMGLASS_PEER_TLS_KEY", value_name = "FILE")]
    pub peer_tls_key: Option<PathBuf>,

    /// A certificate for HTTPS (PEM)
    #[arg(long, env = "STORMGLASS_HTTP_TLS_CERT", value_name = "FILE")]
    pub http_tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, env = "STORMGLASS_HTTP_TLS_KEY", value_name = "FILE")]
    pub http_tls_key: Option<PathBuf>,

    /// A file with a bearer token on each line; whoever asks over HTTP has to show one
    #[arg(long, env = "STORMGLASS_HTTP_TOKENS", value_name = "FILE")]
    pub http_tokens: Option<PathBuf>,

    /// The least time without a word from the leader after which another is elected; up to twice as long. Well above
    /// a round trip and a disk's sync. The same on all nodes [default: 300]
    #[arg(long, env = "STORMGLASS_ELECTION_TIMEOUT_MS", value_name = "MS")]
    pub election_timeout_ms: Option<u64>,

    /// Answer reads without a round while no other leader can have been elected, provided that no clock of the cluster
    /// runs faster than another by more than this, in parts per million. The same on all nodes [default: each read
    /// takes a round]
    #[arg(long, env = "STORMGLASS_READ_LEASE_DRIFT_PPM_MAX", value_name = "PPM")]
    pub read_lease_drift_ppm_max: Option<u32>,

    /// How long a line of the near-cache may be read without asking again, in microseconds; a write waits that long for
    /// a node that does not answer. 0 switches the near-cache off. The same on all nodes, which agree on it for good
    /// [default: 150000]
    #[arg(long, env = "STORMGLASS_NEAR_LEASE_US", value_name = "US")]
    pub near_lease_us: Option<u64>,

    /// By how much clocks may differ in speed before a near-cache answers what is stale, in parts per million. The same
    /// on all nodes, which agree on it for good [default: 1000]
    #[arg(long, env = "STORMGLASS_NEAR_DRIFT_PPM_MAX", value_name = "PPM")]
    pub near_drift_ppm_max: Option<u32>,

    /// Lines that this node's near-cache holds at most [default: 65536]
    #[arg(long, env = "STORMGLASS_NEAR_LINES_MAX", value_name = "N")]
    pub near_lines_max: Option<usize>,

    /// How long a stop waits for requests under way [default: 10000]
    #[arg(long, env = "STORMGLASS_STOP_TIMEOUT_MS", value_name = "MS")]
    pub stop_timeout_ms: Option<u64>,

    /// Logs for people or for programs [default: human]
    #[arg(long, env = "STORMGLASS_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// What is logged: a level, or levels by module, such as `info,stormglass_nodes::raft=debug` [default: info]
    #[arg(long, env = "STORMGLASS_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,

    /// Stop, too, when standard input ends: whoever started the node is gone then
    #[arg(long, env = "STORMGLASS_STOP_WITH_STDIN", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub stop_with_stdin: Option<bool>,
}

impl Options {
    /// These options, and for those not given the ones of the file that `--config` names.
    ///
    /// # Errors
    /// If the file cannot be read or has an option that there is not.
    pub fn complete(self) -> Result<Self, DaemonError> {
        let Some(path) = &self.config else { return Ok(self) };
        #[expect(
            clippy::disallowed_methods,
            reason = "the daemon's own configuration, before there is a node"
        )]
        let text = std::fs::read_to_string(path).map_err(|error| {
            DaemonError::usage(
                format!("--config {}: {error}", path.display()),
                "name a file that exists and may be read by this user",
            )
        })?;
        let file = Self::of_file(&text).map_err(|error| {
            DaemonError::usage(
                format!("--config {}: {error}", path.display()),
                "the names are those of the flags, without the dashes before them: `stormglassd --help` lists them",
            )
        })?;
        let is_cluster_from_file = self.cluster.is_none() && file.cluster.is_some();
        Ok(Self { is_cluster_from_file, ..self.or(file) })
    }

    /// What a file says.
    ///
    /// # Errors
    /// Where it does not make sense, and why. The file's own text is never repeated: it may hold a password.
    pub(super) fn of_file(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
                return error.message().to_owned();
            };
            let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |at| at + 1));
            let column = before[start..].chars().count() + 1;
            let is_secret = text[start..].trim_start().starts_with("redis");
            let why = if is_secret { "this is not what it has to be" } else { error.message() };
            format!("line {line}, column {column}: {}", why.lines().collect::<Vec<_>>().join(" "))
        })
    }

    /// These, and where nothing is said the others.
    fn or(self, other: Self) -> Self {
        Self {
            config: self.config,
            is_cluster_from_file: self.is_cluster_from_file,
            id: self.id.or(other.id),
            cluster: self.cluster.or(other.cluster),
            cluster_name: self.cluster_name.or(other.cluster_name),
            join: self.join.or(other.join),
            data: self.data.or(other.data),
            redis: self.redis.or(other.redis),
            redis_tls_ca: self.redis_tls_ca.or(other.redis_tls_ca),
            allow_volatile_redis: self.allow_volatile_redis.or(other.allow_volatile_redis),
            adopt_redis: self.adopt_redis.or(other.adopt_redis),
            http: self.http.or(other.http),
            http_requests_max: self.http_requests_max.or(other.http_requests_max),
            http_waits_max: self.http_waits_max.or(other.http_waits_max),
            http_connections_max: self.http_connections_max.or(other.http_connections_max),
            http_body_timeout_ms: self.http_body_timeout_ms.or(other.http_body_timeout_ms),
            listen: self.listen.or(other.listen),
            insecure_listen_beyond_loopback: self
                .insecure_listen_beyond_loopback
                .or(other.insecure_listen_beyond_loopback),
            peer_tls_ca: self.peer_tls_ca.or(other.peer_tls_ca),
            peer_tls_cert: self.peer_tls_cert.or(other.peer_tls_cert),
            peer_tls_key: self.peer_tls_key.or(other.peer_tls_key),
            http_tls_cert: self.http_tls_cert.or(other.http_tls_cert),
            http_tls_key: self.http_tls_key.or(other.http_tls_key),
            http_tokens: self.http_tokens.or(other.http_tokens),
            election_timeout_ms: self.election_timeout_ms.or(other.election_timeout_ms),
            read_lease_drift_ppm_max: self.read_lease_drift_ppm_max.or(other.read_lease_drift_ppm_max),
            near_lease_us: self.near_lease_us.or(other.near_lease_us),
            near_drift_ppm_max: self.near_drift_ppm_max.or(other.near_drift_ppm_max),
            near_lines_max: self.near_lines_max.or(other.near_lines_max),
            stop_timeout_ms: self.stop_timeout_ms.or(other.stop_timeout_ms),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
            stop_with_stdin: self.stop_with_stdin.or(other.stop_with_stdin),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Options;

    /// A value that the option takes, as it stands in a file.
    fn value_for(name: &str) -> &'static str {
        match name {
            "id"
            | "election-timeout-ms"
            | "stop-timeout-ms"
            | "read-lease-drift-ppm-max"
            | "near-lease-us"
            | "near-drift-ppm-max"
            | "near-lines-max"
            | "http-requests-max"
            | "http-waits-max"
            | "http-connections-max"
            | "http-body-timeout-ms" => "3",
            "join"
            | "insecure-listen-beyond-loopback"
            | "stop-with-stdin"
            | "allow-volatile-redis"
            | "adopt-redis" => "true",
            "log-format" => "\"json\"",
            _ => "\"x\"",
        }
    }

    #[test]
    fn every_option_has_one_name_in_all_three_places() {
        let command = Options::command();
        let mut seen = 0;
        for argument in command.get_arguments() {
            let Some(name) = argument.get_long() else { continue };
            if ["help", "version"].contains(&name) {
                continue;
            }
            let variable = format!("STORMGLASS_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            if name == "config" {
                continue;
            }
            let value = value_for(name);
            let file = Options::of_file(&format!("{name} = {value}\n")).expect(name);
            let flag = format!("--{name}={}", value.trim_matches('"'));
            let flags = Options::try_parse_from(["stormglassd", &flag]).expect(name);
            assert_eq!(file, flags, "{name}");
            assert_ne!(file, Options::default(), "{name} is read");
            // A flag counts for more than the file, and what no flag says the file does.
            assert_eq!(flags.clone().or(Options::default()), flags, "{name}");
            assert_eq!(Options::default().or(file.clone()), file, "{name} is taken from the file");
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
    }

    #[test]
    fn an_unknown_name_in_a_file_is_refused_with_its_place() {
        let error = Options::of_file("id = 1\nclutser = \"1=a:1\"\n").expect_err("there is no such option");
        assert!(error.starts_with("line 2, column 1: ") && error.contains("clutser"), "{error}");
    }

    #[test]
    fn nothing_of_a_file_is_repeated_that_may_be_a_password() {
        for text in [
            "id = 1\nredis = \"redis://:topsecret@h\nlog-level = \"info\"\n",
            "redis = redis://:topsecret@h",
            "redis = [\"topsecret\"]",
            "redis = { url = \"topsecret\" }",
            "redis = \"redis://:topsecret@h\" id = 1",
            "id = \"1\"\nredis = \"redis://:topsecret@h\"",
        ] {
            let error = Options::of_file(text).expect_err(text);
            assert!(error.starts_with("line "), "{error}");
            assert!(!error.contains("topsecret") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_flag_keeps_the_file_from_being_where_the_nodes_are_looked_up() {
        let folder = tempfile::TempDir::new().expect("there is room for a folder");
        let file = folder.path().join("node.toml");
        #[expect(clippy::disallowed_methods, reason = "a file of options")]
        std::fs::write(&file, "cluster = \"1=a:1\"\n").expect("it can be written");
        let config = format!("--config={}", file.display());
        let complete = |arguments: &[&str]| {
            let arguments = ["stormglassd", &config].into_iter().chain(arguments.iter().copied());
            Options::try_parse_from(arguments).expect("they are known").complete().expect("it can be read")
        };
        assert!(complete(&[]).is_cluster_from_file);
        assert!(!complete(&["--cluster", "1=b:1"]).is_cluster_from_file);
    }
}
