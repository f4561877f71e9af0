//! The Redis store: a node's log, votes and snapshots in a Redis.
//!
//! The layout is in `layout`, transactions are in `link`, what is demanded of the Redis in `policy`, what happens
//! at the start in `opening`, and the mark in the node's folder in `marker`.
//!
//! **Atomic, and once.** Each request is one transaction, numbered one higher than the one before (a snapshot's
//! data go ahead in transactions of their own, to a key that does not count yet). Its number is part of
//! what it writes. So when a connection breaks, and nobody knows whether a transaction was carried out, the
//! store asks over a new one: the number tells. If it was, the request is done; if not, it is sent again. The
//! first copy, should it still be on its way, is refused: the state key was touched since its connection
//! looked at it.
//!
//! **Errors are final, and an absent Redis is none.** While the Redis is down or cut off, a request takes longer,
//! as on a disk that stalls: the node gives way as leader and acknowledges nothing. Errors are what no waiting
//! mends: the Redis has forgotten something, another process has taken the store over, what it holds is damaged.
//! They stop the node.
//!
//! **What is noticed of forgetting.** While the node runs: any transaction that it was told is done. At its
//! start: an emptied Redis, by the mark. A Redis that goes back to an earlier state while the node is down too
//! (a backup that is restored) cannot be told from the truth, as with files.
//!
//! Deliberately absent: Redis Cluster and Sentinel, whose fail-over forgets acknowledged writes; and reading
//! entries back while running.

mod config;
mod layout;
mod link;
mod marker;
mod opening;
mod policy;
mod publisher;

use bytes::Bytes;
use redis::Cmd;

pub use config::{Password, RedisConfig, RedisUrlError};
pub(super) use marker::NAME as REDIS_MARK;
pub use publisher::{Announcement, publish};

use self::layout::{Codec, KeptSnapshot, Keys, State, pieces};
use self::link::{Link, Transacted, Trouble};
use self::opening::{Opened, Opening};
use super::status::{Durability, StorageStatus};
use super::{Identity, LogStore, StorageError};
use crate::env::Env;
use crate::ids::LogIndex;
use crate::marks;
use crate::raft::{Recovered, SnapshotWrite, StoreRequest};

/// A snapshot's data lie in pieces of at most this many bytes.
const PIECE_BYTES: usize = 1024 * 1024;

/// Pieces that one transaction carries. Redis serves nobody else meanwhile.
const PIECES_PER_TRANSACTION: usize = 8;

/// An open store.
pub struct RedisStore<E: Env> {
    env: E,
    config: RedisConfig,
    status: StorageStatus,
    keys: Keys,
    codec: Codec,
    incarnation: u64,
    /// This process, to the Redis.
    owner: u64,
    /// The number of the last transaction that was carried out.
    batch: u64,
    /// What the store comes to.
    state: State,
    /// The connection, while it is good.
    link: Option<Link>,
    /// Why it no longer works; set before a request begins, so that one which is dropped leaves it set.
    failed: Option<StorageError>,
}

