//! The shrunk schedules of bugs once found: none of them comes back. And scenarios that are too long to run in a test,
//! which are read and expanded, so that they do not rot.
#![expect(clippy::disallowed_methods, reason = "it lists the real folders")]

use std::path::{Path, PathBuf};

use stormglass_sim::check::Verdict;
use stormglass_sim::plan::{expand, load_scenario, load_schedule};
use stormglass_sim::run::{Options, execute};

fn files_of(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("it is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths
}

#[test]
fn every_long_scenario_can_be_run() {
    for path in ["long", "live"].into_iter().flat_map(files_of) {
        let scenario = load_scenario(&path).unwrap_or_else(|error| panic!("{}", error.rendered()));
        assert!(!expand(&scenario, 1).faults.is_empty(), "{}", path.display());
    }
}

#[test]
fn every_regression_is_valid() {
    for path in files_of("regressions") {
        let schedule = load_schedule(&path).unwrap_or_else(|error| panic!("{}", error.rendered()));
        let outcome = execute(&schedule, Options::default());
        assert_eq!(outcome.verdict, Verdict::Valid, "{}: {:?}", path.display(), outcome.reasons);
    }
}
