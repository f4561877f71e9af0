//! What clients ask.

use serde::{Deserialize, Serialize};

use super::{Fence, LockWant, Message};

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Read a key.
    Get {
        /// The key.
        key: String,
    },
    /// Write a key.
    Set {
        /// The key.
        key: String,
        /// The value.
        value: u64,
    },
    /// Write a key if it holds `expected` (`None`: if it holds nothing).
    CompareAndSet {
        /// The key.
        key: String,
        /// What must be there.
        expected: Option<u64>,
        /// The new value.
        value: u64,
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Get a lock, waiting in line for at most `wait_us`.
    Acquire {
        /// The resource.
        resource: String,
        /// Exclusive, or else shared.
        exclusive: bool,
        /// Longest wait; 0 is "try".
        wait_us: u64,
    },
    /// Give a lock back.
    Release {
        /// The resource.
        resource: String,
        /// The token of its grant.
        token: u64,
    },
    /// Make a resource a semaphore with so many permits.
    DeclareSemaphore {
        /// The resource.
        resource: String,
        /// Its permits.
        permits: u64,
    },
    /// Get locks and permits of several resources, all or none.
    AcquireAll {
        /// The session that asks, by which a cycle of waits names it.
        session: u64,
        /// What of each resource; no resource twice.
        wants: Vec<LockWant>,
        /// Longest wait; 0 is "try".
        wait_us: u64,
    },
    /// Make a shared hold exclusive, under a token of its own.
    Upgrade {
        /// The session that asks.
        session: u64,
        /// The resource.
        resource: String,
        /// The token of the shared grant.
        token: u64,
        /// Longest wait; 0 is "try".
        wait_us: u64,
    },
    /// Make an exclusive hold shared.
    Downgrade {
        /// The session that asks.
        session: u64,
        /// The resource.
        resource: String,
        /// The token of the exclusive grant.
        token: u64,
    },
    /// Give several resources back.
    ReleaseAll {
        /// Each with the token of its grant.
        grants: Vec<(String, u64)>,
    },
    /// Ask how a lock is.
    LockState {
        /// The resource.
        resource: String,
    },
    /// Ask some node how a lock is once it has changed since, or else after `wait_us`.
    WatchLock {
        /// The resource.
        resource: String,
        /// The version that is known already.
        seen: u64,
        /// Longest wait.
        wait_us: u64,
    },
    /// Ask whether a token is the one to obey.
    CheckToken {
        /// The resource.
        resource: String,
        /// The token.
        token: u64,
    },
    /// End somebody's hold for them, as an operator may.
    ForceRelease {
        /// The resource.
        resource: String,
        /// The token of the grant.
        token: u64,
    },
    /// Give a topic its settings.
    DeclareTopic {
        /// The topic.
        topic: String,
        /// Deliveries of a message before it is given up.
        attempts_max: u64,
        /// Where messages go that were given up.
        dead_letter: String,
    },
    /// Add messages to a topic, all or none.
    Enqueue {
        /// The topic.
        topic: String,
        /// The producer.
        producer: u64,
        /// The producer's number of the first message. Asked again with the same number, it is the same.
        sequence: u64,
        /// The messages, in their order.
        messages: Vec<Message>,
    },
    /// Get messages under a lease, waiting for one if there is none.
    Dequeue {
        /// The topic.
        topic: String,
        /// How many at most.
        count_max: u64,
        /// For how long nobody else gets them.
        visibility_us: u64,
        /// Longest wait.
        wait_us: u64,
    },
    /// Done with a delivery: the message goes.
    Acknowledge {
        /// The topic.
        topic: String,
        /// The message.
        message: u64,
        /// The delivery.
        receipt: u64,
    },
    /// A delivery came to nothing: the message comes back.
    Reject {
        /// The topic.
        topic: String,
        /// The message.
        message: u64,
        /// The delivery.
        receipt: u64,
        /// For how long it is held back.
        delay_us: u64,
    },
    /// Count the lease of a delivery anew.
    Extend {
        /// The topic.
        topic: String,
        /// The message.
        message: u64,
        /// The delivery.
        receipt: u64,
        /// How long from now.
        visibility_us: u64,
    },
    /// Ask for a topic's counts.
    TopicStats {
        /// The topic.
        topic: String,
    },
    /// Work on a delivery that a consumer loop was given. Nobody is asked for anything.
    Handle {
        /// The topic.
        topic: String,
        /// The message.
        message: u64,
        /// The delivery.
        receipt: u64,
    },
    /// Have a consumer loop ask for no more messages and finish what it has in hand.
    StopConsumer {
        /// The topic.
        topic: String,
        /// Who asked for its messages, as `client` of those operations names it.
        asker: u64,
        /// How long its poll and its handlers may take yet.
        wait_us: u64,
    },
    /// Read a key of the cache.
    CacheGet {
        /// The key.
        key: String,
        /// At a node of the client's own, from its near cache if it can; or else at the leader.
        near: bool,
    },
    /// Read a key of the cache from a state that may be so old.
    CacheGetWithin {
        /// The key.
        key: String,
        /// How old the state may be.
        age_us_max: u64,
    },
    /// Set how many keys the cache holds at most.
    CacheConfigure {
        /// So many.
        entries_max: u64,
    },
    /// Write a key of the cache.
    CacheSet {
        /// The key.
        key: String,
        /// The value.
        value: i64,
        /// How long it lives; for ever if nothing is said.
        ttl_us: Option<u64>,
    },
    /// Write a key of the cache if there is nothing.
    CacheSetIfAbsent {
        /// The key.
        key: String,
        /// The value.
        value: i64,
        /// How long it lives; for ever if nothing is said.
        ttl_us: Option<u64>,
    },
    /// Write a key of the cache if its version is this one (`None`: if there is nothing).
    CacheCompareAndSet {
        /// The key.
        key: String,
        /// The version that must be there.
        expected_version: Option<u64>,
        /// The value.
        value: i64,
        /// How long it lives; for ever if nothing is said.
        ttl_us: Option<u64>,
        /// The lock that guards the key, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fence: Option<Box<Fence>>,
    },
    /// Remove a key of the cache.
    CacheDelete {
        /// The key.
        key: String,
    },
    /// Add to a counter of the cache, which begins with 0.
    CacheIncrement {
        /// The key.
        key: String,
        /// How much.
        by: i64,
    },
}

