//! Every bad file is answered with one line that names its place, and a hint.
#![expect(clippy::disallowed_methods, reason = "it tests what becomes of real files")]

use std::fs;
use std::path::{Path, PathBuf};

use super::{FILE_BYTES_MAX, PlanError, load_scenario, parse_schedule};

/// The folder of bad scenarios: one file for each thing that can be wrong.
fn bad_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/bad");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The error with the file's name in the place of its path.
fn shown(error: &PlanError) -> String {
    let name = Path::new(&error.path).file_name().unwrap().to_string_lossy().into_owned();
    PlanError { path: name, ..error.clone() }.rendered()
}

#[test]
fn every_bad_file_is_refused_with_its_place_and_a_hint() {
    let mut answers = Vec::new();
    for file in bad_files() {
        let error = load_scenario(&file).expect_err(&file.display().to_string());
        assert!(!error.to_string().contains('\n') && !error.hint.contains('\n'), "{error:?}");
        assert!(!error.message.is_empty() && !error.hint.is_empty(), "{error:?}");
        answers.push(shown(&error));
    }
    assert!(answers.len() >= 40);
    insta::assert_snapshot!(answers.join("\n\n"));
}

#[test]
fn an_absent_file_and_an_endless_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_scenario(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(error.message, "there is no such file");
    let long = folder.path().join("long.toml");
    fs::write(&long, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    assert_eq!(load_scenario(&long).unwrap_err().message, "the file is longer than 4194304 bytes");
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_and_a_device_are_refused() {
    let error = load_scenario(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "/dev/zero: this is not an ordinary file");
    let folder = tempfile::tempdir().unwrap();
    let inside_a_file = folder.path().join("file.toml");
    fs::write(&inside_a_file, "").unwrap();
    let error = load_scenario(&inside_a_file.join("below.toml")).unwrap_err();
    assert!(error.message.starts_with("the file cannot be read"), "{error}");
}

#[test]
fn bad_schedules_are_refused_too() {
    let head = "format = 1\nscenario = \"s\"\nclaim = \"X.\"\nseed = 7\n";
    let fault = |at_us: i64, for_us: u64, action: &str| {
        format!("{head}\n[[faults]]\nat_us = {at_us}\nfor_us = {for_us}\npick = 1\naction = {action}\n")
    };
    let crash = "{ kind = \"crash\", target = \"leader\" }";
    assert!(parse_schedule("good.toml", &fault(6_000_000, 1, crash)).is_ok());
    let bad = [
        head.replace("format = 1", "format = 99"),
        head.replace("seed = 7", "seed = -7"),
        head.replace("seed = 7", "seed = \"x\""),
        fault(-1, 1, crash),
        fault(6_000_000, 0, crash),
        fault(0, 1, crash),
        fault(6_000_000, 90_000_000, crash),
        fault(6_000_000, 1, "{ kind = \"crash\", target = \"each\" }"),
        fault(6_000_000, 1, "{ kind = \"crash\", target = \"node-6\" }"),
        fault(6_000_000, 1, "{ kind = \"crahs\", target = \"leader\" }"),
        fault(6_000_000, 1, "{ kind = \"crash\", taget = \"leader\" }"),
        format!("{head}sead = 3\n"),
    ];
    let answers: Vec<String> =
        bad.iter().map(|text| parse_schedule("schedule.toml", text).unwrap_err().rendered()).collect();
    insta::assert_snapshot!(answers.join("\n\n"));
}
