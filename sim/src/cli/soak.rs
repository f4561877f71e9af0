//! `stormglass soak`: round after round on the same nodes.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::args::Format;
use super::output::tell;
use super::{Stopwatch, UsageError, args, bugs, memory, output};
use crate::check::Verdict;
use crate::history::{Outcome, VirtualTime};
use crate::plan::expand;
use crate::run::{Options, Round, Soak, repeatable, report, reported_verdict, soak as run_rounds};

/// What a round came to, as a line of JSON. Nothing in it differs from one time to the next.
#[derive(Serialize)]
struct RoundLine {
    round: u64,
    /// Its own seed.
    seed: u64,
    /// Virtual time at its end, since the beginning of the first.
    ended_us: u64,
    operations: u64,
    faults: u64,
    verdict: stormglass_reports::Verdict,
    reasons: Vec<String>,
    /// Over everything since the beginning of the first; null if the run broke.
    trace_hash: Option<String>,
}

/// What is added up over all rounds.
#[derive(Clone, Copy, Default)]
struct Sum {
    rounds: u64,
    operations: u64,
    faults: u64,
    ended: VirtualTime,
    verdict: Option<Verdict>,
}

/// Runs and shows round after round.
pub(super) fn soak(arguments: &args::Soak) -> Result<ExitCode, UsageError> {
    let watch = Stopwatch::start();
    let plant = bugs::find(arguments.plant.as_deref())?;
    let scenario = super::load_named(&arguments.scenario, &arguments.catalog)?;
    let name = scenario.name.clone();
    let (scenario, left_out) = repeatable(scenario).map_err(|what| {
        let hint = "take a scenario of crashes, links, disks, clocks or transfers, such as swarm-services";
        UsageError::new(format!("`{name}` cannot be gone through again on the same nodes: {what}"), hint)
    })?;
    if !left_out.is_empty() {
        let kinds: Vec<&str> = left_out.iter().map(|kind| kind.name()).collect();
        tell!("without faults of kind {}, which leave other nodes behind", kinds.join(", "));
    }
    let options = Options { plant, keep_trace: false };
    let job = Soak { scenario, seed: arguments.seed, rounds: arguments.rounds, options };
    let sum = Arc::new(Mutex::new(Sum::default()));
    let failed = Arc::new(Mutex::new(None));
    let (adds, fails, format) = (Arc::clone(&sum), Arc::clone(&failed), arguments.output.format);
    run_rounds(&job, move |round| {
        let sum = {
            let mut sum = adds.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(round);
            *sum
        };
        output::print(&match format {
            Format::Json => line_of_json(round),
            Format::Terminal => line(round, sum),
        });
        if round.outcome.verdict != Verdict::Valid {
            let history = round.outcome.history.clone();
            let folder = (report(&round.schedule, options, &round.outcome, String::new()), history);
            *fails.lock().unwrap_or_else(PoisonError::into_inner) = Some((round.number, folder));
        }
        true
    });
    let sum = *sum.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((round, (mut report, history))) = failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        let plant = arguments.plant.as_ref().map_or_else(String::new, |bug| format!(" --plant {bug}"));
        let catalog = arguments.catalog.folder.as_ref();
        let catalog =
            catalog.map_or_else(String::new, |folder| format!(" --catalog {}", output::shown(folder)));
        let (name, seed) = (output::shown(arguments.scenario.as_ref()), arguments.seed);
        report.replay = format!("stormglass soak {name} --seed {seed} --rounds {round}{plant}{catalog}");
        if arguments.output.format == Format::Terminal {
            output::show_run(&report, &arguments.output, watch.elapsed());
        }
        let alone = expand(&job.scenario, report.seed);
        output::leave(&arguments.output, false, &report, &alone, &history)?;
        tell!("its schedule.toml is that round by itself, on new nodes, which need not fail");
    } else if arguments.output.format == Format::Terminal {
        output::print(&summary(sum, watch.elapsed().as_secs_f64()));
    }
    let verdict = sum.verdict.unwrap_or(Verdict::Unknown);
    Ok(ExitCode::from(reported_verdict(verdict).exit_code()))
}

impl Sum {
    fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.operations += round.outcome.history.operations.len() as u64;
        self.faults += round.outcome.timeline.faults.len() as u64;
        self.ended = round.outcome.ended;
        self.verdict = Some(round.outcome.verdict);
    }
}

fn line_of_json(round: &Round) -> String {
    let outcome = &round.outcome;
    let line = serde_json::to_string(&RoundLine {
        round: round.number,
        seed: round.schedule.seed,
        ended_us: outcome.ended.as_us(),
        operations: outcome.history.operations.len() as u64,
        faults: outcome.timeline.faults.len() as u64,
        verdict: reported_verdict(outcome.verdict),
        reasons: outcome.reasons.clone(),
        trace_hash: outcome.trace.as_ref().map(|trace| trace.hash.to_string()),
    });
    line.expect("a round is JSON") + "\n"
}

fn line(round: &Round, sum: Sum) -> String {
    let history = &round.outcome.history;
    let ok =
        history.operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok { .. })).count();
    format!(
        "round {:>5}  until {:>9}  {:>6} operations, {:>6} ok  {:>3} faults  {}  {}\n",
        round.number,
        clock(sum.ended),
        history.operations.len(),
        ok,
        round.outcome.timeline.faults.len(),
        round.outcome.verdict,
        mebibytes(memory::present_bytes()),
    )
}

fn summary(sum: Sum, wall_s: f64) -> String {
    let Sum { rounds, operations, faults, ended, .. } = sum;
    format!(
        "\n{rounds} rounds, {} of virtual time, {operations} operations, {faults} faults: valid\n\
         {wall_s:.1} s, {} in use at the end, {} at most\n",
        clock(ended),
        mebibytes(memory::present_bytes()),
        mebibytes(memory::peak_bytes()),
    )
}

/// Hours, minutes and seconds.
fn clock(at: VirtualTime) -> String {
    let seconds = at.as_us() / 1_000_000;
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0)))
}

#[cfg(test)]
mod tests {
    use super::{VirtualTime, clock, mebibytes};

    #[test]
    fn times_and_sizes_are_told_as_people_read_them() {
        assert_eq!(clock(VirtualTime::from_ms(90_061_500)), "25:01:01");
        assert_eq!(mebibytes(Some(1_572_864)), "1.5 MiB");
        assert_eq!(mebibytes(None), "unknown");
    }
}
