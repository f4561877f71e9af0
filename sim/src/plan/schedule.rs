//! The schedule: what runs.

use serde::{Deserialize, Serialize};

use super::{
    Action, ClockProfile, ClusterSpec, DiskProfile, ElectionSpec, ExpectSpec, NetworkProfile, ReadsSpec,
    SnapshotSpec, StorageSpec, TimingSpec, WorkloadSpec, seed,
};

/// The version of the schedule's format that this code writes and reads.
pub const SCHEDULE_FORMAT: u32 = 1;

/// A scenario with its faults made explicit, as kept in `schedule.toml`.
///
/// The seed still governs network, disks, clocks, nodes and clients; the faults draw nothing any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The format's version: [`SCHEDULE_FORMAT`].
    pub format: u32,
    /// The name of the scenario that it came from.
    pub scenario: String,
    /// What that scenario claims.
    pub claim: String,
    /// The seed of all streams.
    #[serde(with = "seed")]
    pub seed: u64,
    /// A violation that the scenario is there to show. Absent: nothing may be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<ExpectSpec>,
    /// Who takes part.
    #[serde(default)]
    pub cluster: ClusterSpec,
    /// The network while no fault is active.
    #[serde(default)]
    pub network: NetworkProfile,
    /// The disks while no fault is active.
    #[serde(default)]
    pub disk: DiskProfile,
    /// The clocks while no fault is active.
    #[serde(default)]
    pub clocks: ClockProfile,
    /// What the clients do.
    #[serde(default)]
    pub workload: WorkloadSpec,
    /// When faults begin and end, and when the run ends.
    #[serde(default)]
    pub timing: TimingSpec,
    /// The nodes' election timers.
    #[serde(default)]
    pub election: ElectionSpec,
    /// When nodes take snapshots.
    #[serde(default)]
    pub snapshots: SnapshotSpec,
    /// How reads are answered.
    #[serde(default)]
    pub reads: ReadsSpec,
    /// What the nodes keep their logs in.
    #[serde(default, skip_serializing_if = "StorageSpec::is_default")]
    pub storage: StorageSpec,
    /// The faults, by begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<ScheduledFault>,
}

/// One fault at its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledFault {
    /// When it begins, in microseconds since the run began.
    pub at_us: u64,
    /// How long it lasts, in microseconds, 1 or more.
    pub for_us: u64,
    /// Decides wherever the target leaves a choice.
    pub pick: u32,
    /// While it lasts, from so many microseconds after its begin on, each operation is answered within the same
    /// time. Absent: that is not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves_within_us: Option<u64>,
    /// What it does.
    pub action: Action,
}

impl ScheduledFault {
    /// When it ends, in microseconds since the run began.
    #[must_use]
    pub const fn until_us(&self) -> u64 {
        self.at_us.saturating_add(self.for_us)
    }
}

impl Schedule {
    /// The same faults and the same end, so many milliseconds later.
    #[must_use]
    pub fn shifted(mut self, by_ms: u64) -> Self {
        for fault in &mut self.faults {
            fault.at_us += by_ms * 1_000;
        }
        let TimingSpec { faults_from_ms, faults_until_ms, end_ms, recover_within_ms: _ } = &mut self.timing;
        for ms in [faults_from_ms, faults_until_ms, end_ms] {
            *ms += by_ms;
        }
        self
    }

    /// The schedule as TOML. It reads back as the same schedule.
    ///
    /// # Panics
    /// If a number above 2^63 - 1 stands in it, which validation refuses.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a validated schedule is TOML")
    }
}
