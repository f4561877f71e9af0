//! The vocabulary of the replicated machines: commands in, replies and events out.
//!
//! All of it goes into the log, so a later version may add variants at the end of each enum and never
//! reorders them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};

/// What a log entry asks of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Nothing but its time stamp: lets what is due expire.
    Tick,
    /// Open a session whose lease is renewed by [`Command::KeepAlive`]. Replied to with
    /// [`Reply::SessionOpened`]. Retrying it may open a second session, which then expires unused.
    OpenSession {
        /// How long the session lives without a keep-alive, between [`LEASE_US_MIN`] and [`LEASE_US_MAX`].
        lease_us: u64,
    },
    /// Renew a session's lease from this entry's stamp on. Idempotent.
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
        /// The client still waits for replies from this number on and for none below: those are dropped,
        /// and a wait in line below it is given up. Not above `sequence`, and less than
        /// [`OPEN_COMMANDS_MAX`] below it. A retry repeats it unchanged.
        lowest_open: Sequence,
        /// What to do.
        action: Action,
    },
}

/// What a client does, exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// An operation on a lock.
    Lock(LockAction),
    /// An operation on the key-value register.
    Register(RegisterAction),
}

/// Exclusive or shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// One holder.
    Exclusive,
    /// Many holders, all shared.
    Shared,
}

/// An operation on a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockAction {
    /// Get the lock, waiting in line if need be.
    Acquire {
        /// The resource: 1 to [`NAME_BYTES_MAX`] bytes.
        resource: String,
        /// The mode.
        mode: LockMode,
        /// How long to wait in line: 0 is "try". After it the reply is [`MachineError::LockTimeout`].
        wait_us: u64,
    },
    /// Give it back.
    Release {
        /// The resource.
        resource: String,
        /// The token of the grant to give back.
        token: FenceToken,
    },
}

/// An operation on the key-value register that writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterAction {
    /// Write unconditionally.
    Set {
        /// 1 to [`NAME_BYTES_MAX`] bytes.
        key: String,
        /// Up to [`VALUE_BYTES_MAX`] bytes.
        value: Bytes,
    },
    /// Write if the current value equals `expected` (`None`: if there is none).
    CompareAndSet {
        /// The key.
        key: String,
        /// The value to be replaced.
        expected: Option<Bytes>,
        /// The new value.
        value: Bytes,
    },
    /// Remove the value, if any.
    Delete {
        /// The key.
        key: String,
    },
}

/// A read-only question, answered from applied state after a read-index round, never through the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The value of a key.
    Register {
        /// The key.
        key: String,
    },
    /// Who holds and who awaits a lock.
    Lock {
        /// The resource.
        resource: String,
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
    /// The lock is held.
    LockGranted {
        /// Its fencing token.
        token: FenceToken,
    },
    /// The client waits in line; a later event grants, and this reply in the session table is then
    /// replaced by the final one.
    LockQueued {
        /// How many waiters were before it when it came.
        ahead: u64,
    },
    /// A write took place.
    Written {
        /// The version of the key now: the log index of the write.
        version: LogIndex,
    },
    /// A compare-and-set found something else, or a read its value.
    Value(Option<Versioned>),
    /// A compare-and-set did not write, because it found this instead.
    Mismatch(Option<Versioned>),
    /// A delete removed something, or there was nothing.
    Deleted {
        /// Whether there was something.
        existed: bool,
        /// The log index of the delete.
        version: LogIndex,
    },
    /// A lock's state.
    Lock(LockState),
}

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// The log index of its write.
    pub version: LogIndex,
}

/// Who holds and who awaits a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockState {
    /// Holders in the order of their grants.
    pub holders: Vec<LockHolder>,
    /// Waiters in the order of their coming.
    pub waiters: Vec<LockWaiter>,
}

/// One holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its session.
    pub session: SessionId,
    /// Its mode.
    pub mode: LockMode,
    /// Its fencing token.
    pub token: FenceToken,
}

/// One waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWaiter {
    /// Its session.
    pub session: SessionId,
    /// The command with which it waits.
    pub sequence: Sequence,
    /// The mode it wants.
    pub mode: LockMode,
    /// When it gives up.
    pub deadline: ClusterTime,
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
    #[error("too many commands of one session are open: at most {OPEN_COMMANDS_MAX}")]
    TooManyOpenCommands,
    /// A bound of the request was broken.
    #[error("{0}")]
    InvalidArgument(String),
    /// The lock was not to be had in time.
    #[error("the lock was not granted within the time given")]
    LockTimeout,
    /// This session holds the lock already or waits for it already.
    #[error("this session already holds or awaits this lock")]
    LockReentrant,
    /// Nothing of this session and token is held on the resource.
    #[error("this session does not hold this lock under this token")]
    LockNotHeld,
    /// Too many wait for this lock already.
    #[error("too many waiters for one lock: at most {WAITERS_MAX}")]
    TooManyWaiters,
    /// There are too many keys or locks.
    #[error("too many resources")]
    TooManyResources,
    /// The command cannot be decoded by this version.
    #[error("the command cannot be decoded: {0}")]
    Undecodable(String),
}

/// The outcome of a command: what the session table remembers.
pub type Outcome = Result<Reply, MachineError>;

/// Something that happened while an entry was applied, besides its own reply: what a driver tells waiting
/// clients, and what subscribers may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineEvent {
    /// A command that had been replied to with [`Reply::LockQueued`] now has its final outcome.
    Completed {
        /// The session.
        session: SessionId,
        /// The command.
        sequence: Sequence,
        /// The outcome, also in the session table, unless the session has ended or has let go of it.
        outcome: Outcome,
    },
    /// A lock was granted, at once or by hand-off.
    LockGranted {
        /// The resource.
        resource: String,
        /// The new holder.
        holder: LockHolder,
    },
    /// A lock is no longer held by this holder.
    LockReleased {
        /// The resource.
        resource: String,
        /// The former holder.
        holder: LockHolder,
    },
    /// A session's lease ran out, or it was closed.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Whether its lease ran out.
        expired: bool,
    },
}

/// Longest name of a key or resource.
pub const NAME_BYTES_MAX: usize = 1024;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Shortest session lease.
pub const LEASE_US_MIN: u64 = 100_000;
/// Longest session lease: an hour.
pub const LEASE_US_MAX: u64 = 3_600_000_000;
/// Longest wait for a lock: an hour.
pub const WAIT_US_MAX: u64 = 3_600_000_000;
/// Sessions open at a time.
pub const SESSIONS_MAX: usize = 65_536;
/// Commands of one session whose replies are kept.
pub const OPEN_COMMANDS_MAX: usize = 1024;
/// Waiters in line for one lock.
pub const WAITERS_MAX: usize = 4096;
/// Locks held or awaited at a time.
pub const LOCKS_MAX: usize = 1_048_576;
/// Keys at a time.
pub const KEYS_MAX: usize = 1_048_576;
