//! The vocabulary of the replicated machines: commands in, replies and events out.
//!
//! Each service has a vocabulary of its own beside this one. All of it goes into the log, so a later version
//! may add variants at the end of each enum and never reorders them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    CacheAction, CacheError, CacheEvent, CacheQuery, CacheReply, LockAction, LockError, LockEvent, LockQuery,
    LockReply, QueueAction, QueueError, QueueEvent, QueueQuery, QueueReply, SessionLocks, Victim,
};
use crate::ids::{ClientId, LogIndex, Sequence, SessionId};

/// What a log entry asks of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Nothing but its time stamp: lets what is due expire.
    Tick,
    /// Open a session whose lease is renewed by [`Command::KeepAlive`]. Replied to with
    /// [`Reply::SessionOpened`]. Retrying it may open a second session, which then expires unused: clients send
    /// [`Command::OpenSessionOnce`].
    OpenSession {
        /// How long the session lives without a keep-alive, between [`LEASE_US_MIN`] and [`LEASE_US_MAX`].
        lease_us: u64,
    },
    /// Renew a session's lease from this entry's stamp on. Idempotent. Replied to with [`Reply::Done`], or, if holds
    /// of the session may have been ended by force, with [`Reply::Renewed`].
    KeepAlive {
        /// The session.
        session: SessionId,
    },
    /// End a session: its locks are released, its waiters leave. Idempotent.
    CloseSession {
        /// The session.
        session: SessionId,
    },
    /// Do something exactly once (Raft thesis 6.3). Also renews the session's lease.
    Once {
        /// The session.
        session: SessionId,
        /// The client's number for it within the session.
        sequence: Sequence,
        /// The client still waits for replies from this number on, and below it for those of `open_below`
        /// alone: the others are dropped, and a wait among them is given up. Not above `sequence`, and less than
        /// [`OPEN_COMMANDS_MAX`] below it. A retry repeats it unchanged.
        lowest_open: Sequence,
        /// Numbers below `lowest_open` that the client still waits for, rising: at most [`OPEN_BELOW_MAX`]. So
        /// that a long wait does not keep the number from rising, and with it all replies since.
        open_below: Vec<Sequence>,
        /// What to do.
        action: Action,
    },
    /// Remove these keys from the cache, those that were written since excepted: at most
    /// [`VICTIMS_MAX`](super::VICTIMS_MAX). Proposed by a leader to make room; idempotent.
    Evict {
        /// Whom.
        victims: Vec<Victim>,
    },
    /// Agree on the terms of the near-caches, if `replaces` is what was agreed on before, or they are agreed on
    /// already. Proposed by a leader before it grants the first line; changed by an operator.
    AgreeOnNear {
        /// The terms.
        terms: NearTerms,
        /// The terms so far: none if nothing was agreed on.
        replaces: Option<NearTerms>,
    },
    /// As [`Command::OpenSession`], but a retry finds the session that an earlier copy has opened, and renews its
    /// lease, as long as it is open. After that it opens another, which expires unused.
    OpenSessionOnce {
        /// How long the session lives without a keep-alive, between [`LEASE_US_MIN`] and [`LEASE_US_MAX`].
        lease_us: u64,
        /// Whose session it is to be.
        opener: Opener,
    },
}

impl Command {
    /// The keys of the cache that it may change, whether or not it will: perhaps one of them twice.
    #[must_use]
    pub fn cache_keys(&self) -> Vec<&str> {
        match self {
            Self::Once { action: Action::Cache(action), .. } => match action {
                CacheAction::Set { key, .. }
                | CacheAction::CompareAndSet { key, .. }
                | CacheAction::Delete { key }
                | CacheAction::CompareAndDelete { key, .. }
                | CacheAction::Add { key, .. }
                | CacheAction::Touch { key, .. } => vec![key],
                CacheAction::Configure(_) => Vec::new(),
            },
            Self::Evict { victims } => victims.iter().map(|victim| victim.key.as_str()).collect(),
            Self::Once { .. }
            | Self::Tick
            | Self::OpenSession { .. }
            | Self::OpenSessionOnce { .. }
            | Self::KeepAlive { .. }
            | Self::CloseSession { .. }
            | Self::AgreeOnNear { .. } => Vec::new(),
        }
    }
}

/// The name of one opening of a session: whoever opens by the same name gets the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opener {
    /// The client, whose id is no other's at the same time.
    pub client: ClientId,
    /// Drawn at random for each opening, so that a client process that is started again is not taken for the one
    /// before it.
    pub nonce: u64,
}

/// What all members must have the same, so that no leader takes a line of another to be over while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearTerms {
    /// For how long a line is granted, in microseconds.
    pub lease_us: u64,
    /// By how much clocks may differ in speed, in parts per million.
    pub drift_ppm_max: u32,
}

/// The longest lease of a line, in microseconds: longer, and a write would wait for a lost node for more than a minute.
pub const NEAR_LEASE_US_MAX: u64 = 60_000_000;
/// The greatest difference in the speed of clocks, in parts per million: of more than half nothing can be promised.
pub const NEAR_DRIFT_PPM_MAX: u32 = 500_000;

impl NearTerms {
    /// Whether a node can be set so. Terms that none can would stop every node once they are agreed on, for good.
    ///
    /// # Errors
    /// Which bound is broken, [`NEAR_LEASE_US_MAX`] or [`NEAR_DRIFT_PPM_MAX`].
    pub fn check(&self) -> Result<(), String> {
        let Self { lease_us, drift_ppm_max } = *self;
        if lease_us > NEAR_LEASE_US_MAX {
            return Err(format!("the lease of a line is at most {NEAR_LEASE_US_MAX} us, not {lease_us}"));
        }
        if drift_ppm_max > NEAR_DRIFT_PPM_MAX {
            return Err(format!(
                "clocks may differ by at most {NEAR_DRIFT_PPM_MAX} ppm, not {drift_ppm_max}"
            ));
        }
        Ok(())
    }
}

