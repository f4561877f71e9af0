//! `stormglass run`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use stormglass_reports::{Report, SweepReport, Verdict};

use super::args::{self, SeedRange};
use super::{Stopwatch, UsageError, bugs, output};
use crate::plan::{Scenario, Schedule, expand};
use crate::run::{Options, Outcome, default_jobs, execute, in_order, report};

/// How often the progress of a sweep is shown: every so many runs.
const PROGRESS_EVERY: u64 = 10;

/// A scenario and how the user named it.
struct Chosen {
    scenario: Scenario,
    argument: String,
}

/// Runs what the arguments name.
pub(super) fn run(arguments: &args::Run) -> Result<ExitCode, UsageError> {
    let plant = bugs::find(arguments.plant.as_deref())?;
    if arguments.jobs == Some(0) {
        return Err(UsageError::new("--jobs 0 would run nothing", "give 1 or more, or leave it out"));
    }
    let chosen = choose(arguments)?;
    let options = Options { plant, keep_trace: false };
    match (chosen.as_slice(), arguments.seeds) {
        ([only], None) => run_once(only, arguments, options),
        (_, seeds) => sweep(&chosen, seeds.unwrap_or(SeedRange::only(arguments.seed)), arguments, options),
    }
}

fn choose(arguments: &args::Run) -> Result<Vec<Chosen>, UsageError> {
    if !arguments.all {
        let load = |argument: &String| {
            let scenario = super::load_named(argument, &arguments.catalog)?;
            Ok(Chosen { scenario, argument: argument.clone() })
        };
        return arguments.scenarios.iter().map(load).collect();
    }
    let (scenarios, broken) = super::list::load_all(&super::open_catalog(&arguments.catalog)?)?;
    if let Some(error) = broken.into_iter().next() {
        return Err(error);
    }
    Ok(scenarios.into_iter().map(|scenario| Chosen { argument: scenario.name.clone(), scenario }).collect())
}

fn run_once(chosen: &Chosen, arguments: &args::Run, options: Options) -> Result<ExitCode, UsageError> {
    let watch = Stopwatch::start();
    let schedule = expand(&chosen.scenario, arguments.seed);
    let outcome = execute(&schedule, options);
    let report = report(&schedule, options, &outcome, replay(chosen, arguments.seed, arguments));
    output::show_run(&report, &arguments.output, watch.elapsed());
    output::leave(&arguments.output, arguments.keep, &report, &schedule, &outcome.history)?;
    Ok(ExitCode::from(report.verdict.exit_code()))
}

fn sweep(
    chosen: &[Chosen],
    seeds: SeedRange,
    arguments: &args::Run,
    options: Options,
) -> Result<ExitCode, UsageError> {
    let watch = Stopwatch::start();
    let runs: Vec<(&Chosen, u64)> =
        seeds.seeds().flat_map(|seed| chosen.iter().map(move |chosen| (chosen, seed))).collect();
    let mut summary = SweepReport::new(title(chosen, seeds));
    let mut trouble = None;
    let total = runs.len() as u64;
    let work = |(chosen, seed): &(&Chosen, u64)| {
        let schedule = expand(&chosen.scenario, *seed);
        let outcome = execute(&schedule, options);
        let report = report(&schedule, options, &outcome, replay(chosen, *seed, arguments));
        (schedule, outcome, report)
    };
    let take = |_: &(&Chosen, u64), (schedule, outcome, report): (Schedule, Outcome, Report)| {
        summary.add(&report);
        progress(&summary, total);
        if let Err(error) =
            output::leave(&arguments.output, arguments.keep, &report, &schedule, &outcome.history)
        {
            trouble = Some(error);
            return false;
        }
        report.verdict == Verdict::Valid || !arguments.fail_fast
    };
    in_order(&runs, arguments.jobs.unwrap_or_else(default_jobs), work, take);
    output::show_sweep(&summary, &arguments.output, watch.elapsed(), options.plant.is_some());
    if let Some(error) = trouble {
        return Err(error);
    }
    Ok(ExitCode::from(summary.verdict().exit_code()))
}

fn title(chosen: &[Chosen], seeds: SeedRange) -> String {
    let what = match chosen {
        [only] => only.argument.clone(),
        several => format!("{} scenarios", several.len()),
    };
    format!("{what}, seeds {}..{}", seeds.first, seeds.last)
}

fn replay(chosen: &Chosen, seed: u64, arguments: &args::Run) -> String {
    let catalog = arguments.catalog.folder.as_ref();
    let catalog = catalog.map_or_else(String::new, |folder| format!(" --catalog {}", output::shown(folder)));
    let plant = arguments.plant.as_ref().map_or_else(String::new, |bug| format!(" --plant {bug}"));
    let argument = output::shown(chosen.argument.as_ref());
    format!("stormglass run {argument} --seed {seed}{plant}{catalog}")
}

fn progress(summary: &SweepReport, total: u64) {
    let done = summary.runs();
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() && (done.is_multiple_of(PROGRESS_EVERY) || done == total) {
        let end = if done == total { "\r\x1b[K" } else { "" };
        let (invalid, unknown) = (summary.invalid, summary.unknown);
        drop(write!(stderr, "\r\x1b[K{done}/{total} runs, {invalid} invalid, {unknown} unknown{end}"));
    }
}
