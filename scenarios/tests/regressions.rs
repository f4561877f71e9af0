//! The shrunk schedules of bugs once found: none of them comes back.
#![expect(clippy::disallowed_methods, reason = "it lists the real folder of regressions")]

use std::path::Path;

use stormglass_sim::check::Verdict;
use stormglass_sim::plan::load_schedule;
use stormglass_sim::run::{Options, execute};

#[test]
fn every_regression_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let entries = std::fs::read_dir(&folder).expect("the folder of regressions is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the folder of regressions is empty");
    for path in paths {
        let schedule = load_schedule(&path).unwrap_or_else(|error| panic!("{}", error.rendered()));
        let outcome = execute(&schedule, Options::default());
        assert_eq!(outcome.verdict, Verdict::Valid, "{}: {:?}", path.display(), outcome.reasons);
    }
}
