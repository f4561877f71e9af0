//! Where the Redis is, and how patient the store is with it.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo};
use thiserror::Error;

use crate::env::StreamAddress;

/// What people write in the place of `redis`, and what may be repeated to them.
const SCHEMES: &[&str] = &["http", "https", "tcp", "tls", "ssl", "valkey", "valkeys", "socket", "file"];

const SECOND_US: u64 = 1_000_000;

/// How a node uses its Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is.
    pub address: StreamAddress,
    /// Who the node is to it. Default: its default user.
    pub username: Option<String>,
    /// The password. Default: none.
    pub password: Option<Password>,
    /// The number of the database. Default 0.
    pub database: u32,
    /// Accepts a Redis whose settings let it lose what it has acknowledged. A node that lost a vote or an entry
    /// can undo a decision of the cluster: for trying things out only. Default false.
    pub allow_volatile: bool,
    /// Takes over a store of this node that the Redis holds and the folder has no mark of: the folder was lost, the
    /// Redis was not. If the store is another cluster's that has the same name, the two are mixed. Default false: it
    /// is refused.
    pub adopts_unmarked: bool,
    /// Whether the node tells events of locks, queues and the cache to whoever listens at the Redis, while it
    /// leads. Default true.
    pub publishes_events: bool,
    /// Opening gives up after so many microseconds without a usable Redis; a store that has been opened never
    /// does. Default 30 s.
    pub open_within_us: u64,
    /// A connection on which an answer takes so many microseconds is given up, and what was asked is looked
    /// into over another one. Default 5 s.
    pub answer_within_us: u64,
    /// So many microseconds after a failure the next attempt follows, twice as many after each further one.
    /// Default 20 ms.
    pub retry_us_min: u64,
    /// The longest time between attempts, in microseconds. Default 1 s.
    pub retry_us_max: u64,
}

impl RedisConfig {
    /// The defaults for a Redis at this address.
    #[must_use]
    pub const fn new(address: StreamAddress) -> Self {
        Self {
            address,
            username: None,
            password: None,
            database: 0,
            allow_volatile: false,
            adopts_unmarked: false,
            publishes_events: true,
            open_within_us: 30 * SECOND_US,
            answer_within_us: 5 * SECOND_US,
            retry_us_min: 20_000,
            retry_us_max: SECOND_US,
        }
    }

    /// The defaults for the Redis of a URL: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, the same with
    /// `rediss://` for TLS, or `unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]`.
    ///
    /// # Errors
    ///
    /// If it is no such URL.
    pub fn from_url(url: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisUrlError::Malformed)?;
        if rest.contains('#') {
            return Err(RedisUrlError::Fragment);
        }
        let (plain, is_tls) = match scheme {
            "redis" | "unix" | "redis+unix" => (url.to_owned(), false),
            "rediss" => (format!("redis://{rest}"), true),
            other => {
                // Anything else may be a password.
                let known = SCHEMES.iter().find(|scheme| other.eq_ignore_ascii_case(scheme));
                return Err(known.map_or(RedisUrlError::Malformed, |scheme| RedisUrlError::Scheme(scheme)));
            }
        };
        let info = plain.into_connection_info().map_err(|_| RedisUrlError::Malformed)?;
        let address = match info.addr().clone() {
            ConnectionAddr::Tcp(host, port) if is_tls => StreamAddress::Tls { host, port, authorities: None },
            ConnectionAddr::Tcp(host, port) => StreamAddress::Tcp { host, port },
            ConnectionAddr::Unix(path) => StreamAddress::Unix(path),
            _ => return Err(RedisUrlError::Malformed),
        };
        let settings = info.redis_settings();
        Ok(Self {
            username: settings.username().map(str::to_owned),
            password: settings.password().map(|password| Password(password.to_owned())),
            database: u32::try_from(settings.db()).map_err(|_| RedisUrlError::Malformed)?,
            ..Self::new(address)
        })
    }

    /// Lets only the authorities in this file (PEM) vouch for a Redis behind TLS.
    #[must_use]
    pub fn trusting(mut self, file: PathBuf) -> Self {
        if let StreamAddress::Tls { authorities, .. } = &mut self.address {
            *authorities = Some(file);
        }
        self
    }
}

/// A password. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a URL names no Redis. The URL itself is not repeated: it may hold a password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RedisUrlError {
    /// It does not parse.
    #[error(
        "this is no URL of a Redis; write redis://HOST:PORT/DATABASE, rediss://… for TLS, or unix:///PATH"
    )]
    Malformed,
    /// Another scheme.
    #[error("a Redis is not reached by `{0}://`; write redis://, rediss:// for TLS, or unix://")]
    Scheme(&'static str),
    /// `#insecure` and the like.
    #[error("a URL of a Redis ends before `#`: certificates are always checked")]
    Fragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> RedisConfig {
        RedisConfig::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn a_url_says_where_and_who() {
        let config = parsed("redis://me:p%40ss@example.org:7000/3");
        assert_eq!(config.address, StreamAddress::Tcp { host: "example.org".to_owned(), port: 7_000 });
        assert_eq!(config.username.as_deref(), Some("me"));
        assert_eq!(config.password, Some(Password("p@ss".to_owned())));
        assert_eq!(config.database, 3);
        let plain = parsed("redis://127.0.0.1");
        assert_eq!(plain.address, StreamAddress::Tcp { host: "127.0.0.1".to_owned(), port: 6_379 });
        assert_eq!((plain.username, plain.password, plain.database), (None, None, 0));
    }

    #[test]
    fn tls_and_sockets_are_told_by_the_scheme() {
        let tls = parsed("rediss://:secret@example.org/1").trusting(PathBuf::from("/ca.pem"));
        let authorities = Some(PathBuf::from("/ca.pem"));
        assert_eq!(
            tls.address,
            StreamAddress::Tls { host: "example.org".to_owned(), port: 6_379, authorities }
        );
        let socket = parsed("unix:///run/redis.sock?db=2&pass=secret");
        assert_eq!(socket.address, StreamAddress::Unix(PathBuf::from("/run/redis.sock")));
        assert_eq!((socket.database, socket.password), (2, Some(Password("secret".to_owned()))));
    }

    #[test]
    fn what_names_no_redis_is_refused_without_repeating_it() {
        for url in
            ["", "redis", "redis://", "http://x", "redis://h:port", "redis://h/x", "rediss://h#insecure"]
        {
            let error = RedisConfig::from_url(url).expect_err(url);
            assert!(!error.to_string().contains("h/x"), "{error}");
        }
        for url in ["redis://:secret@h:port", "secret@h://zz", "secret://h", "redis:secret@h://"] {
            let error = RedisConfig::from_url(url).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        assert!(!format!("{:?}", parsed("redis://:secret@h")).contains("secret"));
    }
}
