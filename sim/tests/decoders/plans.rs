//! Scenarios and schedules.

use stormglass_sim::plan::{expand, parse_scenario, parse_schedule};

use crate::harness::Target;

const SCENARIO: &str = r#"claim = "A claim."

[cluster]
nodes = 5
clients = 3

[workload]
kind = "mixed"
parts = ["lock", "queue"]
keys = 2
rate_per_client_hz = 40
wait_ms = [0, 20]

[timing]
faults_from_ms = 1_500
faults_until_ms = 3_000
recover_within_ms = 2_000
end_ms = 6_000

[[faults]]
kind = "crash"
target = "leader"
at_ms = [1_500, 1_700]
for_ms = 500

[[faults]]
kind = "partition"
target = "minority"
at_ms = 2_000
for_ms = [100, 900]
"#;

const TOML: &[&[u8]] = &[
    b"\n",
    b"=",
    b"[",
    b"]",
    b"[[faults]]\n",
    b"kind = \"swarm\"\n",
    b"[swarm]\n",
    b"9_999_999_999",
    b"-1",
    b"1e300",
    b"0",
    b"\"\"",
    b"\"node-9\"",
    b"\"each\"",
    b"nan",
    b"true",
    b"[0, 18446744073709551615]",
    b"loss = 0.5\n",
];

/// What a file of plans may take for each byte: one short line makes a fault with all its fields.
const MEMORY_PER_BYTE: u64 = 1_024;

/// A text if the bytes are one: files are read as texts before they get here.
fn text(input: &[u8]) -> Result<&str, String> {
    str::from_utf8(input).map_err(|error| error.to_string())
}

/// Scenario files. What is good can be written again, and expanded into a schedule that is good too.
pub(crate) struct Scenarios;

impl Target for Scenarios {
    fn name(&self) -> &'static str {
        "scenarios"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![SCENARIO.as_bytes().to_vec()]
    }

    fn pieces(&self) -> &'static [&'static [u8]] {
        TOML
    }

    fn memory_per_byte(&self) -> u64 {
        MEMORY_PER_BYTE
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let scenario = parse_scenario("x.toml", "x", text(input)?).map_err(|error| error.to_string())?;
        let schedule = expand(&scenario, 7);
        let again = parse_schedule("x.toml", &schedule.to_toml());
        assert_eq!(again.map_err(|error| error.to_string()), Ok(schedule));
        Ok(scenario.to_toml().into_bytes())
    }
}

/// Schedules.
pub(crate) struct Schedules;

impl Target for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let scenario = parse_scenario("x.toml", "x", SCENARIO).expect("it is good");
        vec![expand(&scenario, 7).to_toml().into_bytes()]
    }

    fn pieces(&self) -> &'static [&'static [u8]] {
        TOML
    }

    fn memory_per_byte(&self) -> u64 {
        MEMORY_PER_BYTE
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let schedule = parse_schedule("x.toml", text(input)?).map_err(|error| error.to_string())?;
        let written = schedule.to_toml();
        let again = parse_schedule("x.toml", &written);
        assert_eq!(again.map_err(|error| error.to_string()), Ok(schedule));
        Ok(written.into_bytes())
    }
}
