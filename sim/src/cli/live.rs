//! `stormglass live`: a scenario on real processes.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use stormglass_reports::{Report, SweepReport};

use super::args::SeedRange;
use super::output::tell;
use super::{Stopwatch, UsageError, args, bugs, output};
use crate::live::{redis_is_wanting, refusals, serve_under};
use crate::plan::{Scenario, Schedule, StorageKind, StorageSpec, expand};
use crate::run::{LiveOptions, NodeArguments, Outcome, execute_live, live_report, node_main};

/// Runs one seed, or several one after the other: side by side they would take the machine from each other.
pub(super) fn live(arguments: &args::Live) -> Result<ExitCode, UsageError> {
    let plant = bugs::find(arguments.plant.as_deref())?;
    let options = LiveOptions { plant, data: arguments.data.clone() };
    let scenario = super::load_named(&arguments.scenario, &arguments.catalog)?;
    let seeds = arguments.seeds.unwrap_or(SeedRange::only(arguments.seed));
    seeds.seeds().try_for_each(|seed| accept(arguments, &planned(&scenario, seed, arguments)))?;
    let watch = Stopwatch::start();
    if arguments.seeds.is_none() {
        let report = run_one(&scenario, arguments.seed, arguments, &options)?;
        output::show_run(&report, &arguments.output, watch.elapsed());
        return Ok(ExitCode::from(report.verdict.exit_code()));
    }
    let mut summary =
        SweepReport::new(format!("{}, live, seeds {}..{}", scenario.name, seeds.first, seeds.last));
    for seed in seeds.seeds() {
        let report = run_one(&scenario, seed, arguments, &options)?;
        summary.add(&report);
        progress(seed, &report);
    }
    output::show_sweep(&summary, &arguments.output, watch.elapsed(), plant.is_some());
    Ok(ExitCode::from(summary.verdict().exit_code()))
}

/// The schedule that the seed makes of the scenario, with the storage that was asked for.
fn planned(scenario: &Scenario, seed: u64, arguments: &args::Live) -> Schedule {
    let mut schedule = expand(scenario, seed);
    match arguments.storage {
        None => {}
        Some(args::Storage::Wal) => schedule.storage = StorageSpec::default(),
        Some(args::Storage::Redis) => schedule.storage.kind = StorageKind::Redis,
    }
    schedule
}

/// Whether real processes can be given all that the schedule asks for.
fn accept(arguments: &args::Live, schedule: &Schedule) -> Result<(), UsageError> {
    if let Some(wanting) = redis_is_wanting(&schedule.storage) {
        return Err(UsageError::new(
            format!("{} keeps its logs in a Redis: {wanting}", schedule.scenario),
            "install redis-server (Debian: `apt-get install redis-server`), or give --storage wal",
        ));
    }
    let refusals = refusals(schedule);
    if refusals.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} with seed {} asks for what cannot be done to real processes: {}",
        schedule.scenario,
        schedule.seed,
        refusals.join("; ")
    );
    let scenario = output::shown(arguments.scenario.as_ref());
    let hint = format!("`stormglass run {scenario} --seed {}` runs it in the simulator", schedule.seed);
    Err(UsageError::new(message, hint))
}

fn run_one(
    scenario: &Scenario,
    seed: u64,
    arguments: &args::Live,
    options: &LiveOptions,
) -> Result<Report, UsageError> {
    let schedule = planned(scenario, seed, arguments);
    let outcome: Outcome = execute_live(&schedule, options).map_err(|error| {
        let hint = match error.error.kind() {
            std::io::ErrorKind::Interrupted => "nothing was judged; the same command begins anew",
            _ => "a live run needs room for its folder (`--data`), free ports on the loopback, and this program's file",
        };
        UsageError::new(error.to_string(), hint)
    })?;
    let report = live_report(&schedule, options, &outcome, again(seed, arguments));
    output::leave(&arguments.output, arguments.keep, &report, &schedule, &outcome.history)?;
    Ok(report)
}

fn again(seed: u64, arguments: &args::Live) -> String {
    let catalog = arguments.catalog.folder.as_ref();
    let catalog = catalog.map_or_else(String::new, |folder| format!(" --catalog {}", output::shown(folder)));
    let plant = arguments.plant.as_ref().map_or_else(String::new, |bug| format!(" --plant {bug}"));
    let storage = match arguments.storage {
        None => "",
        Some(args::Storage::Wal) => " --storage wal",
        Some(args::Storage::Redis) => " --storage redis",
    };
    let scenario = output::shown(arguments.scenario.as_ref());
    format!("stormglass live {scenario} --seed {seed}{storage}{plant}{catalog}")
}

/// A live run takes its time: each is told of when it is over.
fn progress(seed: u64, report: &Report) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        drop(writeln!(stderr, "seed {seed}: {}", report.verdict));
    }
}

/// A node of a live run, started by [`live`].
pub(super) fn node(arguments: args::LiveNode) -> Result<ExitCode, UsageError> {
    let plant = bugs::find(arguments.plant.as_deref())?;
    Ok(node_main(NodeArguments {
        node: arguments.node,
        schedule: arguments.schedule,
        data: arguments.data,
        harness: arguments.harness,
        peers: arguments.peers,
        speaks: arguments.speaks,
        redis: arguments.redis,
        plant,
    }))
}

/// A redis-server, started by [`live`] or by `stormglass cluster`.
pub(super) fn redis(arguments: &args::LiveRedis) -> ExitCode {
    let error = serve_under(arguments.harness, &arguments.arguments);
    tell!("redis-server cannot be started: {error}");
    ExitCode::FAILURE
}
