//! `stormglass meta`: the determinism gate.

use std::process::{Command, ExitCode};

use super::output::{print, say};
use super::{UsageError, args, bugs};
use crate::plan::{Schedule, expand};
use crate::run::{default_jobs, in_order, repeat};

/// Runs each seed twice here and once in another process, and compares.
///
/// Without scenarios named, the seeds go through the catalogue in turn.
pub(super) fn meta(arguments: &args::Meta) -> Result<ExitCode, UsageError> {
    let plant = bugs::find(arguments.plant.as_deref())?;
    let schedules = schedules(arguments)?;
    if arguments.hashes_only {
        let run_one = |schedule: &Schedule| crate::run::fingerprint(schedule, plant).line(schedule);
        in_order(&schedules, default_jobs(), run_one, |_, line| {
            say!("{line}");
            true
        });
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = Vec::new();
    let mut broken = Vec::new();
    let twice = |schedule: &Schedule| repeat(schedule, plant);
    in_order(&schedules, default_jobs(), twice, |schedule, result| {
        match result {
            Ok(fingerprint) => lines.push(fingerprint.line(schedule)),
            Err(explanation) => broken.push(explanation),
        }
        true
    });
    if broken.is_empty() {
        compare_with_other_process(&lines, &mut broken)?;
    }
    for explanation in &broken {
        print(explanation);
    }
    if broken.is_empty() {
        say!("{} runs repeat: twice in this process, once in another, to the same trace hash", lines.len());
        return Ok(ExitCode::SUCCESS);
    }
    say!("{} of {} runs do not repeat", broken.len(), schedules.len());
    Ok(ExitCode::from(1))
}

fn schedules(arguments: &args::Meta) -> Result<Vec<Schedule>, UsageError> {
    let scenarios = if arguments.scenarios.is_empty() {
        let (scenarios, broken) = super::list::load_all(&super::open_catalog(&arguments.catalog)?)?;
        match broken.into_iter().next() {
            Some(error) => return Err(error),
            None => scenarios,
        }
    } else {
        let load = |argument: &String| super::load_named(argument, &arguments.catalog);
        arguments.scenarios.iter().map(load).collect::<Result<_, _>>()?
    };
    Ok(arguments
        .seeds
        .seeds()
        .zip(scenarios.iter().cycle())
        .map(|(seed, scenario)| expand(scenario, seed))
        .collect())
}

fn compare_with_other_process(here: &[String], broken: &mut Vec<String>) -> Result<(), UsageError> {
    let failed = |what: String| UsageError::new(what, "the gate needs to start this program a second time");
    let program =
        std::env::current_exe().map_err(|error| failed(format!("cannot find this program: {error}")))?;
    let output = Command::new(program).args(std::env::args_os().skip(1)).arg("--hashes-only").output();
    let output = output.map_err(|error| failed(format!("cannot start a second process: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!(
            "the second process failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    let there = String::from_utf8_lossy(&output.stdout);
    let there: Vec<&str> = there.lines().collect();
    if there.len() != here.len() {
        broken.push(format!("the second process made {} runs instead of {}\n", there.len(), here.len()));
    }
    for (here, there) in here.iter().zip(there).filter(|(here, there)| here != there) {
        broken.push(format!("another process differs:\n  here   {here}\n  there  {there}\n"));
    }
    Ok(())
}
