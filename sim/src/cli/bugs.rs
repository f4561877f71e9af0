//! `stormglass bugs`.

use std::process::ExitCode;

use stormglass_nodes::plant::Bug;

use super::output::say;
use super::{UsageError, args};
use crate::check::{CheckReport, Verdict};
use crate::plan::{Schedule, expand};
use crate::run::{Options, Outcome, default_jobs, execute, in_order, repeat};

/// What no run can show, and what does instead.
const SHOWN_BY_TESTS: &[(Bug, &str)] = &[(Bug::CheckerEmptyPasses, "the tests of the checks")];

/// What no single run can show, but two of one seed that differ.
const SHOWN_BY_THE_GATE: &[Bug] = &[Bug::UnorderedSelect];

/// Lists the planted bugs.
pub(super) fn bugs() -> ExitCode {
    for bug in Bug::ALL {
        say!("{:<34}{}", bug.name(), bug.description().trim());
    }
    if !cfg!(feature = "planted-bugs") {
        say!("\nThis build has none of them: build with `--features planted-bugs` to plant one.");
    }
    ExitCode::SUCCESS
}

/// Looks for each bug through the catalogue, seed by seed in the order of the names, and prints what found it first.
/// Bugs of the nodes are found by a run that is invalid; those of the testbed by one that is not valid.
pub(super) fn sweep(arguments: &args::Bugs) -> Result<ExitCode, UsageError> {
    let named: Result<Vec<Option<Bug>>, UsageError> =
        arguments.bugs.iter().map(|name| find(Some(name))).collect();
    let mut bugs: Vec<Bug> = named?.into_iter().flatten().collect();
    if bugs.is_empty() {
        // Says that this build has none, if so.
        find(Some(Bug::ALL[0].name()))?;
        bugs.extend(Bug::ALL);
    }
    if arguments.jobs == Some(0) {
        return Err(UsageError::new("--jobs 0 would run nothing", "give 1 or more, or leave it out"));
    }
    let (scenarios, broken) = super::list::load_all(&super::open_catalog(&arguments.catalog)?)?;
    if let Some(error) = broken.into_iter().next() {
        return Err(error);
    }
    let schedules: Vec<Schedule> = arguments
        .seeds
        .seeds()
        .flat_map(|seed| scenarios.iter().map(move |scenario| expand(scenario, seed)))
        .collect();
    say!("| bug | found by | scenario | seed | runs |\n|---|---|---|---|---|");
    let mut missed = 0_u64;
    for bug in bugs {
        if let Some((_, by)) = SHOWN_BY_TESTS.iter().find(|(shown, _)| *shown == bug) {
            say!("| `{bug}` | {by} | | | |");
            continue;
        }
        let looked = if SHOWN_BY_THE_GATE.contains(&bug) {
            repeat_each(bug, &schedules)
        } else {
            look_for(bug, &schedules, arguments.jobs.unwrap_or_else(default_jobs))
        };
        match looked {
            Ok((schedule, by, runs)) => {
                say!("| `{bug}` | {by} | `{}` | {} | {runs} |", schedule.scenario, schedule.seed);
            }
            Err(runs) => {
                missed += 1;
                say!("| `{bug}` | nothing | | | {runs} |");
            }
        }
    }
    Ok(ExitCode::from(u8::from(missed > 0)))
}

/// The first run that finds the bug, what found it, and how many runs that took; or how many found nothing.
fn look_for(bug: Bug, schedules: &[Schedule], jobs: usize) -> Result<(&Schedule, String, u64), u64> {
    let (mut runs, mut found) = (0, None);
    let work = |schedule: &Schedule| execute(schedule, Options { plant: Some(bug), ..Options::default() });
    let positions: Vec<usize> = (0..schedules.len()).collect();
    in_order(
        &positions,
        jobs,
        |position| work(&schedules[*position]),
        |position, outcome| {
            runs += 1;
            let is_found = match outcome.verdict {
                Verdict::Invalid => true,
                Verdict::Unknown => bug.is_of_testbed(),
                Verdict::Valid => false,
            };
            if is_found {
                found = Some((&schedules[*position], found_by(&outcome)));
            }
            !is_found
        },
    );
    found.map(|(schedule, by)| (schedule, by, runs)).ok_or(runs)
}

/// The first schedule whose runs differ, and how many that took.
fn repeat_each(bug: Bug, schedules: &[Schedule]) -> Result<(&Schedule, String, u64), u64> {
    let differs = |schedule: &Schedule| repeat(schedule, Some(bug)).is_err();
    let found = schedules.iter().zip(1..).find(|(schedule, _)| differs(schedule));
    let found = found.map(|(schedule, pairs)| (schedule, "the determinism gate".to_owned(), 2 * pairs));
    found.ok_or(2 * schedules.len() as u64)
}

/// The check that found something, or why the run is in doubt.
fn found_by(outcome: &Outcome) -> String {
    let is_invalid = |check: &&CheckReport| check.verdict == Verdict::Invalid;
    match outcome.checks.iter().find(is_invalid) {
        Some(check) => check.name.clone(),
        None if outcome.reasons.iter().any(|reason| reason.contains("had no effect")) => {
            "the effect of faults".to_owned()
        }
        None => outcome.reasons.first().cloned().unwrap_or_default(),
    }
}

/// The bug of this name, if this build has it.
pub(super) fn find(name: Option<&str>) -> Result<Option<Bug>, UsageError> {
    let Some(name) = name else { return Ok(None) };
    let bug = name.parse::<Bug>().map_err(|error| {
        let known = Bug::ALL.iter().map(|bug| bug.name());
        let hint = crate::plan::did_you_mean(name, known).map_or_else(
            || "`stormglass bugs` lists them".to_owned(),
            |best| format!("did you mean `{best}`?"),
        );
        UsageError::new(error.to_string(), hint)
    })?;
    if !cfg!(feature = "planted-bugs") {
        return Err(UsageError::new(
            format!("this build has no planted bugs, so it cannot plant {bug}"),
            "cargo run --release --features planted-bugs -- run …",
        ));
    }
    Ok(Some(bug))
}