impl<E: Env> RedisStore<E> {
    /// Opens the store of a node, or begins one. What it returns is durable, if the Redis promises that at all.
    ///
    /// # Errors
    ///
    /// [`StorageError::Unreachable`] if no usable Redis was found in time; [`StorageError::MayForget`] and
    /// [`StorageError::Forgot`] if the Redis will not do; [`StorageError::Unmarked`] if it holds a store that the
    /// folder knows nothing of; others if what it holds is damaged, another node's, or
    /// of another release. The node must not start.
    pub async fn open(
        env: E,
        identity: Identity,
        config: RedisConfig,
        status: StorageStatus,
    ) -> Result<(Self, Recovered), StorageError> {
        let keys = Keys::of(identity);
        let mark = marker::read(env.disk(), identity).await?;
        let owner = env.entropy();
        let mut opening = Opening { env: &env, config: &config, identity, keys: &keys, owner, mark };
        let give_up = env.now().plus_us(config.open_within_us);
        let mut backoff = Backoff::new(&config);
        let opened = loop {
            match opening.attempt().await {
                Ok(opened) => break opened,
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Refused(reason) | Trouble::Forbidden(reason)) => {
                    return Err(unreachable(&config, reason));
                }
                Err(Trouble::Passing(reason)) if env.now() >= give_up => {
                    return Err(unreachable(&config, reason));
                }
                Err(Trouble::Passing(reason)) => {
                    tracing::warn!(redis = %config.address, reason, "waiting for a usable Redis");
                    status.troubled(&reason);
                }
            }
            backoff.wait(&env).await;
        };
        let Opened { link, durability, incarnation, batch, state, recovered } = opened;
        if let Durability::Volatile { reason } = &durability {
            tracing::warn!(redis = %config.address, reason, "this Redis may lose what it acknowledges, as allowed");
        }
        status.opened(format!("redis at {}", config.address), durability);
        let codec = Codec::of(identity, incarnation);
        let (link, failed) = (Some(link), None);
        let store = Self { env, config, status, keys, codec, incarnation, owner, batch, state, link, failed };
        Ok((store, recovered))
    }

    /// The last entry of the log, or the last that its snapshot covers.
    #[must_use]
    pub const fn last_index(&self) -> LogIndex {
        self.state.last
    }

    /// Carries a request out.
    async fn carry_out(&mut self, request: &StoreRequest) -> Result<(), StorageError> {
        if is_empty(request) {
            return Ok(());
        }
        let mut state = self.state.clone();
        let mut commands = Vec::new();
        if let Some(hard_state) = request.hard_state {
            assert!(hard_state.term >= state.hard_state.term, "the log store is asked to take a term back");
            state.hard_state = hard_state;
        }
        let covered_before = state.covered_to();
        if let Some(write) = &request.snapshot {
            let kept = self.upload(write).await?;
            self.cover(write, kept, &mut state, &mut commands);
        }
        let replaces_log = request.snapshot.as_ref().is_some_and(|write| write.replaces_log);
        if let Some(from) = request.truncate_from.filter(|_| !replaces_log) {
            assert!(from > covered_before, "the log store is asked to truncate what a snapshot covers");
            self.truncate(from, &mut state, &mut commands);
        }
        self.append(request, &mut state, &mut commands)?;
        assert!(state.covered_to() <= state.last, "the log store is left without what its snapshot covers");
        if let Some(to) = request.compact_to {
            assert!(to <= state.covered_to(), "the log store is asked to forget what no snapshot covers");
            self.forget(to, &mut state, &mut commands);
        }
        self.transact(commands, &state).await?;
        self.state = state;
        Ok(())
    }

    /// Puts a snapshot's data where they do not count yet.
    async fn upload(&mut self, write: &SnapshotWrite) -> Result<KeptSnapshot, StorageError> {
        let slot = self.state.snapshot.as_ref().map_or(0, |snapshot| 1 - snapshot.slot);
        let key = self.keys.snapshots[usize::from(slot)].clone();
        let data = &write.snapshot.data;
        let pieces: Vec<Bytes> = pieces(data, PIECE_BYTES).collect();
        let state = self.state.clone();
        let mut clear = redis::cmd("UNLINK");
        clear.arg(&key);
        let mut commands = vec![clear];
        for some in pieces.chunks(PIECES_PER_TRANSACTION) {
            let mut push = redis::cmd("RPUSH");
            push.arg(&key);
            some.iter().for_each(|piece| {
                push.arg(piece.as_ref());
            });
            commands.push(push);
            self.transact(std::mem::take(&mut commands), &state).await?;
        }
        if !commands.is_empty() {
            self.transact(commands, &state).await?;
        }
        let (meta, data_bytes) = (write.snapshot.meta.clone(), data.len() as u64);
        Ok(KeptSnapshot { slot, meta, data_bytes, checksum: xxhash_rust::xxh3::xxh3_64(data) })
    }

    fn cover(&self, write: &SnapshotWrite, kept: KeptSnapshot, state: &mut State, commands: &mut Vec<Cmd>) {
        let index = kept.meta.index;
        assert!(index >= state.covered_to(), "the log store is asked to take a snapshot back");
        if let Some(before) = &state.snapshot {
            commands.push(delete(&self.keys.snapshots[usize::from(before.slot)]));
        }
        state.snapshot = Some(kept);
        if write.replaces_log {
            commands.push(delete(&self.keys.log));
            (state.first, state.last) = (index.next(), index);
        }
    }

    fn truncate(&self, from: LogIndex, state: &mut State, commands: &mut Vec<Cmd>) {
        if from > state.last {
            return;
        }
        match from.0.saturating_sub(state.first.0) {
            0 => {
                commands.push(delete(&self.keys.log));
                state.first = from;
            }
            kept => commands.push(trim(&self.keys.log, 0, kept as i64 - 1)),
        }
        state.last = from.previous();
    }

    fn append(
        &self,
        request: &StoreRequest,
        state: &mut State,
        commands: &mut Vec<Cmd>,
    ) -> Result<(), StorageError> {
        if request.append.is_empty() {
            return Ok(());
        }
        let mut push = redis::cmd("RPUSH");
        push.arg(&self.keys.log);
        for entry in request.append.iter() {
            assert_eq!(entry.index, state.last.next(), "the log store is asked to leave a gap");
            push.arg(self.codec.encode_entry(entry).map_err(failed)?);
            state.last = entry.index;
        }
        commands.push(push);
        Ok(())
    }

    fn forget(&self, to: LogIndex, state: &mut State, commands: &mut Vec<Cmd>) {
        if to < state.first {
            return;
        }
        commands.push(trim(&self.keys.log, (to.0 + 1 - state.first.0) as i64, -1));
        state.first = to.next();
    }

    /// Carries out one transaction, exactly once, however long it takes.
    async fn transact(&mut self, mut commands: Vec<Cmd>, state: &State) -> Result<(), StorageError> {
        let next = self.batch + 1;
        let mut number = redis::cmd("HSET");
        number.arg(&self.keys.state).arg("batch").arg(next);
        number.arg("state").arg(self.codec.encode_state(next, state).map_err(failed)?);
        commands.push(number);
        let mut backoff = Backoff::new(&self.config);
        loop {
            let mut link = match self.link.take() {
                Some(link) => link,
                None => match self.resume(next, &mut backoff).await? {
                    Resumed::Todo(link) => link,
                    Resumed::Done(link) => {
                        marks::hit("redis.request_found_done");
                        self.link = Some(link);
                        break;
                    }
                },
            };
            match link.transact(&self.env, &self.config, &self.keys, &commands).await {
                Ok(Transacted::Done(Some(head))) if head.owner == self.owner && head.batch == next => {
                    self.link = Some(link);
                    break;
                }
                Ok(Transacted::Done(_)) => marks::hit("redis.touched_right_after_a_transaction"),
                Ok(Transacted::Overtaken) => marks::hit("redis.transaction_overtaken"),
                Err(Trouble::Passing(reason) | Trouble::Refused(reason) | Trouble::Forbidden(reason)) => {
                    self.trouble(&reason);
                }
                Err(Trouble::Final(error)) => return Err(error),
            }
        }
        self.batch = next;
        Ok(())
    }

    fn trouble(&self, reason: &str) {
        tracing::warn!(redis = %self.config.address, reason, "the Redis is not available");
        self.status.troubled(reason);
    }

    /// Finds the Redis again, and out whether transaction `next` was carried out.
    async fn resume(&mut self, next: u64, backoff: &mut Backoff) -> Result<Resumed, StorageError> {
        loop {
            backoff.wait(&self.env).await;
            match self.resume_once(next).await {
                Ok((resumed, durability)) => {
                    marks::hit("redis.found_again");
                    self.status.reconnected(durability);
                    return Ok(resumed);
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(reason) | Trouble::Refused(reason) | Trouble::Forbidden(reason)) => {
                    self.trouble(&reason);
                }
            }
        }
    }

    async fn resume_once(&mut self, next: u64) -> Result<(Resumed, Durability), Trouble> {
        let mut link = Link::open(&self.env, &self.config).await?;
        let durability = policy::check(&mut link, &self.env, &self.config).await?;
        let found = link.watch(&self.env, &self.config, &self.keys).await?;
        let forgot = |reason: String| {
            let at = self.config.address.to_string();
            Trouble::Final(StorageError::Forgot { at, reason })
        };
        let Some(head) = found else {
            marks::hit("redis.emptied_while_running");
            return Err(forgot("it holds nothing of this node any more".to_owned()));
        };
        if head.incarnation != self.incarnation {
            return Err(forgot("it holds another store of this node now".to_owned()));
        }
        if head.owner != self.owner {
            let at = self.config.address.to_string();
            return Err(Trouble::Final(StorageError::TakenOver { at }));
        }
        if head.batch != next && head.batch + 1 != next {
            let reason = format!("transaction {} is the last it knows, after {}", head.batch, self.batch);
            return Err(forgot(reason));
        }
        // A write of its own, whose sync covers whatever the Redis has read back from its file.
        let mut touch = redis::cmd("HINCRBY");
        touch.arg(&self.keys.state).arg("claims").arg(1);
        match link.transact(&self.env, &self.config, &self.keys, &[touch]).await? {
            Transacted::Done(Some(again)) if again == head => {}
            _ => return Err(Trouble::Passing("something arrived late".to_owned())),
        }
        let resumed = if head.batch == next { Resumed::Done(link) } else { Resumed::Todo(link) };
        Ok((resumed, durability))
    }
}

