//! Opening: whose store this is, whether it is all there, and what it holds.
//!
//! 1. The connection is made and the Redis's settings judged.
//! 2. The state key is watched and looked at. It must be this node's, in a format that this release knows, of the
//!    incarnation that the mark in the folder names; without a mark it is refused, unless the operator wants it taken
//!    over. If there is neither a state key nor a mark, the mark announces an incarnation, and the store is begun
//!    under that.
//! 3. It is claimed: a transaction writes a fresh owner. From then on no other process's transaction, however
//!    late it arrives, is carried out. The claim is a write, so its sync also covers what a Redis that was killed
//!    has read back from a file that it had not synced.
//! 4. The mark holds the store from here on.
//! 5. Everything is read and checked against its checksums and its order.

use redis::Value;

use super::config::RedisConfig;
use super::layout::{Codec, FORMAT, Keys, State, check_order};
use super::link::{Head, Link, Transacted, Trouble, bytes_of, damaged, unexpected};
use super::marker::{self, Mark};
use super::policy;
use crate::env::Env;
use crate::ids::{LogIndex, NodeId};
use crate::marks;
use crate::plant::{self, Bug};
use crate::raft::{Entry, Recovered, Snapshot};
use crate::storage::{Durability, Identity, StorageError};

/// Entries that are read at once.
const ENTRIES_AT_ONCE: u64 = 512;

/// Pieces of a snapshot that are read at once.
const PIECES_AT_ONCE: isize = 8;

/// A store that has been opened.
pub(super) struct Opened {
    pub(super) link: Link,
    pub(super) durability: Durability,
    pub(super) incarnation: u64,
    pub(super) batch: u64,
    pub(super) state: State,
    pub(super) recovered: Recovered,
}

/// Who opens what.
pub(super) struct Opening<'a, E: Env> {
    pub(super) env: &'a E,
    pub(super) config: &'a RedisConfig,
    pub(super) identity: Identity,
    pub(super) keys: &'a Keys,
    /// This process.
    pub(super) owner: u64,
    /// What the mark in the folder says.
    pub(super) mark: Option<Mark>,
}

