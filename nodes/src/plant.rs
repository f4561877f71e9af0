//! Planted bugs: bugs that real systems have had, kept where they would live, to prove that they are found.
//!
//! They exist only under the `planted-bugs` feature; without it [`is`] is the constant `false` and the
//! compiler removes them. A bug is selected per OS thread, because a simulated run has a thread of its own;
//! nothing selects one on a production thread.

use std::fmt;
use std::str::FromStr;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// One planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $($(#[doc = $doc])* $variant,)* }

        impl Bug {
            /// All of them, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name to select it by.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What is wrong, in a sentence or two.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

bugs! {
    /// A vote reaches the disk only some time after the reply that announces it, or never.
    VoteNotPersisted = "vote-not-persisted",
    /// Entries of earlier terms are committed by counting replicas (Raft paper, Figure 8).
    CommitOldTermByCount = "commit-old-term-by-count",
    /// A follower acknowledges entries before its sync returns.
    AckBeforeDurable = "ack-before-durable",
    /// A delayed append whose entries all match cuts the newer suffix.
    TruncateOnStaleAppend = "truncate-on-stale-append",
    /// A read is served without a round that confirms leadership.
    ReadIndexWithoutQuorum = "readindex-without-quorum",
    /// Whoever answers a round of heartbeats is taken to have answered the latest one.
    ReadIndexContextReused = "readindex-context-reused",
    /// A retried command takes effect again: the session check comes after the effect.
    RetryAppliedTwice = "retry-applied-twice",
    /// A lock is granted while the lease of a conflicting holder still runs.
    LockGrantOverLease = "lock-grant-over-lease",
    /// The next holder of a lock is granted under the token of the last one.
    LockExpiryWithoutFence = "lock-expiry-without-fence",
    /// A shared request joins shared holders though a writer waits.
    LockSharedPassesWaitingWriter = "lock-shared-passes-waiting-writer",
    /// An upgrade is granted beside another reader.
    LockUpgradeJumps = "lock-upgrade-jumps",
    /// A release does not check whose hold it ends.
    LockReleaseByOther = "lock-release-by-other",
    /// The wait-for graph leaves shared holders out.
    DeadlockMissedShared = "deadlock-missed-shared",
    /// A session remembers only its latest outcomes, though its client may still retry the others.
    SessionEvictedEarly = "session-evicted-early",
    /// Those who may be granted together are granted in the order of an unordered map.
    ApplyIteratesHash = "apply-iterates-hash",
    /// The client counts its lease from the reply instead of from the request.
    ClientBelievesPastLease = "client-believes-past-lease",
    /// In a joint configuration only the incoming half is asked.
    JointUsesNewMajorityOnly = "joint-uses-new-majority-only",
    /// A learner's acknowledgement counts as a voter's.
    LearnerInQuorum = "learner-in-quorum",
    /// A change of the members is proposed while another is under way.
    SecondChangeWhileUnapplied = "second-change-while-unapplied",
    /// A follower that installs a snapshot goes on with the members that it knew before.
    SnapshotForgetsConfig = "snapshot-forgets-config",
    /// A leader that has handed over still reads by its lease.
    LeaseSurvivesTransfer = "lease-survives-transfer",
    /// An acknowledgement removes the message although it has been redelivered to another consumer since.
    QueueAckByStaleConsumer = "queue-ack-by-stale-consumer",
    /// The visibility lease of a delivery ends when half of it is over.
    QueueVisibleEarly = "queue-visible-early",
    /// Which batches producers have enqueued is not in the snapshot: a node restored from one takes them again.
    QueueDedupePerNode = "queue-dedupe-per-node",
    /// A message whose last lease runs out leaves its topic and never reaches the dead-letter topic.
    QueueDeadletterDrops = "queue-deadletter-drops",
    /// A group's next message is delivered while the one before is in flight.
    QueueGroupParallel = "queue-group-parallel",
    /// A write is proposed when the invalidations are sent, not when they are answered.
    CacheAckBeforeInvalidate = "cache-ack-before-invalidate",
    /// A new leader writes without recalling the lines that its predecessors granted.
    CacheDirectoryLostOnFailover = "cache-directory-lost-on-failover",
    /// The holder of a line counts its lease from the receipt of the grant instead of from its request.
    CacheLeaseAtGrantReceipt = "cache-lease-at-grant-receipt",
    /// An invalidation that overtakes a grant does not kill it: a late grant restores a value that was
    /// overwritten or deleted meanwhile.
    CacheDeleteResurrected = "cache-delete-resurrected",
    /// A late note of an eviction takes whatever line the node has fetched since out of the directory, so
    /// that the next write does not invalidate it.
    CacheEvictDropsInvalidate = "cache-evict-drops-invalidate",
    /// A key whose time to live is over by the clock of the node that is asked is not found there, though the
    /// log has not reached its end.
    CacheTtlLocal = "cache-ttl-local",
    /// Who stands in line for a lock is forgotten when a new leader begins its term, and never answered.
    LockWaiterLostOnFailover = "lock-waiter-lost-on-failover",
    /// Applying an entry takes the time from the node's own clock instead of from the entry.
    ApplyReadsClock = "apply-reads-clock",
    /// A node answers questions about topics from what it has applied, without asking how far it must have.
    QueueEmptyPollStale = "queue-empty-poll-stale",
    /// A write is acknowledged while it still lies in the memory of its process, and goes to the disk with the
    /// next one.
    WriteKeptInMemory = "write-kept-in-memory",
    /// A vote is given without a look at the candidate's log.
    VoteIgnoresLog = "vote-ignores-log",
    /// A longer log is taken to be further than one of a newer term.
    VoteComparesLengthFirst = "vote-compares-length-first",
    /// Entries that contradict those of the leader are kept.
    NoTruncateOnConflict = "no-truncate-on-conflict",
    /// A sync of the log returns at once, and nothing is on the disk.
    FsyncSkipped = "fsync-skipped",
    /// What sessions remember of their commands is not in the snapshot.
    SnapshotForgetsSessions = "snapshot-forgets-sessions",
    /// A consumer's handler goes on although the lease of its message is over.
    ConsumerOutlivesLease = "consumer-outlives-lease",
    /// A consumer acknowledges a message before it is handled.
    ConsumerAcknowledgesFirst = "consumer-acknowledges-first",
    /// Of the testbed: the check of linearizability discards operations of unknown outcome.
    CheckerDropsPending = "checker-drops-pending",
    /// Of the testbed: a history in which nothing was answered passes the check of linearizability.
    CheckerEmptyPasses = "checker-empty-passes",
    /// Of the testbed: a partition cuts no link.
    FaultInert = "fault-inert",
    /// Of the testbed: all processes read one clock.
    ClockShared = "clock-shared",
    /// Term, vote and the number of a write go to the Redis in one command, its entries in another.
    RedisMultiSplit = "redis-multi-split",
    /// An emptied Redis is taken for that of a new node.
    RedisEmptyAccepted = "redis-empty-accepted",
    /// What a node does first of what is ready is left to a select without order, which draws it from the process.
    UnorderedSelect = "unordered-select",
    /// A client does not look what was taken from its session by force, and goes on believing in it.
    GuardIgnoresForce = "guard-ignores-force",
    /// A keep-alive that joined one sent earlier counts the lease from its own sending.
    JoinedKeepAliveRenews = "joined-keep-alive-renews",
    /// A grant whose answer comes after the forced release that ended it is believed in.
    LateGrantIsBelieved = "late-grant-is-believed",
}

impl Bug {
    /// Whether it is one of the testbed itself: planted in the simulator and not in the nodes, or, as
    /// `unordered-select`, harmful to nothing but runs that are to repeat.
    #[must_use]
    pub const fn is_of_testbed(self) -> bool {
        matches!(
            self,
            Self::CheckerDropsPending
                | Self::CheckerEmptyPasses
                | Self::FaultInert
                | Self::ClockShared
                | Self::UnorderedSelect
        )
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| UnknownBug(name.to_owned()))
    }
}

/// There is no planted bug of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no planted bug is named {0:?}")]
pub struct UnknownBug(pub String);

#[cfg(feature = "planted-bugs")]
thread_local! {
    static SELECTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Selects the bug of this thread, or none.
#[cfg(feature = "planted-bugs")]
pub fn select(bug: Option<Bug>) {
    SELECTED.set(bug);
}

/// Whether `bug` is selected on this thread.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn is(bug: Bug) -> bool {
    SELECTED.get() == Some(bug)
}

/// Whether `bug` is selected: never, in a build without planted bugs.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
#[inline(always)]
pub const fn is(_bug: Bug) -> bool {
    false
}
