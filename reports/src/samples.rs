//! Reports made by hand, for the renderers' snapshots. No run gave these numbers.

use std::collections::BTreeMap;

use crate::{
    CheckReport, ClusterReport, Counter, FaultReport, LatencyReport, NearStatistics, OperationReport,
    REPORT_FORMAT, Report, Statistics, Verdict,
};

fn fault(
    number: u64,
    kind: &str,
    names: (&str, &str),
    span_ms: (u64, u64),
    effects: &[(&str, u64)],
) -> FaultReport {
    let counter = |(name, value): &(&str, u64)| Counter { name: (*name).to_owned(), value: *value };
    FaultReport {
        number,
        kind: kind.to_owned(),
        selector: names.0.to_owned(),
        targets: names.1.to_owned(),
        at_us: span_ms.0 * 1_000,
        until_us: span_ms.1 * 1_000,
        effects: effects.iter().map(counter).collect(),
        had_effect: true,
        absorbed: false,
        note: String::new(),
    }
}

fn check(name: &str, source: &str, verdict: Verdict, detail: &str, cost_steps: u64) -> CheckReport {
    CheckReport {
        name: name.to_owned(),
        source: source.to_owned(),
        verdict,
        detail: detail.to_owned(),
        cost_steps,
        counterexample: None,
    }
}

/// A valid run.
pub(crate) fn valid() -> Report {
    Report {
        format: REPORT_FORMAT,
        scenario: "leader-crash".to_owned(),
        claim: "When the leader is killed, another takes over and no acknowledged write is lost.".to_owned(),
        seed: 7,
        expects: Vec::new(),
        live: false,
        planted: None,
        cluster: ClusterReport {
            nodes: 5,
            clients: 8,
            workload: "register, 4 keys, 30 operations/s per client".to_owned(),
            network: "200 us + 100 us tail".to_owned(),
            disk: "sync 500 us + 300 us tail".to_owned(),
        },
        verdict: Verdict::Valid,
        reasons: Vec::new(),
        faults: vec![
            fault(
                0,
                "crash",
                ("leader", "n3"),
                (6_412, 9_040),
                &[("processes_killed", 1), ("processes_restarted", 1), ("leaders_elected", 1)],
            ),
            fault(1, "crash", ("leader", "n1"), (13_100, 15_000), &[("processes_killed", 1)]),
            fault(2, "crash", ("minority", "n2 n4"), (14_000, 16_500), &[("processes_killed", 2)]),
            fault(
                3,
                "partition",
                ("node-5", "n5"),
                (18_000, 21_000),
                &[("cuts", 1), ("frames_dropped", 12_345)],
            ),
        ],
        elections_at_us: vec![412_000, 6_951_000, 13_700_000],
        operations: vec![
            OperationReport { kind: "get".to_owned(), ok: 4_012, fail: 0, unknown: 12, open: 0 },
            OperationReport { kind: "set".to_owned(), ok: 2_601, fail: 3, unknown: 21, open: 1 },
        ],
        latencies: vec![LatencyReport {
            kind: "get".to_owned(),
            count: 4_012,
            p50_us: 812,
            p90_us: 1_204,
            p99_us: 45_310,
            p999_us: 688_120,
            max_us: 1_204_551,
        }],
        checks: vec![
            check(
                "election safety",
                "Raft paper, Figure 3 and section 5.2",
                Verdict::Valid,
                "7 events judged",
                7,
            ),
            check(
                "linearizable registers",
                "Herlihy and Wing 1990",
                Verdict::Valid,
                "6649 operations; objects decided by replay 3, by search 1, undecided 0",
                7_020,
            ),
        ],
        marks: BTreeMap::from([
            ("raft.conflict_hint_used".to_owned(), 3),
            ("raft.stepped_down".to_owned(), 2),
        ]),
        statistics: Statistics {
            virtual_us: 36_000_000,
            frames_sent: 1_201_334,
            frames_delivered: 1_188_980,
            frames_dropped: 12_354,
            syncs: 20_112,
            campaigns: 4,
            leaders_elected: 3,
            near: NearStatistics::default(),
        },
        trace_hash: "0123456789abcdef0123456789abcdef".to_owned(),
        replay: "stormglass run leader-crash --seed 7".to_owned(),
    }
}

/// A run that lost a write and whose disk fault did nothing.
pub(crate) fn invalid() -> Report {
    let mut report = valid();
    report.verdict = Verdict::Invalid;
    report.seed = 8;
    report.planted = Some("ack-before-durable".to_owned());
    report.replay = "stormglass run leader-crash --seed 8 --plant ack-before-durable".to_owned();
    report.reasons = vec![
        "linearizable registers: register \"key-2\": 1412 operations, of which 1020 can be put in an order, and \
         then none can follow"
            .to_owned(),
        "the fault 5 (disk-stall) had no effect".to_owned(),
    ];
    let mut inert = fault(4, "disk-stall", ("node-2", "n2"), (22_000, 23_000), &[]);
    inert.had_effect = false;
    inert.note = "nobody led: another node was taken".to_owned();
    report.faults.push(inert);
    report.checks[1].verdict = Verdict::Invalid;
    report.checks[1].counterexample = Some(
        "register \"key-2\"\n  then  #17 c3 set 41 -> written\n  stuck #18 c5 get -> 40\x1b[2J".to_owned(),
    );
    report.checks.push(check(
        "liveness",
        "eventual progress under partial synchrony; Raft paper, section 5.6",
        Verdict::Unknown,
        "not judged: the run was cut short",
        0,
    ));
    report
}
