//! The scenario: what a person writes.

use serde::{Deserialize, Serialize};

use super::{
    ClockProfile, ClusterSpec, DiskProfile, ElectionSpec, ExpectSpec, FaultSpec, NetworkProfile, ReadsSpec,
    SnapshotSpec, StorageSpec, SwarmSpec, TimingSpec, WorkloadSpec, swarm,
};

/// A fault scenario, as kept in `scenarios/catalog/NAME.toml`. Everything but the claim has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: the file's name without `.toml`. Not in the file.
    #[serde(skip)]
    pub name: String,
    /// What it claims, in one sentence.
    pub claim: String,
    /// Random faults: `swarm = true`, or `[swarm]` with settings. Absent or `false`: none.
    #[serde(default, with = "swarm::true_or_table", skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SwarmSpec>,
    /// A violation that it is there to show. Absent: nothing may be wrong.
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
    /// The faults, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSpec>,
}

impl Scenario {
    /// The scenario as TOML, without its name.
    ///
    /// # Panics
    /// If a number above 2^63 - 1 stands in it, which validation refuses.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a validated scenario is TOML")
    }
}
