//! Which store a node keeps its log in, behind one type.

use std::fmt;

use super::redis::{RedisConfig, RedisStore};
use super::status::{Durability, StorageStatus};
use super::{Identity, LogStore, StorageError, Wal, WalConfig};
use crate::env::Env;
use crate::raft::{Recovered, StoreRequest};

/// Where a node keeps its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageChoice {
    /// In files of its own folder.
    Wal(WalConfig),
    /// In a Redis. The folder holds nothing but a mark by which an emptied Redis is recognised.
    Redis(RedisConfig),
}

impl Default for StorageChoice {
    fn default() -> Self {
        Self::Wal(WalConfig::default())
    }
}

impl fmt::Display for StorageChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wal(_) => f.write_str("wal"),
            Self::Redis(config) => write!(f, "redis at {}", config.address),
        }
    }
}

/// An open store of either kind.
pub enum Store<E: Env> {
    /// In files.
    Wal(Box<Wal<E::Disk>>),
    /// In a Redis.
    Redis(Box<RedisStore<E>>),
}

impl<E: Env> Store<E> {
    /// Opens the store of a node, or begins one. What it returns is durable. `status` tells how it is from then
    /// on.
    ///
    /// # Errors
    ///
    /// As of [`Wal::open`] and [`RedisStore::open`]. The node must not start.
    pub async fn open(
        env: &E,
        identity: Identity,
        choice: &StorageChoice,
        status: &StorageStatus,
    ) -> Result<(Self, Recovered), StorageError> {
        match choice {
            StorageChoice::Wal(config) => {
                let (wal, recovered) = Wal::open(env.disk().clone(), identity, *config).await?;
                status.opened(choice.to_string(), Durability::Synced);
                Ok((Self::Wal(Box::new(wal)), recovered))
            }
            StorageChoice::Redis(config) => {
                let opened = RedisStore::open(env.clone(), identity, config.clone(), status.clone()).await;
                opened.map(|(store, recovered)| (Self::Redis(Box::new(store)), recovered))
            }
        }
    }
}

impl<E: Env> LogStore for Store<E> {
    async fn store(&mut self, request: &StoreRequest) -> Result<(), StorageError> {
        match self {
            Self::Wal(wal) => wal.store(request).await,
            Self::Redis(redis) => redis.store(request).await,
        }
    }
}
