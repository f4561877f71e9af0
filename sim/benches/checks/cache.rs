//! A cache of few keys: reads, writes of either kind, deletes, counters, and lives that end.

use std::collections::BTreeMap;

use rand::RngExt;
use stormglass_sim::history::{Answer, Call, History};

use super::clients::{self, Clients, Service, What};

const KEYS: u64 = 4;
const TTL_US_MAX: u64 = 30_000;

#[derive(Default)]
struct Cache {
    keys: BTreeMap<String, (i64, u64)>,
    version: u64,
    value: i64,
    /// Lives that end: by number, the key and the version.
    lives: BTreeMap<u64, (String, u64)>,
    /// What each client has seen last of each key.
    seen: BTreeMap<(u64, String), u64>,
}

pub(super) fn history(operations: u64) -> History {
    clients::history(Cache::default(), "cache", operations)
}

impl Cache {
    fn put(&mut self, clients: &mut Clients, key: String, value: i64, ttl_us: Option<u64>) -> u64 {
        self.version += 1;
        if let Some(ttl_us) = ttl_us {
            self.lives.insert(self.version, (key.clone(), self.version));
            clients.at(clients.now_ns + ttl_us * 1_000, 0, What::Due(self.version));
        }
        self.keys.insert(key, (value, self.version));
        self.version
    }

    fn write_if(
        &mut self,
        clients: &mut Clients,
        is_right: bool,
        key: String,
        value: i64,
        ttl_us: Option<u64>,
    ) -> Answer {
        if is_right {
            return Answer::Written { version: self.put(clients, key, value, ttl_us) };
        }
        let (value, version) = self.keys.get(&key).copied().unzip();
        Answer::Refused { value, version }
    }
}

impl Service for Cache {
    fn ask(&mut self, clients: &mut Clients, client: u64) -> Option<Call> {
        let number = clients.rng.random_range(1..=KEYS);
        let key = format!("key-{number}");
        self.value += 1;
        let value = self.value;
        let ttl_us = (number % 2 == 0).then(|| clients.rng.random_range(1..TTL_US_MAX));
        Some(match clients.rng.random_range(0..20) {
            0..10 => Call::CacheGet { key, near: clients.rng.random_bool(0.5) },
            10..13 => Call::CacheSet { key, value, ttl_us },
            13 | 14 => Call::CacheSetIfAbsent { key, value, ttl_us },
            15 | 16 => {
                let expected_version = self.seen.get(&(client, key.clone())).copied();
                Call::CacheCompareAndSet { key, expected_version, value, ttl_us, fence: None }
            }
            17 => Call::CacheDelete { key },
            _ => {
                Call::CacheIncrement { key: format!("counter-{number}"), by: clients.rng.random_range(1..9) }
            }
        })
    }

    fn finish(&mut self, _clients: &mut Clients, _client: u64) -> Option<Call> {
        None
    }

    fn arrive(&mut self, clients: &mut Clients, client: u64, id: u64) {
        let answer = match clients.call(id) {
            Call::CacheGet { key, near } => {
                let (value, version) = self.keys.get(&key).copied().unzip();
                Answer::Cached { value, version, local: near }
            }
            Call::CacheSet { key, value, ttl_us } => {
                Answer::Written { version: self.put(clients, key, value, ttl_us) }
            }
            Call::CacheSetIfAbsent { key, value, ttl_us } => {
                let is_right = !self.keys.contains_key(&key);
                self.write_if(clients, is_right, key, value, ttl_us)
            }
            Call::CacheCompareAndSet { key, expected_version, value, ttl_us, .. } => {
                let is_right = self.keys.get(&key).map(|(_, version)| *version) == expected_version;
                self.write_if(clients, is_right, key, value, ttl_us)
            }
            Call::CacheDelete { key } => {
                self.version += 1;
                Answer::Deleted { existed: self.keys.remove(&key).is_some(), version: self.version }
            }
            Call::CacheIncrement { key, by } => {
                let value = self.keys.get(&key).map_or(0, |(value, _)| *value) + by;
                Answer::Counted { value, version: self.put(clients, key, value, None) }
            }
            _ => return,
        };
        clients.answer(client, id, answer);
    }

    fn learn(&mut self, clients: &mut Clients, client: u64, id: u64, answer: Option<&Answer>) {
        if let Some(Answer::Cached { version: Some(version), .. } | Answer::Written { version }) = answer {
            let key = clients.call(id).object().to_owned();
            self.seen.insert((client, key), *version);
        }
    }

    fn due(&mut self, _clients: &mut Clients, number: u64) {
        let Some((key, version)) = self.lives.remove(&number) else { return };
        if self.keys.get(&key).is_some_and(|(_, now)| *now == version) {
            self.keys.remove(&key);
        }
    }
}
