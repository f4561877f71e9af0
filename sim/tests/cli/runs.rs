//! Whole runs: what they print, how they end, and what they leave.

use stormglass_reports::terminal::WIDTH;
use stormglass_reports::{Report, SweepReport, Verdict, from_json};
use stormglass_sim::history::read_history;
use stormglass_sim::plan::parse_schedule;

use super::support::{Place, SHORT, VACUOUS};

/// What every run that is not valid leaves in its folder, sorted.
const LEFT: [&str; 3] = ["history.jsonl", "report.json", "schedule.toml"];

fn report(json: &str) -> Report {
    from_json(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn assert_left(place: &Place, folder: &str) {
    let expected = LEFT.map(|name| format!("{folder}/{name}"));
    let found: Vec<String> = place.files().into_iter().filter(|file| file.starts_with(folder)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_valid_run_says_so_and_leaves_nothing() {
    let place = Place::with(&[("short.toml", SHORT)]);
    let ended = place.run(&["run", "short.toml", "--seed", "7"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    assert_eq!(place.files(), ["short.toml"]);
    for shown in ["Three nodes outlive a follower.", "killed 1, restarted 1", "✓ VALID", "trace "] {
        assert!(ended.stdout.contains(shown), "{shown} is missing:\n{}", ended.stdout);
    }
    assert!(ended.stdout.ends_with("replay: stormglass run short.toml --seed 7\n"));
    assert!(!ended.stdout.contains('\x1b'), "colours are for terminals");
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(WIDTH), "{widest:?} columns");
}

#[test]
fn the_same_seed_gives_the_same_json_to_the_byte_and_another_does_not() {
    let place = Place::with(&[("short.toml", SHORT)]);
    let run = |seed| place.run(&["run", "short.toml", "--format", "json", "--seed", seed]).stdout;
    let first = run("7");
    assert_eq!(report(&first).verdict, Verdict::Valid, "{first}");
    assert_eq!(first, run("7"));
    let (first, other) = (report(&first), report(&run("8")));
    assert_ne!(first.trace_hash, other.trace_hash);
    assert_ne!(first.faults[0].at_us, other.faults[0].at_us);
}

#[test]
fn a_run_that_shows_nothing_is_unknown_and_leaves_a_folder_that_replays() {
    let place = Place::with(&[("vacuous.toml", VACUOUS)]);
    let ended = place.run(&["run", "vacuous.toml", "--seed", "3", "--format", "json", "--out", "kept"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("left kept/vacuous-3: "), "{}", ended.stderr);
    assert_left(&place, "kept/vacuous-3");
    let first = report(&ended.stdout);
    assert_eq!(first.verdict, Verdict::Unknown);
    assert_eq!(first.reasons, ["fault 0, degrade of all = n1 n2 n3, had no effect"]);
    assert_eq!(place.read("kept/vacuous-3/report.json"), ended.stdout);

    let history = place.read("kept/vacuous-3/history.jsonl");
    let history = read_history(history.as_bytes()).expect("the history is whole");
    assert!(history.operations.len() > 10);
    let schedule = place.read("kept/vacuous-3/schedule.toml");
    let schedule = parse_schedule("schedule.toml", &schedule).expect("the schedule is whole");
    assert_eq!((schedule.seed, schedule.faults.len()), (3, 1));

    for path in ["kept/vacuous-3", "kept/vacuous-3/schedule.toml"] {
        let again = place.run(&["replay", path, "--format", "json"]);
        assert_eq!(again.code, Some(2));
        let again = report(&again.stdout);
        assert_eq!(again.replay, format!("stormglass replay {path}"));
        assert_eq!(Report { replay: first.replay.clone(), ..again }, first);
    }
}

#[test]
fn a_valid_run_that_is_to_be_kept_leaves_its_folder_too() {
    let place = Place::with(&[("short.toml", SHORT)]);
    let ended = place.run(&["run", "short.toml", "--seed", "2"]);
    assert_eq!((ended.code, place.files()), (Some(0), vec!["short.toml".to_owned()]), "{}", ended.stdout);
    let ended = place.run(&["run", "short.toml", "--seeds", "2..2", "--keep"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert_left(&place, "stormglass-runs/short-2");
    for again in [["check", "--model", "register"].as_slice(), &["replay"]] {
        let ended = place.run(&[again, &["stormglass-runs/short-2"]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    }
}

#[test]
fn a_sweep_groups_what_failed_and_says_how_to_repeat_it() {
    let place = Place::with(&[("vacuous.toml", VACUOUS), ("short.toml", SHORT)]);
    let ended = place.run(&["run", "short.toml", "vacuous.toml", "--seeds", "1..3"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    for shown in [
        "2 scenarios, seeds 1..3",
        "6 runs: 3 valid, 0 invalid, 3 unknown",
        "? vacuous: 3 runs unknown, seeds 1 2 3",
        "replay: stormglass run vacuous.toml --seed 2",
    ] {
        assert!(ended.stdout.contains(shown), "{shown} is missing:\n{}", ended.stdout);
    }
    for seed in 1..=3 {
        assert_left(&place, &format!("stormglass-runs/vacuous-{seed}"));
    }

    let arguments = ["run", "vacuous.toml", "--seeds", "1..3", "--fail-fast", "--format", "json"];
    let sweep: SweepReport = from_json(&place.run(&arguments).stdout).expect("a sweep's JSON is read back");
    assert_eq!((sweep.runs(), sweep.unknown), (1, 1));
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_and_no_verdict() {
    let place = Place::with(&[("vacuous.toml", VACUOUS), ("taken", "")]);
    let ended = place.run(&["run", "vacuous.toml", "--out", "taken"]);
    assert_eq!(ended.code, Some(64), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("error: cannot write taken/vacuous-1: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nhint: name a folder that can be written with --out\n"));
    assert_eq!(place.files(), ["taken", "vacuous.toml"]);
}

#[test]
fn the_gate_repeats_runs_here_and_in_another_process() {
    let place = Place::with(&[("short.toml", SHORT), ("vacuous.toml", VACUOUS)]);
    let ended = place.run(&["meta", "short.toml", "vacuous.toml", "--seeds", "1..4"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    assert_eq!(
        ended.stdout,
        "4 runs repeat: twice in this process, once in another, to the same trace hash\n"
    );
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_planted_bug_is_found_and_its_folder_replays_to_the_same_end() {
    let place = Place::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/catalog/whole-cluster-power-loss.toml");
    let plant = ["--plant", "ack-before-durable", "--format", "json", "--out", "kept"];
    let sweep = [["run", path, "--seeds", "1..10", "--fail-fast"].as_slice(), &plant].concat();
    let ended = place.run(&sweep);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let sweep: SweepReport = from_json(&ended.stdout).expect("a sweep's JSON is read back");
    let failure = sweep.failures.last().expect("there is a failure");
    assert_eq!(failure.verdict, Verdict::Invalid);
    assert!(failure.replay.ends_with(&format!("--seed {} --plant ack-before-durable", failure.seed)));

    let folder = format!("kept/whole-cluster-power-loss-{}-ack-before-durable", failure.seed);
    assert_left(&place, &folder);
    let first = report(&place.read(&format!("{folder}/report.json")));
    let again = place.run(&["replay", &folder, "--plant", "ack-before-durable", "--format", "json"]);
    assert_eq!(again.code, Some(1));
    let again = report(&again.stdout);
    assert_eq!((again.verdict, &again.trace_hash), (Verdict::Invalid, &first.trace_hash));
    assert_eq!(again.reasons, first.reasons);
}

#[test]
fn a_soak_shows_round_after_round_and_what_they_come_to() {
    let place = Place::with(&[("short.toml", SHORT)]);
    let ended = place.run(&["soak", "short.toml", "--seed", "7", "--rounds", "3"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    assert_eq!(place.files(), ["short.toml"]);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    for (number, line) in (1..=3).zip(&lines) {
        assert!(line.starts_with(&format!("round {number:>5}  ")) && line.contains("  valid  "), "{line}");
    }
    assert!(lines[4].starts_with("3 rounds, ") && lines[4].ends_with(" 3 faults: valid"), "{}", ended.stdout);
    assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{}", ended.stdout);

    let json =
        || place.run(&["soak", "short.toml", "--seed", "7", "--rounds", "2", "--format", "json"]).stdout;
    let first = json();
    assert_eq!(first, json());
    let rounds: Vec<serde_json::Value> =
        first.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let run = report(&place.run(&["run", "short.toml", "--format", "json", "--seed", "7"]).stdout);
    assert_eq!(rounds.len(), 2);
    assert_eq!(rounds[0]["trace_hash"], run.trace_hash.as_str(), "the first round is the run of this seed");
    assert_ne!(rounds[1]["seed"], 7);
}

#[test]
fn a_round_that_is_not_valid_ends_the_soak_and_leaves_a_folder() {
    let place = Place::with(&[("vacuous.toml", VACUOUS)]);
    let ended = place.run(&["soak", "vacuous.toml", "--seed", "3", "--out", "kept"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    assert!(
        ended.stdout.starts_with("round     1  ") && !ended.stdout.contains("round     2"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with("replay: stormglass soak vacuous.toml --seed 3 --rounds 1\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stderr.contains("its schedule.toml is that round by itself"), "{}", ended.stderr);
    assert_left(&place, "kept/vacuous-3");
}
