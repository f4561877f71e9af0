//! `[workload]`: what the clients do, and how fast.

use serde::{Deserialize, Serialize};

use super::MsSpan;

/// What the clients do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Reads, writes, compare-and-sets and deletes of a few keys.
    #[default]
    Register,
    /// Acquires and releases of a few locks; of several at a time, with upgrades, where `[workload.locks]` says so.
    Lock,
    /// Permits of a few semaphores.
    Semaphore,
    /// Odd clients produce messages, even clients consume them.
    Queue,
    /// Reads, writes, deletes and counters of a cache.
    Cache,
    /// A lock guards a consumer of a topic that writes the cache.
    Guarded,
    /// The clients take turns with the kinds that `parts` names.
    Mixed,
}

impl WorkloadKind {
    /// Its name in a scenario.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Queue => "queue",
            Self::Cache => "cache",
            Self::Guarded => "guarded",
            Self::Mixed => "mixed",
        }
    }
}

/// `[workload]`: what the clients do, and how fast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadSpec {
    /// The kind. Default `register`.
    pub kind: WorkloadKind,
    /// What `mixed` is made of: client 1 does the first, client 2 the second, and so on, from the first again
    /// after the last. 1 to [`super::PARTS_MAX`], none of them `mixed`. Default `register` and `lock`.
    pub parts: Vec<WorkloadKind>,
    /// Number of keys, of locks, or of topics; few, so that clients contend. 1 to [`super::KEYS_MAX`]. Default 4.
    pub keys: u64,
    /// What the numbers of all keys are raised by. A soak gives each of its rounds others; no scenario does.
    #[serde(skip)]
    pub keys_before: u64,
    /// How much likelier low numbers are drawn than high ones: the Nth with a weight of N to the power of minus
    /// this (Zipf). 0, all alike, to [`super::SKEW_MAX`]. Default 0.
    pub skew: f64,
    /// Mean rate at which a client begins operations while it is not waiting for one, per second of virtual
    /// time; above 0, to [`super::RATE_HZ_MAX`]. Default 25.
    pub rate_per_client_hz: f64,
    /// A closed loop instead of a rate: how long a client thinks between an answer and its next operation, in
    /// milliseconds, 1 or more. Default: the rate decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_ms: Option<MsSpan>,
    /// How long a client waits for an answer before it calls the outcome unknown, in milliseconds, 1 or
    /// more. An acquire waits its `wait_ms` longer. Default 2,000.
    pub timeout_ms: u64,
    /// Operations that a client process has open at a time, each asked for by a thread of its own in the session
    /// that they share; 1 to [`super::OPEN_MAX`]. More than 1 for `register` and `cache` only. Default 1.
    pub open_max: u64,
    /// Lease of a client's session in milliseconds, 100 to 3,600,000. Default 3,000.
    pub lease_ms: u64,
    /// How long a client keeps a lock, in milliseconds. Default 5 to 50.
    pub hold_ms: MsSpan,
    /// How long a client waits in line for a lock, in milliseconds; 0 is "try". Default 0 to 1,000.
    pub wait_ms: MsSpan,
    /// Share of lock acquisitions that are shared rather than exclusive, 0 to 1. Default 0.25.
    pub shared: f64,
    /// Relative frequencies of the register's operations.
    pub mix: Mix,
    /// What `lock` and `semaphore` do besides.
    pub locks: LocksSpec,
    /// What `queue` and `guarded` do.
    pub queue: QueueSpec,
    /// What `cache` does.
    pub cache: CacheSpec,
}

impl Default for WorkloadSpec {
    fn default() -> Self {
        Self {
            kind: WorkloadKind::Register,
            parts: vec![WorkloadKind::Register, WorkloadKind::Lock],
            keys: 4,
            keys_before: 0,
            skew: 0.0,
            rate_per_client_hz: 25.0,
            think_ms: None,
            timeout_ms: 2_000,
            open_max: 1,
            lease_ms: 3_000,
            hold_ms: MsSpan::between(5, 50),
            wait_ms: MsSpan::between(0, 1_000),
            shared: 0.25,
            mix: Mix::default(),
            locks: LocksSpec::default(),
            queue: QueueSpec::default(),
            cache: CacheSpec::default(),
        }
    }
}

