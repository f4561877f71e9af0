//! Histories from elsewhere: what is said of them, and how the program ends.

use std::collections::BTreeSet;

use serde_json::Value;
use stormglass_reports::{HistoryReport, Verdict, from_json};

use super::support::{Place, SHORT, VACUOUS, document};

/// A register's log that is linearizable: with tabs and spaces, a nemesis, an outcome that nobody knows.
const LOG: &str = "\
INFO  jepsen.core - Running test: a register\n\
INFO  jepsen.util - 0\t:invoke\t:write\t3\n\
INFO  jepsen.util - 1   :invoke :cas  [3 4]\n\
INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
INFO  jepsen.util - 0 \t :ok\t:write  3\n\
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out\n\
INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
INFO  jepsen.util - 0\t:ok\t:read\t3\n\
INFO  jepsen.util - 2   :invoke :read   nil\n\
INFO  jepsen.util - 2   :ok     :read   4\n\
INFO  jepsen.util - 1\t:invoke\t:cas\t[9 1]\n\
INFO  jepsen.util - 1\t:fail\t:cas\t[9 1]\n";

/// What makes it wrong: nobody wrote 3 again.
const STALE: &str = "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\t3\n";

const TEXTS: &str = "\
{:process 0, :type :invoke, :f :append, :key \"1\", :value \"x 0 0 y\"}\n\
{:process 1, :type :invoke, :f :append, :key \"1\", :value \"x 1 0 y\"}\n\
{:process 0, :type :ok, :f :append, :key \"1\", :value \"x 0 0 y\"}\n\
{:process 1, :type :ok, :f :append, :key \"1\", :value \"x 1 0 y\"}\n\
{:process 0, :type :invoke, :f :get, :key \"1\", :value nil}\n\
{:process 0, :type :ok, :f :get, :key \"1\", :value \"x 1 0 yx 0 0 y\"}\n\
{:process 1, :type :invoke, :f :put, :key \"2\", :value \"z\"}\n\
{:process 1, :type :ok, :f :put, :key \"2\", :value \"z\"}\n";

const TORN: &str = "\
{:process 1, :type :invoke, :f :get, :key \"1\", :value nil}\n\
{:process 1, :type :ok, :f :get, :key \"1\", :value \"x 0 0 yx 1 0 y\"}\n";

/// The example of the document: one history of everything.
fn example() -> String {
    let document = document("history-format.md");
    let text = document.split("```json\n").nth(1).expect("there is an example");
    text.split("```").next().expect("it ends").to_owned()
}

