//! The runs whose histories are spoilt: every workload, with faults.

use stormglass_sim::check::Verdict;
use stormglass_sim::history::{History, VirtualTime};
use stormglass_sim::plan::{expand, parse_scenario};
use stormglass_sim::run::{Options, execute};

/// How far clocks stray in these runs: the default of scenarios.
pub(super) const DRIFT_PPM: u64 = 100;
/// The lease of sessions in these runs: the default of scenarios.
pub(super) const LEASE_US: u64 = 3_000_000;

/// A valid run.
pub(super) struct Run {
    pub(super) name: &'static str,
    pub(super) seed: u64,
    pub(super) history: History,
    pub(super) calm_from: VirtualTime,
}

/// When faults are over and the cluster serves again, in all of them.
const CALM_FROM_MS: u64 = 9_000;

const COMMON: &str = r#"
[timing]
faults_from_ms = 1_500
faults_until_ms = 5_000
recover_within_ms = 4_000
end_ms = 12_000

[[faults]]
kind = "crash"
target = "leader"
at_ms = 2_000
for_ms = 1_000

[[faults]]
kind = "pause"
target = "client"
at_ms = 3_500
for_ms = 800

[cluster]
nodes = 3
clients = 8

[reads]
at = "near"

[workload]
rate_per_client_hz = 30
keys = 3
wait_ms = [0, 400]
"#;

const WORKLOADS: [(&str, &str); 5] = [
    (
        "keys",
        "kind = \"mixed\"\nparts = [\"register\", \"cache\"]\n[workload.cache]\nmortal = 0.3\nnear = 0.5\n",
    ),
    ("locks", "kind = \"lock\"\n"),
    (
        "several locks",
        "kind = \"mixed\"\nparts = [\"lock\", \"semaphore\"]\n[workload.locks]\nresources_max = 2\nupgrade = 0.3\n\
         nested = 0.4\n",
    ),
    ("queue", "kind = \"queue\"\n[workload.queue]\ngrouped = 0.3\nmortal = 0.1\nreject = 0.2\n"),
    ("guarded", "kind = \"guarded\"\n"),
];

/// All of them, each executed.
pub(super) fn all() -> Vec<Run> {
    WORKLOADS
        .iter()
        .map(|(name, workload)| {
            let text = format!("claim = \"Nothing is wrong.\"\n{COMMON}{workload}");
            let scenario = parse_scenario("spoilt.toml", "spoilt", &text)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let seed = 1;
            let outcome = execute(&expand(&scenario, seed), Options::default());
            let is_sound = outcome.checks.iter().all(|check| check.verdict != Verdict::Invalid);
            assert!(is_sound, "{name}: {:?}", outcome.reasons);
            Run { name, seed, history: outcome.history, calm_from: VirtualTime::from_ms(CALM_FROM_MS) }
        })
        .collect()
}
