//! What a run leaves: the fields of its files, the names of its checks.

use std::collections::BTreeSet;

use stormglass_sim::plan::parse_scenario;
use stormglass_sim::run::{Options, execute, leave, report};

use super::assert_names_all;

/// A short run in which every kind of operation occurs.
const SCENARIO: &str = r#"claim = "A follower is missed by nobody."

[cluster]
nodes = 3
clients = 6

[workload]
kind = "mixed"
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
target = "follower"
at_ms = 1_500
for_ms = 500
"#;

/// What the services are asked in another such run.
const SERVICES: &str = r#"claim = "Everything is asked for."

[cluster]
nodes = 3
clients = 16

[workload]
kind = "mixed"
parts = ["lock", "semaphore", "queue", "cache", "guarded"]
keys = 2
rate_per_client_hz = 40
wait_ms = [0, 100]

[workload.locks]
resources_max = 2
upgrade = 0.5
nested = 0.5
watch = 0.2
force = 1.0

[workload.queue]
mortal = 0.1

[workload.cache]
near = 0.5
aged = 0.2

[timing]
faults_from_ms = 1_500
faults_until_ms = 3_000
recover_within_ms = 2_000
end_ms = 6_000
"#;

/// The names of all fields in some JSON. Names that are data, such as those of coverage marks, have a dot.
pub(crate) fn fields(json: &str) -> BTreeSet<String> {
    let quoted: Vec<&str> = json.split('"').collect();
    let is_name = |position: &usize| quoted.get(position + 1).is_some_and(|after| after.starts_with(':'));
    (1..quoted.len())
        .step_by(2)
        .filter(is_name)
        .map(|position| quoted[position].to_owned())
        .filter(|name| !name.contains('.'))
        .collect()
}

#[test]
fn every_field_and_check_of_a_run_is_documented() {
    let scenario = parse_scenario("scenario.toml", "documented", SCENARIO).expect("the scenario is good");
    let schedule = stormglass_sim::plan::expand(&scenario, 7);
    let options = Options::default();
    let outcome = execute(&schedule, options);
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let report = report(&schedule, options, &outcome, "stormglass".to_owned());
    let left = leave(folder.path(), &report, &schedule, &outcome.history).expect("the folder is written");
    let read = |name: &str| std::fs::read_to_string(left.join(name)).expect("the file was written");

    let in_report = fields(&read("report.json"));
    assert!(in_report.contains("counterexample") && in_report.contains("p999_us"), "{in_report:?}");
    assert_names_all("reports.md", "field of report.json", in_report);
    let in_history = fields(&read("history.jsonl"));
    for rare in ["expected", "existed", "token", "lapsed", "wait_us"] {
        assert!(in_history.contains(rare), "the run is too short to show {rare}");
    }
    assert_names_all("reports.md", "field of history.jsonl", in_history);
    let calls = outcome.history.operations.iter().map(|operation| operation.call.kind().to_owned());
    let calls: BTreeSet<String> = calls.collect();
    assert_eq!(calls.len(), 6, "{calls:?}");
    assert_names_all("reports.md", "call", calls);
    assert_names_all("reports.md", "check", outcome.checks.iter().map(|check| check.name.clone()));
    let files = std::fs::read_dir(&left).expect("the folder is readable");
    let files = files.map(|file| file.expect("it is readable").file_name().to_string_lossy().into_owned());
    assert_names_all("reports.md", "file", files);
}

#[test]
fn every_call_and_check_of_the_services_is_documented() {
    let scenario = parse_scenario("scenario.toml", "documented", SERVICES).expect("the scenario is good");
    let schedule = stormglass_sim::plan::expand(&scenario, 7);
    let outcome = execute(&schedule, Options::default());
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let report = report(&schedule, Options::default(), &outcome, "stormglass".to_owned());
    let left = leave(folder.path(), &report, &schedule, &outcome.history).expect("the folder is written");
    let history = std::fs::read_to_string(left.join("history.jsonl")).expect("the file was written");
    let in_history = fields(&history);
    for rare in [
        "cycle",
        "given_up",
        "fence",
        "ttl_us",
        "expected_version",
        "moved_in",
        "permits",
        "grants",
        "current",
        "tokens",
        "age_us",
    ] {
        assert!(in_history.contains(rare), "the run is too short to show {rare}");
    }
    assert_names_all("reports.md", "field of history.jsonl", in_history.clone());
    assert_names_all("history-format.md", "field of history.jsonl", in_history);
    let calls: BTreeSet<String> =
        outcome.history.operations.iter().map(|operation| operation.call.kind().to_owned()).collect();
    assert_eq!(calls.len(), 23, "{calls:?}");
    assert_names_all("reports.md", "call", calls);
    assert_names_all("reports.md", "check", outcome.checks.iter().map(|check| check.name.clone()));
}