impl<E: Env> Opening<'_, E> {
    /// One attempt.
    pub(super) async fn attempt(&mut self) -> Result<Opened, Trouble> {
        let mut link = Link::open(self.env, self.config).await?;
        let durability = policy::check(&mut link, self.env, self.config).await?;
        let head = link.watch(self.env, self.config, self.keys).await?;
        let head = match head {
            Some(head) => {
                self.check(&head)?;
                self.claim(&mut link).await?
            }
            None => self.begin(&mut link).await?,
        };
        self.check(&head)?;
        if head.owner != self.owner {
            return Err(Trouble::Passing("another process took the store over meanwhile".to_owned()));
        }
        if self.mark.is_none_or(|mark| mark.incarnation != head.incarnation) {
            tracing::warn!(store = %self.identity, "took over a store that the folder has no mark of, as asked");
        }
        self.leave_mark(Mark { incarnation: head.incarnation, is_held: true }).await?;
        let codec = Codec::of(self.identity, head.incarnation);
        let state = codec
            .decode_state(head.batch, &head.state)
            .map_err(|reason| Trouble::Final(damaged(self.keys, &format!("the state: {reason}"))))?;
        let recovered = self.read(&mut link, codec, &state).await?;
        let Head { incarnation, batch, .. } = head;
        Ok(Opened { link, durability, incarnation, batch, state, recovered })
    }

    /// Sees to it that this is what the folder's mark says.
    async fn leave_mark(&mut self, mark: Mark) -> Result<(), Trouble> {
        if self.mark != Some(mark) {
            marker::write(self.env.disk(), self.identity, mark).await.map_err(Trouble::Final)?;
            self.mark = Some(mark);
        }
        Ok(())
    }

    /// Whether what was found is this node's.
    fn check(&self, head: &Head) -> Result<(), Trouble> {
        let file = self.keys.state.clone();
        if head.format != FORMAT {
            let found = format!("format {}, and this release knows {FORMAT} only", head.format);
            return Err(Trouble::Final(if head.format > FORMAT {
                StorageError::NewerFormat { file, found }
            } else {
                StorageError::OlderFormat { file, found }
            }));
        }
        let found = Identity { cluster: head.cluster, node: NodeId(head.node) };
        if found != self.identity {
            return Err(Trouble::Final(StorageError::WrongIdentity { file, expected: self.identity, found }));
        }
        match self.mark {
            Some(mark) if mark.incarnation == head.incarnation => Ok(()),
            Some(mark) if mark.is_held && plant::is(Bug::RedisEmptyAccepted) => Ok(()),
            Some(mark) if mark.is_held => {
                marks::hit("redis.other_incarnation_refused");
                Err(self
                    .forgot("it holds another store of this node than the one that the folder's mark names"))
            }
            _ if self.config.adopts_unmarked => Ok(()),
            _ => {
                let at = self.config.address.to_string();
                Err(Trouble::Final(StorageError::Unmarked { at, found }))
            }
        }
    }

    fn forgot(&self, reason: &str) -> Trouble {
        let at = self.config.address.to_string();
        Trouble::Final(StorageError::Forgot { at, reason: reason.to_owned() })
    }

    /// Begins a store where there is none.
    async fn begin(&mut self, link: &mut Link) -> Result<Head, Trouble> {
        let is_held = self.mark.is_some_and(|mark| mark.is_held);
        if is_held && !plant::is(Bug::RedisEmptyAccepted) {
            marks::hit("redis.emptied_refused");
            return Err(self.forgot("it holds nothing of this node, which has had a store there"));
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("EXISTS").arg(&self.keys.log).arg(&self.keys.snapshots);
        match self.ask(link, &pipeline).await?.as_slice() {
            [Value::Int(0)] => {}
            [Value::Int(_)] => {
                return Err(Trouble::Final(damaged(
                    self.keys,
                    "it is gone, and other keys of the node are not",
                )));
            }
            other => return Err(unexpected("EXISTS", other.first().unwrap_or(&Value::Nil))),
        }
        let incarnation = match self.mark {
            Some(Mark { incarnation, is_held: false }) => incarnation,
            _ => self.env.entropy(),
        };
        self.leave_mark(Mark { incarnation, is_held: false }).await?;
        let state = Codec::of(self.identity, incarnation)
            .encode_state(0, &State::BEGINNING)
            .map_err(|reason| Trouble::Final(StorageError::Failed { reason }))?;
        let mut command = redis::cmd("HSET");
        command.arg(&self.keys.state);
        let numbers = [
            ("format", FORMAT),
            ("cluster", self.identity.cluster),
            ("node", self.identity.node.0),
            ("incarnation", incarnation),
            ("owner", self.owner),
            ("batch", 0),
            ("claims", 1),
        ];
        for (field, number) in numbers {
            command.arg(field).arg(number);
        }
        command.arg("state").arg(state);
        self.transact(link, &[command]).await
    }

    /// Makes this process the one whose transactions are carried out.
    async fn claim(&self, link: &mut Link) -> Result<Head, Trouble> {
        let mut own = redis::cmd("HSET");
        own.arg(&self.keys.state).arg("owner").arg(self.owner);
        let mut count = redis::cmd("HINCRBY");
        count.arg(&self.keys.state).arg("claims").arg(1);
        self.transact(link, &[own, count]).await
    }

    async fn transact(&self, link: &mut Link, commands: &[redis::Cmd]) -> Result<Head, Trouble> {
        match link.transact(self.env, self.config, self.keys, commands).await? {
            Transacted::Done(Some(head)) => Ok(head),
            Transacted::Done(None) => Err(Trouble::Passing("the store vanished meanwhile".to_owned())),
            Transacted::Overtaken => Err(Trouble::Passing("somebody else touched the store".to_owned())),
        }
    }

    async fn ask(&self, link: &mut Link, pipeline: &redis::Pipeline) -> Result<Vec<Value>, Trouble> {
        link.ask(self.env, self.config, pipeline).await
    }

    async fn read(&self, link: &mut Link, codec: Codec, state: &State) -> Result<Recovered, Trouble> {
        let entries = self.read_entries(link, codec, state).await?;
        let snapshot = self.read_snapshot(link, state).await?;
        let covered_to = state.covered_to();
        let is_whole = state.first <= covered_to.next() && covered_to <= state.last;
        if !is_whole {
            let reason = "no snapshot covers the entries that are gone";
            return Err(Trouble::Final(damaged(self.keys, reason)));
        }
        check_order(snapshot.as_ref().map(|snapshot| &snapshot.meta), &entries)
            .map_err(|reason| Trouble::Final(damaged(self.keys, &reason)))?;
        let entries = entries.into_iter().filter(|entry| entry.index > covered_to).collect();
        Ok(Recovered { hard_state: state.hard_state, snapshot, entries })
    }

    async fn read_entries(
        &self,
        link: &mut Link,
        codec: Codec,
        state: &State,
    ) -> Result<Vec<Entry>, Trouble> {
        let listed = state.listed();
        let mut entries = Vec::new();
        let wrong = |reason: &str| {
            Trouble::Final(StorageError::Damaged {
                file: self.keys.log.clone(),
                offset: 0,
                reason: reason.to_owned(),
            })
        };
        loop {
            let from = entries.len() as u64;
            let mut pipeline = redis::pipe();
            pipeline.cmd("LRANGE").arg(&self.keys.log).arg(from).arg(from + ENTRIES_AT_ONCE - 1);
            let answers = self.ask(link, &pipeline).await?;
            let [Value::Array(items)] = answers.as_slice() else {
                return Err(unexpected("LRANGE", answers.first().unwrap_or(&Value::Nil)));
            };
            for item in items {
                let index = LogIndex(state.first.0 + entries.len() as u64);
                let entry = codec.decode_entry(index, bytes_of(item).unwrap_or_default());
                entries.push(entry.map_err(|reason| wrong(&format!("entry {index}: {reason}")))?);
            }
            if entries.len() as u64 > listed || (items.is_empty() && (entries.len() as u64) < listed) {
                let reason = format!("it holds {} entries, and the state says {listed}", entries.len());
                return Err(wrong(&reason));
            }
            if items.is_empty() {
                return Ok(entries);
            }
        }
    }

    async fn read_snapshot(&self, link: &mut Link, state: &State) -> Result<Option<Snapshot>, Trouble> {
        let Some(kept) = &state.snapshot else { return Ok(None) };
        let wrong = |key: &str, reason: &str| {
            Trouble::Final(StorageError::Damaged {
                file: key.to_owned(),
                offset: 0,
                reason: reason.to_owned(),
            })
        };
        let Some(key) = self.keys.snapshots.get(usize::from(kept.slot)) else {
            return Err(wrong(&self.keys.state, "it names a snapshot that cannot be"));
        };
        let mut data = Vec::new();
        let mut from = 0;
        loop {
            let mut pipeline = redis::pipe();
            pipeline.cmd("LRANGE").arg(key).arg(from).arg(from + PIECES_AT_ONCE - 1);
            let answers = self.ask(link, &pipeline).await?;
            let [Value::Array(pieces)] = answers.as_slice() else {
                return Err(unexpected("LRANGE", answers.first().unwrap_or(&Value::Nil)));
            };
            if pieces.is_empty() {
                break;
            }
            for piece in pieces {
                data.extend_from_slice(bytes_of(piece).unwrap_or_default());
            }
            from += PIECES_AT_ONCE;
        }
        let checksum = xxhash_rust::xxh3::xxh3_64(&data);
        if data.len() as u64 != kept.data_bytes || checksum != kept.checksum {
            return Err(wrong(key, "the snapshot is not the one that the state names"));
        }
        Ok(Some(Snapshot { meta: kept.meta.clone(), data: data.into() }))
    }
}
