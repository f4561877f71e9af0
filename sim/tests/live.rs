//! Live runs: real processes, started by the built program, and none of them left behind.
//!
//! Nothing here depends on how fast the machine is: a run takes its scenario's seconds, and a busy machine may
//! make it invalid by liveness alone.
#![expect(clippy::disallowed_methods, reason = "it looks for real processes, and starts some")]

#[path = "../../nodes/tests/skip/mod.rs"]
mod skip;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use stormglass_reports::{Report, Verdict, from_json};
use stormglass_sim::live::refusals;
use stormglass_sim::plan::{expand, load_scenario};
use tempfile::TempDir;

/// How often it is looked for processes that are being killed.
const LOOKS_MAX: usize = 10_000;

const STORM: &str = r#"claim = "Three processes outlive a leader and a partition."

[cluster]
nodes = 3
clients = 3

[workload]
kind = "register"
keys = 2
rate_per_client_hz = 40

[timing]
faults_from_ms = 2_000
faults_until_ms = 5_000
recover_within_ms = 3_000
end_ms = 9_000

[[faults]]
kind = "crash"
target = "leader"
at_ms = 2_000
for_ms = 800

[[faults]]
kind = "one-way"
from = "leader"
to = "others"
at_ms = 3_500
for_ms = 700

[[faults]]
kind = "pause"
target = "client-1"
at_ms = 4_200
for_ms = 500
"#;

const STORM_ON_REDIS: &str = r#"claim = "Three processes outlive their Redis servers, and one does not outlive an emptied one."

[cluster]
nodes = 3
clients = 3

[storage]
kind = "redis"

[workload]
kind = "register"
keys = 2
rate_per_client_hz = 40

[timing]
faults_from_ms = 2_000
faults_until_ms = 10_000
recover_within_ms = 4_000
end_ms = 16_000

[[faults]]
kind = "redis"
harm = "crash"
target = "leader"
at_ms = 2_000
for_ms = 800

[[faults]]
kind = "redis"
harm = "cut"
target = "leader"
at_ms = 3_800
for_ms = 700

[[faults]]
kind = "redis"
harm = "pause"
target = "follower"
at_ms = 5_200
for_ms = 500

[[faults]]
kind = "redis"
harm = "empty"
target = "leader"
at_ms = 6_500
for_ms = 3_000
"#;

const IMPOSSIBLE: &str = r#"claim = "X."

[[faults]]
kind = "clock-drift"
target = "all"
ppm = 100
at_ms = 6_000
for_ms = 1_000

[[faults]]
kind = "disk-stall"
target = "leader"
at_ms = 6_000
for_ms = 1_000
"#;

fn place(name: &str, text: &str) -> TempDir {
    let place = tempfile::tempdir().expect("there is room for a folder");
    std::fs::write(place.path().join(name), text).expect("the file is written");
    place
}

fn program(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    command.args(arguments).arg("--data").arg(place).current_dir(place).stdin(Stdio::null());
    command
}

/// How many processes of this kind were started with this folder in their arguments.
fn processes_of(kind: &str, place: &Path) -> usize {
    let place = place.as_os_str().as_encoded_bytes();
    let is_ours = |process: &std::fs::DirEntry| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let is_one = arguments.windows(kind.len()).any(|word| word == kind.as_bytes());
        is_one && arguments.windows(place.len()).any(|part| part == place)
    };
    std::fs::read_dir("/proc").expect("this is Linux").flatten().filter(is_ours).count()
}

/// How many nodes were started with this folder in their arguments.
fn processes_in(place: &Path) -> usize {
    processes_of("live-node", place)
}

/// Whether there is a redis-server to keep logs in; if there is none, that is said.
fn has_redis() -> bool {
    let found = stormglass_sim::live::redis_version();
    if let Err(why) = &found {
        skip::skip(&format!("{why} (Debian: apt-get install redis-server)"));
    }
    found.is_ok()
}

