//! Operations on the cache.

use bytes::Bytes;

use super::{Client, ClientError, ReadFrom};
use crate::api::RequestBody;
use crate::env::Env;
use crate::ids::LogIndex;
use crate::machine::{
    Action, CacheAction, CacheQuery, CacheReply, CacheSettings, CacheStats, Expected, Query, Reply, Versioned,
};

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");

/// How long a key still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeLeft {
    /// It has no value.
    NoSuchKey,
    /// For ever, unless it is removed, written anew, or evicted.
    Unlimited,
    /// So many microseconds, unless anything of that happens before; 0 if it ends with the next entry. Lives end at
    /// multiples of [`EXPIRY_GRID_US`](crate::machine::EXPIRY_GRID_US), so it may be a little more than was asked for.
    Us(u64),
}

impl<E: Env> Client<E> {
    /// The value of `key`, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn get(&self, key: &str) -> Result<Option<Versioned>, ClientError> {
        let query = Query::Cache(CacheQuery::Get { key: key.to_owned() });
        match self.query(query).await? {
            Reply::Cache(CacheReply::Value(value) | CacheReply::Near(value)) => Ok(value),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    /// The value of `key`, linearizably, from the near-cache of the member at this position of
    /// [`ClientConfig::nodes`](super::ClientConfig::nodes) if it can; and whether it had it and asked nobody.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn get_near(
        &self,
        key: &str,
        position: usize,
    ) -> Result<(Option<Versioned>, bool), ClientError> {
        let query = Query::Cache(CacheQuery::Get { key: key.to_owned() });
        match self.query_from(query, ReadFrom::Near(position)).await? {
            Reply::Cache(CacheReply::Value(value)) => Ok((value, false)),
            Reply::Cache(CacheReply::Near(value)) => Ok((value, true)),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    /// Writes `key`; returns its new version.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set(&self, key: &str, value: Bytes) -> Result<LogIndex, ClientError> {
        match self.write(CacheAction::Set { key: key.to_owned(), value, ttl_us: None }).await? {
            CacheReply::Written { version } => Ok(version),
            _ => Err(MISANSWERED),
        }
    }

    /// Writes `key` if it holds `expected`; returns its new version, or what it holds instead.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn compare_and_set(
        &self,
        key: &str,
        expected: Option<Bytes>,
        value: Bytes,
    ) -> Result<Result<LogIndex, Option<Versioned>>, ClientError> {
        let expected = expected.map_or(Expected::Absent, Expected::Value);
        let action = CacheAction::CompareAndSet { key: key.to_owned(), expected, value, ttl_us: None };
        match self.write(action).await? {
            CacheReply::Written { version } => Ok(Ok(version)),
            CacheReply::Mismatch(found) => Ok(Err(found)),
            _ => Err(MISANSWERED),
        }
    }