impl<E: Env> LogStore for RedisStore<E> {
    async fn store(&mut self, request: &StoreRequest) -> Result<(), StorageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.failed = Some(failed("a store was abandoned before it ended".to_owned()));
        let result = self.carry_out(request).await;
        self.failed = result.as_ref().err().cloned();
        result
    }
}

/// What was found out about a transaction.
enum Resumed {
    /// It was carried out.
    Done(Link),
    /// It was not, and will not be unless it is sent over this connection.
    Todo(Link),
}

/// How long to wait for the next attempt.
struct Backoff {
    next_us: u64,
    max_us: u64,
}

impl Backoff {
    const fn new(config: &RedisConfig) -> Self {
        Self { next_us: config.retry_us_min, max_us: config.retry_us_max }
    }

    async fn wait<E: Env>(&mut self, env: &E) {
        let wait_us = self.next_us.min(self.max_us);
        self.next_us = wait_us.saturating_mul(2).max(1);
        // Nodes that lost the same Redis do not all come back at once.
        let jitter_us = env.entropy() % (wait_us / 4 + 1);
        env.sleep_until(env.now().plus_us(wait_us + jitter_us)).await;
    }
}

fn is_empty(request: &StoreRequest) -> bool {
    let StoreRequest { token: _, hard_state, snapshot, truncate_from, append, compact_to } = request;
    hard_state.is_none()
        && snapshot.is_none()
        && truncate_from.is_none()
        && append.is_empty()
        && compact_to.is_none()
}

fn delete(key: &str) -> Cmd {
    let mut command = redis::cmd("UNLINK");
    command.arg(key);
    command
}

fn trim(key: &str, from: i64, to: i64) -> Cmd {
    let mut command = redis::cmd("LTRIM");
    command.arg(key).arg(from).arg(to);
    command
}

fn failed(reason: String) -> StorageError {
    StorageError::Failed { reason }
}

fn unreachable(config: &RedisConfig, reason: String) -> StorageError {
    StorageError::Unreachable { at: config.address.to_string(), reason }
}
