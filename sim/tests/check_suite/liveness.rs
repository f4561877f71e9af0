//! Endings that liveness accepts, and such that it rejects.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::liveness::{Times, check};
use stormglass_sim::history::{Answer, Call, History, Outcome, VirtualTime};

use crate::support::{Row, get, history, nothing, set, written};

/// Faults end at 100, the cluster has 50 to recover, the run ends at 1000. No client need begin anything.
const TIMES: Times = Times {
    faults_end: VirtualTime(100),
    recover_within_ns: 50,
    ended: VirtualTime(1_000),
    clients: 0,
    idle_ns_max: 0,
    until: VirtualTime(1_000),
};

fn verdict(rows: Vec<Row>) -> Verdict {
    check(&history(rows), &TIMES).verdict
}

/// One that succeeds after the faults, so that the others decide.
fn success() -> Row {
    (9, 500, 510, set(1), written(1))
}

fn failed(invoked: u64, returned: u64) -> History {
    let mut history = history(vec![(1, invoked, returned, set(5), None)]);
    history.operations[0].outcome = Outcome::Fail { reason: "refused".to_owned() };
    history
}

#[test]
fn operations_that_complete_in_time_are_accepted() {
    let patient = Call::Acquire { resource: "r".to_owned(), exclusive: true, wait_us: 1 };
    let accepted: Vec<(&str, Row)> = vec![
        ("pending at the end of faults, answered in time", (1, 90, 150, set(5), written(2))),
        ("invoked later, answered in time", (1, 200, 250, set(5), written(2))),
        ("given up before the cluster had to serve", (1, 90, 150, set(5), None)),
        ("over before faults ended", (1, 10, 99, set(5), None)),
        ("too late in the run to be judged", (1, 990, 0, set(5), None)),
        ("waiting for a lock comes on top", (1, 200, 1_200, patient, Some(Answer::NotGranted))),
    ];
    for (what, row) in accepted {
        assert_eq!(verdict(vec![success(), row]), Verdict::Valid, "{what}");
    }
}

#[test]
fn operations_that_do_not_are_rejected() {
    let rejected: Vec<(&str, Row)> = vec![
        ("pending at the end of faults, answered late", (1, 90, 151, set(5), written(2))),
        ("invoked later, answered late", (1, 200, 251, set(5), written(2))),
        ("given up after the cluster had to serve", (1, 140, 160, set(5), None)),
        ("pending at the end of faults, open for ever", (1, 90, 0, set(5), None)),
        ("invoked later, open for ever", (1, 200, 0, set(5), None)),
    ];
    for (what, row) in rejected {
        assert_eq!(verdict(vec![success(), row]), Verdict::Invalid, "{what}");
    }
}

#[test]
fn a_run_in_which_nothing_succeeded_after_the_faults_shows_nothing() {
    assert_eq!(verdict(Vec::new()), Verdict::Unknown);
    assert_eq!(verdict(vec![(1, 10, 20, set(5), written(1))]), Verdict::Unknown);
    assert_eq!(verdict(vec![(1, 90, 120, set(5), None)]), Verdict::Unknown);
    assert_eq!(check(&failed(120, 130), &TIMES).verdict, Verdict::Unknown);
}

#[test]
fn a_cluster_that_only_refuses_is_not_live() {
    assert_eq!(check(&failed(200, 210), &TIMES).verdict, Verdict::Invalid);
}

#[test]
fn an_operation_that_fails_for_sure_is_not_served_whatever_else_succeeds() {
    let fails_at = |returned| {
        let mut history = history(vec![(1, 140, returned, get(), None), success()]);
        history.operations[0].outcome = Outcome::Fail { reason: "the read was not answered".to_owned() };
        check(&history, &TIMES).verdict
    };
    assert_eq!(fails_at(150), Verdict::Valid);
    assert_eq!(fails_at(151), Verdict::Invalid);
}

#[test]
fn a_client_that_never_gets_to_begin_anything_again_is_not_served() {
    let times = Times { clients: 2, idle_ns_max: 200, until: VirtualTime(900), ..TIMES };
    let busy = |client, last| {
        let at = [90, 300, 500, 700, last];
        at.into_iter().filter(move |at| *at <= last).map(move |at| (client, at, at + 5, get(), nothing()))
    };
    let verdict = |first: u64, second: u64| {
        check(&history(busy(1, first).chain(busy(2, second)).collect()), &times).verdict
    };
    assert_eq!(verdict(800, 700), Verdict::Valid);
    assert_eq!(verdict(800, 500), Verdict::Invalid, "it begins nothing more");
    assert_eq!(verdict(800, 90), Verdict::Invalid, "it has begun nothing since faults ended");
    let only_one = check(&history(busy(1, 800).collect()), &times);
    assert_eq!(only_one.verdict, Verdict::Invalid, "it never began anything");
    let gap = vec![(1, 120, 130, get(), nothing()), (1, 400, 410, get(), nothing())];
    let times = Times { clients: 1, until: VirtualTime(500), ..times };
    assert_eq!(check(&history(gap), &times).verdict, Verdict::Invalid, "it was shut out in between");
}
