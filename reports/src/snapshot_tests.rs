//! What a person would see.

use std::time::Duration;

use crate::samples::{invalid, valid};
use crate::terminal::{Options, WIDTH, render_run, render_sweep};
use crate::{NearStatistics, Report, SweepReport, Verdict, from_json, to_json};

fn plain() -> Options {
    Options { color: false, wall: None, marks: false }
}

#[test]
fn a_valid_run_in_the_terminal() {
    insta::assert_snapshot!(render_run(&valid(), plain()));
}

#[test]
fn an_invalid_run_in_the_terminal_with_marks_and_wall_time() {
    let options = Options { color: false, wall: Some(Duration::from_millis(120)), marks: true };
    insta::assert_snapshot!(render_run(&invalid(), options));
}

/// A valid run of a scenario that is there to show a violation, which one of its checks found.
fn as_expected() -> Report {
    let mut report = invalid();
    report.planted = None;
    report.expects = report
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::Invalid)
        .map(|check| check.name.clone())
        .collect();
    report.verdict = Verdict::Valid;
    report.reasons = Vec::new();
    report
}

#[test]
fn a_run_that_shows_what_it_is_there_to_show_says_so_plainly() {
    let text = render_run(&as_expected(), plain());
    for said in [
        "a violation is expected, found by",
        "invalid, as expected here",
        "was seen, and nothing else is wrong",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let mut sweep = SweepReport::new("one");
    sweep.add(&as_expected());
    assert_eq!((sweep.verdict(), sweep.as_expected), (Verdict::Valid, 1));
    assert!(render_sweep(&sweep, plain()).contains("1 valid run showed a violation"));
    let read = from_json::<Report>(&to_json(&as_expected())).unwrap();
    assert_eq!(read, as_expected());
}

#[test]
fn what_near_caches_counted_is_shown_where_somebody_read_from_one() {
    let mut report = valid();
    assert!(!render_run(&report, plain()).contains("near-caches"));
    assert!(!to_json(&report).contains("\"near\""));
    report.statistics.near =
        NearStatistics { hits: 1_200, misses: 3, asks: 41, renewals: 40, ..NearStatistics::default() };
    let text = render_run(&report, plain());
    let line = "near-caches: 1,200 hits and 3 misses; 41 questions asked, 40 of them for renewal";
    assert!(text.contains(line), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    assert_eq!(from_json::<Report>(&to_json(&report)).unwrap(), report);
}

#[test]
fn a_run_as_json() {
    insta::assert_snapshot!(to_json(&invalid()));
}

#[test]
fn a_sweep_in_the_terminal_and_as_json() {
    let mut sweep = SweepReport::new("leader-crash, seeds 7..10");
    let mut doubtful = valid();
    doubtful.seed = 9;
    doubtful.replay = "stormglass run leader-crash --seed 9".to_owned();
    doubtful.verdict = Verdict::Unknown;
    doubtful.reasons = vec!["linearizable registers: the budget of 4000000 steps ran out".to_owned()];
    for report in [valid(), doubtful, invalid()] {
        sweep.add(&report);
    }
    insta::assert_snapshot!("sweep_terminal", render_sweep(&sweep, plain()));
    insta::assert_snapshot!("sweep_json", to_json(&sweep));
}

#[test]
fn failing_runs_of_a_sweep_are_grouped_by_what_they_have_in_common() {
    let mut sweep = SweepReport::new("3 scenarios, seeds 1..30");
    for seed in 1..=30 {
        let mut report = if seed % 10 == 0 { valid() } else { invalid() };
        report.seed = seed;
        report.replay = format!("stormglass run leader-crash --seed {seed}");
        report.reasons = vec![format!("election safety at {seed}.250000s, node {seed}: two leaders")];
        if seed % 3 == 0 && seed % 10 != 0 {
            report.verdict = Verdict::Unknown;
            report.reasons = Vec::new();
        }
        sweep.add(&report);
    }
    insta::assert_snapshot!(render_sweep(&sweep, plain()));
}

#[test]
fn json_reads_back_as_the_same_report() {
    let report = invalid();
    assert_eq!(from_json::<Report>(&to_json(&report)).unwrap(), report);
    assert!(from_json::<Report>("{}").is_err());
}

#[test]
fn an_empty_sweep_shows_nothing_and_says_so() {
    let sweep = SweepReport::new("nothing");
    assert_eq!(sweep.verdict(), Verdict::Unknown);
    assert!(render_sweep(&sweep, plain()).contains("no run was made"));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let colored = render_run(&invalid(), Options { color: true, ..plain() });
    assert!(colored.contains("\x1b[1;31m"));
    let mut stripped = String::new();
    let mut in_code = false;
    for character in colored.chars() {
        match character {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            _ if !in_code => stripped.push(character),
            _ => {}
        }
    }
    assert_eq!(stripped, render_run(&invalid(), plain()));
}

#[test]
fn texts_from_outside_cannot_control_the_terminal() {
    assert!(!render_run(&invalid(), plain()).contains('\x1b'));
}

#[test]
fn a_report_without_anything_renders() {
    let mut report = valid();
    report.faults.clear();
    report.operations.clear();
    report.latencies.clear();
    report.checks.clear();
    report.elections_at_us = vec![u64::MAX];
    report.statistics = crate::Statistics::default();
    assert!(render_run(&report, plain()).contains("none was made"));
}

/// A report whose every text is long.
fn wordy() -> Report {
    let mut report = invalid();
    let long = "a rather long sentence, in which not much is said, and that at great length ".repeat(4);
    report.claim.clone_from(&long);
    report.scenario = "x".repeat(150);
    report.cluster.workload.clone_from(&long);
    report.planted = Some("y".repeat(150));
    report.reasons = vec![long.clone(); 30];
    report.trace_hash = "z".repeat(32);
    for (number, fault) in report.faults.iter_mut().enumerate() {
        fault.note.clone_from(&long);
        fault.selector = "node-1+node-2+node-3+".repeat(number * 3);
        fault.targets = "n1 n3 n5 n7 n9 n11 ".repeat(number);
        fault.kind = "disconnect-clients".repeat(1 + number / 3);
    }
    report.faults[0].at_us = u64::MAX / 2;
    report.operations[0].kind = "compare-and-set".repeat(5);
    for (number, check) in report.checks.iter_mut().enumerate() {
        check.name = "a check's name, ".repeat(1 + number * 2);
        check.detail = format!("{long}; {long}");
        check.source.clone_from(&long);
        check.verdict = Verdict::Unknown;
        check.counterexample = Some(format!("{long}\n    {long}\n{}", "w".repeat(300)));
    }
    report
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let options = Options { color: false, wall: Some(Duration::from_secs(7)), marks: true };
    let mut sweep = SweepReport::new("a title that goes on and on ".repeat(9));
    for report in [valid(), invalid(), wordy(), wordy()] {
        sweep.add(&report);
    }
    let mut texts: Vec<String> =
        [valid(), invalid(), wordy()].iter().map(|r| render_run(r, options)).collect();
    texts.push(render_sweep(&sweep, options));
    for line in texts.iter().flat_map(|text| text.lines()).filter(|line| !line.contains("replay:")) {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn a_valid_check_takes_one_line_and_another_shows_all_that_is_known() {
    let text = render_run(&invalid(), plain());
    assert!(!text.contains("Raft paper, Figure 3"), "the source of a valid check is in the JSON only");
    for shown in ["Herlihy and Wing 1990", "7,020 steps", "decided by replay 3", "stuck #18"] {
        assert!(text.contains(shown), "{shown} is missing:\n{text}");
    }
}
