//! The tables of a scenario besides its faults and its workload: cluster, timing, elections.

use serde::{Deserialize, Serialize};

use super::MsSpan;

/// `[cluster]`: who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// Number of nodes, 1 to [`super::NODES_MAX`]. Default 5.
    pub nodes: u64,
    /// Number of clients, 1 to [`super::CLIENTS_MAX`]. Default 8.
    pub clients: u64,
    /// Further nodes, numbered after the others: they run with empty disks, belong to nothing, and join when
    /// an operator adds them. With `nodes` at most [`super::NODES_MAX`]. Default 0.
    pub spares: u64,
    /// After so many heartbeat intervals without anything to do the nodes fall silent; 1 or more. Default:
    /// they never do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiesce_after_intervals: Option<u32>,
    /// The version that each node speaks at first, by number, spares last; 1 to [`super::VERSION_MAX`]. Who is
    /// not named speaks version 1. Default: nobody is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u16>,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self { nodes: 5, clients: 8, spares: 0, quiesce_after_intervals: None, versions: Vec::new() }
    }
}

impl ClusterSpec {
    /// How many nodes there are, spares included.
    #[must_use]
    pub const fn nodes_in_all(&self) -> u64 {
        self.nodes.saturating_add(self.spares)
    }
}

/// `[snapshots]`: when nodes take snapshots. What is not said here follows from the seed, as other bounds do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSpec {
    /// A snapshot is taken after so many applied entries; 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_entries: Option<u64>,
    /// So many entries before a snapshot stay in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailing_entries: Option<u64>,
}

/// Who is asked to answer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadsAt {
    /// The leader.
    #[default]
    Leader,
    /// Each client asks a node of its own, and the leader only if that one does not answer.
    Any,
    /// As `any`, and that node answers from its near-cache where it can.
    Near,
}

/// `[reads]`: how reads are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadsSpec {
    /// Who is asked. Default the leader.
    pub at: ReadsAt,
    /// Leaders answer from a lease, trusting that no clock runs faster than another by more than this, in parts
    /// per million, up to [`super::PPM_MAX`]. Default: no lease, every read takes a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_drift_ppm: Option<u32>,
    /// How long a line of a near-cache may be read without asking again, in milliseconds, 0 (no near-caches)
    /// to [`super::END_MS_MAX`]. Default: what the nodes do by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_lease_ms: Option<u64>,
    /// Lines that a node's near-cache holds at most, 1 to [`super::KEYS_MAX`]; the one used longest ago makes room.
    /// Default: by the seed, two or more than there are keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_lines_max: Option<u64>,
}

/// What a log is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageKind {
    /// Files on the node's own disk.
    #[default]
    Wal,
    /// A Redis.
    Redis,
}

/// When a Redis syncs its append-only file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Appendfsync {
    /// Before each answer.
    #[default]
    Always,
    /// Each second; nodes then wait for the sync.
    Everysec,
}

/// `[storage]`: what the nodes keep their logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSpec {
    /// Files or a Redis. Default files.
    pub kind: StorageKind,
    /// `redis`: when it syncs what it has written. Default always.
    pub appendfsync: Appendfsync,
    /// `redis`: one server for all nodes, and not one for each. Default false.
    pub shared: bool,
}

impl StorageSpec {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How many Redis servers a cluster of so many nodes has.
    #[must_use]
    pub const fn servers(&self, nodes: u64) -> u64 {
        match (self.kind, self.shared) {
            (StorageKind::Wal, _) => 0,
            (StorageKind::Redis, true) => 1,
            (StorageKind::Redis, false) => nodes,
        }
    }
}

/// `[timing]`: the run's stretches, in milliseconds of virtual time since its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingSpec {
    /// No fault begins earlier. Default 5,000.
    pub faults_from_ms: u64,
    /// No fault lasts longer; from then on it is calm. Default 25,000.
    pub faults_until_ms: u64,
    /// The bound of the liveness check: so long after the faults' end at most, every operation completes
    /// again. Default 10,000.
    pub recover_within_ms: u64,
    /// When the run ends: after the faults' end and the bound. At most [`super::END_MS_MAX`]. Default
    /// 40,000.
    pub end_ms: u64,
}

impl Default for TimingSpec {
    fn default() -> Self {
        Self { faults_from_ms: 5_000, faults_until_ms: 25_000, recover_within_ms: 10_000, end_ms: 40_000 }
    }
}

/// `[election]`: the nodes' election timers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElectionSpec {
    /// Range from which a node draws its election timeout, in milliseconds. Default 300 to 600.
    pub timeout_ms: MsSpan,
    /// Interval of a leader's heartbeats in milliseconds: above 0, at most half of the least election
    /// timeout. Default 50.
    pub heartbeat_ms: u64,
    /// How much each node is wanted as leader, by number, spares last, 0 to 255; who is not named, 0. Default:
    /// nobody is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<u8>,
}

impl Default for ElectionSpec {
    fn default() -> Self {
        Self { timeout_ms: MsSpan::between(300, 600), heartbeat_ms: 50, priorities: Vec::new() }
    }
}