impl Call {
    /// What a checker partitions by: the key, the resource, or the topic; of several resources the first; nothing
    /// for what concerns all keys.
    #[must_use]
    pub fn object(&self) -> &str {
        match self {
            Self::Get { key }
            | Self::Set { key, .. }
            | Self::CompareAndSet { key, .. }
            | Self::Delete { key }
            | Self::CacheGet { key, .. }
            | Self::CacheGetWithin { key, .. }
            | Self::CacheSet { key, .. }
            | Self::CacheSetIfAbsent { key, .. }
            | Self::CacheCompareAndSet { key, .. }
            | Self::CacheDelete { key }
            | Self::CacheIncrement { key, .. } => key,
            Self::CacheConfigure { .. } => "",
            Self::Acquire { resource, .. }
            | Self::Release { resource, .. }
            | Self::DeclareSemaphore { resource, .. }
            | Self::LockState { resource }
            | Self::WatchLock { resource, .. }
            | Self::CheckToken { resource, .. }
            | Self::ForceRelease { resource, .. }
            | Self::Upgrade { resource, .. }
            | Self::Downgrade { resource, .. } => resource,
            Self::AcquireAll { wants, .. } => wants.first().map_or("", |want| &want.resource),
            Self::ReleaseAll { grants } => grants.first().map_or("", |(resource, _)| resource),
            Self::DeclareTopic { topic, .. }
            | Self::Enqueue { topic, .. }
            | Self::Dequeue { topic, .. }
            | Self::Acknowledge { topic, .. }
            | Self::Reject { topic, .. }
            | Self::Extend { topic, .. }
            | Self::Handle { topic, .. }
            | Self::StopConsumer { topic, .. }
            | Self::TopicStats { topic } => topic,
        }
    }

    /// How long it may wait by its own wish, in microseconds; 0 for all but those that stand in line.
    #[must_use]
    pub const fn wait_us(&self) -> u64 {
        match self {
            Self::Acquire { wait_us, .. }
            | Self::AcquireAll { wait_us, .. }
            | Self::Upgrade { wait_us, .. }
            | Self::WatchLock { wait_us, .. }
            | Self::Dequeue { wait_us, .. }
            | Self::StopConsumer { wait_us, .. } => *wait_us,
            _ => 0,
        }
    }

    /// Whether it takes as long as the client likes, because it asks nobody.
    #[must_use]
    pub const fn is_own_work(&self) -> bool {
        matches!(self, Self::Handle { .. })
    }

    /// The kind's name, as reports show it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Set { .. } => "set",
            Self::CompareAndSet { .. } => "compare-and-set",
            Self::Delete { .. } => "delete",
            Self::Acquire { .. } => "acquire",
            Self::Release { .. } => "release",
            Self::DeclareSemaphore { .. } => "declare-semaphore",
            Self::AcquireAll { .. } => "acquire-all",
            Self::Upgrade { .. } => "upgrade",
            Self::Downgrade { .. } => "downgrade",
            Self::ReleaseAll { .. } => "release-all",
            Self::LockState { .. } => "lock-state",
            Self::WatchLock { .. } => "watch-lock",
            Self::CheckToken { .. } => "check-token",
            Self::ForceRelease { .. } => "force-release",
            Self::DeclareTopic { .. } => "declare-topic",
            Self::Enqueue { .. } => "enqueue",
            Self::Dequeue { .. } => "dequeue",
            Self::Acknowledge { .. } => "acknowledge",
            Self::Reject { .. } => "reject",
            Self::Extend { .. } => "extend",
            Self::TopicStats { .. } => "topic-stats",
            Self::Handle { .. } => "handle",
            Self::StopConsumer { .. } => "stop-consumer",
            Self::CacheGet { .. } => "cache-get",
            Self::CacheGetWithin { .. } => "cache-get-within",
            Self::CacheConfigure { .. } => "cache-configure",
            Self::CacheSet { .. } => "cache-set",
            Self::CacheSetIfAbsent { .. } => "cache-set-if-absent",
            Self::CacheCompareAndSet { .. } => "cache-compare-and-set",
            Self::CacheDelete { .. } => "cache-delete",
            Self::CacheIncrement { .. } => "cache-increment",
        }
    }
}