    /// Writes `key` for so long; returns its new version.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_for(&self, key: &str, value: Bytes, ttl_us: u64) -> Result<LogIndex, ClientError> {
        match self.write(CacheAction::Set { key: key.to_owned(), value, ttl_us: Some(ttl_us) }).await? {
            CacheReply::Written { version } => Ok(version),
            _ => Err(MISANSWERED),
        }
    }

    /// Writes `key`, to live as long as `ttl_us` says or for ever, if it is as expected; returns its new
    /// version, or what it holds instead.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_if(
        &self,
        key: &str,
        expected: Expected,
        value: Bytes,
        ttl_us: Option<u64>,
    ) -> Result<Result<LogIndex, Option<Versioned>>, ClientError> {
        match self.write(CacheAction::CompareAndSet { key: key.to_owned(), expected, value, ttl_us }).await? {
            CacheReply::Written { version } => Ok(Ok(version)),
            CacheReply::Mismatch(found) => Ok(Err(found)),
            _ => Err(MISANSWERED),
        }
    }

    /// Removes `key`; returns whether it held something, and the version of the removal.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, key: &str) -> Result<(bool, LogIndex), ClientError> {
        match self.write(CacheAction::Delete { key: key.to_owned() }).await? {
            CacheReply::Deleted { existed, version } => Ok((existed, version)),
            _ => Err(MISANSWERED),
        }
    }

    /// Removes `key` if it is as expected; returns the version of the removal, or what it holds instead.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_if(
        &self,
        key: &str,
        expected: Expected,
    ) -> Result<Result<LogIndex, Option<Versioned>>, ClientError> {
        match self.write(CacheAction::CompareAndDelete { key: key.to_owned(), expected }).await? {
            CacheReply::Deleted { version, .. } => Ok(Ok(version)),
            CacheReply::Mismatch(found) => Ok(Err(found)),
            _ => Err(MISANSWERED),
        }
    }

    /// Adds to the counter `key`, which counts from `initial` if there is none; returns what it is now.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if the value is no counter or would overflow.
    pub async fn add(&self, key: &str, delta: i64, initial: i64) -> Result<i64, ClientError> {
        self.count(key, delta, initial).await.map(|(value, _)| value)
    }

    /// As [`Client::add`], with the counter's new version.
    ///
    /// # Errors
    /// As there.
    pub async fn count(&self, key: &str, delta: i64, initial: i64) -> Result<(i64, LogIndex), ClientError> {
        self.count_for(key, delta, initial, None).await
    }

    /// As [`Client::count`]; a counter that begins by it lives as long as `ttl_us` says or for ever. One that is there
    /// keeps the life it has, so a window of time can be counted in.
    ///
    /// # Errors
    /// As there.
    pub async fn count_for(
        &self,
        key: &str,
        delta: i64,
        initial: i64,
        ttl_us: Option<u64>,
    ) -> Result<(i64, LogIndex), ClientError> {
        match self.write(CacheAction::Add { key: key.to_owned(), delta, initial, ttl_us }).await? {
            CacheReply::Counted { value, version } => Ok((value, version)),
            _ => Err(MISANSWERED),
        }
    }

    /// Lets `key` live from now on for so long, or for ever; returns its new version.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if there is no such key.
    pub async fn touch(&self, key: &str, ttl_us: Option<u64>) -> Result<LogIndex, ClientError> {
        match self.write(CacheAction::Touch { key: key.to_owned(), ttl_us }).await? {
            CacheReply::Written { version } => Ok(version),
            _ => Err(MISANSWERED),
        }
    }

    /// How long `key` still lives, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn life_left(&self, key: &str) -> Result<LifeLeft, ClientError> {
        match self.query(Query::Cache(CacheQuery::Expiry { key: key.to_owned() })).await? {
            Reply::Cache(CacheReply::Expiry { exists: false, .. }) => Ok(LifeLeft::NoSuchKey),
            Reply::Cache(CacheReply::Expiry { expires: None, .. }) => Ok(LifeLeft::Unlimited),
            Reply::Cache(CacheReply::Expiry { expires: Some(expires), now, .. }) => {
                Ok(LifeLeft::Us(expires.0.saturating_sub(now.0)))
            }
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    /// The values of many keys, all of one state, in the order of `keys`.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Versioned>>, ClientError> {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        match self.query(Query::Cache(CacheQuery::GetMany { keys })).await? {
            Reply::Cache(CacheReply::Values(values)) => Ok(values),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    /// What the cache holds and has done.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn cache_stats(&self) -> Result<CacheStats, ClientError> {
        match self.query(Query::Cache(CacheQuery::Stats)).await? {
            Reply::Cache(CacheReply::Stats(stats)) => Ok(stats),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    /// Sets the cache's bounds and policy.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn configure_cache(&self, settings: CacheSettings) -> Result<(), ClientError> {
        let action = Action::Cache(CacheAction::Configure(settings));
        match self.once(action, self.config.attempt_timeout_us, 0).await? {
            (_, Reply::Done) => Ok(()),
            _ => Err(MISANSWERED),
        }
    }

    async fn write(&self, action: CacheAction) -> Result<CacheReply, ClientError> {
        match self.once(Action::Cache(action), self.config.attempt_timeout_us, 0).await? {
            (_, Reply::Cache(reply)) => Ok(reply),
            _ => Err(MISANSWERED),
        }
    }

    /// Asks a read-only question, linearizably.
    pub(super) async fn query(&self, query: Query) -> Result<Reply, ClientError> {
        self.query_from(query, self.config.read_from).await
    }

    pub(super) async fn query_from(&self, query: Query, from: ReadFrom) -> Result<Reply, ClientError> {
        let (attempt_us, timeout_us) = (self.config.attempt_timeout_us, self.config.operation_timeout_us);
        let call = match from {
            ReadFrom::Leader => self.call(RequestBody::Query(query), attempt_us, timeout_us).await,
            ReadFrom::Node(position) => {
                let body = RequestBody::QueryAnywhere(query.clone());
                self.call_at(position, (body, query), attempt_us, timeout_us).await
            }
            ReadFrom::Near(position) => {
                let body = match &query {
                    Query::Cache(query) => RequestBody::QueryNear(query.clone()),
                    other => RequestBody::QueryAnywhere(other.clone()),
                };
                self.call_at(position, (body, query), attempt_us, timeout_us).await
            }
        };
        match call {
            Ok(completed) => completed.outcome.map_err(ClientError::Refused),
            Err(_) => Err(ClientError::NotDone("the read was not answered in time")),
        }
    }
}
