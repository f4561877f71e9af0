//! Operations on the key-value register.

use bytes::Bytes;

use super::{Client, ClientError, ReadFrom};
use crate::api::RequestBody;
use crate::env::Env;
use crate::ids::LogIndex;
use crate::machine::{Action, Query, RegisterAction, Reply, Versioned};

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");

impl<E: Env> Client<E> {
    /// The value of `key`, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn get(&self, key: &str) -> Result<Option<Versioned>, ClientError> {
        let query = Query::Register { key: key.to_owned() };
        match self.query(query).await? {
            Reply::Value(value) => Ok(value),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    /// Writes `key`; returns its new version.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set(&self, key: &str, value: Bytes) -> Result<LogIndex, ClientError> {
        match self.register(RegisterAction::Set { key: key.to_owned(), value }).await? {
            Reply::Written { version } => Ok(version),
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
        match self.register(RegisterAction::CompareAndSet { key: key.to_owned(), expected, value }).await? {
            Reply::Written { version } => Ok(Ok(version)),
            Reply::Mismatch(found) => Ok(Err(found)),
            _ => Err(MISANSWERED),
        }
    }

    /// Removes `key`; returns whether it held something, and the version of the removal.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, key: &str) -> Result<(bool, LogIndex), ClientError> {
        match self.register(RegisterAction::Delete { key: key.to_owned() }).await? {
            Reply::Deleted { existed, version } => Ok((existed, version)),
            _ => Err(MISANSWERED),
        }
    }

    async fn register(&self, action: RegisterAction) -> Result<Reply, ClientError> {
        let (_, reply) = self.once(Action::Register(action), self.config.attempt_timeout_us, 0).await?;
        Ok(reply)
    }

    /// Asks a read-only question, linearizably.
    pub(super) async fn query(&self, query: Query) -> Result<Reply, ClientError> {
        let (attempt_us, timeout_us) = (self.config.attempt_timeout_us, self.config.operation_timeout_us);
        let call = match self.config.read_from {
            ReadFrom::Leader => self.call(RequestBody::Query(query), attempt_us, timeout_us).await,
            ReadFrom::Node(position) => self.call_at(position, query, attempt_us, timeout_us).await,
        };
        match call {
            Ok(completed) => completed.outcome.map_err(ClientError::Refused),
            Err(_) => Err(ClientError::NotDone("the read was not answered in time")),
        }
    }
}
