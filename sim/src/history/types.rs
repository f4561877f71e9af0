//! What a run leaves of its clients for the checks: their operations, and what they believed to hold.
//!
//! Plain data with plain numbers: nothing here knows the nodes' own types.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Answer, Call};

/// True virtual time: nanoseconds since the run began. No process ever sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VirtualTime(pub u64);

impl VirtualTime {
    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// In microseconds, rounded down.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.0 / 1_000
    }

    /// Nanoseconds since `earlier`; 0 if that is not earlier.
    #[must_use]
    pub const fn since_ns(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// Clients are numbered from 1 to this.
pub const CLIENT_NUMBERS: u64 = 1_000;

/// Who asks, as histories name it: a thread of a client process, or one of a process that took the place of one that
/// was killed. Each of them has one operation open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The client, from 1 to [`CLIENT_NUMBERS`].
    pub client: u64,
    /// Which one of those that ask in its name: 0 is the first.
    pub among: u64,
}

impl Asker {
    /// The only one of its client, or the first.
    #[must_use]
    pub const fn first(client: u64) -> Self {
        Self { client, among: 0 }
    }

    /// The number by which histories name it: its client's, for the first.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.client + self.among * CLIENT_NUMBERS
    }

    /// Who has this number, 1 or more.
    #[must_use]
    pub const fn of(number: u64) -> Self {
        let before = number.saturating_sub(1);
        Self { client: before % CLIENT_NUMBERS + 1, among: before / CLIENT_NUMBERS }
    }
}

/// One operation of one client process, from invocation to completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number: operations are numbered in the order of invocation, from 0.
    pub id: u64,
    /// The client process, or the thread of one ([`Asker::number`]). It has at most one operation open at a time.
    pub client: u64,
    /// What was asked.
    #[serde(flatten)]
    pub call: Call,
    /// When it was invoked.
    pub invoked_ns: VirtualTime,
    /// When it completed; never for an operation still open when the run ended.
    pub returned_ns: Option<VirtualTime>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect and was answered.
    Ok {
        /// The answer.
        answer: Answer,
    },
    /// It had no effect and never will.
    Fail {
        /// Why.
        reason: String,
    },
    /// It may have had effect, or may yet.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// A span of true time in which a client process believed that it held a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The client process.
    pub client: u64,
    /// The operation that acquired it.
    pub operation: u64,
    /// The resource.
    pub resource: String,
    /// Exclusive, or else shared, or some permits of a semaphore.
    pub exclusive: bool,
    /// How many permits of a semaphore; 0 for a lock.
    #[serde(default, skip_serializing_if = "is_none")]
    pub permits: u64,
    /// The fencing token.
    pub token: u64,
    /// When the client learnt of the grant.
    pub from_ns: VirtualTime,
    /// When it stopped believing: it asked for the release, its lease ran out by its own clock, or it learnt that the
    /// lock had been taken from it.
    pub until_ns: VirtualTime,
    /// Whether that came about without a release being asked for.
    pub lapsed: bool,
}

fn is_none(permits: &u64) -> bool {
    *permits == 0
}

/// All that the clients of a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// By `id`.
    pub operations: Vec<Operation>,
    /// In the order in which they ended.
    pub holds: Vec<Hold>,
}
