//! The house rules that no compiler checks: arrows between modules, size of files, tests that all run.

mod arrows;
mod sources;

use sources::{Source, rust_sources};

/// A longer file holds more than one idea.
const LINES_MAX: usize = 600;

fn offences(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let too_long = rust_sources().into_iter().filter(|source| source.text.lines().count() > LINES_MAX);
    offences(
        "these files should be split",
        too_long.map(|source| format!("{}: {} lines", source.path, source.text.lines().count())).collect(),
    );
}

#[test]
fn every_test_runs() {
    let needle = concat!("#[ig", "nore");
    offences("no test may be left out", places(|line| line.trim_start().starts_with(needle)));
}

#[test]
fn every_select_is_biased() {
    let mut found = Vec::new();
    // The planted one.
    let sources = rust_sources().into_iter().filter(|source| !source.path.ends_with("server/unordered.rs"));
    for Source { path, text } in sources {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).map_or("", |line| line.trim());
            let is_select =
                line.contains("select! {") && !line.trim_start().starts_with("//") && !line.contains('"');
            if is_select && next != "biased;" {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    offences("an unbiased select asks the world for its order", found);
}

#[test]
fn nothing_is_left_unfinished() {
    let needles = [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("allow(", "dead_code"),
        concat!("allow(", "unused"),
    ];
    offences(
        "these places say that they are not done",
        places(|line| needles.iter().any(|n| line.contains(n))),
    );
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = rust_sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    offences("these files open without documentation", silent.map(|source| source.path).collect());
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = sources::read("Cargo.toml");
    let table = manifest.split("[workspace.dependencies]").nth(1).expect("there is such a table");
    let table = table.split("\n[").next().expect("the table ends");
    let silent =
        table.lines().filter(|line| line.contains(" = ") && !line.contains("path =") && !line.contains('#'));
    offences("these dependencies have no reason given", silent.map(str::to_owned).collect());
}

fn places(is_offence: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for Source { path, text } in rust_sources() {
        for (number, line) in text.lines().enumerate() {
            if is_offence(line) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}
