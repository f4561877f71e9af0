//! The register and the cache.

use bytes::Bytes;
use stormglass_nodes::client::ClientError;
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::LogIndex;
use stormglass_nodes::machine::{CacheSettings, Expected, Versioned};

use super::{NodesService, TrueTime};
use crate::history::{Answer, Call};

impl<E: Env, T: TrueTime> NodesService<E, T> {
    pub(super) async fn register(&self, call: &Call) -> Result<Answer, ClientError> {
        match call {
            Call::Get { key } => self.client.get(key).await.map(|found| {
                let (value, version) = split(found);
                Answer::Value { value, version }
            }),
            Call::Set { key, value } => self.client.set(key, encode(*value)).await.map(written),
            Call::CompareAndSet { key, expected, value } => {
                let done = self.client.compare_and_set(key, expected.map(encode), encode(*value)).await;
                done.map(|done| match done {
                    Ok(version) => written(version),
                    Err(found) => {
                        let (value, version) = split(found);
                        Answer::Mismatch { value, version }
                    }
                })
            }
            Call::Delete { key } => self.client.delete(key).await.map(deleted),
            _ => Err(ClientError::NotDone("this is no operation on a register")),
        }
    }

    pub(super) async fn cache(&self, call: &Call) -> Result<Answer, ClientError> {
        match call {
            Call::CacheGet { key, near: false } => {
                self.client.get(key).await.map(|found| cached(found, false))
            }
            Call::CacheGet { key, near: true } => {
                self.client.get_near(key, self.near).await.map(|(found, local)| cached(found, local))
            }
            Call::CacheGetWithin { key, age_us_max } => {
                let (found, age_us) = self.client.get_within(key, *age_us_max).await?;
                let (value, version) = number(found);
                Ok(Answer::CachedThen { value, version, age_us })
            }
            Call::CacheConfigure { entries_max } => {
                let settings = CacheSettings { entries_max: *entries_max, ..CacheSettings::default() };
                self.client.configure_cache(settings).await.map(|()| Answer::Declared)
            }
            Call::CacheSet { key, value, ttl_us: None } => {
                self.client.set(key, digits(*value)).await.map(written)
            }
            Call::CacheSet { key, value, ttl_us: Some(ttl_us) } => {
                self.client.set_for(key, digits(*value), *ttl_us).await.map(written)
            }
            Call::CacheSetIfAbsent { key, value, ttl_us } => {
                self.set_if(key, Expected::Absent, *value, *ttl_us).await
            }
            Call::CacheCompareAndSet { key, expected_version, value, ttl_us, .. } => {
                let version = |version| Expected::Version(LogIndex(version));
                let expected = expected_version.map_or(Expected::Absent, version);
                self.set_if(key, expected, *value, *ttl_us).await
            }
            Call::CacheDelete { key } => self.client.delete(key).await.map(deleted),
            Call::CacheIncrement { key, by } => {
                let (value, version) = self.client.count(key, *by, 0).await?;
                Ok(Answer::Counted { value, version: version.0 })
            }
            _ => Err(ClientError::NotDone("this is no operation on a cache")),
        }
    }

    async fn set_if(
        &self,
        key: &str,
        expected: Expected,
        value: i64,
        ttl_us: Option<u64>,
    ) -> Result<Answer, ClientError> {
        Ok(match self.client.set_if(key, expected, digits(value), ttl_us).await? {
            Ok(version) => written(version),
            Err(found) => {
                let (value, version) = number(found);
                Answer::Refused { value, version }
            }
        })
    }
}

const fn written(version: LogIndex) -> Answer {
    Answer::Written { version: version.0 }
}

const fn deleted((existed, version): (bool, LogIndex)) -> Answer {
    Answer::Deleted { existed, version: version.0 }
}

fn cached(found: Option<Versioned>, local: bool) -> Answer {
    let (value, version) = number(found);
    Answer::Cached { value, version, local }
}

fn encode(value: u64) -> Bytes {
    Bytes::copy_from_slice(&value.to_le_bytes())
}

/// A value that nobody wrote is reported as one that nobody wrote.
fn split(found: Option<Versioned>) -> (Option<u64>, Option<u64>) {
    let Some(Versioned { value, version }) = found else { return (None, None) };
    let number = <[u8; 8]>::try_from(value.as_ref()).map_or(u64::MAX, u64::from_le_bytes);
    (Some(number), Some(version.0))
}

/// As counters are written.
fn digits(value: i64) -> Bytes {
    Bytes::from(value.to_string())
}

/// A value that nobody wrote is reported as one that nobody wrote.
fn number(found: Option<Versioned>) -> (Option<i64>, Option<u64>) {
    let Some(Versioned { value, version }) = found else { return (None, None) };
    let text = std::str::from_utf8(&value).ok();
    (Some(text.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN)), Some(version.0))
}
