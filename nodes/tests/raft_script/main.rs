//! `raft-script`, from the outside: scripts under `scripts/`, and what it writes for each under `snapshots/`.

use std::io::Write;
use std::process::{Command, Stdio};

/// Standard output and exit code of the program.
fn run(arguments: &[&str], script: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-script"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // It reads the script to its end before it writes anything.
    child.stdin.take().expect("it has an input").write_all(script.as_bytes()).expect("it reads the script");
    let output = child.wait_with_output().expect("the program ends");
    (String::from_utf8(output.stdout).expect("it writes text"), output.status.code())
}

macro_rules! script {
    ($name:ident) => {
        include_str!(concat!("scripts/", stringify!($name), ".txt"))
    };
}

macro_rules! snapshot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

/// A script's transcript is what was reviewed; and it is a script again, which says of itself what it does.
macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let (transcript, code) = run(&[], script!($name));
            snapshot!(stringify!($name), transcript);
            assert_eq!(code, Some(0));
            assert_eq!(run(&["interaction"], &transcript), (transcript.clone(), code));
            let (comparison, code) = run(&["--compare"], &transcript);
            assert_eq!(code, Some(0), "{comparison}");
            assert!(comparison.contains(": agrees") && !comparison.contains(": differs"), "{comparison}");
        })*
    };
}

transcripts! {
    a_crash_loses_what_the_disk_does_not_have
    a_forgotten_leader_is_voted_against
    a_full_window_pauses_a_follower
    a_joint_state_is_left_by_itself
    a_joint_state_is_left_on_request
    a_leader_hands_over
    a_leader_without_a_quorum_steps_down
    a_learner_is_promoted_when_it_has_caught_up
    a_proposal_is_committed_on_all
    a_removed_leader_steps_down
    a_rewritten_entry_is_not_acknowledged_by_the_old_write
    a_slow_follower_gets_a_snapshot
    a_snapshot_is_sent_by_hand
    a_window_is_bounded_in_bytes
    an_unreachable_follower_is_probed
    a_vote_is_refused_while_the_entry_is_being_written
    pre_votes_do_not_disturb_a_leader_that_is_heard
}

#[test]
fn a_read_waits_for_a_round() {
    let (transcript, code) = run(&[], script!(a_read_waits_for_a_round));
    snapshot!("a_read_waits_for_a_round", transcript);
    assert_eq!(code, Some(0));
}

#[test]
fn tables_of_quorums_are_computed_by_the_core() {
    let (transcript, code) = run(&["quorum"], script!(quorum));
    snapshot!("quorum", transcript);
    assert_eq!(code, Some(0));
    let (comparison, code) = run(&["quorum", "--compare"], &transcript);
    assert_eq!((comparison.lines().last(), code), (Some("12 of 12 outputs agree"), Some(0)));
    let wrong = transcript.replacen("VoteWon", "VoteLost", 1);
    let (comparison, code) = run(&["quorum", "--compare"], &wrong);
    assert_eq!((comparison.lines().last(), code), (Some("11 of 12 outputs agree"), Some(1)));
}

#[test]
fn tables_of_changes_are_computed_by_the_core() {
    let (transcript, code) = run(&["confchange"], script!(confchange));
    snapshot!("confchange", transcript);
    assert_eq!(code, Some(0));
    let (comparison, code) = run(&["confchange", "--compare"], &transcript);
    assert_eq!((comparison.lines().last(), code), (Some("9 of 9 outputs agree"), Some(0)));
    let (_, code) =
        run(&["confchange", "--compare"], &transcript.replacen("learners=(2)", "learners=(3)", 1));
    assert_eq!(code, Some(1));
}

#[test]
fn what_is_not_understood_is_said_with_its_line() {
    let (transcript, code) = run(&[], script!(misuse));
    snapshot!("misuse", transcript);
    assert_eq!(code, Some(64));
}

#[test]
fn expected_output_is_skipped_or_compared() {
    let (transcript, code) = run(&[], script!(expectations));
    snapshot!("expectations", transcript);
    assert_eq!(code, Some(0));
    let (comparison, code) = run(&["--compare"], script!(expectations));
    snapshot!("expectations_compared", comparison);
    assert_eq!(code, Some(1));
}

#[test]
fn the_program_itself_is_called_rightly_or_not_at_all() {
    assert_eq!(run(&["sideways"], "").1, Some(64));
    assert_eq!(run(&["quorum", "confchange"], "").1, Some(64));
    assert_eq!(run(&["--help"], "").1, Some(0));
    assert_eq!(run(&[], ""), (String::new(), Some(0)));
}

/// The manual.
const MANUAL: &str = include_str!("../../../docs/raft-script.md");

/// The manual's examples that begin like this.
fn example(beginning: &str) -> &'static str {
    let blocks = MANUAL.split("```").skip(1).step_by(2).map(str::trim_start);
    blocks.into_iter().find(|block| block.starts_with(beginning)).expect("the manual has this example")
}

#[test]
fn the_manuals_examples_are_what_the_program_writes() {
    for (mode, beginning) in [("quorum", "committed"), ("confchange", "simple")] {
        let (comparison, code) = run(&[mode, "--compare"], example(beginning));
        assert_eq!(
            (comparison.lines().last(), code),
            (Some("2 of 2 outputs agree"), Some(0)),
            "{comparison}"
        );
    }
    let (transcript, code) = run(&[], example("# elect.txt"));
    assert_eq!(code, Some(0));
    assert!(transcript.trim_end().ends_with(example("raft-state").trim_end()), "{transcript}");
}

#[test]
fn the_manual_names_every_command_and_option() {
    for (script, missing) in [("sideways", "`{}"), ("add-nodes 1 sideways=1", "{}")] {
        let (refusal, _) = run(&[], script);
        let (_, names) = refusal.split_once("(hint: ").expect("a refusal says what is there");
        for name in names.trim_end().trim_end_matches(')').split(", ") {
            assert!(MANUAL.contains(&missing.replace("{}", name)), "the manual does not name {name}");
        }
    }
}
