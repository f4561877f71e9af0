//! `stormglass replay`.

use std::process::ExitCode;

use super::output::tell;
use super::{Stopwatch, UsageError, args, bugs, output};
use crate::plan::load_schedule;
use crate::run::{Options, execute, left_report, report};

/// Runs a schedule as it is written. Of a folder, with the bug that was planted in the run that left it;
/// and says whether this was the same run.
pub(super) fn replay(arguments: &args::Replay) -> Result<ExitCode, UsageError> {
    let is_folder = arguments.path.is_dir();
    let left = if is_folder { left_report(&arguments.path) } else { None };
    let planted = left.as_ref().and_then(|report| report.planted.clone());
    let planted = arguments.plant.clone().or(planted);
    let plant = bugs::find(planted.as_deref())?;
    let path = if is_folder { arguments.path.join("schedule.toml") } else { arguments.path.clone() };
    if !path.exists() {
        let message = format!("{}: there is no such file", output::shown(&path));
        return Err(UsageError::new(message, "give the folder that a run left, or a schedule.toml"));
    }
    let schedule = load_schedule(&path)?;
    let watch = Stopwatch::start();
    let options = Options { plant, keep_trace: false };
    let outcome = execute(&schedule, options);
    let plant = planted.map_or_else(String::new, |bug| format!(" --plant {bug}"));
    let command = format!("stormglass replay {}{plant}", output::shown(&arguments.path));
    let report = report(&schedule, options, &outcome, command);
    output::show_run(&report, &arguments.output, watch.elapsed());
    if let Some(left) = left {
        let is_same = (left.verdict, &left.trace_hash) == (report.verdict, &report.trace_hash);
        tell!(
            "{}",
            if left.live {
                "the folder is a live run's: this was its schedule, in the simulator"
            } else if is_same {
                "this is the run that left the folder: same verdict, same trace hash"
            } else {
                "this is another run than the one that left the folder: the code or the schedule has changed"
            }
        );
    }
    Ok(ExitCode::from(report.verdict.exit_code()))
}
