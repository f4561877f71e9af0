//! Bad usage and bad files: one error line with its place, one hint, exit code 64, and nothing written.

use super::support::{Place, SHORT, VACUOUS};

/// Starts the program, holds what must hold of every refusal, and returns what it said.
fn refused(place: &Place, arguments: &[&str]) -> String {
    let before = place.files();
    let ended = place.run(arguments);
    let said = place.without_its_path(&ended.stderr);
    let shown = format!("$ stormglass {}\n{said}", arguments.join(" "));
    assert_eq!(ended.code, Some(64), "{shown}");
    assert_eq!(ended.stdout, "", "{shown}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "an error is one line and a hint: {shown}");
    assert!(lines[0].starts_with("error: ") && lines[0].len() > "error: ".len(), "{shown}");
    assert!(lines[1].starts_with("hint: ") && lines[1].len() > "hint: ".len(), "{shown}");
    assert_eq!(place.files(), before, "something was written: {shown}");
    shown
}

fn all_refused(place: &Place, commands: &[&[&str]]) -> String {
    commands.iter().map(|arguments| refused(place, arguments)).collect::<Vec<_>>().join("\n")
}

#[test]
fn bad_scenarios_are_refused_with_their_place_and_a_hint() {
    let fault = "\n[[faults]]\nat_ms = 1_500\nfor_ms = 100\n";
    let misspelt = SHORT.replace("clients = 2", "cleints = 2");
    let negative = SHORT.replace("for_ms = 500", "for_ms = -500");
    let missing = format!("{SHORT}{fault}kind = \"partition\"\ntarget = \"node-4\"\n");
    let place = Place::with(&[
        ("misspelt.toml", &misspelt),
        ("negative.toml", &negative),
        ("missing.toml", &missing),
        ("folder.toml/inside", ""),
        ("empty.toml", ""),
    ]);
    insta::assert_snapshot!(all_refused(
        &place,
        &[
            &["run", "misspelt.toml"],
            &["run", "negative.toml", "--seeds", "1..9"],
            &["run", "missing.toml", "--format", "json", "--out", "runs"],
            &["run", "empty.toml"],
            &["run", "absent.toml"],
            &["run", "folder.toml"],
            &["run", "empty.toml/below.toml"],
            &["meta", "misspelt.toml"],
            &["replay", "missing.toml"],
            &["replay", "absent"],
            &["replay", "folder.toml"],
        ]
    ));
}

#[cfg(unix)]
#[test]
fn what_is_no_ordinary_file_is_refused() {
    let said = refused(&Place::new(), &["run", "/dev/null"]);
    assert!(said.contains("error: /dev/null: this is not an ordinary file"), "{said}");
}

#[test]
fn bad_arguments_are_refused_with_a_hint() {
    let place = Place::with(&[("scenarios/catalog/short.toml", SHORT)]);
    insta::assert_snapshot!(all_refused(
        &place,
        &[
            &["rnu", "short"],
            &["run"],
            &["run", "shrot"],
            &["run", "nothing-like-it"],
            &["run", "short", "--sede", "7"],
            &["run", "short", "--seed", "-7"],
            &["run", "short", "--seed", "seven"],
            &["run", "short", "--seeds", "9..3"],
            &["run", "short", "--seeds", "1-9"],
            &["run", "short", "--seeds", "0..18446744073709551615"],
            &["run", "short", "--seed", "1", "--seeds", "1..2"],
            &["run", "short", "--format", "jsn"],
            &["run", "short", "--jobs", "0"],
            &["run", "short", "--plant", "vote-not-persistd"],
            &["run", "short", "--plant", "gremlins"],
            &["run", "--all", "--catalog", "nowhere"],
            &["replay"],
        ]
    ));
}

#[test]
fn outside_of_a_project_there_is_no_catalogue() {
    let place = Place::new();
    for arguments in [["list"].as_slice(), &["run", "short"], &["run", "--all"], &["meta"]] {
        let said = refused(&place, arguments);
        assert!(said.contains("there is no scenarios/catalog here or in a folder above"), "{said}");
    }
}

#[test]
fn one_bad_file_of_a_catalogue_hides_none_of_the_others_but_fails_the_list() {
    let place = Place::with(&[
        ("scenarios/catalog/bad.toml", "claim = 3"),
        ("scenarios/catalog/short.toml", SHORT),
        ("scenarios/catalog/vacuous.toml", VACUOUS),
    ]);
    let ended = place.run(&["list"]);
    assert_eq!(ended.code, Some(64));
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    assert!(ended.stderr.contains("bad.toml:1:9: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
    assert!(refused(&place, &["run", "--all"]).contains("bad.toml:1:9: "));
}

#[test]
fn what_changes_the_nodes_for_good_is_no_soak() {
    let upgrade =
        SHORT.replace("kind = \"crash\"\ntarget = \"follower\"", "kind = \"upgrade\"\ntarget = \"all\"");
    let place = Place::with(&[("upgrade.toml", &upgrade)]);
    let said = refused(&place, &["soak", "upgrade.toml"]);
    assert!(said.contains("faults of kind upgrade, after which its nodes are not what they were"), "{said}");
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_build_without_planted_bugs_plants_none() {
    let place = Place::with(&[("short.toml", SHORT)]);
    let said = refused(&place, &["run", "short.toml", "--plant", "vote-not-persisted"]);
    assert!(said.contains("this build has no planted bugs"), "{said}");
    assert!(said.contains("--features planted-bugs"), "{said}");
}

#[test]
fn what_is_no_history_is_refused_with_its_line_and_a_hint() {
    let cut = "INFO jepsen.util - 0 :invoke :write 3\nINFO jepsen.util - 0 :ok :write 3";
    let locks = "{\"format\":\"stormglass-history\",\"version\":1,\"operations\":1,\"holds\":0}\n\
        {\"operation\":{\"id\":0,\"client\":1,\"call\":\"release\",\"resource\":\"r\",\"token\":1,\"invoked_ns\":1,\
        \"returned_ns\":2,\"outcome\":{\"outcome\":\"ok\",\"answer\":{\"answer\":\"released\"}}}}\n";
    let place = Place::with(&[
        ("empty.log", ""),
        ("blank.edn", " \r\n\r\n"),
        ("cut.log", cut),
        ("cut.edn", "{:process 0, :type :invoke, :f :get, :key \"1\"}\n{:process 0, :type :ok, :f"),
        ("cut.jsonl", &locks[..locks.len() - 3]),
        ("none.log", "INFO jepsen.core - nothing here\nINFO jepsen.util - :nemesis :info :start nil\n"),
        ("none.jsonl", "{\"format\":\"stormglass-history\",\"version\":1,\"operations\":0,\"holds\":0}\n"),
        ("locks.jsonl", locks),
        ("table.csv", "time,process,f\n1,2,read\n"),
        (
            "double.log",
            &format!("{}INFO jepsen.util - 0 :invoke :read nil\n", &cut[..cut.find('\n').unwrap() + 1]),
        ),
        ("orphan.log", "INFO jepsen.util - 0 :ok :read 3\n"),
        ("store.edn", "{:process 0, :type :invoke, :f :get, :key \"1\"}\n"),
        ("folder/inside", ""),
    ]);
    insta::assert_snapshot!(all_refused(
        &place,
        &[
            &["check", "empty.log", "--model", "register"],
            &["check", "blank.edn", "--model", "kv"],
            &["check", "cut.log", "--model", "register"],
            &["check", "cut.edn", "--model", "kv"],
            &["check", "cut.jsonl", "--model", "lock"],
            &["check", "none.log", "--model", "register"],
            &["check", "none.jsonl", "--model", "queue"],
            &["check", "locks.jsonl", "--model", "register"],
            &["check", "locks.jsonl", "--model", "kv"],
            &["check", "table.csv", "--model", "register"],
            &["check", "table.csv", "--model", "register", "--from", "jepsen"],
            &["check", "table.csv", "--model", "lock", "--from", "jsonl"],
            &["check", "double.log", "--model", "register"],
            &["check", "orphan.log", "--model", "register"],
            &["check", "orphan.log", "--model", "kv"],
            &["check", "store.edn", "--model", "register"],
            &["check", "store.edn", "--model", "kv", "--steps", "0"],
            &["check", "store.edn"],
            &["check", "store.edn", "--model", "kvs"],
            &["check", "absent.log", "--model", "register"],
            &["check", "folder", "--model", "register"],
            &["check"],
        ]
    ));
}
