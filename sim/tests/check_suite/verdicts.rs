//! All checks over one run.

use std::collections::BTreeSet;

use stormglass_sim::check::coherence::Coherence;
use stormglass_sim::check::invariants::InvariantSet;
use stormglass_sim::check::linearizability::STEPS_MAX;
use stormglass_sim::check::liveness::Times;
use stormglass_sim::check::{CheckReport, Drift, Evidence, Subject, Verdict, judge};
use stormglass_sim::history::{History, VirtualTime};

use crate::support::{get, history, nothing, set, value, written};

fn reports(history: &History, expects: &[Subject]) -> Vec<CheckReport> {
    let times = Times {
        faults_end: VirtualTime(0),
        recover_within_ns: 100,
        ended: VirtualTime(1_000),
        clients: 0,
        idle_ns_max: 0,
        until: VirtualTime(1_000),
    };
    judge(&Evidence {
        history,
        invariants: &InvariantSet::new(1..=3),
        coherence: &Coherence::new(Drift::default()),
        expects: expects.iter().copied().collect::<BTreeSet<_>>(),
        times,
        drift: Drift::default(),
        calm: None,
        budget_steps: STEPS_MAX,
    })
}

fn verdict(reports: &[CheckReport], name: &str) -> Option<Verdict> {
    reports.iter().find(|report| report.name == name).map(|report| report.verdict)
}

#[test]
fn a_subject_that_is_expected_but_absent_is_unknown() {
    let history = history(vec![(1, 1, 2, set(5), written(1))]);
    let reports = reports(&history, &[Subject::Register, Subject::Lock]);
    assert_eq!(verdict(&reports, "linearizable registers"), Some(Verdict::Valid));
    assert_eq!(verdict(&reports, "linearizable locks"), Some(Verdict::Unknown));
    assert_eq!(verdict(&reports, "lock safety"), Some(Verdict::Unknown));
    assert_eq!(verdict(&reports, "liveness"), Some(Verdict::Valid));
}

#[test]
fn a_subject_that_nobody_expects_is_judged_if_it_is_there() {
    let good = history(vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, get(), value(5, 1))]);
    assert_eq!(verdict(&reports(&good, &[]), "linearizable registers"), Some(Verdict::Valid));
    assert_eq!(verdict(&reports(&good, &[]), "linearizable locks"), None);
    let bad = history(vec![(1, 1, 2, set(5), written(1)), (2, 3, 4, get(), nothing())]);
    let reports = reports(&bad, &[]);
    assert_eq!(verdict(&reports, "linearizable registers"), Some(Verdict::Invalid));
    assert_eq!(Verdict::of_all(reports.iter().map(|report| report.verdict)), Verdict::Invalid);
}

#[test]
fn a_run_without_any_event_is_not_valid() {
    let history = history(vec![(1, 1, 2, set(5), written(1))]);
    let reports = reports(&history, &[Subject::Register]);
    assert_eq!(Verdict::of_all(reports.iter().map(|report| report.verdict)), Verdict::Unknown);
}

#[test]
fn a_record_that_is_no_history_is_unknown() {
    let mut history = history(vec![(1, 1, 2, set(5), written(1))]);
    history.operations[0].id = 3;
    let reports = reports(&history, &[Subject::Register]);
    assert_eq!(verdict(&reports, "history"), Some(Verdict::Unknown));
    assert_eq!(verdict(&reports, "linearizable registers"), None);
}