/// Runs a scenario, and returns its report with what to show if it is not as it should be.
fn report_of(place: &Path, arguments: &[&str]) -> (Report, String) {
    let output = program(place, arguments).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Report =
        from_json(&String::from_utf8_lossy(&output.stdout)).unwrap_or_else(|error| panic!("{error}: {said}"));
    let shown = format!("{:#?}\n{:#?}\n{said}", report.checks, report.faults);
    (report, shown)
}

/// Kills the harness if a test fails.
struct Harness(Child);

impl Drop for Harness {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_scenario_runs_on_processes_and_every_check_judges_it() {
    let place = place("storm.toml", STORM);
    let (report, shown) = report_of(place.path(), &["live", "storm.toml", "--seed", "3", "--format", "json"]);
    assert!(report.live);
    for check in report.checks.iter().filter(|check| !check.name.starts_with("liveness")) {
        assert_eq!(check.verdict, Verdict::Valid, "{}: {shown}", check.name);
    }
    for name in ["durable log", "committed is durable", "linearizable registers"] {
        assert!(report.checks.iter().any(|check| check.name == name), "{name} is missing: {shown}");
    }
    assert_eq!(report.faults.len(), 3);
    for fault in &report.faults {
        assert!(fault.had_effect, "{shown}");
    }
    assert!(report.statistics.syncs > 0 && report.statistics.leaders_elected > 1, "{shown}");
    assert_eq!(processes_in(place.path()), 0);
}

#[test]
fn logs_in_private_redis_servers_outlive_what_befalls_the_servers() {
    if !has_redis() {
        return;
    }
    let place = place("storm.toml", STORM_ON_REDIS);
    let (report, shown) = report_of(place.path(), &["live", "storm.toml", "--seed", "3", "--format", "json"]);
    for check in report.checks.iter().filter(|check| !check.name.starts_with("liveness")) {
        assert_eq!(check.verdict, Verdict::Valid, "{}: {shown}", check.name);
    }
    assert_eq!(report.faults.len(), 4);
    for fault in &report.faults {
        assert!(fault.had_effect, "{shown}");
    }
    assert!(report.cluster.disk.contains("a Redis for each log"), "{}", report.cluster.disk);
    assert_eq!((processes_in(place.path()), processes_of("redis-server", place.path())), (0, 0));
}

#[test]
fn any_scenario_runs_on_redis_servers_and_none_outlives_a_killed_harness() {
    if !has_redis() {
        return;
    }
    let place = place("storm.toml", STORM);
    let child = program(place.path(), &["live", "storm.toml", "--storage", "redis"]).spawn();
    let mut harness = Harness(child.expect("the program starts"));
    while processes_in(place.path()) < 3 || processes_of("redis-server", place.path()) < 3 {
        assert_eq!(harness.0.try_wait().expect("it can be asked"), None, "it ended by itself");
    }
    harness.0.kill().expect("it runs");
    harness.0.wait().expect("it is dead");
    let left = || processes_in(place.path()) + processes_of("redis-server", place.path());
    assert!((0..LOOKS_MAX).any(|_| left() == 0), "processes outlived their harness");
}

#[test]
fn the_scenarios_that_are_there_for_live_runs_ask_for_nothing_impossible() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/live");
    let mut scenarios = 0;
    for entry in std::fs::read_dir(folder).expect("there are scenarios") {
        let path = entry.expect("the folder is readable").path();
        let scenario = load_scenario(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(refusals(&expand(&scenario, 1)), Vec::<String>::new(), "{}", path.display());
        scenarios += 1;
    }
    assert!(scenarios > 0);
}

#[test]
fn what_cannot_be_done_is_named_before_anything_is_started() {
    let place = place("impossible.toml", IMPOSSIBLE);
    let output = program(place.path(), &["live", "impossible.toml"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = "error: impossible with seed 1 asks for what cannot be done to real processes: \
         fault `disk-stall` (once): a real disk cannot be stopped without root; \
         fault `clock-drift` (once): the processes of one machine share its clock\n\
         hint: `stormglass run impossible.toml --seed 1` runs it in the simulator\n";
    assert_eq!(said, expected);
    assert_eq!(
        std::fs::read_dir(place.path()).expect("the folder is there").count(),
        1,
        "something was left"
    );
}

#[test]
fn a_killed_harness_leaves_no_process_behind() {
    let place = place("storm.toml", STORM);
    let child = program(place.path(), &["live", "storm.toml"]).stdout(Stdio::piped()).spawn();
    let mut harness = Harness(child.expect("the program starts"));
    while processes_in(place.path()) < 3 {
        assert_eq!(harness.0.try_wait().expect("it can be asked"), None, "it ended by itself");
    }
    harness.0.kill().expect("it runs");
    harness.0.wait().expect("it is dead");
    // Its children are killed by the system. They hold no end of its output, so this is the end of it.
    let output = harness.0.stdout.take().expect("it is a pipe");
    assert_eq!(BufReader::new(output).lines().count(), 0);
    assert!((0..LOOKS_MAX).any(|_| processes_in(place.path()) == 0), "nodes outlived their harness");
}

#[test]
fn a_harness_that_is_told_to_end_leaves_neither_process_nor_folder_behind() {
    let place = place("storm.toml", STORM);
    let child = program(place.path(), &["live", "storm.toml"]).stderr(Stdio::piped()).spawn();
    let mut harness = Harness(child.expect("the program starts"));
    while processes_in(place.path()) < 3 {
        assert_eq!(harness.0.try_wait().expect("it can be asked"), None, "it ended by itself");
    }
    let process = harness.0.id().to_string();
    assert!(
        Command::new("kill").args(["-TERM", &process]).status().expect("there is such a program").success()
    );
    let mut said = String::new();
    let mut stderr = harness.0.stderr.take().expect("it is a pipe");
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("it can be read");
    assert_eq!(harness.0.wait().expect("it ends").code(), Some(64), "{said}");
    assert!(said.contains("the run was ended: a signal came"), "{said}");
    assert_eq!(processes_in(place.path()), 0);
    let left = std::fs::read_dir(place.path()).expect("the folder is there").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["storm.toml"]);
}

/// A bug that shows in processes, and what finds it. Which operations a busy machine gets through makes no difference:
/// a node that was without power must find its log whole, and it cannot.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_sync_that_is_left_out_is_found_on_real_processes_too() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/live/power-cuts.toml");
    let text = std::fs::read_to_string(scenario).expect("it is there");
    let place = place("power-cuts.toml", &text);
    let arguments = ["live", "power-cuts.toml", "--plant", "fsync-skipped", "--format", "json"];
    let (report, shown) = report_of(place.path(), &arguments);
    assert_eq!(report.verdict, Verdict::Invalid, "{shown}");
    let found = report.checks.iter().filter(|check| check.verdict == Verdict::Invalid);
    assert!(found.clone().any(|check| !check.name.starts_with("liveness")), "{shown}");
    assert_eq!(processes_in(place.path()), 0);
}

#[test]
fn a_scenario_of_the_catalogue_runs_on_processes_as_it_is() {
    let place = place("nothing.toml", "");
    let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/catalog").display().to_string();
    let arguments = ["live", "failover", "--seed", "7", "--format", "json", "--catalog", &catalogue];
    let (report, shown) = report_of(place.path(), &arguments);
    assert_eq!((report.scenario.as_str(), report.live), ("failover", true));
    for check in report.checks.iter().filter(|check| !check.name.starts_with("liveness")) {
        assert_eq!(check.verdict, Verdict::Valid, "{}: {shown}", check.name);
    }
    assert_eq!(report.faults.len(), 1, "{shown}");
    assert_eq!(processes_in(place.path()), 0);
}
