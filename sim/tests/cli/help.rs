//! What the program says about itself.
#![expect(clippy::disallowed_methods, reason = "it compares with the files of the real catalogue")]

use std::path::Path;

use stormglass_nodes::plant::Bug;

use super::support::{Place, SHORT, VACUOUS, run_in};

#[test]
fn every_command_explains_itself() {
    let place = Place::new();
    for command in
        ["", "list", "run", "replay", "check", "live", "measure", "soak", "meta", "cluster", "bench", "bugs"]
    {
        let arguments: Vec<&str> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let ended = place.run(&arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{command}");
        let name = if command.is_empty() { "stormglass" } else { command };
        insta::assert_snapshot!(format!("help_of_{name}"), ended.stdout);
    }
    assert!(place.files().is_empty());
}

#[test]
fn without_a_command_the_help_is_shown_as_an_error() {
    let ended = Place::new().run(&[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""));
    assert!(ended.stderr.contains("Usage: stormglass <COMMAND>"), "{}", ended.stderr);
}

#[test]
fn the_list_shows_names_and_claims() {
    let place = Place::with(&[
        ("scenarios/catalog/short.toml", SHORT),
        ("scenarios/catalog/vacuous.toml", VACUOUS),
        ("scenarios/catalog/notes.txt", "not a scenario"),
    ]);
    let ended = place.run(&["list"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.stdout, @r"
    short    Three nodes outlive a follower.
    vacuous  A loss that never happens is noticed.
    ");
}

#[test]
fn the_list_shows_the_whole_catalogue_of_the_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = run_in(root, &["list"]).stdout;
    let folder = root.join("../scenarios/catalog");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the catalogue is there")
        .map(|entry| entry.expect("it is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let shown: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(shown, names);
}

#[test]
fn the_planted_bugs_are_listed_in_any_build() {
    let ended = Place::new().run(&["bugs"]);
    assert_eq!(ended.code, Some(0));
    for bug in Bug::ALL {
        assert!(ended.stdout.lines().any(|line| line.starts_with(bug.name())), "{bug} is missing");
    }
    let has_none = ended.stdout.contains("This build has none of them");
    assert_eq!(has_none, !cfg!(feature = "planted-bugs"));
}