impl std::fmt::Display for NearTerms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "lease_us {} and drift_ppm_max {}", self.lease_us, self.drift_ppm_max)
    }
}

/// What a client does, exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// An operation on a lock.
    Lock(LockAction),
    /// A write to the cache.
    Cache(CacheAction),
    /// An operation on a topic.
    Queue(QueueAction),
}

/// A read-only question, answered from applied state after a read-index round, never through the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// A question about locks.
    Lock(LockQuery),
    /// A question about the cache.
    Cache(CacheQuery),
    /// A question about topics.
    Queue(QueueQuery),
    /// Whether a session is open, and what it holds and awaits. Answered with [`Reply::Session`].
    Session {
        /// The session.
        session: SessionId,
    },
}

/// The machine's answer to a command or query that it accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; nothing more to say.
    Done,
    /// The session is open.
    SessionOpened {
        /// Its name.
        session: SessionId,
    },
    /// The command waits in the replicated state. A later entry completes it: the driver learns of that
    /// through [`MachineEvent::Completed`], and the final outcome takes the place of this reply in the
    /// session table.
    Waiting {
        /// How many were before it when it came.
        ahead: u64,
    },
    /// What the locks answered.
    Lock(LockReply),
    /// What the cache answered.
    Cache(CacheReply),
    /// What the queue answered.
    Queue(QueueReply),
    /// The lease is renewed, and of what was granted to the session up to an entry, something may have been taken
    /// from it by force. Who has looked at what it holds ([`LockQuery::OfSession`]) since it was first told of that
    /// entry knows all of it.
    Renewed {
        /// The last forced release that may have been one of the session's holds: one that was, or of those that
        /// are no longer on record, no earlier one than the latest.
        taken_at: LogIndex,
    },
    /// How a session is.
    Session(SessionState),
}

/// How a session is, by the stamp of the last entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionState {
    /// It is open.
    Open {
        /// How long it lives without a renewal.
        lease_us: u64,
        /// What it holds and awaits.
        locks: Box<SessionLocks>,
    },
    /// Its lease is over, though no entry has had room to end it yet. It can do nothing any more; what it holds is
    /// held for so long.
    Overdue,
    /// It was closed or has expired, which nobody remembers, or was never opened.
    NotOpen,
}

/// Why the machine refused. Every one is definite: this command had no effect.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineError {
    /// No such session, or it has expired. An *earlier* attempt at the same command may have had effect.
    #[error("the session does not exist or has expired")]
    SessionExpired,
    /// The reply to this sequence number was dropped, because the client said that it no longer waits.
    #[error("this command was completed and its reply dropped long ago")]
    SequenceTooOld,
    /// The session table is full.
    #[error("too many sessions are open: at most {SESSIONS_MAX}")]
    TooManySessions,
    /// The session has too many replies that the client has not let go of.
    #[error(
        "too many commands of one session are open: at most {OPEN_COMMANDS_MAX}, and {OPEN_BELOW_MAX} older ones"
    )]
    TooManyOpenCommands,
    /// A bound of the request was broken.
    #[error("{0}")]
    InvalidArgument(String),
    /// The command cannot be decoded by this version.
    #[error("the command cannot be decoded: {0}")]
    Undecodable(String),
    /// The locks refused.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The cache refused.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The queue refused.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The outcome of a command: what the session table remembers.
pub type Outcome = Result<Reply, MachineError>;

/// Something that happened while an entry was applied, besides its own reply: what a driver tells waiting
/// clients, and what subscribers may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineEvent {
    /// A command that had been replied to with [`Reply::Waiting`] now has its final outcome.
    Completed {
        /// The session.
        session: SessionId,
        /// The command.
        sequence: Sequence,
        /// The outcome, also in the session table, unless the session has ended or has let go of it.
        outcome: Outcome,
    },
    /// A session's lease ran out, or it was closed.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Whether its lease ran out.
        expired: bool,
    },
    /// Something happened to a lock.
    Lock(LockEvent),
    /// Something happened to a topic or to a message.
    Queue(QueueEvent),
    /// Something happened to a key of the cache.
    Cache(CacheEvent),
}

/// Longest name of a key or resource.
pub const NAME_BYTES_MAX: usize = 1024;
/// Shortest session lease.
pub const LEASE_US_MIN: u64 = 100_000;
/// Longest session lease: an hour.
pub const LEASE_US_MAX: u64 = 3_600_000_000;
/// Longest that a command waits: an hour.
pub const WAIT_US_MAX: u64 = 3_600_000_000;
/// What ends by itself with one entry: sessions first, each counted with all that it holds and awaits, then waits,
/// then messages and keys; of each kind those whose time came first, in their topic or in the cache. The last session
/// may exceed it by what it holds. What else is due ends with the next entries, of which the leader proposes one after
/// another. More than what one command can add, so that what is due grows fewer.
pub const ENDS_PER_ENTRY_MAX: usize = 4_096;
/// Sessions open at a time.
pub const SESSIONS_MAX: usize = 65_536;
/// How far a session's commands may run ahead of the lowest open one.
pub const OPEN_COMMANDS_MAX: usize = 1024;
/// Commands of one session that may be open longer than that: long waits. Together with those before it is the
/// number of commands of one session whose replies are kept.
pub const OPEN_BELOW_MAX: usize = 64;