/// A text without what the machine measured.
fn without_measures(text: &str) -> String {
    let line = |line: &str| {
        let cut = line.find(" of real time").and_then(|end| line[..end].rfind(';'));
        cut.map_or_else(|| line.to_owned(), |cut| format!("{}; …", &line[..cut]))
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Judges a file by itself; returns how that ended and the report.
fn judged(name: &str, text: &str, model: &str) -> (Option<i32>, HistoryReport) {
    let place = Place::with(&[(name, text)]);
    let ended = place.run(&["check", name, "--model", model, "--format", "json"]);
    let report = from_json(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    assert_eq!(place.files(), [name], "nothing is written");
    (ended.code, report)
}

#[test]
fn a_log_of_a_register_is_judged() {
    let place = Place::with(&[("etcd.log", LOG), ("stale.log", &format!("{LOG}{STALE}"))]);
    let valid = place.run(&["check", "etcd.log", "--model", "register"]);
    assert_eq!((valid.code, valid.stderr.as_str()), (Some(0), ""), "{}", valid.stdout);
    let invalid = place.run(&["check", "stale.log", "--model", "register"]);
    assert_eq!((invalid.code, invalid.stderr.as_str()), (Some(1), ""), "{}", invalid.stdout);
    let shown = [valid.stdout, invalid.stdout].map(|text| without_measures(&text));
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn texts_by_key_are_judged() {
    let (code, report) = judged("store.edn", TEXTS, "kv");
    assert_eq!((code, report.verdict, report.from.as_str()), (Some(0), Verdict::Valid, "edn"));
    assert_eq!((report.operations, report.objects, report.processes), (4, 2, 2));
    let (code, report) = judged("store.edn", &format!("{TEXTS}{TORN}"), "kv");
    assert_eq!((code, report.verdict), (Some(1), Verdict::Invalid));
    let counterexample = report.checks[0].counterexample.as_ref().expect("it is shown");
    assert!(counterexample.contains("#9"), "an operation goes by its line: {counterexample}");
}

#[test]
fn windows_line_ends_change_no_verdict() {
    for (text, model, code) in [
        (LOG.to_owned(), "register", 0),
        (format!("{LOG}{STALE}"), "register", 1),
        (TEXTS.to_owned(), "kv", 0),
        (format!("{TEXTS}{TORN}"), "kv", 1),
    ] {
        let (unix, windows) = (judged("h", &text, model), judged("h", &text.replace('\n', "\r\n"), model));
        assert_eq!(unix, windows);
        assert_eq!(unix.0, Some(code));
    }
}

#[test]
fn a_history_without_an_answer_is_unknown() {
    let (code, report) = judged("h", "INFO jepsen.util - 0 :invoke :write 3\n", "register");
    assert_eq!((code, report.verdict, report.unknown), (Some(2), Verdict::Unknown, 1));
}

#[test]
fn a_search_that_may_take_one_step_comes_to_nothing() {
    let place = Place::with(&[("h", &format!("{LOG}{STALE}"))]);
    let ended = place.run(&["check", "h", "--model", "register", "--steps", "1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
}

#[test]
fn the_example_of_the_document_is_valid_by_every_model_and_is_not_if_it_is_bent() {
    let bent = [
        (
            "register",
            r#""answer":{"answer":"value","value":5,"version":1}"#,
            r#""answer":{"answer":"value","value":6,"version":1}"#,
        ),
        ("lock", r#""answer":{"answer":"granted","token":3}"#, r#""answer":{"answer":"granted","token":1}"#),
        (
            "queue",
            r#""message":1,"id":2,"receipt":2,"attempt":2"#,
            r#""message":0,"id":1,"receipt":2,"attempt":2"#,
        ),
        (
            "cache",
            r#""answer":{"answer":"cached","value":1,"version":1"#,
            r#""answer":{"answer":"cached","value":7,"version":1"#,
        ),
    ];
    for (model, good, bad) in bent {
        let (code, report) = judged("history.jsonl", &example(), model);
        assert_eq!((code, report.verdict), (Some(0), Verdict::Valid), "{model}: {report:#?}");
        assert!(report.operations > 0 && report.skipped > 0 && report.steps > 0, "{report:?}");
        let text = example();
        assert_eq!(text.matches(good).count(), 1, "{model}");
        let (code, report) = judged("history.jsonl", &text.replace(good, bad), model);
        assert_eq!((code, report.verdict), (Some(1), Verdict::Invalid), "{model}");
    }
}

#[test]
fn the_report_for_programs_has_the_fields_of_the_document() {
    let place = Place::with(&[("h", LOG)]);
    let ended = place.run(&["check", "h", "--model", "register", "--format", "json"]);
    let report: Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    let fields: BTreeSet<&String> = report.as_object().expect("it is an object").keys().collect();
    assert!(fields.len() > 14, "{fields:?}");
    let document = document("history-format.md");
    for field in fields {
        assert!(document.contains(&format!("`{field}`")), "the document says nothing of {field}");
    }
    assert!(report["read_us"].as_u64() <= report["wall_us"].as_u64() && report["read_us"].is_u64());
    if cfg!(target_os = "linux") {
        assert!(report["memory_peak_bytes"].as_u64() > Some(1_000_000), "{report}");
    }
}

#[test]
fn the_folder_that_a_run_leaves_is_judged_again() {
    let place = Place::with(&[("vacuous.toml", VACUOUS), ("short.toml", SHORT)]);
    let run = place.run(&["run", "vacuous.toml", "--seed", "3"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    for path in ["stormglass-runs/vacuous-3", "stormglass-runs/vacuous-3/history.jsonl"] {
        let ended = place.run(&["check", path, "--model", "register", "--format", "json"]);
        let report: HistoryReport = from_json(&ended.stdout).expect("it is a report");
        assert_eq!((ended.code, report.verdict), (Some(0), Verdict::Valid));
        assert!(report.operations > 10);
    }
}

/// One write that lives for a millisecond, and a read of it an hour later.
const OUTLIVED: &str = r#"{"format":"stormglass-history","version":1,"operations":2,"holds":0}
{"operation":{"id":0,"client":1,"call":"cache-set","key":"k","value":1,"ttl_us":1000,"invoked_ns":0,"returned_ns":1000000,"outcome":{"outcome":"ok","answer":{"answer":"written","version":1}}}}
{"operation":{"id":1,"client":2,"call":"cache-get","key":"k","near":false,"invoked_ns":3600000000000,"returned_ns":3600001000000,"outcome":{"outcome":"ok","answer":{"answer":"cached","value":1,"version":1,"local":false}}}}
"#;

#[test]
fn what_is_over_is_judged_where_it_is_known_that_nothing_disturbed_the_cluster() {
    let place = Place::with(&[("h", OUTLIVED)]);
    let judged = |more: &[&str]| {
        let ended = place.run(&[&["check", "h", "--model", "cache", "--format", "json"], more].concat());
        let report: HistoryReport = from_json(&ended.stdout).expect("it is a report");
        (ended.code, report.checks[0].detail.contains("not judged: what outlasts its life or lease"))
    };
    assert_eq!(judged(&[]), (Some(0), true));
    assert_eq!(judged(&["--calm-from-ms", "0"]), (Some(1), false));
    assert_eq!(judged(&["--calm-from-ms", "3599000"]), (Some(0), false), "there is a grace");
}

#[test]
fn a_runs_folder_says_from_when_on_nothing_disturbed_it() {
    let place = Place::with(&[("vacuous.toml", VACUOUS)]);
    let run = place.run(&["run", "vacuous.toml", "--seed", "3"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let folder = "stormglass-runs/vacuous-3";
    let judged = |model: &str| {
        let ended = place.run(&["check", folder, "--model", model, "--format", "json"]);
        let report: HistoryReport = from_json(&ended.stdout).expect("it is a report");
        (ended.code, report.checks[0].detail.contains("not judged"))
    };
    place.write(&format!("{folder}/history.jsonl"), OUTLIVED);
    assert_eq!(judged("cache"), (Some(1), false));
    place.write(&format!("{folder}/report.json"), "none");
    assert_eq!(judged("cache"), (Some(0), true), "of a run that left no report nothing is known");
}

/// Bugs that show in what clients are told, in scenarios that show them with the first seeds.
#[cfg(feature = "planted-bugs")]
const TOLD: [(&str, &str, &str); 3] = [
    ("lock-holder-paused", "lock-grant-over-lease", "lock"),
    ("queue-slow-consumers", "queue-visible-early", "queue"),
    ("cache-leader-crash", "retry-applied-twice", "cache"),
];

#[cfg(feature = "planted-bugs")]
#[test]
fn the_history_that_a_planted_bug_leaves_is_invalid_by_itself() {
    for (scenario, bug, model) in TOLD {
        let place = Place::new();
        let path = format!("{}/../scenarios/catalog/{scenario}.toml", env!("CARGO_MANIFEST_DIR"));
        let run = place.run(&["run", &path, "--seeds", "1..4", "--fail-fast", "--plant", bug]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let left = place.files();
        let history = left.iter().find(|file| file.ends_with("history.jsonl")).expect("a history is left");
        let ended = place.run(&["check", history, "--model", model, "--format", "json"]);
        assert_eq!(ended.code, Some(1), "{bug}: {}{}", ended.stdout, ended.stderr);
        let report: HistoryReport = from_json(&ended.stdout).expect("it is a report");
        assert!(report.checks.iter().any(|check| check.counterexample.is_some()), "{bug}");
    }
}