/// `[workload.mix]`: relative frequencies of the register's operations. At least one is above 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Reads. Default 45.
    pub get: u32,
    /// Writes. Default 30.
    pub set: u32,
    /// Compare-and-sets. Default 20.
    pub compare_and_set: u32,
    /// Deletes. Default 5.
    pub delete: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { get: 45, set: 30, compare_and_set: 20, delete: 5 }
    }
}

impl WorkloadSpec {
    /// What the clients do, client 1 first; from the first again after the last.
    #[must_use]
    pub fn turns(&self) -> &[WorkloadKind] {
        if self.kind == WorkloadKind::Mixed { &self.parts } else { std::slice::from_ref(&self.kind) }
    }

    /// For how long whoever empties the topics in the end waits for what is still held back or in flight, in
    /// microseconds: by any clock, what there is comes back in this time.
    #[must_use]
    pub const fn drain_us_max(&self) -> u64 {
        let back_ms = self.queue.visibility_ms.saturating_add(self.queue.delay_ms.max_ms);
        back_ms.saturating_mul(self.queue.attempts_max.saturating_add(1)).saturating_mul(2_000)
    }

    /// How many ask in the name of one client process, each with a number of its own: as many as it has operations
    /// open, and for a consumer loop one that asks for messages and two for each that it has in hand.
    #[must_use]
    pub const fn askers(&self) -> u64 {
        if self.queue.loops > 0.0 { 2 + 2 * self.queue.batch_max } else { self.open_max }
    }

    /// Longest pause between two operations of a client, in microseconds.
    #[must_use]
    pub fn pause_us_max(&self) -> u64 {
        let mean_us = (1e6 / self.rate_per_client_hz) as u64;
        self.think_ms.map_or(mean_us.saturating_mul(2), |think| think.max_ms.saturating_mul(1_000))
    }
}

/// `[workload.locks]`: what lock clients do besides single acquisitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocksSpec {
    /// Resources that one acquisition asks for at most, all or none; 1 to [`super::RESOURCES_MAX`]. Default 1.
    pub resources_max: u64,
    /// Share of shared holds that are upgraded, and of exclusive ones that are downgraded, 0 to 1. Default 0.
    pub upgrade: f64,
    /// Share of acquisitions after which the client asks for more while it holds on to what it has, 0 to 1:
    /// such clients can wait for each other. Default 0.
    pub nested: f64,
    /// Share of turns in which a client looks on: it watches a lock for a while and has the token of a holder
    /// checked, 0 to 1. Default 0.
    pub watch: f64,
    /// Share of holds in the middle of which the holder has its token checked, 0 to 1. Default 0.
    pub check: f64,
    /// Share of waits in vain after which an operator ends the hold of whoever is in the way, 0 to 1. Default 0.
    pub force: f64,
    /// Permits of each semaphore, 1 to [`super::PERMITS_MAX`]. Default 3.
    pub permits: u64,
}

impl Default for LocksSpec {
    fn default() -> Self {
        Self { resources_max: 1, upgrade: 0.0, nested: 0.0, watch: 0.0, check: 0.0, force: 0.0, permits: 3 }
    }
}

