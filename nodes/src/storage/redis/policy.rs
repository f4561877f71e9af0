//! Whether a Redis keeps what it acknowledges.
//!
//! It does if it appends every write to a file and syncs that before it answers (`appendonly yes`, `appendfsync
//! always`), or can be asked to wait for the sync (`WAITAOF`, from 7.2 on). Three further settings would
//! break the promise: `no-appendfsync-on-rewrite` suspends even `always` while the file is rewritten; a
//! `maxmemory` with an `allkeys-…` policy throws keys away when memory is short; and a replica follows another
//! Redis, and forgets for it.
//!
//! What is deliberately not looked at: the disk under the Redis, and changes of its settings while it runs. The
//! settings are read at every new connection.

use redis::Value;

use super::config::RedisConfig;
use super::link::{Link, Trouble, bytes_of};
use crate::env::Env;
use crate::storage::{Durability, StorageError};

/// The first release that has `WAITAOF`.
const WAITAOF_SINCE: (u64, u64) = (7, 2);

const SETTINGS: [&str; 5] =
    ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory", "maxmemory-policy"];

/// What a Redis says of itself. What it does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    version: (u64, u64),
    appendonly: String,
    appendfsync: String,
    suspends_sync: String,
    maxmemory: String,
    maxmemory_policy: String,
}

/// Asks a Redis for its settings and, if they will do, prepares the connection for them.
pub(super) async fn check<E: Env>(
    link: &mut Link,
    env: &E,
    config: &RedisConfig,
) -> Result<Durability, Trouble> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("ROLE").cmd("INFO").arg("server");
    for setting in SETTINGS {
        pipeline.cmd("CONFIG").arg("GET").arg(setting);
    }
    let answers = link.ask(env, config, &pipeline).await;
    let answers = match answers {
        // A user who may not ask is not told.
        Err(Trouble::Forbidden(reason)) => return unknown(config, &reason),
        answers => answers?,
    };
    if let Some(Value::ServerError(error)) = answers.iter().find(|answer| is_busy(answer)) {
        return Err(Trouble::Passing(error.to_string()));
    }
    if let Value::Array(role) = &answers[0]
        && role.first().and_then(bytes_of).is_some_and(|role| role != b"master")
    {
        return Err(Trouble::Passing("it is a replica of another Redis".to_owned()));
    }
    let setting = |position: usize| setting_of(&answers[2 + position]);
    let said = Said {
        version: version_of(&answers[1]),
        appendonly: setting(0),
        appendfsync: setting(1),
        suspends_sync: setting(2),
        maxmemory: setting(3),
        maxmemory_policy: setting(4),
    };
    let durability;
    (durability, link.waits_for_sync) = judge(&said);
    allowed(config, durability)
}

fn unknown(config: &RedisConfig, reason: &str) -> Result<Durability, Trouble> {
    allowed(config, Durability::Volatile { reason: format!("its settings cannot be read: {reason}") })
}

fn allowed(config: &RedisConfig, durability: Durability) -> Result<Durability, Trouble> {
    match durability {
        Durability::Volatile { reason } if !config.allow_volatile => {
            Err(Trouble::Final(StorageError::MayForget { at: config.address.to_string(), reason }))
        }
        durability => Ok(durability),
    }
}

/// What a write survives, and whether each has to wait for a sync.
fn judge(said: &Said) -> (Durability, bool) {
    let volatile = |reason: String| (Durability::Volatile { reason }, false);
    let knows_waitaof = said.version >= WAITAOF_SINCE;
    if said.appendonly.is_empty() {
        return volatile("it does not tell its settings".to_owned());
    }
    if said.appendonly != "yes" {
        return volatile(format!("appendonly is {}", said.appendonly));
    }
    if said.maxmemory != "0" && said.maxmemory_policy.starts_with("allkeys") {
        return volatile(format!("maxmemory-policy is {}", said.maxmemory_policy));
    }
    match (said.appendfsync.as_str(), said.suspends_sync.as_str()) {
        ("always", "no") => (Durability::Synced, false),
        ("always" | "everysec", _) if knows_waitaof => (Durability::Synced, true),
        ("always", suspended) => volatile(format!("no-appendfsync-on-rewrite is {suspended}")),
        (other, _) => volatile(format!("appendfsync is {other}")),
    }
}

/// Whether the Redis cannot answer yet.
fn is_busy(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if matches!(error.code(), "LOADING" | "BUSY" | "MASTERDOWN"))
}

/// The value in an answer to `CONFIG GET` of one setting.
fn setting_of(answer: &Value) -> String {
    let Value::Array(pair) = answer else { return String::new() };
    let value = pair.get(1).and_then(bytes_of).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

/// Major and minor version; zeros if they are not told.
fn version_of(info: &Value) -> (u64, u64) {
    let text = String::from_utf8_lossy(bytes_of(info).unwrap_or_default()).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default();
    let mut parts = version.trim().split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(version: (u64, u64), appendfsync: &str) -> Said {
        Said {
            version,
            appendonly: "yes".to_owned(),
            appendfsync: appendfsync.to_owned(),
            suspends_sync: "no".to_owned(),
            maxmemory: "0".to_owned(),
            maxmemory_policy: "noeviction".to_owned(),
        }
    }

    fn is_synced(said: &Said) -> Option<bool> {
        let (durability, waits) = judge(said);
        (durability == Durability::Synced).then_some(waits)
    }

    #[test]
    fn what_is_synced_before_it_is_answered_will_do() {
        assert_eq!(is_synced(&said((7, 0), "always")), Some(false));
        assert_eq!(is_synced(&said((7, 2), "everysec")), Some(true));
        assert_eq!(is_synced(&said((8, 0), "always")), Some(false));
    }

    #[test]
    fn what_may_be_forgotten_will_not() {
        assert_eq!(is_synced(&said((7, 0), "everysec")), None);
        assert_eq!(is_synced(&said((8, 0), "no")), None);
        assert_eq!(is_synced(&Said::default()), None);
        let changed = |change: fn(&mut Said)| {
            let mut said = said((7, 0), "always");
            change(&mut said);
            is_synced(&said)
        };
        assert_eq!(changed(|said| said.appendonly = "no".to_owned()), None);
        assert_eq!(changed(|said| said.suspends_sync = "yes".to_owned()), None);
        let full = |said: &mut Said| said.maxmemory = "1000".to_owned();
        assert_eq!(changed(full), Some(false));
        assert_eq!(
            changed(|said| {
                said.maxmemory = "1000".to_owned();
                said.maxmemory_policy = "allkeys-lru".to_owned();
            }),
            None
        );
    }

    #[test]
    fn a_sync_suspended_by_rewrites_is_waited_for_where_that_can_be_asked() {
        let suspended = Said { suspends_sync: "yes".to_owned(), ..said((7, 4), "always") };
        assert_eq!(is_synced(&suspended), Some(true));
    }

    #[test]
    fn versions_are_read_from_what_it_says_of_itself() {
        let info = |text: &str| version_of(&Value::BulkString(text.as_bytes().to_vec()));
        assert_eq!(info("# Server\r\nredis_version:7.2.11\r\nos:x\r\n"), (7, 2));
        assert_eq!(info("redis_version:255.255.255"), (255, 255));
        assert_eq!(info("nothing"), (0, 0));
        assert_eq!(version_of(&Value::Nil), (0, 0));
    }
}
