//! Reads, writes, deletes and counters of a cache.

use std::collections::BTreeMap;

use rand::RngExt;

use super::{Service, Worker};
use crate::history::{Answer, Call, Outcome};

/// Values of one client stay below this, so that every written value is unique in the run.
const VALUES_PER_CLIENT: u64 = 1_000_000_000;
/// Most that is added to a counter at a time.
const STEP_MAX: i64 = 9;

/// What a client last learnt.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    versions: BTreeMap<String, Option<u64>>,
    last_key: Option<String>,
    writes: u64,
}

impl<S: Service> Worker<S> {
    /// Does one operation on one key.
    pub(super) async fn cache_operation(&mut self, learnt: &mut Learnt) {
        let call = self.cache_call(learnt);
        let key = call.object().to_owned();
        let version = match self.call(call).await.1 {
            Outcome::Ok { answer: Answer::Cached { version, .. } | Answer::Refused { version, .. } } => {
                version
            }
            Outcome::Ok { answer: Answer::Written { version } } => Some(version),
            Outcome::Ok { answer: Answer::Deleted { .. } } => None,
            _ => return,
        };
        learnt.last_key = Some(key.clone());
        learnt.versions.insert(key, version);
    }

    fn cache_call(&mut self, learnt: &mut Learnt) -> Call {
        let key = self.pick("item");
        let weights = self.spec.cache.weights();
        let mut drawn = self.rng.random_range(0..weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let hit = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            hit
        });
        let is_near = self.rng.random_bool(self.spec.cache.near);
        let aged = self.spec.cache.aged;
        let age_ms = self.chance(aged).then_some(self.spec.cache.age_ms);
        let age_us_max = age_ms.map(|age_ms| age_ms.draw_us(&mut self.rng));
        let is_mortal = self.rng.random_bool(self.spec.cache.mortal);
        let ttl_us = if is_mortal { Some(self.spec.cache.ttl_ms.draw_us(&mut self.rng)) } else { None };
        let ttl_of = |key: &str| ttl_us.filter(|_| may_end(key));
        learnt.writes += 1;
        let value = i64::try_from(self.client * VALUES_PER_CLIENT + learnt.writes).unwrap_or(i64::MAX);
        match kind {
            Some(1) => Call::CacheSet { ttl_us: ttl_of(&key), key, value },
            Some(2) => Call::CacheSetIfAbsent { ttl_us: ttl_of(&key), key, value },
            Some(3) => {
                // Of the key that the client knows best, or else hardly any would find what they expect.
                let key = learnt.last_key.clone().unwrap_or(key);
                let expected_version = learnt.versions.get(&key).copied().flatten();
                let ttl_us = ttl_of(&key);
                Call::CacheCompareAndSet { key, expected_version, value, ttl_us, fence: None }
            }
            Some(4) => Call::CacheDelete { key },
            Some(5) => {
                let (key, by) = (self.pick("counter"), self.rng.random_range(1..=STEP_MAX));
                Call::CacheIncrement { key, by }
            }
            _ => match age_us_max {
                Some(age_us_max) => Call::CacheGetWithin { key, age_us_max },
                None => Call::CacheGet { key, near: is_near },
            },
        }
    }
}

/// Only every other key ever has a time to live: the rest are plain registers, which a general search can judge.
fn may_end(key: &str) -> bool {
    let number = key.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
    number.is_some_and(|number| number.is_multiple_of(2))
}
