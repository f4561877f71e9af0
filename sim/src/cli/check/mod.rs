//! `stormglass check`: a history that was recorded elsewhere, or that a run left.

mod arguments;
mod foreign;
mod own;
mod source;

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use stormglass_reports::terminal::render_history;
use stormglass_reports::{HISTORY_REPORT_FORMAT, HistoryReport, to_json};

pub(super) use arguments::{CheckArguments, CheckFormat, HistoryFormat, HistoryModel};
use source::{Source, Text};

use super::{Stopwatch, UsageError, memory, output};
use crate::check::{CheckReport, Verdict};
use crate::run;

/// What was found in a file, and what the checks say of it.
struct Judged {
    operations: u64,
    failed: u64,
    unknown: u64,
    processes: u64,
    objects: u64,
    lines: u64,
    nemesis_events: u64,
    skipped: u64,
    checks: Vec<CheckReport>,
    /// How long it took until the file was read.
    read: Duration,
}

/// The report with what the machine measured, which differs each time.
#[derive(Serialize)]
struct Measured<'a> {
    #[serde(flatten)]
    report: &'a HistoryReport,
    read_us: u64,
    wall_us: u64,
    memory_peak_bytes: Option<u64>,
}

/// Reads, judges and shows a history. The exit code is that of the verdict.
pub(super) fn check(arguments: &CheckArguments) -> Result<ExitCode, UsageError> {
    if arguments.steps == 0 {
        return Err(UsageError::new("--steps 0 would judge nothing", "give 1 or more, or leave it out"));
    }
    let watch = Stopwatch::start();
    let source = Source::find(&arguments.file)?;
    let (format, judged) = match (source.text(arguments)?, arguments.model) {
        (Text::Lines(_), HistoryModel::Kv) => return Err(unfit(HistoryFormat::Jsonl, arguments.model)),
        (Text::Lines(lines), _) => (HistoryFormat::Jsonl, own::judge(&source, lines, arguments, &watch)?),
        (Text::Whole(format, bytes), HistoryModel::Register) => {
            (format, foreign::judge(&source, &bytes, format, arguments, &watch)?)
        }
        (Text::Whole(format @ HistoryFormat::Edn, bytes), HistoryModel::Kv) => {
            (format, foreign::judge(&source, &bytes, format, arguments, &watch)?)
        }
        (Text::Whole(format, _), _) => return Err(unfit(format, arguments.model)),
    };
    let read = judged.read;
    let report = report(&source, format, arguments.model, judged);
    let wall = watch.elapsed();
    let memory_peak_bytes = memory::peak_bytes();
    match arguments.format {
        CheckFormat::Json => {
            let [read_us, wall_us] =
                [read, wall].map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            let measured = Measured { report: &report, read_us, wall_us, memory_peak_bytes };
            output::print(&to_json(&measured));
        }
        CheckFormat::Terminal => {
            let options = output::options(arguments.color, wall);
            output::print(&render_history(&report, Some(read), memory_peak_bytes, options));
        }
    }
    Ok(ExitCode::from(report.verdict.exit_code()))
}

fn unfit(format: HistoryFormat, model: HistoryModel) -> UsageError {
    UsageError::new(
        format!("a history read as {} is none of a {}", format.name(), model.name()),
        "jsonl has register, lock, queue and cache; jepsen has register; edn has register and kv",
    )
}

fn report(source: &Source, format: HistoryFormat, model: HistoryModel, judged: Judged) -> HistoryReport {
    let verdict = Verdict::of_all(judged.checks.iter().map(|check| check.verdict));
    HistoryReport {
        format: HISTORY_REPORT_FORMAT,
        file: source.shown(),
        from: format.name().to_owned(),
        model: model.name().to_owned(),
        verdict: run::reported_verdict(verdict),
        operations: judged.operations,
        failed: judged.failed,
        unknown: judged.unknown,
        processes: judged.processes,
        objects: judged.objects,
        lines: judged.lines,
        nemesis_events: judged.nemesis_events,
        skipped: judged.skipped,
        steps: judged.checks.iter().map(|check| check.cost_steps).fold(0, u64::saturating_add),
        checks: judged.checks.iter().map(run::reported_check).collect(),
    }
}