/// `[workload.queue]`: what producers and consumers do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSpec {
    /// Messages that one enqueue adds at most, and one dequeue asks for; 1 to [`super::BATCH_MAX`]. Default 3.
    pub batch_max: u64,
    /// Groups per topic; 0 to [`super::KEYS_MAX`]. Default 3.
    pub groups: u64,
    /// Share of messages that belong to a group, 0 to 1. Default 0.5.
    pub grouped: f64,
    /// Priorities, 1 to 256. Default 2.
    pub priorities: u64,
    /// Share of messages that are held back at first, 0 to 1. Default 0.1.
    pub delayed: f64,
    /// For how long, and for how long a rejected one is, in milliseconds. Default 50 to 500.
    pub delay_ms: MsSpan,
    /// Share of messages with a time to live, 0 to 1. Default 0.
    pub mortal: f64,
    /// How long those live, in milliseconds, 1 or more. Default 500 to 3,000.
    pub ttl_ms: MsSpan,
    /// Lease of a delivery in milliseconds, 1 or more. Default 1,000.
    pub visibility_ms: u64,
    /// How long a consumer works on what it got, in milliseconds. Default 1 to 50.
    pub work_ms: MsSpan,
    /// How long a consumer waits for a message, in milliseconds. Default 0 to 500.
    pub poll_ms: MsSpan,
    /// Share of deliveries that are rejected, 0 to 1. Default 0.1.
    pub reject: f64,
    /// Share of deliveries whose lease is counted anew in the middle of the work, 0 to 1. Default 0.1.
    pub extend: f64,
    /// Share of dequeues after which the consumer dies with all that it got, 0 to 1. Default 0.05.
    pub crash: f64,
    /// Share of dequeues before which the consumer asks for a topic's counts, 0 to 1. Default 0.
    pub counts: f64,
    /// Share of turns in which a consumer leaves a topic to a consumer loop for a while, which has up to `batch_max`
    /// messages in hand at a time, extends their leases by itself, and is stopped in the end, 0 to 1. Default 0.
    pub loops: f64,
    /// How long a loop runs before it is stopped, in milliseconds. Default 300 to 2,000.
    pub loop_ms: MsSpan,
    /// Deliveries of a message before it is given up, 1 to 10,000. Default 5.
    pub attempts_max: u64,
}

impl Default for QueueSpec {
    fn default() -> Self {
        Self {
            batch_max: 3,
            groups: 3,
            grouped: 0.5,
            priorities: 2,
            delayed: 0.1,
            delay_ms: MsSpan::between(50, 500),
            mortal: 0.0,
            ttl_ms: MsSpan::between(500, 3_000),
            visibility_ms: 1_000,
            work_ms: MsSpan::between(1, 50),
            poll_ms: MsSpan::between(0, 500),
            reject: 0.1,
            extend: 0.1,
            crash: 0.05,
            counts: 0.0,
            loops: 0.0,
            loop_ms: MsSpan::between(300, 2_000),
            attempts_max: 5,
        }
    }
}

/// `[workload.cache]`: what cache clients do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSpec {
    /// Share of reads that go to a node of the client's own, which may answer from its near cache, 0 to 1.
    /// Default 0.
    pub near: f64,
    /// Share of reads that may be stale within a bound, from any node, 0 to 1. Default 0.
    pub aged: f64,
    /// How old their state may be, in milliseconds. Default 0 to 200.
    pub age_ms: MsSpan,
    /// Keys that the cache holds at most, 1 to [`super::KEYS_MAX`]; beyond that the ones written longest ago are
    /// evicted. Default: what the nodes do by themselves, which is more than there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries_max: Option<u64>,
    /// Share of writes with a time to live, 0 to 1, among those to keys of even numbers. Default 0.1.
    pub mortal: f64,
    /// How long those live, in milliseconds, 1 or more. Default 100 to 1,000.
    pub ttl_ms: MsSpan,
    /// Weight of reads. At least one of the six weights is above 0. Default 50.
    pub read: u32,
    /// Weight of writes. Default 15.
    pub write: u32,
    /// Weight of writes where there is nothing. Default 10.
    pub write_if_absent: u32,
    /// Weight of writes over a known version. Default 10.
    pub write_if_version: u32,
    /// Weight of deletes. Default 10.
    pub remove: u32,
    /// Weight of additions to counters, which are keys of their own. Default 5.
    pub increment: u32,
}

impl CacheSpec {
    /// All weights, in the order above.
    #[must_use]
    pub const fn weights(&self) -> [u32; 6] {
        [self.read, self.write, self.write_if_absent, self.write_if_version, self.remove, self.increment]
    }
}

impl Default for CacheSpec {
    fn default() -> Self {
        Self {
            near: 0.0,
            aged: 0.0,
            age_ms: MsSpan::between(0, 200),
            entries_max: None,
            mortal: 0.1,
            ttl_ms: MsSpan::between(100, 1_000),
            read: 50,
            write: 15,
            write_if_absent: 10,
            write_if_version: 10,
            remove: 10,
            increment: 5,
        }
    }
}
