//! What transcripts say of the cache.
//!
//! ```text
//! 20ms s1 #3 set key value | set key value ttl 5s
//! 20ms s1 #3 cas key - new | cas key old new | cas key @7 new     absent, of this value, of this version
//! 20ms s1 #3 delete key | cad key @7
//! 20ms s1 #3 add key 5 | add key 5 from 100 | touch key 5s | touch key -
//! 20ms s1 #3 configure 3 1000 written | expiring | refuse         keys, bytes, policy
//! 20ms evict key@7 other@9
//! get key | many key other | expiry key | stats | victims 1 20    room for so many keys and bytes
//! ```

use bytes::Bytes;

use crate::ids::LogIndex;
use crate::machine::tests::script::{duration_us, number, time};
use crate::machine::{
    CacheAction, CacheEvent, CacheQuery, CacheReply, CacheSettings, CacheStats, CacheTotals, EvictionPolicy,
    Expected, Machine, Room, Versioned, Victim,
};

/// A write.
pub(in crate::machine) fn action(words: &[&str]) -> CacheAction {
    let value = |word: &str| Bytes::copy_from_slice(word.as_bytes());
    let (words, ttl_us) = match *words {
        [ref words @ .., "ttl", time] => (words, Some(duration_us(time))),
        _ => (words, None),
    };
    match *words {
        ["set", key, new] => CacheAction::Set { key: key.to_owned(), value: value(new), ttl_us },
        ["cas", key, old, new] => CacheAction::CompareAndSet {
            key: key.to_owned(),
            expected: expected(old),
            value: value(new),
            ttl_us,
        },
        ["delete", key] => CacheAction::Delete { key: key.to_owned() },
        ["cad", key, old] => CacheAction::CompareAndDelete { key: key.to_owned(), expected: expected(old) },
        ["add", key, delta] => add(key, delta, "0", ttl_us),
        ["add", key, delta, "from", initial] => add(key, delta, initial, ttl_us),
        ["touch", key, "-"] => CacheAction::Touch { key: key.to_owned(), ttl_us: None },
        ["touch", key, time] => CacheAction::Touch { key: key.to_owned(), ttl_us: Some(duration_us(time)) },
        ["configure", entries, bytes, policy] => CacheAction::Configure(CacheSettings {
            entries_max: number(entries),
            bytes_max: number(bytes),
            policy: match policy {
                "refuse" => EvictionPolicy::Refuse,
                "written" => EvictionPolicy::LeastRecentlyWritten,
                _ => EvictionPolicy::SoonestToExpire,
            },
        }),
        _ => panic!("not an action: {words:?}"),
    }
}

fn add(key: &str, delta: &str, initial: &str, ttl_us: Option<u64>) -> CacheAction {
    let signed = |word: &str| word.parse().expect("a number");
    CacheAction::Add { key: key.to_owned(), delta: signed(delta), initial: signed(initial), ttl_us }
}

fn expected(word: &str) -> Expected {
    match word.strip_prefix('@') {
        Some(version) => Expected::Version(LogIndex(number(version))),
        None if word == "-" => Expected::Absent,
        None => Expected::Value(Bytes::copy_from_slice(word.as_bytes())),
    }
}

/// A question.
pub(in crate::machine) fn query(word: &str, keys: &[&str]) -> Option<CacheQuery> {
    match (word, keys) {
        ("get", [key]) => Some(CacheQuery::Get { key: (*key).to_owned() }),
        ("many", keys) => {
            Some(CacheQuery::GetMany { keys: keys.iter().map(|key| (*key).to_owned()).collect() })
        }
        ("expiry", [key]) => Some(CacheQuery::Expiry { key: (*key).to_owned() }),
        ("stats", []) => Some(CacheQuery::Stats),
        _ => None,
    }
}

/// Keys with versions.
pub(in crate::machine) fn named(words: &[&str]) -> Vec<Victim> {
    let victim = |word: &&str| {
        let (key, version) = word.split_once('@').expect("a victim is key@version");
        Victim { key: key.to_owned(), version: LogIndex(number(version)) }
    };
    words.iter().map(victim).collect()
}

/// Who would have to go.
pub(in crate::machine) fn victims(machine: &Machine, entries: &str, bytes: &str) -> String {
    let room = Room { entries: number(entries), bytes: number(bytes) };
    let victims = machine.victims(room, Room::default(), |_| false);
    let names: Vec<String> =
        victims.iter().map(|victim| format!("{}@{}", victim.key, victim.version)).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(" ") }
}

/// An event.
pub(in crate::machine) fn event(event: &CacheEvent) -> String {
    match event {
        CacheEvent::Written { key, version } => format!("* {key} written as version {version}"),
        CacheEvent::Deleted { key, version } => format!("* {key} of version {version} deleted"),
        CacheEvent::Expired { key, version } => format!("* {key} of version {version} expired"),
        CacheEvent::Evicted { key, version } => format!("* {key} of version {version} evicted"),
    }
}

/// A reply.
pub(in crate::machine) fn reply(reply: &CacheReply) -> String {
    match reply {
        CacheReply::Written { version } => format!("written as version {version}"),
        CacheReply::Value(value) => found(value.as_ref()),
        CacheReply::Near(value) => unreachable!("a machine has no near-cache: {value:?}"),
        CacheReply::Mismatch(value) => format!("mismatch: {}", found(value.as_ref())),
        CacheReply::Deleted { existed, version } => format!("deleted at {version}, existed: {existed}"),
        CacheReply::Counted { value, version } => format!("{value} of version {version}"),
        CacheReply::Values(values) => {
            let values: Vec<String> = values.iter().map(|value| found(value.as_ref())).collect();
            values.join("; ")
        }
        CacheReply::Expiry { exists: false, .. } => "nothing".to_owned(),
        CacheReply::Expiry { expires, now, .. } => {
            let ends =
                expires.map_or_else(|| "lives for ever".to_owned(), |end| format!("ends at {}", time(end)));
            format!("{ends}, asked at {}", time(*now))
        }
        CacheReply::Stats(stats) => self::stats(stats),
    }
}

fn stats(stats: &CacheStats) -> String {
    let CacheStats { settings, entries, expiring, bytes, totals } = stats;
    let CacheTotals { created, overwritten, deleted, expired, evicted, refused } = totals;
    format!(
        "{entries} of {} keys ({expiring} expiring), {bytes} of {} bytes; created {created}, overwritten \
         {overwritten}, deleted {deleted}, expired {expired}, evicted {evicted}, refused {refused}",
        settings.entries_max, settings.bytes_max
    )
}

fn found(value: Option<&Versioned>) -> String {
    value.map_or_else(
        || "nothing".to_owned(),
        |found| format!("{} of version {}", String::from_utf8_lossy(&found.value), found.version),
    )
}
